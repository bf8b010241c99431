//! A deploy by abra, through a door in the engine's place.
//!
//! Invariant: what came past the door is an error, for nobody judged it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::call::Call;
use super::program::{Place, Through};
use super::{AbraEngine, LOG};
use crate::engine::AppSpec;
use crate::engine::confine::{Confined, LINKED};
use crate::engine::door::Door;
use crate::fault::Fault;
use crate::swarm;

/// What abra, and the programs that it starts, are made of and look up.
const SYSTEM: [&str; 13] = [
    "/usr",
    "/bin",
    "/sbin",
    "/run/current-system",
    "/etc/ca-certificates",
    "/etc/gitconfig",
    "/etc/group",
    "/etc/hosts",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/resolv.conf",
    "/etc/ssl",
];

impl AbraEngine {
    /// A deploy: abra speaks to the door in the engine's place, and reads what it needs for that.
    pub(super) async fn deploy_through(
        &self,
        door: &Door,
        app: &AppSpec,
        call: &Call,
        before: &[String],
        doing: &str,
    ) -> Result<(), Fault> {
        let at = Place {
            home: self.home.dir(),
            folder: &self.dir,
            log: &self.dir.join(LOG),
            lock: Some(&app.lock),
            through: Some(Through {
                // There the door stands in its place; its own path may be too long for a socket's.
                socket: if rustix::process::geteuid().is_root() {
                    self.swarm.socket()
                } else {
                    door.socket()
                },
                confined: self.confined(door),
                servers: self.servers(),
            }),
        };
        self.program.call(call, &at, doing).await?;
        // What came past the door was judged by nobody.
        let passed: BTreeSet<String> = {
            let seen = door.seen();
            let names = seen.made.services.iter();
            let names = names.filter_map(|body| body["Name"].as_str());
            names.map(str::to_owned).collect()
        };
        for service in swarm::service_names(&self.swarm, &app.stack).await? {
            if !before.contains(&service) && !passed.contains(&app.stack.object(&service)) {
                return Err(Fault::infra(format!(
                    "{doing}: abra did not speak to the engine through cc-ci, which has to judge what a recipe asks for; cc-ci has to run as root for that, and the server has to be this machine (`default`)"
                )));
            }
        }
        Ok(())
    }

    fn confined(&self, door: &Door) -> Confined {
        let mut read: Vec<PathBuf> = LINKED.iter().chain(&SYSTEM).map(PathBuf::from).collect();
        read.extend([
            self.program.path().to_owned(),
            self.home.catalogue().to_owned(),
        ]);
        // None of the registries' logins beside it.
        read.extend(self.servers().map(|dir| dir.join("contexts")));
        Confined {
            read,
            write: vec![self.dir.clone()],
            in_place: Some((door.socket().to_owned(), self.engine_sockets())),
            network: !self.home.is_here(),
        }
    }

    /// Where Docker's contexts are, for a server that is one.
    fn servers(&self) -> Option<PathBuf> {
        if self.home.is_here() {
            return None;
        }
        let clients = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
        let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".docker"));
        clients.or_else(home)
    }

    /// Where abra may look for the engine of this machine.
    fn engine_sockets(&self) -> Vec<PathBuf> {
        let places = [self.swarm.socket(), Path::new("/var/run/docker.sock")];
        let found = places
            .into_iter()
            .filter_map(|place| place.canonicalize().ok());
        found.collect::<BTreeSet<_>>().into_iter().collect()
    }
}
