//! The live app, as tests and hooks see it.

use std::sync::Mutex;
use std::time::Duration;

use results::Tier;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::edge::authority::Authority;
use crate::engine::stack::insert_secret;
use crate::engine::{ExecOutput, SecretValue};
use crate::evidence::{Folder, Piece};
use crate::fault::Fault;
use crate::http;
use crate::recipe::EnvFile;
use crate::redact::{Learning, Redactor};
use crate::session::client::Client;
use crate::session::paths::Paths;
use crate::session::protocol::AppView;
use crate::snapshot::Volumes;
use crate::swarm::{self, Swarm};

/// Says that a test does not apply, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Skip(pub String);

/// The error that makes a test a skip. The reason must be a fact of the app or its recipe.
pub fn skip(reason: impl Into<String>) -> anyhow::Error {
    Skip(reason.into()).into()
}

/// The live app.
///
/// A test reads it; what it writes is its own test data, in the app, by the app's own interfaces.
pub struct App {
    view: AppView,
    paths: Paths,
    http: http::Client,
    redactor: Learning,
    swarm: OnceCell<Swarm>,
    remembered: Mutex<Vec<(String, Value)>>,
}

impl App {
    pub(crate) fn new(view: AppView, paths: Paths) -> Result<Self, Fault> {
        let roots = match &view.authority {
            None => http::Roots::System,
            Some(path) => http::Roots::Pem(
                std::fs::read_to_string(path)
                    .map_err(|error| Fault::infra(format!("{}: {error}", path.display())))?,
            ),
        };
        let http = http::Client::new(http::ClientSpec {
            zone: view.zone.clone(),
            edge: view.edge,
            marked: view.marked,
            roots,
        })?;
        let redactor = Learning::default();
        redactor.know(Self::redactor_of(&paths));
        let http = http.with_redactor(redactor.clone());
        Ok(Self {
            view,
            paths,
            http,
            redactor,
            swarm: OnceCell::new(),
            remembered: Mutex::default(),
        })
    }

    pub fn view(&self) -> &AppView {
        &self.view
    }

    pub fn domain(&self) -> &str {
        self.view.domain.as_str()
    }

