//! What can be refused before a run has begun: what was asked for can't be. Exit code 2, and
//! nothing is left.
//!
//! Must not look at: what is in the recipe. That is the run's to judge, and the recipe's fault.

use std::fs;
use std::path::Path;

use harness::fault::Fault;
use harness::recipe::base::{Named, choose_base};
use harness::recipe::{Checkout, CheckoutError};
use harness::session::paths::Paths;
use harness::session::request::Request;
use harness::site::{Catalogue, Site};

/// What needs no other program.
pub fn request(request: &Request, site: &Site, paths: &Paths) -> Result<(), Fault> {
    if from_built_in_catalogue(request, site) {
        let known = fixtures::catalogue::names();
        if !known.iter().any(|name| name == request.recipe.as_str()) {
            return Err(unknown(request.recipe.as_str(), &known));
        }
    }
    writable(&paths.state)?;
    if paths.run.exists() {
        return Err(taken(request));
    }
    Ok(())
}

pub fn taken(request: &Request) -> Fault {
    let id = &request.run_id;
    Fault::usage(format!(
        "there is a run {id} already, and an id is used once; see it with cargo xtask report {id}, or leave --run-id out"
    ))
}

/// Whether the repository, the ref and the base that were named are there. It reads a copy of its
/// own, for the run resolves them again.
pub async fn source(request: &Request, site: &Site, state: &Path) -> Result<(), Fault> {
    let asks = request.requested_ref.is_some() || request.from.is_some();
    if from_built_in_catalogue(request, site) && !asks {
        return Ok(());
    }
    let source = request.source_at(site, state)?;
    let copy = tempfile::tempdir()
        .map_err(|error| Fault::infra(format!("a folder for the repository: {error}")))?;
    let asked = request.requested_ref.as_deref();
    let checkout = match Checkout::fetch(&source, asked, copy.path()).await {
        Ok(checkout) => checkout,
        // An address that somebody typed is the first thing to look at; the site's catalogue is not.
        Err(error @ CheckoutError::Unreachable { .. }) if request.source.is_some() => {
            return Err(Fault::usage(format!(
                "{error}; check the address, and that this machine may reach it"
            )));
        }
        Err(error) => return Err(error.into()),
    };
    if let Some(from) = &request.from {
        choose_base(&checkout, Some(Named::Flag(from)), None, None).await?;
    }
    Ok(())
}

fn from_built_in_catalogue(request: &Request, site: &Site) -> bool {
    request.source.is_none() && site.catalogue == Catalogue::BuiltIn
}

fn unknown(name: &str, known: &[String]) -> Fault {
    let mut near: Vec<_> = known
        .iter()
        .map(|other| (strsim::jaro_winkler(name, other), other.as_str()))
        .filter(|(likeness, _)| *likeness > 0.6)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    let near: Vec<_> = near.into_iter().take(3).map(|(_, name)| name).collect();
    let hint = if near.is_empty() {
        String::new()
    } else {
        format!(" (nearest: {})", near.join(", "))
    };
    Fault::usage(format!(
        "the built-in catalogue has no recipe `{name}`{hint}; it has {}. Any other recipe is tested with --source URL|PATH",
        known.join(", ")
    ))
}

fn writable(state: &Path) -> Result<(), Fault> {
    let runs = state.join("runs");
    fs::create_dir_all(&runs)
        .and_then(|()| tempfile::tempfile_in(&runs).map(drop))
        .map_err(|error| {
            Fault::usage(format!(
                "the state directory can't be written: {}: {error}; set CCCI_STATE_DIR to one that you own",
                runs.display()
            ))
        })
}
