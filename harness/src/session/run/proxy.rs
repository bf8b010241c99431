//! How the app is reached: by a local edge of the session, or by the proxy that the site has.

use std::collections::BTreeSet;
use std::path::PathBuf;

use results::Tier;

use super::prepare::Target;
use super::{Run, Stop};
use crate::edge::authority::Authority;
use crate::edge::{EdgeSpec, routes};
use crate::engine::AppSpec;
use crate::fault::Fault;
use crate::http;
use crate::recipe::EnvFile;
use crate::session::janitor;
use crate::site::{Proxy, Site};
use crate::suite::Generic;

/// What is known of the way to the app before its first deploy.
pub struct Access {
    /// None: the site's own proxy serves it.
    pub edge: Option<EdgeSpec>,
    pub http: http::Client,
    /// PEM of who signs the certificates of the zone; none: somebody whom the system trusts.
    pub authority: Option<PathBuf>,
}

impl<G: Generic> Run<'_, G> {
    /// The edge's configuration for all hosts of base and head, where the site has no proxy of its
    /// own, and the client that goes through it.
    pub(super) fn access(
        &self,
        site: &Site,
        app: &AppSpec,
        env: &EnvFile,
        head: &Target,
        base: Option<&Target>,
    ) -> Result<Access, Fault> {
        let mut all = routes(&head.deployment(env, app)?.compose, &app.stack);
        if let Some(base) = base {
            // A base whose files can't be read is not head's fault: its deploy says so.
            if let Ok(base) = base.deployment(env, app) {
                all.merge(routes(&base.compose, &app.stack));
            }
        }
        for misfit in all.misfits(&site.zone) {
            self.journal().note(Some(Tier::Install), misfit.reason);
        }
        let client = |roots| {
            let client = http::Client::new(http::ClientSpec {
                zone: site.zone.clone(),
                edge: site.proxy.address(),
                marked: site.proxy == Proxy::Edge {},
                roots,
            })?;
            Ok::<_, Fault>(client.with_redactor(self.journal().redactor()))
        };
        if let Proxy::Traefik { roots, .. } = &site.proxy {
            let authority = roots.file().map(PathBuf::from);
            return Ok(Access {
                edge: None,
                http: client(roots.read()?)?,
                authority,
            });
        }
        let authority = Authority::open_or_create(&self.paths.state.join("authority"))?;
        let edge = EdgeSpec {
            name: janitor::edge_name(&app.stack),
            labels: [("cc-ci.app".to_owned(), app.domain.to_string())].into(),
            image: site.edge_image.clone(),
            zone: site.zone.clone(),
            routes: all,
            extra_hosts: BTreeSet::new(),
            leaf: authority.leaf(&site.zone)?,
        };
        Ok(Access {
            edge: Some(edge),
            http: client(http::Roots::Pem(authority.certificate().to_owned()))?,
            authority: Some(authority.certificate_path()),
        })
    }

    /// Whether the site's own proxy serves the zone, if it has one.
    pub(super) async fn proxy_is_up(&self) -> Result<(), Stop> {
        let prepared = self.prepared()?;
        let site = &prepared.site;
        Ok(site.proxy.serves(&site.zone).await?)
    }
}
