//! The order of hooks and copies, and what a failure among them does.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::*;
use crate::engine::overlay::tests::{app, deployment};
use crate::engine::{LintSubject, Linted, SecretValue};
use crate::recipe::compose::Service;
use crate::recipe::policy::Made;
use crate::recipe::{CommitSha, Compose};

/// Writes down what is asked of it; fails at the step named.
#[derive(Default)]
struct Steps {
    done: Mutex<Vec<String>>,
    fails_at: &'static str,
}

impl Steps {
    fn step(&self, name: String) -> Result<(), Fault> {
        let fails = name == self.fails_at;
        self.done.lock().unwrap().push(name.clone());
        if fails {
            Err(Fault::infra(name))
        } else {
            Ok(())
        }
    }
}

/// Two services with hooks around backup and restore.
fn labelled() -> Compose {
    let label = |name: &str, value: &str| (format!("backupbot.{name}"), value.to_owned());
    let service = Service {
        labels: BTreeMap::from([
            label("backup", "true"),
            label("backup.pre-hook", "dump"),
            label("backup.post-hook", "clean"),
            label("restore.post-hook", "load"),
        ]),
        replicas: 1,
        ..Service::default()
    };
    Compose {
        services: ["app", "db"]
            .map(|name| (name.to_owned(), service.clone()))
            .into(),
        ..Compose::default()
    }
}

#[async_trait]
impl Data for Steps {
    async fn save(&self, _: &StackName, _: &[VolumeBackup]) -> Result<Backup, Fault> {
        self.step("save".to_owned()).map(|()| Backup {
            snapshot: "s1".to_owned(),
            bytes: 1,
            files: 1,
            paths: vec![],
        })
    }

    async fn load(&self, _: &StackName, snapshot: &str) -> Result<(), Fault> {
        self.step(format!("load {snapshot}"))
    }

    async fn forget(&self, _: &StackName) -> Result<(), Fault> {
        self.step("forget".to_owned())
    }
}

#[async_trait]
impl Engine for Steps {
    fn name(&self) -> &'static str {
        "steps"
    }

    async fn exec(
        &self,
        _: &AppSpec,
        service: &str,
        command: &[String],
        _: Duration,
    ) -> Result<ExecOutput, Fault> {
        assert_eq!(command[..2], ["/bin/sh", "-c"]);
        let failed = self.step(format!("{} in {service}", command[2])).is_err();
        Ok(ExecOutput {
            code: i64::from(failed) * 3,
            stdout: "out\n".to_owned(),
            stderr: "first\n\nsecond\n".to_owned(),
        })
    }

    async fn lint(&self, _: &LintSubject<'_>) -> Result<Linted, Fault> {
        unreachable!("no backup lints")
    }

    async fn create(&self, _: &AppSpec, _: &CommitSha) -> Result<(), Fault> {
        unreachable!("no backup makes an app")
    }

    async fn insert_secrets(
        &self,
        _: &AppSpec,
        _: &Deployment,
        _: &[SecretValue],
    ) -> Result<(), Fault> {
        unreachable!("no backup inserts secrets")
    }

    async fn read(&self, _: &AppSpec, _: &Deployment) -> Result<Made, Fault> {
        unreachable!("no backup reads files")
    }

    async fn deploy(&self, _: &AppSpec, _: &Deployment) -> Result<Vec<String>, Fault> {
        unreachable!("no backup deploys")
    }

    async fn backup(&self, _: &AppSpec, _: &Deployment) -> Result<Backup, Fault> {
        unreachable!("no backup within a backup")
    }

    async fn restore(&self, _: &AppSpec, _: &Deployment, _: &str) -> Result<(), Fault> {
        unreachable!("no restore within a backup")
    }

    async fn restart(&self, _: &AppSpec, _: &str) -> Result<(), Fault> {
        unreachable!("a backup restarts nothing")
    }

    async fn remove_stack(&self, _: &AppSpec, _: std::time::Duration) -> Result<(), Fault> {
        unreachable!("no backup removes")
    }

    async fn remove(&self, _: &AppSpec, _: std::time::Duration) -> Result<(), Fault> {
        unreachable!("no backup removes")
    }
}

#[rstest::rstest]
#[case::all_well("", "dump in app, dump in db, save, clean in app, clean in db")]
#[case::a_pre_hook("dump in db", "dump in app, dump in db, clean in app")]
#[case::the_copy("save", "dump in app, dump in db, save, clean in app, clean in db")]
#[case::a_post_hook(
    "clean in app",
    "dump in app, dump in db, save, clean in app, clean in db"
)]
#[tokio::test]
async fn a_backup_fails_where_a_step_fails_and_cleans_up(
    #[case] fails_at: &'static str,
    #[case] expected: &str,
) {
    let steps = Steps {
        fails_at,
        ..Steps::default()
    };
    let result = backup(&steps, &steps, &app(), &deployment(labelled())).await;
    assert_eq!(result.is_ok(), fails_at.is_empty(), "{result:?}");
    assert_eq!(steps.done.lock().unwrap().join(", "), expected);
}

#[rstest::rstest]
#[case::all_well("", "load s1, load in app, load in db")]
#[case::the_copy("load s1", "load s1")]
#[tokio::test]
async fn a_restore_runs_its_post_hooks_on_what_was_restored(
    #[case] fails_at: &'static str,
    #[case] expected: &str,
) {
    let steps = Steps {
        fails_at,
        ..Steps::default()
    };
    let what = deployment(labelled());
    let result = restore(&steps, &steps, &app(), &what, "s1").await;
    assert_eq!(result.is_ok(), fails_at.is_empty(), "{result:?}");
    assert_eq!(steps.done.lock().unwrap().join(", "), expected);
}

#[tokio::test]
async fn a_hook_that_fails_is_named_with_its_last_words() {
    let steps = Steps {
        fails_at: "dump in app",
        ..Steps::default()
    };
    let fault = backup(&steps, &steps, &app(), &deployment(labelled()))
        .await
        .unwrap_err();
    assert!(matches!(fault, Fault::Recipe(_)), "{fault:?}");
    insta::assert_snapshot!(fault, @"backup pre-hook of app ended with exit 3: `first | second`");
}
