//! What a site lets an app under test have, on its way to the swarm.

use crate::engine::door::{Ceilings, Door, Passage};
use crate::engine::{AppSpec, Deployment};
use crate::fault::Fault;
use crate::recipe::AppDomain;
use crate::recipe::policy::{Allowed, Blame, Finding, located};
use crate::site::{RegistryLogin, Site};
use crate::swarm::{self, Swarm};

/// By which terms deployments of this site are judged.
#[derive(Debug, Clone)]
pub struct Walls {
    zone: AppDomain,
    allow: Allowed,
    ceilings: Ceilings,
    most_tasks: u64,
    logins: Vec<RegistryLogin>,
}

impl Walls {
    pub fn of(site: &Site) -> Self {
        Self {
            zone: site.zone.clone(),
            allow: site.allowed(),
            ceilings: site.limits.ceilings(),
            most_tasks: site.limits.app_tasks,
            logins: site.registry.clone(),
        }
    }

    /// How calls for this app pass, as the swarm is now.
    pub async fn passage(&self, swarm: &Swarm, app: &AppSpec) -> Result<Passage, Fault> {
        let others = swarm::foreign_names(swarm, &app.stack).await?;
        Ok(Passage::new(
            (&app.stack, &app.domain, &self.zone),
            (&self.allow, self.ceilings, self.most_tasks),
            others,
            &self.logins,
        ))
    }
}

/// What came of a deploy through a door: what a wall refused is why it failed, whatever the client
/// made of that. Gives what the ceilings changed.
pub fn came_through(
    door: &Door,
    what: &Deployment,
    deployed: Result<(), Fault>,
) -> Result<Vec<String>, Fault> {
    let mut seen = door.seen();
    if let Some(fault) = refusal(&seen.refused, what) {
        return Err(fault);
    }
    deployed?;
    Ok(std::mem::take(&mut seen.notes))
}

/// Why these findings let nothing be deployed; none: they do. What no site could allow is the
/// recipe's fault, and what this one does not allow is nobody's.
pub fn refusal(findings: &[Finding], what: &Deployment) -> Option<Fault> {
    let of = |blame| {
        let found = findings.iter().filter(|finding| finding.blame == blame);
        found.collect::<Vec<_>>()
    };
    let text = |findings: &[&Finding]| {
        let texts = findings
            .iter()
            .map(|finding| located(finding, &what.tree, &what.files));
        texts.collect::<Vec<_>>().join("; ")
    };
    let recipes = of(Blame::Recipe);
    if !recipes.is_empty() {
        return Some(Fault::recipe(text(&recipes)));
    }
    let sites = of(Blame::Site);
    (!sites.is_empty()).then(|| {
        Fault::infra(format!(
            "not judged: this site does not allow it: {}",
            text(&sites)
        ))
    })
}
