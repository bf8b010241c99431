//! From a commit's files and an app's environment to what an engine deploys.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::engine::Deployment;
use crate::fault::Fault;
use crate::recipe::abra_sh::AbraSh;
use crate::recipe::compose::compose_files;
use crate::recipe::env::EnvFile;
use crate::recipe::{CommitSha, Compose, StackName};

/// The deployment of a commit: what compose files say with this environment. Images are not known
/// yet. Errors are the recipe's.
pub fn deployment(
    tree: &Path,
    commit: &CommitSha,
    version: Option<&str>,
    env: &EnvFile,
    stack: &StackName,
) -> Result<Deployment, Fault> {
    let app_env = env.variables().clone();
    let variables = abra_sh(tree)?.variables(env, stack);
    let files = compose_files(env)?;
    let compose = Compose::load(tree, &files, &variables)?;
    Ok(Deployment {
        commit: commit.clone(),
        version: version.map(str::to_owned),
        tree: tree.to_owned(),
        files,
        env: env.clone(),
        app_env,
        variables,
        compose,
        local_images: BTreeMap::new(),
    })
}

/// What `abra.sh` exports; a recipe may have none.
pub fn abra_sh(tree: &Path) -> Result<AbraSh, Fault> {
    match fs::read(tree.join("abra.sh")) {
        Ok(bytes) => Ok(AbraSh::parse(&String::from_utf8_lossy(&bytes))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(AbraSh::parse("")),
        Err(error) => Err(Fault::recipe(format!("abra.sh: {error}"))),
    }
}

/// The app's environment as `app new` makes it: `.env.sample` with the app's domain, no ACME, and
/// the recipe's extra variables.
pub fn new_env(tree: &Path, domain: &str, extra: &[(String, String)]) -> Result<EnvFile, Fault> {
    let path = tree.join(".env.sample");
    let bytes = fs::read(&path).map_err(|error| {
        Fault::recipe(format!(
            ".env.sample: {error}; a recipe needs one for `app new`"
        ))
    })?;
    let recipe = |error: &dyn std::fmt::Display| Fault::recipe(format!(".env.sample: {error}"));
    let text = String::from_utf8(bytes).map_err(|error| recipe(&error))?;
    let mut env = EnvFile::parse(&text).map_err(|error| recipe(&error))?;
    let acme = ("LETS_ENCRYPT_ENV".to_owned(), String::new());
    let domain = ("DOMAIN".to_owned(), domain.to_owned());
    for (key, value) in [domain, acme].iter().chain(extra) {
        env.set(key, value).map_err(|error| recipe(&error))?;
    }
    Ok(env)
}
