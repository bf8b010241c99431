//! The local site's proxy: a real nginx in a container, configured from the recipe's Traefik labels.
//!
//! It stands for production's Traefik and is as strict. The container is on the attachable overlay
//! network `proxy` and has the session's hosts as aliases there, so that containers reach the same
//! names through it; the host reaches it over loopback. Configuration and certificate go in through
//! the archive API, so that the engine may be on another machine.
//!
//! Must not know: tests, verdicts, one recipe's facts.

pub mod authority;
mod container;
mod labelled;
mod middleware;
pub mod nginx;
pub mod routes;
pub mod rule;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use bollard::Docker;
use bollard::query_parameters::{KillContainerOptions, RemoveContainerOptions};

pub use authority::{Authority, Leaf};
pub use routes::{Misfit, Route, Routes, Unroutable, routes};

use crate::fault::Fault;
use crate::http::{Client, ClientSpec, Roots};
use crate::recipe::AppDomain;
use crate::wait::{Probe, Unwatched, wait_until};

/// How long nginx may take until it answers.
const READY_WITHIN: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(20);

/// A proxy to start.
#[derive(Clone)]
pub struct EdgeSpec {
    /// The container's name, `<stack>-edge` say.
    pub name: String,
    /// Labels of the container, for those who clean up.
    pub labels: BTreeMap<String, String>,
    /// An image with nginx 1.22 or newer in its path.
    pub image: String,
    pub zone: AppDomain,
    pub routes: Routes,
    /// Hosts that later routes may have: aliases can't be added to a running container.
    pub extra_hosts: BTreeSet<AppDomain>,
    /// The certificate of the zone.
    pub leaf: Leaf,
}

/// A proxy that runs. Dropping it stops nothing: [`Edge::stop`] does.
pub struct Edge {
    docker: Docker,
    name: String,
    zone: AppDomain,
    authority: String,
    aliases: BTreeSet<AppDomain>,
    address: SocketAddr,
}

impl Edge {
    /// Starts the proxy and waits until it answers over TLS with this configuration. What of it was
    /// made is removed where that fails.
    pub async fn start(docker: &Docker, spec: EdgeSpec) -> Result<Self, Fault> {
        let address = container::start(docker, &spec).await?;
        let edge = Self {
            docker: docker.clone(),
            name: spec.name,
            aliases: container::aliases(&spec.zone, &spec.routes, &spec.extra_hosts),
            zone: spec.zone,
            authority: spec.leaf.authority,
            address,
        };
        if let Err(fault) = edge.answers(container::FIRST_GENERATION).await {
            let log = container::log(docker, &edge.name).await;
            // The first fault is the one that matters.
            let _ = edge.stop().await;
            return Err(fault.context(format!("{log}\nthe proxy did not start")));
        }
        Ok(edge)
    }

    /// A handle to a proxy that another process started.
    pub async fn attach(docker: &Docker, name: &str) -> Result<Self, Fault> {
        let found = container::inspect(docker, name).await?;
        Ok(Self {
            docker: docker.clone(),
            name: name.to_owned(),
            zone: found.zone,
            authority: found.authority,
            aliases: found.aliases,
            address: found.address,
        })
    }

    /// Serves other routes from now on, without a gap. Returns once they are in force.
    pub async fn reload(&self, routes: &Routes) -> Result<(), Fault> {
        let wanted = container::aliases(&self.zone, routes, &BTreeSet::new());
        if let Some(new) = wanted.difference(&self.aliases).next() {
            return Err(Fault::infra(format!(
                "the proxy `{}` was started without the host `{new}`: containers could not reach it; give it as an extra host at the start",
                self.name
            )));
        }
        let generation = self.generation().await?.unwrap_or_default() + 1;
        let site = nginx::Site {
            zone: &self.zone,
            routes,
            generation,
        };
        container::configure(&self.docker, &self.name, &nginx::render(&site)).await?;
        let hang_up = KillContainerOptions {
            signal: "SIGHUP".to_owned(),
        };
        self.docker
            .kill_container(&self.name, Some(hang_up))
            .await
            .map_err(container::fault("tell the proxy of its new routes"))?;
        self.answers(generation).await
    }

    /// Where the host reaches it: an address of loopback.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// What a client of this proxy is made from.
    pub fn client_spec(&self) -> ClientSpec {
        ClientSpec {
            marked: true,
            zone: self.zone.clone(),
            edge: Some(self.address),
            roots: Roots::Pem(self.authority.clone()),
        }
    }

    /// The last lines that nginx wrote, for evidence: requests without arguments, and its errors,
    /// which show whole request lines.
    pub async fn log(&self) -> String {
        container::log(&self.docker, &self.name).await
    }

    /// Removes the container. One that is gone already is no fault.
    pub async fn stop(&self) -> Result<(), Fault> {
        let options = RemoveContainerOptions {
            force: true,
            v: true,
            ..RemoveContainerOptions::default()
        };
        match self
            .docker
            .remove_container(&self.name, Some(options))
            .await
        {
            Err(error) if !container::is_status(&error, 404) => {
                Err(container::fault("remove the proxy")(error))
            }
            _ => Ok(()),
        }
    }

    async fn answers(&self, generation: u64) -> Result<(), Fault> {
        let probe = async || match self.generation().await {
            Ok(Some(seen)) if seen == generation => Probe::Ready(()),
            Ok(seen) => Probe::NotYet(format!("configuration {seen:?} answers, not {generation}")),
            Err(_) if !container::runs(&self.docker, &self.name).await => {
                Probe::Never("its container ended".to_owned())
            }
            Err(fault) => Probe::NotYet(fault.to_string()),
        };
        let subject = format!("the proxy `{}`", self.name);
        wait_until(&subject, READY_WITHIN, PAUSE, &Unwatched, probe)
            .await
            .map_err(|error| Fault::infra(error.to_string()))
    }

    /// Which configuration answers a new connection.
    async fn generation(&self) -> Result<Option<u64>, Fault> {
        let infra = |error: crate::http::HttpError| Fault::infra(error.to_string());
        let client = Client::new(self.client_spec()).map_err(infra)?;
        let client = client.with_deadline(Duration::from_secs(5));
        let page = format!("https://cc-ci-edge.{}/", self.zone);
        let answer = client.get(&page).await.map_err(infra)?;
        Ok(answer
            .header(nginx::GENERATION)
            .and_then(|text| text.parse().ok()))
    }
}
