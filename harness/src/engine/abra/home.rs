//! A private abra directory of one run: its own clone of the recipe, its own folder of apps.
//!
//! Two runs never share a checkout, and no app's file is ever in the operator's own folder. What a
//! server *is*, Docker's context of its name, is shared, as is the catalogue.
//!
//! Invariant: before a call that reads the recipe, the clone is at the commit that was asked for,
//! without anything else in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::engine::Deployment;
use crate::engine::overlay::{DEFAULT_VERSION, overlay, version_of};
use crate::fault::Fault;
use crate::recipe::git::{Git, GitError};
use crate::recipe::{AppDomain, CommitSha, RecipeName};
use crate::site::{AbraSite, ServerName};

const LOCAL: Duration = Duration::from_secs(60);
/// Beside the recipe's compose files, where a kernel or an image needs more than these say.
const OVERLAY: &str = "compose.cc-ci.yml";

#[derive(Debug, Clone)]
pub struct Home {
    dir: PathBuf,
    server: ServerName,
    recipe: RecipeName,
    /// The fetched repository, bare.
    repo: PathBuf,
    /// The operator's.
    catalogue: PathBuf,
    git: Git,
}

impl Home {
    /// Makes the directory, in `dir`.
    pub fn make(
        dir: &Path,
        site: &AbraSite,
        recipe: &RecipeName,
        repo: &Path,
    ) -> Result<Self, Fault> {
        let write = |error: std::io::Error| Fault::infra(format!("{}: {error}", dir.display()));
        fs::create_dir_all(dir).map_err(write)?;
        let home = Self {
            dir: dir.join("home"),
            server: site.server.clone(),
            recipe: recipe.clone(),
            repo: repo.to_owned(),
            catalogue: site.dir()?.join("catalogue"),
            git: Git::new(&dir.join("git-home")).map_err(write)?,
        };
        home.furnish()
    }

    /// Another of the same recipe, in `dir`.
    pub fn beside(&self, dir: &Path) -> Result<Self, Fault> {
        let home = Self {
            dir: dir.join("home"),
            ..self.clone()
        };
        home.furnish()
    }

    fn furnish(self) -> Result<Self, Fault> {
        let write =
            |error: std::io::Error| Fault::infra(format!("{}: {error}", self.dir.display()));
        fs::create_dir_all(self.dir.join("servers").join(self.server.as_str())).map_err(write)?;
        fs::create_dir_all(self.dir.join("recipes")).map_err(write)?;
        if self.catalogue.is_dir() {
            let link = self.dir.join("catalogue");
            std::os::unix::fs::symlink(&self.catalogue, link).map_err(write)?;
        }
        Ok(self)
    }

    pub fn server(&self) -> &str {
        self.server.as_str()
    }

    pub fn catalogue(&self) -> &Path {
        &self.catalogue
    }

    /// Whether the server is this machine, as abra names it.
    pub fn is_here(&self) -> bool {
        self.server() == "default"
    }

    /// For `ABRA_DIR`.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn recipe(&self) -> &RecipeName {
        &self.recipe
    }

    pub fn app_file(&self, domain: &AppDomain) -> PathBuf {
        let folder = self.dir.join("servers").join(self.server.as_str());
        folder.join(format!("{domain}.env"))
    }

    fn clone_dir(&self) -> PathBuf {
        self.dir.join("recipes").join(self.recipe.as_str())
    }

    /// Puts the clone to this commit, with nothing else in it; makes it where there is none.
    pub async fn check_out(&self, commit: &CommitSha) -> Result<(), Fault> {
        let clone = self.clone_dir();
        if !clone.is_dir() {
            // git itself removes what a clone that fails has made.
            let all = self
                .git
                .call(LOCAL)
                .args(["clone", "--quiet", "--no-checkout", "--"]);
            all.arg(&self.repo)
                .arg(&clone)
                .run()
                .await
                .map_err(broken)?;
            // A pull request's commit is on no branch.
            let every = ["fetch", "--quiet", "origin", "+refs/*:refs/cc-ci/*"];
            self.in_clone().args(every).run().await.map_err(broken)?;
        }
        let check_out = ["checkout", "--quiet", "--force", "--detach"];
        let call = self.in_clone().args(check_out).arg(commit.as_str());
        call.run().await.map_err(broken)?;
        let clean = self.in_clone().args(["clean", "--quiet", "-ffdx"]);
        clean.run().await.map_err(broken)?;
        Ok(())
    }

    /// The commit that the clone is at.
    pub async fn checked_out(&self) -> Result<CommitSha, Fault> {
        let call = self.in_clone().args(["rev-parse", "HEAD"]);
        let sha = call.run().await.map_err(broken)?;
        let sha = sha.trim();
        sha.parse()
            .map_err(|_| Fault::infra(format!("abra's clone of the recipe is at `{sha}`")))
    }

    fn in_clone(&self) -> crate::recipe::git::Call<'_> {
        self.git.call(LOCAL).args(["-C"]).arg(self.clone_dir())
    }

    /// Writes the app's file for this deployment, and the overlay where one is needed. Gives
    /// whether there is one: the checkout is not clean then.
    pub fn write_app(
        &self,
        domain: &AppDomain,
        what: &Deployment,
        dnsrr: bool,
    ) -> Result<bool, Fault> {
        let texts = what.files.iter();
        let texts = texts.filter_map(|file| fs::read_to_string(what.tree.join(file)).ok());
        let texts: Vec<String> = texts.collect();
        let version = texts.iter().find_map(|text| version_of(text));
        let overlay = overlay(None, what, version.unwrap_or(DEFAULT_VERSION), dnsrr);
        let mut env = what.env.clone();
        if let Some(text) = &overlay {
            write(&self.clone_dir().join(OVERLAY), text)?;
            let files = what.files.iter().map(|file| file.display().to_string());
            let files: Vec<String> = files.chain([OVERLAY.to_owned()]).collect();
            env.set("COMPOSE_FILE", &files.join(":"))
                .map_err(|error| Fault::recipe(error.to_string()))?;
        }
        write(&self.app_file(domain), &env.to_string())?;
        Ok(overlay.is_some())
    }
}

fn write(path: &Path, text: &str) -> Result<(), Fault> {
    fs::write(path, text).map_err(|error| Fault::infra(format!("{}: {error}", path.display())))
}

fn broken(error: GitError) -> Fault {
    Fault::infra(format!("abra's clone of the recipe: {error}"))
}
