//! Commands in containers, by Docker's own client through a door: abra runs such after a deploy.

use std::process::Output;

use super::*;
use crate::recipe::policy::Allowed;
use crate::recipe::{AppDomain, StackName};
use crate::swarm::{NAMESPACE, Swarm};

async fn docker(arguments: &[&str]) -> Output {
    let mut command = tokio::process::Command::new("docker");
    let output = command.args(arguments).output().await;
    output.unwrap()
}

/// A container that ends with its guard.
struct Container(String);

impl Container {
    async fn new(name: String, stack: &StackName) -> Self {
        let image = "cc-ci.local/nginx:1.22.1";
        let built = move || fixtures::images::ensure(image, &mut |_| {});
        tokio::task::spawn_blocking(built).await.unwrap().unwrap();
        let label = format!("--label={NAMESPACE}={stack}");
        let run = ["run", "--detach", "--network=none", "--name", &name, &label];
        let ran = docker(&[&run[..], &[image, "sleep", "600"]].concat()).await;
        assert!(ran.status.success(), "{ran:?}");
        Self(name)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let remove = ["rm", "--force", "--volumes", &self.0];
        let removed = std::process::Command::new("docker").args(remove).output();
        drop(removed);
    }
}

#[tokio::test]
async fn docker_commands_run_in_the_stacks_own_containers_only() {
    let swarm = Swarm::connect().await.unwrap();
    let domain: AppDomain = format!("door-{}.ci.test", std::process::id())
        .parse()
        .unwrap();
    let stack = domain.stack();
    let own = Container::new(stack.object("app.1.x"), &stack).await;
    // Labelled as the stack's, and another's by name.
    let other = Container::new(format!("cc-ci-another-{}", std::process::id()), &stack).await;
    let passage = Passage::new(
        (&stack, &domain, &"ci.test".parse().unwrap()),
        (
            &Allowed::default(),
            Ceilings {
                memory_bytes: 1 << 30,
                processes: 100,
            },
            10,
        ),
        std::collections::BTreeSet::new(),
        &[],
    );
    let folder = tempfile::tempdir().unwrap();
    let way = Way::Pass(Arc::new(passage));
    let door = Door::open(folder.path(), swarm.socket(), way).unwrap();
    let host = format!("--host=unix://{}", door.socket().display());
    let asked = |words: &'static str, container: &Container| {
        let mut words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        words.insert(0, host.clone());
        words.extend([container.0.clone(), "sh".to_owned(), "-c".to_owned()]);
        words.push("cat; echo err >&2; exit 7".to_owned());
        async move {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            docker(&words).await
        }
    };
    let ran = asked("exec", &own).await;
    assert_eq!(ran.status.code(), Some(7), "{ran:?}");
    assert_eq!(ran.stderr, b"err\n", "{ran:?}");
    for refused in [
        asked("exec", &other).await,
        asked("exec --privileged", &own).await,
    ] {
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(said.contains("refused by cc-ci"), "{refused:?}");
        assert_ne!(refused.status.code(), Some(7), "{refused:?}");
    }
    // What no deploy asks for.
    for words in [
        "run --rm cc-ci.local/nginx:1.22.1 true",
        "volume create x",
        "plugin ls",
    ] {
        let words: Vec<&str> = std::iter::once(host.as_str())
            .chain(words.split(' '))
            .collect();
        let refused = docker(&words).await;
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(said.contains("refused by cc-ci"), "{words:?}: {refused:?}");
    }
}
