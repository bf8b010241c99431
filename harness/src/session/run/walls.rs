//! What Docker makes of a commit, held against the walls before anything of it is deployed.

use results::Tier;

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

    /// Judges head and base before anything of them is deployed, or asked for elsewhere. Where head
    /// is refused, nothing is; a base that is refused is not head's fault.
    pub(super) async fn judge_targets(&mut self) -> Result<(), Stop> {
        let prepared = self.prepared()?;
        let (head, base) = (prepared.head.clone(), prepared.base.clone());
        let of_head = self.env_of(&head)?;
        let of_head = head.deployment(&of_head, &self.prepared()?.app)?;
        self.judge(&of_head).await?;
        let Some(base) = base else {
            return Ok(());
        };
        let prepared = self.prepared()?;
        let judged = match base.deployment(&prepared.env, &prepared.app) {
            Ok(of_base) => self.judge(&of_base).await,
            Err(fault) => Err(fault.into()),
        };
        let Err(Stop::Fault(Fault::Recipe(why) | Fault::Infra(why))) = judged else {
            return judged;
        };
        self.no_such_base(base.version.as_deref().unwrap_or_default(), &why);
        if let Some(prepared) = &mut self.prepared {
            prepared.base = None;
        }
        Ok(self.take_env_of(&head)?)
    }

    fn note_wall(&self, deployment: &Deployment, finding: &Finding) {
        let text = policy::located(finding, &deployment.tree, &deployment.files);
        self.journal().note(Some(Tier::Install), text);
    }
}
