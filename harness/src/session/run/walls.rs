//! What Docker makes of a commit, held against the walls before anything of it is deployed.

use results::Tier;

use super::{Run, Stop};
use crate::engine::{Deployment, refusal};
use crate::fault::Fault;
use crate::recipe::policy::{self, Blame, Finding};
use crate::suite::Generic;

impl<G: Generic> Run<'_, G> {
    /// Whether walls let the deployment through. Asked again of what was judged, it says nothing.
    pub(super) async fn judge(&mut self, deployment: &Deployment) -> Result<(), Fault> {
        let asked = (deployment.commit.clone(), deployment.variables.clone());
        if self.judged.contains(&asked) {
            return Ok(());
        }
        let findings = self.findings(deployment).await?;
        self.ruled(deployment, &findings)
    }

    /// What there is to say of what Docker makes of it.
    async fn findings(&self, deployment: &Deployment) -> Result<Vec<Finding>, Fault> {
        let prepared = self.prepared()?;
        let made = prepared.engine.read(&prepared.app, deployment).await?;
        let passage = prepared
            .walls
            .passage(&prepared.swarm, &prepared.app)
            .await?;
        let mut findings = policy::judge(&made, &passage.terms());
        findings.extend(policy::declared(&deployment.compose, &passage.terms()));
        Ok(findings)
    }

    fn ruled(&mut self, deployment: &Deployment, findings: &[Finding]) -> Result<(), Fault> {
        for finding in findings.iter().filter(|one| one.blame == Blame::Nobody) {
            self.note_wall(deployment, finding);
        }
        if let Some(fault) = refusal(findings, deployment) {
            return Err(fault);
        }
        let ruled = (deployment.commit.clone(), deployment.variables.clone());
        self.judged.push(ruled);
        Ok(())
    }

    /// Judges head and base before anything of them is deployed, or asked for elsewhere. Where head
    /// is refused, nothing is; a base that is refused is not head's fault.
    pub(super) async fn judge_targets(&mut self) -> Result<(), Stop> {
        let prepared = self.prepared()?;
        let (head, base) = (prepared.head.clone(), prepared.base.clone());
        let of_head = self.env_of(&head)?;
        let prepared = self.prepared()?;
        let of_head = head.deployment(&of_head, &prepared.app)?;
        let Some(base) = base else {
            return Ok(self.judge(&of_head).await?);
        };
        let of_base = base.deployment(&prepared.env, &prepared.app);
        let in_base = async {
            let of_base = of_base.as_ref().map_err(Fault::clone)?;
            self.findings(of_base).await
        };
        let (found, found_in_base) = tokio::join!(self.findings(&of_head), in_base);
        self.ruled(&of_head, &found?)?;
        let why = match (found_in_base, &of_base) {
            (Ok(found), Ok(of_base)) => match self.ruled(of_base, &found) {
                Ok(()) => return Ok(()),
                // Not allowed here, or nowhere: either way there is no such base.
                Err(fault) => fault.to_string(),
            },
            (Err(Fault::Recipe(why)), _) => why,
            // That it could not be read says nothing of the base.
            (Err(fault), _) => return Err(fault.into()),
            (_, Err(fault)) => return Err(fault.clone().into()),
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
