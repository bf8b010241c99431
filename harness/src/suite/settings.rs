//! A recipe's settings: typed, each with a default.

use std::collections::BTreeMap;
use std::time::Duration;

use results::Tier;
use serde_json::{Map, Value, json};

use crate::fault::Fault;
use crate::recipe::AppDomain;
use crate::session::request::truthy;

/// How the harness knows that the app is up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadyProbe {
    /// `health_path` answers with one of `health_ok`.
    Http,
    /// A port of a service takes so many connects in a row.
    Tcp {
        service: String,
        port: u16,
        connects: u32,
    },
}

/// Variables for an app's `.env`, from its domain.
pub type ExtraEnv = fn(&AppDomain) -> Vec<(String, String)>;

#[derive(Debug, Clone)]
pub struct Settings {
    pub health_path: String,
    pub health_ok: Vec<u16>,
    /// None: the recipe's `timeout` label, else the site's limit.
    pub deploy_timeout: Option<Duration>,
    pub http_timeout: Duration,
    pub ready_probe: ReadyProbe,
    /// None: whether a `backupbot.backup` label says so.
    pub backup_capable: Option<bool>,
    /// Tiers without generic assertions.
    pub skip_generic: Vec<Tier>,
    /// Rungs that do not apply, with the reason.
    pub expected_na: BTreeMap<Tier, String>,
    pub extra_env: Option<ExtraEnv>,
    /// Variables that head needs and base did not have.
    pub upgrade_env: Vec<(String, String)>,
    /// The version to upgrade from, where the rules choose wrongly.
    pub upgrade_base: Option<String>,
    /// Keys of volumes whose content may go.
    pub ephemeral: Vec<String>,
    /// Keys of volumes that head renames, with the name in head: (old, new).
    pub renamed_volumes: Vec<(String, String)>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            health_path: "/".to_owned(),
            health_ok: vec![200, 301, 302],
            deploy_timeout: None,
            http_timeout: Duration::from_secs(300),
            ready_probe: ReadyProbe::Http,
            backup_capable: None,
            skip_generic: Vec::new(),
            expected_na: BTreeMap::new(),
            extra_env: None,
            upgrade_env: Vec::new(),
            upgrade_base: None,
            ephemeral: Vec::new(),
            renamed_volumes: Vec::new(),
        }
    }
}

impl Settings {
    /// As printed at the start of a run and kept in its record. Values of variables are not shown:
    /// they may be secret.
    pub fn describe(&self) -> Map<String, Value> {
        let probe = match &self.ready_probe {
            ReadyProbe::Http => json!("http"),
            ReadyProbe::Tcp {
                service,
                port,
                connects,
            } => {
                json!(format!(
                    "tcp {service}:{port}, {connects} connects in a row"
                ))
            }
        };
        let keys = |pairs: &[(String, String)]| {
            pairs.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>()
        };
        let entries = [
            ("health_path", json!(self.health_path)),
            ("health_ok", json!(self.health_ok)),
            (
                "deploy_timeout_s",
                json!(self.deploy_timeout.map(|time| time.as_secs())),
            ),
            ("http_timeout_s", json!(self.http_timeout.as_secs())),
            ("ready_probe", probe),
            ("backup_capable", json!(self.backup_capable)),
            ("skip_generic", json!(self.skip_generic)),
            ("expected_na", json!(self.expected_na)),
            ("extra_env", json!(self.extra_env.is_some())),
            ("upgrade_env", json!(keys(&self.upgrade_env))),
            ("upgrade_base", json!(self.upgrade_base)),
            ("ephemeral", json!(self.ephemeral)),
            ("renamed_volumes", json!(self.renamed_volumes)),
        ];
        entries
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    }

    /// The tiers whose generic assertions are left out: the recipe's declaration, then
    /// `CCCI_SKIP_GENERIC` and `CCCI_SKIP_GENERIC_<TIER>` of the environment.
    pub fn skipped_generic(
        &self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Vec<Tier>, Fault> {
        let all = variable("CCCI_SKIP_GENERIC").is_some_and(|value| truthy(&value));
        Ok(Tier::NAMED
            .into_iter()
            .filter(|tier| {
                let name = format!("CCCI_SKIP_GENERIC_{}", tier.as_str().to_uppercase());
                // The more specific word wins, also where it says no.
                match variable(&name) {
                    Some(value) => truthy(&value),
                    None => all || self.skip_generic.contains(tier),
                }
            })
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case::nothing(&[], &[], &[])]
    #[case::declared(&[Tier::Backup], &[], &[Tier::Backup])]
    #[case::all(&[], &[("CCCI_SKIP_GENERIC", "Yes")], &Tier::NAMED)]
    #[case::one(&[], &[("CCCI_SKIP_GENERIC_UPGRADE", "1")], &[Tier::Upgrade])]
    #[case::specific_no_wins(&[Tier::Backup], &[("CCCI_SKIP_GENERIC_BACKUP", "0")], &[])]
    fn generic_is_left_out(
        #[case] declared: &[Tier],
        #[case] environment: &[(&str, &str)],
        #[case] expected: &[Tier],
    ) {
        let settings = Settings {
            skip_generic: declared.to_vec(),
            ..Settings::default()
        };
        let variable = |name: &str| {
            environment
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        };
        assert_eq!(settings.skipped_generic(variable).unwrap(), expected);
    }
}
