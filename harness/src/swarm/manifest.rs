//! How large an image is that is not present, by its registry's manifest.
//!
//! A registry counts such a question like a pull; so it is asked only where the answer matters.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

use super::Swarm;
use crate::site::{RegistryHost, RegistryLogin};

const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// Bytes of the compressed layers for this engine's platform. None: the registry did not say.
pub async fn download_size(swarm: &Swarm, name: &str, logins: &[RegistryLogin]) -> Option<u64> {
    let architecture = swarm.docker().version().await.ok()?.arch?;
    let host = RegistryHost::of_image(name);
    let login = match logins.iter().any(|login| login.host == host) {
        true => Login::Own,
        false => Login::None,
    };
    match layers(&inspect(name, login).await?, &architecture)? {
        Found::Bytes(bytes) => Some(bytes),
        Found::Elsewhere(digest) => {
            let name = name.split('@').next().unwrap_or(name);
            let repository = match name.rsplit_once(':') {
                // A colon before a slash is a registry's port.
                Some((repository, tag)) if !tag.contains('/') => repository,
                _ => name,
            };
            let manifest = inspect(&format!("{repository}@{digest}"), login).await?;
            match layers(&manifest, &architecture)? {
                Found::Bytes(bytes) => Some(bytes),
                Found::Elsewhere(_) => None,
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Login {
    /// That of this account.
    Own,
    None,
}

/// By Docker's client, which knows how each registry wants to be asked.
async fn inspect(name: &str, login: Login) -> Option<Value> {
    // Image names begin with a letter or a digit, so this one is no option.
    let first = name.chars().next()?;
    if !first.is_ascii_alphanumeric() {
        return None;
    }
    let mut command = Command::new("docker");
    // A configuration with nothing in it: no login, and no program that would be asked for one.
    let nothing = tempfile::tempdir().ok()?;
    if login == Login::None {
        command.arg("--config").arg(nothing.path());
    }
    command.args(["manifest", "inspect"]);
    if name.starts_with("127.") || name.starts_with("localhost") {
        // As the engine has it: loopback needs no TLS.
        command.arg("--insecure");
    }
    command
        .arg(name)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(ANSWER_WITHIN, command.output());
    let output = output.await.ok()?.ok()?;
    output
        .status
        .success()
        .then(|| serde_json::from_slice(&output.stdout).ok())?
}

#[derive(Debug, PartialEq, Eq)]
enum Found {
    Bytes(u64),
    /// In the manifest with this digest.
    Elsewhere(String),
}

/// What a manifest, or a list of them, says.
fn layers(manifest: &Value, architecture: &str) -> Option<Found> {
    if let Some(layers) = manifest["layers"].as_array() {
        let sizes: Option<Vec<u64>> = layers.iter().map(|layer| layer["size"].as_u64()).collect();
        let sum = sizes?.into_iter().fold(0, u64::saturating_add);
        return Some(Found::Bytes(sum));
    }
    let fits = |entry: &&Value| {
        entry["platform"]["os"] == "linux" && entry["platform"]["architecture"] == architecture
    };
    let entry = manifest["manifests"].as_array()?.iter().find(fits)?;
    let digest = entry["digest"].as_str()?;
    // It goes into a command.
    let hex = digest.strip_prefix("sha256:")?;
    let sound = hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    sound.then(|| Found::Elsewhere(digest.to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_layers_of_a_manifest_are_summed() {
        let manifest = json!({ "layers": [{ "size": 3 }, { "size": 4 }] });
        assert_eq!(layers(&manifest, "amd64"), Some(Found::Bytes(7)));
    }

    #[test]
    fn of_a_list_the_manifest_for_this_platform_is_asked_for() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let entry = |architecture: &str, digest: &str| json!({ "digest": digest, "platform": { "os": "linux", "architecture": architecture } });
        let list = json!({ "manifests": [entry("arm64", "x"), entry("amd64", &digest)] });
        assert_eq!(layers(&list, "amd64"), Some(Found::Elsewhere(digest)));
        assert_eq!(layers(&list, "riscv64"), None);
        assert_eq!(layers(&list, "arm64"), None, "that is no digest");
    }

    #[test]
    fn what_says_no_size_is_not_known() {
        assert_eq!(layers(&json!({ "layers": [{}] }), "amd64"), None);
        assert_eq!(layers(&json!({}), "amd64"), None);
    }
}
