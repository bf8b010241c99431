//! A host whose kernel has no IPVS, after a redeploy.
//!
//! With a virtual address a service keeps its address whatever its tasks do. Here a name leads to the
//! tasks themselves, and a front that resolves its upstream only once goes on to ask an address that
//! is gone. In production it would not: so that is no statement about the recipe.

use std::collections::BTreeSet;

use super::Run;
use crate::edge::routes;
use crate::engine::Deployment;
use crate::fault::Fault;
use crate::http::HttpError;
use crate::suite::Generic;

impl<G: Generic> Run<'_, G> {
    /// Waits until the app answers after a redeploy. Where it does not, and its own front is what
    /// fails, and the host is of that kind, the front is restarted once: if that cures it, the fault
    /// is the platform's.
    pub(super) async fn answers_again(&self, deployment: &Deployment) -> Result<(), Fault> {
        let failed = match self.answers(deployment).await {
            Err(Fault::Recipe(text)) => text,
            other => return other,
        };
        let prepared = self.prepared()?;
        if !prepared.swarm.needs_dnsrr() || !self.front_fails().await {
            return Err(Fault::Recipe(failed));
        }
        let prefix = prepared.app.stack.object("");
        let fronts: BTreeSet<String> = routes(&deployment.compose, &prepared.app.stack)
            .routes
            .into_iter()
            .filter_map(|route| {
                let service = route.upstream.service;
                service.strip_prefix(&prefix).map(str::to_owned)
            })
            .collect();
        let names = Vec::from_iter(fronts.iter().cloned()).join(", ");
        self.journal().note(
            Some(self.tier()),
            format!("{failed}; this kernel has no IPVS, so the front ({names}) is restarted once"),
        );
        for front in &fronts {
            let restarted = prepared.engine.restart(&prepared.app, front);
            self.shared.change(restarted).await?;
        }
        self.settle_down(deployment).await?;
        match self.answers(deployment).await {
            Ok(()) => Err(Fault::infra(format!(
                "{failed}; it answers since its front ({names}) was restarted: on this kernel (no \
                 IPVS) services have no virtual address, and a front that resolves its upstream only \
                 once asks a task that is gone"
            ))),
            Err(_) => Err(Fault::Recipe(failed)),
        }
    }

    /// Whether the app's own front says 5xx, or waits for its upstream longer than we do.
    async fn front_fails(&self) -> bool {
        let Ok(prepared) = self.prepared() else {
            return false;
        };
        let path = &self.suite.settings.health_path;
        let url = format!("https://{}{path}", prepared.app.domain);
        match prepared.http.get(&url).await {
            Ok(answer) => answer.edge_page.is_none() && answer.status.is_server_error(),
            Err(error) => matches!(error, HttpError::Late { .. }),
        }
    }
}
