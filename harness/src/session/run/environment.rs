//! The app's `.env` and its secrets.

use std::path::Path;

use super::{Run, Stop};
use crate::engine::{Deployment, SecretValue};
use crate::fault::Fault;
use crate::recipe::{EnvFile, secrets};
use crate::redact::Redactor;
use crate::suite::Generic;
use crate::swarm;

impl<G: Generic> Run<'_, G> {
    pub(super) fn write_env(&self) -> Result<(), Fault> {
        let path = self.paths.env_file();
        std::fs::write(&path, self.prepared()?.env.to_string())
            .map_err(|error| Fault::infra(format!("{}: {error}", path.display())))
    }

    /// The environment as the install-steps hook left it.
    pub(super) fn read_env(&mut self) -> Result<(), Stop> {
        let path = self.paths.env_file();
        let text = std::fs::read_to_string(&path)
            .map_err(|error| Fault::infra(format!("{}: {error}", path.display())))?;
        let env = EnvFile::parse(&text)
            .map_err(|error| Fault::recipe(format!("the app's .env after the hook: {error}")))?;
        if let Some(prepared) = &mut self.prepared {
            if let Some(key) = changed(&prepared.env, &env) {
                return Err(Fault::recipe(format!(
                    "the hook before_install changed {key}, which is the run's to say"
                ))
                .into());
            }
            prepared.env = env;
        }
        Ok(())
    }

    /// Variables that head needs and base did not have.
    pub(super) fn set_upgrade_env(&mut self) -> Result<(), Stop> {
        let Some(prepared) = &mut self.prepared else {
            return Ok(());
        };
        for (key, value) in &self.suite.settings.upgrade_env {
            prepared
                .env
                .set(key, value)
                .map_err(|error| Fault::recipe(format!("upgrade_env: {error}")))?;
        }
        Ok(self.write_env()?)
    }

    /// Checks names, generates the secrets that the deployment needs and that are not there yet,
    /// and inserts them.
    pub(super) async fn make_secrets(&mut self, what: &Deployment) -> Result<(), Stop> {
        let prepared = self
            .prepared
            .as_mut()
            .ok_or_else(|| Fault::infra("nothing was prepared"))?;
        let fault = Fault::from;
        secrets::check_names(&what.compose, &prepared.app.stack).map_err(fault)?;
        let specs = secrets::plan(&what.compose, &prepared.env).map_err(fault)?;
        let there = swarm::secret_names(&prepared.swarm, &prepared.app.stack).await?;
        let mut new = Vec::new();
        for spec in specs.iter().filter(|spec| !there.contains(&spec.name)) {
            let value = secrets::generate(spec).ok_or_else(|| {
                Fault::recipe(format!(
                    "secret `{}` is not to be generated (`generate=false`) and nobody gave it; a `before_install` hook can insert {}",
                    spec.key, spec.name
                ))
            })?;
            prepared
                .secret_values
                .insert(spec.key.clone(), value.clone());
            new.push(SecretValue {
                name: spec.name.clone(),
                value: value.into_bytes(),
            });
        }
        let path = self.paths.secrets();
        let json = serde_json::to_vec(&prepared.secret_values).unwrap_or_default();
        write_private(&path, &json)
            .map_err(|error| Fault::infra(format!("{}: {error}", path.display())))?;
        // Redacted from before the first use on.
        self.shared.journal.redact_with(Redactor::new(
            prepared
                .secret_values
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        ));
        let inserted = prepared.engine.insert_secrets(&prepared.app, &new);
        self.shared.change(inserted).await?;
        Ok(())
    }
}

/// What names the app, where it is and who gives its certificate, if the hook changed one of them.
fn changed(before: &EnvFile, after: &EnvFile) -> Option<&'static str> {
    ["DOMAIN", "LETS_ENCRYPT_ENV", "STACK_NAME", "TYPE"]
        .into_iter()
        .find(|key| before.get(key) != after.get(key))
}

fn write_private(path: &Path, content: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content)
}
