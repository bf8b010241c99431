//! Compose files: the model, and what is read from it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use harness::edge::routes;
use harness::recipe::compose::MountKind;
use harness::recipe::lint::{Subject, lint};
use harness::recipe::{AbraSh, AppDomain, Compose, EnvFile, policy, secrets};

/// The bytes are `compose.yml`; behind the first NUL stands `.env.sample`.
pub(crate) fn holds(bytes: &[u8]) {
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    let (text, sample) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    let Ok(env) = EnvFile::parse(&String::from_utf8_lossy(sample)) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("compose.yml"), text).unwrap();
    let files = [PathBuf::from("compose.yml")];
    let domain: AppDomain = "a.ci.test".parse().unwrap();
    let mut variables: BTreeMap<String, String> = env.variables().clone();
    variables.insert("STACK_NAME".to_owned(), domain.stack().to_string());
    let found = Compose::load(dir.path(), &files, &variables);
    let Ok(compose) = found else {
        let error = found.unwrap_err().to_string();
        assert!(!error.is_empty());
        return;
    };
    let again = Compose::load(dir.path(), &files, &variables).unwrap();
    assert_eq!(again, compose, "a file means one thing");
    is_whole(&compose);
    let zone: AppDomain = "ci.test".parse().unwrap();
    let terms = policy::Terms {
        stack: &domain.stack(),
        domain: &domain,
        zone: &zone,
        allow: &policy::Allowed::default(),
        others: &BTreeSet::new(),
        most_tasks: 1,
    };
    for finding in policy::declared(&compose, &terms) {
        let service = finding.place.service.as_ref();
        assert!(service.is_none_or(|name| compose.services.contains_key(name)));
    }
    if secrets::check_names(&compose, &domain.stack()).is_ok()
        && let Ok(planned) = secrets::plan(&compose, &env)
    {
        for secret in planned {
            assert!(secret.name.chars().count() <= 64, "{}", secret.name);
        }
    }
    let timeout = compose.recipe_timeout(&domain.stack());
    assert!(timeout.is_none_or(|timeout| timeout.as_secs() <= 86_400));
    for host in routes(&compose, &domain.stack()).hosts() {
        assert!(host.as_str().parse::<AppDomain>().is_ok());
    }
    lints(&dir, &files, &compose, &env, text);
}

/// Nothing refers to what is not there.
fn is_whole(compose: &Compose) {
    for service in compose.services.values() {
        for mount in &service.mounts {
            if let MountKind::Volume(key) = &mount.kind {
                assert!(compose.volumes.contains_key(key), "{key}");
            }
        }
        for grant in &service.secrets {
            assert!(compose.secrets.contains_key(&grant.source));
        }
        for grant in &service.configs {
            assert!(compose.configs.contains_key(&grant.source));
        }
    }
}

/// A finding is at a line that is there.
fn lints(
    dir: &tempfile::TempDir,
    files: &[PathBuf],
    compose: &Compose,
    env: &EnvFile,
    text: &[u8],
) {
    let lines = String::from_utf8_lossy(text).lines().count() as u64;
    let found = lint(&Subject {
        tree: dir.path(),
        files,
        compose,
        env,
        abra_sh: &AbraSh::parse(""),
        tags: &[],
    });
    for finding in found {
        assert!(matches!(finding.severity.as_str(), "error" | "warn"));
        if finding.file.as_deref() == Some("compose.yml") {
            let line = finding.line.unwrap_or(1);
            assert!((1..=lines.max(1)).contains(&line), "{finding:?}");
        }
    }
}
