//! How the entrypoint ends: one documented code an outcome.
//!
//! "Nothing ran" is never among the successes. A child's own status passes through whole.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use harness::fault::Fault;
use results::Verdict;

/// All that was asked for was done, and it is good.
pub const PASS: u8 = 0;
/// The recipe failed; of `lint`: something was found.
pub const FAILED: u8 = 1;
/// The command line or the configuration is wrong: nothing was tried.
pub const USAGE: u8 = 2;
/// cc-ci, the host, a registry or the network is at fault: no statement about the recipe.
pub const INFRA: u8 = 3;
/// Somebody asked for the run to stop.
pub const CANCELLED: u8 = 4;

/// Stopped on request before there was anything to record.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Stopped(pub String);

/// The code for a run that has a record.
pub fn of_verdict(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Pass => PASS,
        Verdict::Fail => FAILED,
        Verdict::Error => INFRA,
        Verdict::Cancelled => CANCELLED,
    }
}

/// The code for an error. One that doesn't say whose fault it is, is ours.
pub fn of_error(error: &anyhow::Error) -> u8 {
    if error.is::<Stopped>() {
        return CANCELLED;
    }
    match error.downcast_ref::<Fault>() {
        Some(Fault::Recipe(_)) => FAILED,
        Some(Fault::Usage(_)) => USAGE,
        Some(Fault::Infra(_)) | None => INFRA,
    }
}

/// The code of a child, as a shell gives it: a signal is 128 and its number.
pub fn of_child(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(i32::from(INFRA));
    // A code that doesn't fit is a failure all the same, and never 0.
    u8::try_from(code).unwrap_or(INFRA)
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(Fault::recipe("x"), FAILED)]
    #[case(Fault::usage("x"), USAGE)]
    #[case(Fault::infra("x"), INFRA)]
    fn the_code_says_whose_fault_it_is_below_any_context(#[case] fault: Fault, #[case] code: u8) {
        let error = Err::<(), _>(fault).context("while testing").unwrap_err();
        assert_eq!(of_error(&error), code);
    }

    #[rstest]
    #[case(Verdict::Pass)]
    #[case(Verdict::Fail)]
    #[case(Verdict::Error)]
    #[case(Verdict::Cancelled)]
    fn a_verdicts_code_is_the_one_that_the_record_promises(#[case] verdict: Verdict) {
        assert_eq!(of_verdict(verdict), verdict.exit_code());
    }

    #[test]
    fn an_error_of_no_known_owner_is_no_statement_about_the_recipe() {
        assert_eq!(of_error(&anyhow::anyhow!("x")), INFRA);
    }

    #[rstest]
    #[case::code(100 << 8, 100)]
    #[case::good(0, 0)]
    #[case::killed(9, 137)]
    #[case::interrupted(2, 130)]
    fn a_childs_status_passes_through(#[case] raw: i32, #[case] code: u8) {
        assert_eq!(of_child(ExitStatus::from_raw(raw)), code);
    }
}
