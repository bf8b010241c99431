//! What other people have in the engine, and looks like the stack's: it is there afterwards.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

use harness::swarm::{self, Before};

use crate::stand::{DEADLINE, Stand, image};

/// By Docker's own client, so that neither what is made nor what is seen is our own code's word.
pub fn docker(arguments: &[&str]) -> String {
    let ran = Command::new("docker").args(arguments).output().unwrap();
    assert!(ran.status.success(), "docker {arguments:?}: {ran:?}");
    String::from_utf8(ran.stdout).unwrap().trim().to_owned()
}

/// Objects of somebody else, gone with the test.
#[derive(Default)]
pub struct Theirs(Vec<(&'static str, String)>);

impl Theirs {
    /// Makes one of each kind but services at this name, with this label.
    fn make(&mut self, name: &str, label: &str) {
        let image = "cc-ci.local/swarm-faulty:test";
        let label = format!("--label={label}");
        for kind in ["config", "secret"] {
            docker(&[kind, "create", &label, name, "/etc/hostname"]);
            self.0.push((kind, name.to_owned()));
        }
        docker(&["volume", "create", &label, name]);
        self.0.push(("volume", name.to_owned()));
        docker(&["network", "create", "--driver=overlay", &label, name]);
        self.0.push(("network", name.to_owned()));
        docker(&["container", "create", "--name", name, &label, image]);
        self.0.push(("container", name.to_owned()));
    }

    fn service(&mut self, name: &str, label: &str) {
        let image = "cc-ci.local/swarm-faulty:test";
        let label = format!("--label={label}");
        let service = ["service", "create", "--detach", "--replicas=0", "--name"];
        docker(&[&service[..], &[name, &label, image]].concat());
        self.0.push(("service", name.to_owned()));
    }

    /// A container that holds a volume.
    pub fn holder(&mut self, name: &str, volume: &str) {
        let image = "cc-ci.local/swarm-faulty:test";
        let mount = format!("{volume}:/data");
        docker(&[
            "container",
            "create",
            "--name",
            name,
            "--volume",
            &mount,
            image,
        ]);
        self.0.push(("container", name.to_owned()));
    }

    fn volume(&mut self, name: &str) {
        docker(&["volume", "create", name]);
        self.0.push(("volume", name.to_owned()));
    }

    /// Ids, so that one that was removed and made again is not taken for the same.
    fn seen(&self) -> Vec<String> {
        let one = |(kind, name): &(&str, String)| {
            let format = if *kind == "volume" {
                "{{.CreatedAt}}"
            } else {
                "{{.ID}}"
            };
            format!(
                "{kind} {name} {}",
                docker(&[kind, "inspect", "--format", format, name])
            )
        };
        self.0.iter().map(one).collect()
    }
}

impl Drop for Theirs {
    fn drop(&mut self) {
        for (kind, name) in self.0.iter().rev() {
            // A container's own volumes have no other name to go by.
            let with = if *kind == "container" {
                &["--volumes"][..]
            } else {
                &[]
            };
            let remove = [&[*kind, "rm"][..], with, &[name]].concat();
            let _ = Command::new("docker").args(remove).output();
        }
    }
}

/// Everything that bears the stack's name or label, by Docker's client.
fn bears(stack: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (kind, format) in [
        ("service", "{{.Name}}"),
        ("container", "{{.Names}}"),
        ("volume", "{{.Name}}"),
        ("network", "{{.Name}}"),
        ("config", "{{.Name}}"),
        ("secret", "{{.Name}}"),
    ] {
        let mut list = vec![kind, "ls", "--format", format];
        if kind == "container" {
            list.push("--all");
        }
        let all = docker(&list);
        let label = format!("label=com.docker.stack.namespace={stack}");
        list.extend(["--filter", &label]);
        let labelled = docker(&list);
        let named = all.lines().filter(|name| name.contains(stack));
        found.extend(
            named
                .chain(labelled.lines())
                .map(|name| format!("{kind} {name}")),
        );
    }
    found
}

/// An app with a thing of each kind, one of them in a volume that anybody could have named so.
async fn deploy(stand: &Stand, foreign: &str) {
    std::fs::write(stand.tree.path().join("hosts"), "x").unwrap();
    let text = format!(
        "version: '3.8'
services:
  app:
    image: faulty:1
    volumes: ['data:/data', 'theirs:/theirs']
    configs: [conf]
    secrets: [word]
volumes:
  data: {{}}
  theirs: {{ external: true, name: '{foreign}' }}
configs: {{ conf: {{ file: ./hosts }} }}
secrets: {{ word: {{ file: ./hosts }} }}
"
    );
    // Past the walls, which let no such file through: what is removed must not rest on them.
    let text = text.replace("faulty:1", image().await);
    let file = stand.tree.path().join("compose.yml");
    std::fs::write(&file, text).unwrap();
    let (file, stack) = (file.display().to_string(), stand.stack().to_string());
    docker(&[
        "stack",
        "deploy",
        "--resolve-image=never",
        "-c",
        &file,
        &stack,
    ]);
    stand.converge(&[("app", 1)]).await.unwrap();
    // As an engine inserts one: without a label.
    let name = stand.stack().object("inserted_v1");
    docker(&["secret", "create", &name, "/etc/hostname"]);
}

fn hex_name() -> String {
    format!("{:064x}", std::process::id())
}

#[tokio::test]
async fn docker_what_others_made_is_there_after_the_removal() {
    image().await;
    // Dropped last, when nothing of the stack holds them.
    let mut theirs = Theirs::default();
    let mut stand = Stand::new("foreign").await;
    let stack = stand.stack().to_string();
    let label = format!("com.docker.stack.namespace={stack}");
    theirs.make(&format!("their-{}", std::process::id()), &label);
    theirs.make(&stand.stack().object("before"), &label);
    theirs.make(&stand.stack().object("plain"), "theirs");
    theirs.service(&stand.stack().object("plain"), "theirs");
    let hex = hex_name();
    theirs.volume(&hex);
    stand.app.before = Before::note(&stand.swarm).await.unwrap();
    deploy(&stand, &hex).await;
    // Made while the app lives, with its label and no name of its own. A service only now: a deploy
    // prunes by label, which is why a run does not begin where there is one.
    theirs.make(&format!("late-{}", std::process::id()), &label);
    theirs.service(&format!("late-{}", std::process::id()), &label);
    let seen = theirs.seen();
    let ours = bears(&stack).len() - theirs.0.len() + 1;
    assert!(ours >= 7, "{:?}", bears(&stack));

    let noted = swarm::anonymous_volumes(&stand.swarm, stand.stack(), &stand.app.before)
        .await
        .unwrap();
    assert!(!noted.contains(&hex) && noted.len() == 1, "{noted:?}");
    harness::engine::Engine::remove(&stand.engine, &stand.app, DEADLINE)
        .await
        .unwrap();

    assert_eq!(theirs.seen(), seen);
    let theirs = theirs.0.iter().filter(|(_, name)| *name != hex);
    let theirs: BTreeSet<_> = theirs
        .map(|(kind, name)| format!("{kind} {name}"))
        .collect();
    assert_eq!(bears(&stack), theirs);
    let volumes = docker(&["volume", "ls", "--quiet"]);
    assert!(
        !volumes.lines().any(|name| noted.contains(name)),
        "{noted:?}"
    );
    let remains = swarm::remains(&stand.swarm, stand.stack(), &stand.app.before, &noted)
        .await
        .unwrap();
    assert_eq!(remains.residue, []);
    let said = remains.foreign.iter();
    let said: BTreeSet<_> = said.map(|it| format!("{} {}", it.kind, it.name)).collect();
    assert_eq!(said, theirs);
}

/// The note of a dead run is lost: what its label and name prove goes, and the rest is named.
#[tokio::test]
async fn docker_without_a_note_less_is_removed_and_more_is_said() {
    image().await;
    let mut theirs = Theirs::default();
    let stand = Stand::new("unnoted").await;
    let hex = hex_name().replacen("00", "aa", 1);
    theirs.volume(&hex);
    let seen = theirs.seen();
    deploy(&stand, &hex).await;
    let (swarm, stack, before) = (&stand.swarm, stand.stack(), Before::Unknown);
    swarm::remove_stack(swarm, stack, &before, DEADLINE)
        .await
        .unwrap();
    swarm::remove_secrets(swarm, stack, &before).await.unwrap();
    assert_eq!(theirs.seen(), seen);
    let left = swarm::residue(swarm, stack, &before, &BTreeSet::new())
        .await
        .unwrap();
    let names: Vec<_> = left
        .iter()
        .map(|it| (it.kind.as_str(), it.name.as_str()))
        .collect();
    let inserted = stack.object("inserted_v1");
    assert_eq!(names, [("secret", inserted.as_str())]);
    stand.remove().await;
}

#[tokio::test]
async fn docker_a_note_costs_less_than_thirty_milliseconds() {
    let stand = Stand::new("note").await;
    let mut took = Vec::new();
    for _ in 0..20 {
        let started = Instant::now();
        let before = Before::note(&stand.swarm).await.unwrap();
        took.push(started.elapsed());
        assert_ne!(before, Before::Unknown);
    }
    took.sort();
    println!(
        "a note takes {:?} (median of 20), {:?} at most",
        took[10], took[19]
    );
    assert!(took[10] < Duration::from_millis(30), "{took:?}");
}