    /// The address of a path of the app: `https://<domain><path>`.
    pub fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.view.domain)
    }

    pub fn http(&self) -> &http::Client {
        &self.http
    }

    /// The swarm that the app is in, to look at.
    pub async fn swarm(&self) -> Result<&Swarm, Fault> {
        let connect = async || {
            let swarm = Swarm::connect().await?;
            Ok(swarm.with_redactor(self.redactor.clone()))
        };
        self.swarm.get_or_try_init(connect).await
    }

    /// Runs a command in the running container of a service, with no shell in between, for at most
    /// a minute.
    pub async fn exec(&self, service: &str, command: &[&str]) -> Result<ExecOutput, Fault> {
        let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
        let deadline = Duration::from_secs(60);
        swarm::exec(
            self.swarm().await?,
            &self.view.stack,
            service,
            &command,
            deadline,
        )
        .await
    }

    /// The value of a secret that was generated for the app, by its name in the compose file.
    pub fn secret(&self, name: &str) -> Result<String, Fault> {
        let path = self.paths.secrets();
        let text = std::fs::read_to_string(&path)
            .map_err(|error| Fault::infra(format!("{}: {error}", path.display())))?;
        let secrets: std::collections::BTreeMap<String, String> = serde_json::from_str(&text)
            .map_err(|error| Fault::infra(format!("{}: {error}", path.display())))?;
        secrets.get(name).cloned().ok_or_else(|| {
            let known: Vec<_> = secrets.keys().map(String::as_str).collect();
            Fault::recipe(format!(
                "no secret `{name}`; there are: {}",
                known.join(", ")
            ))
        })
    }

    /// Inserts a secret of the app, as `abra app secret insert` does: for a `before_install` hook, and
    /// a secret that the recipe does not want generated. `name` is its name in the compose file,
    /// `version` what the app's environment says (`v1`). The value is redacted everywhere from here
    /// on, and [`App::secret`] gives it.
    pub async fn insert_secret(&self, name: &str, version: &str, value: &str) -> Result<(), Fault> {
        let mut keeper = Client::connect(&self.paths)
            .await?
            .ok_or_else(|| Fault::infra("the session's keeper is gone"))?;
        keeper.know_secret(name, value).await?;
        self.redactor.know(Self::redactor_of(&self.paths));
        let secret = SecretValue {
            name: self.view.stack.object(&format!("{name}_{version}")),
            version: version.to_owned(),
            value: value.as_bytes().to_vec(),
        };
        insert_secret(self.swarm().await?, &self.view.domain, &secret).await
    }

    /// The app's environment as it is now.
    pub fn env(&self) -> Result<EnvFile, Fault> {
        let path = self.paths.env_file();
        let text = std::fs::read_to_string(&path)
            .map_err(|error| Fault::infra(format!("{}: {error}", path.display())))?;
        EnvFile::parse(&text).map_err(|error| Fault::recipe(format!("the app's .env: {error}")))
    }

    /// The files of the app's volumes, whatever its images have.
    pub async fn volumes(&self) -> Result<Volumes, Fault> {
        let view = &self.view;
        Ok(Volumes::of_app(
            self.swarm().await?,
            &view.domain,
            &view.helper_image,
        ))
    }

    /// Fingerprint of the certificate that the site has for its zone; none: only its own proxy knows.
    pub fn site_certificate(&self) -> Result<Option<String>, Fault> {
        if !self.view.marked {
            return Ok(None);
        }
        let authority = Authority::open_or_create(&self.paths.state.join("authority"))?;
        Ok(Some(authority.leaf(&self.view.zone)?.fingerprint))
    }

    /// Writes what the client saw last, for a test that did not pass. Gives the files' names.
    pub(crate) fn write_evidence(&self, test: &str) -> Vec<String> {
        let exchanges: Vec<String> = self.http.exchanges().into_iter().rev().collect();
        if exchanges.is_empty() {
            return Vec::new();
        }
        let text = exchanges.join("\n\n----\n\n");
        let folder = Folder::new(self.paths.evidence(), self.redactor.now());
        folder.write("", vec![Piece::new(format!("{test}.http.txt"), text)])
    }

    /// Knows the values of the app's secrets.
    pub(crate) fn redactor_of(paths: &Paths) -> Redactor {
        let secrets = std::fs::read(paths.secrets()).unwrap_or_default();
        let secrets: std::collections::BTreeMap<String, String> =
            serde_json::from_slice(&secrets).unwrap_or_default();
        Redactor::new(secrets)
    }

    /// Keeps a value for later tests and hooks of this run, under a key of the author's. Tiers'
    /// names are taken: under them is what operations learned.
    pub async fn remember(&self, key: &str, value: impl Serialize) -> Result<(), Fault> {
        if Tier::ALL.iter().any(|tier| tier.as_str() == key) {
            return Err(Fault::usage(format!(
                "`{key}` can't be a key: it is the name of a tier, under which is what its operation learned; choose another"
            )));
        }
        let value = serde_json::to_value(value)
            .map_err(|error| Fault::infra(format!("`{key}` can't be kept: {error}")))?;
        let mut keeper = Client::connect(&self.paths)
            .await?
            .ok_or_else(|| Fault::infra("the session's keeper is gone"))?;
        keeper.remember(key, value.clone()).await?;
        let mut remembered = self
            .remembered
            .lock()
            .expect("no test panics while it remembers");
        remembered.push((key.to_owned(), value));
        Ok(())
    }

    /// What an operation learned (by the tier's name) or an earlier hook or test kept.
    pub fn recall<T: DeserializeOwned>(&self, key: &str) -> Result<T, Fault> {
        let remembered = self
            .remembered
            .lock()
            .expect("no test panics while it remembers");
        let value = remembered
            .iter()
            .rev()
            .find_map(|(known, value)| (known == key).then_some(value))
            .or_else(|| self.view.state.get(key))
            .ok_or_else(|| Fault::infra(format!("nothing was kept as `{key}` in this run")))?;
        serde_json::from_value(value.clone())
            .map_err(|error| Fault::infra(format!("what was kept as `{key}`: {error}")))
    }
}
