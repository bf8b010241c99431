//! Tests the recipe that `CCCI_RECIPE` names by the generic assertions alone. Without that
//! variable there is nothing to test, and nothing is listed.

use std::process::ExitCode;

use generic_tests::Suite;
use harness::session::request::recipe_from_environment;

fn main() -> ExitCode {
    match recipe_from_environment() {
        Ok(Some(recipe)) => Suite::of(recipe).main(),
        Ok(None) => harness::suite::list_nothing(),
        Err(fault) => harness::suite::refuse(&fault),
    }
}
