//! What Docker makes of a commit, held against the walls before anything of it is deployed.

use results::Tier;

use super::prepare::Target;
use super::{Run, Stop};
use crate::engine::{Deployment, refusal};
use crate::fault::Fault;
use crate::recipe::policy::{self, Blame, Finding};
use crate::suite::Generic;

impl<G: Generic> Run<'_, G> {
    /// Whether walls let the deployment through. Asked again of what was judged, it says nothing.
    pub(super) async fn judge(&mut self, deployment: &Deployment) -> Result<(), Stop> {
        let asked = (deployment.commit.clone(), deployment.variables.clone());
        if self.judged.contains(&asked) {
            return Ok(());
        }
        let prepared = self.prepared()?;
        let made = prepared.engine.read(&prepared.app, deployment).await?;
        let passage = prepared
            .walls
            .passage(&prepared.swarm, &prepared.app)
            .await?;
        let mut findings = policy::judge(&made, &passage.terms());
        findings.extend(policy::declared(&deployment.compose, &passage.terms()));
        for finding in findings.iter().filter(|one| one.blame == Blame::Nobody) {
            self.note_wall(deployment, finding);
        }
        if let Some(fault) = refusal(&findings, deployment) {
            return Err(fault.into());
        }
        self.judged.push(asked);
        Ok(())
    }

    /// Judges head before the base is deployed: where it can't be, nothing is. A base that can't be
    /// is not head's fault: Some says why.
    pub(super) async fn judge_all(
        &mut self,
        head: &Target,
        base: Option<&Target>,
    ) -> Result<Option<String>, Stop> {
        let prepared = self.prepared()?;
        let of_head = self.env_of(head)?;
        let of_head = head.deployment(&of_head, &prepared.app)?;
        let of_base = base.map(|base| base.deployment(&prepared.env, &prepared.app));
        self.judge(&of_head).await?;
        let Some(of_base) = of_base else {
            return Ok(None);
        };
        let judged = match of_base {
            Ok(of_base) => self.judge(&of_base).await,
            Err(fault) => Err(fault.into()),
        };
        match judged {
            Err(Stop::Fault(Fault::Recipe(why) | Fault::Infra(why))) => Ok(Some(why)),
            other => other.map(|()| None),
        }
    }

    fn note_wall(&self, deployment: &Deployment, finding: &Finding) {
        let text = policy::located(finding, &deployment.tree, &deployment.files);
        self.journal().note(Some(Tier::Install), text);
    }
}
