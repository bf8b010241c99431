//! What an operator should know of Drone before the first run.

use reqwest::Method;

use super::wire::{RepoWire, UserWire};
use super::{Drone, Finding, RunDirs, Trouble};
use crate::http::{Ask, one_line};

impl Drone {
    pub(super) async fn findings(&self) -> Vec<Finding> {
        let bad = |trouble: Trouble| Finding::bad(trouble.0);
        let mut findings = vec![self.token().await.unwrap_or_else(bad)];
        match self.repository().await {
            Ok(found) => findings.extend(found),
            Err(trouble) => findings.push(bad(trouble)),
        }
        findings.extend(self.runs.as_ref().map(RunDirs::check));
        findings
    }

    async fn token(&self) -> Result<Finding, Trouble> {
        let what = "whose token it is";
        let answer = self.ask(what, Ask::get(&["api", "user"])).await?;
        let user: UserWire = self.read(what, &answer)?;
        let login = one_line(&user.login, 60);
        Ok(Finding::good(format!(
            "Drone takes the token, which is {login}'s"
        )))
    }

    async fn repository(&self) -> Result<Vec<Finding>, Trouble> {
        let repository = &self.repository;
        let what = format!("repository {repository}");
        let answer = self.ask(&what, self.of_repo(Method::GET, &[])).await?;
        if answer.status == 404 {
            return Ok(vec![Finding::bad(format!(
                "Drone has no repository {repository}, or does not show it to the token's account: \
                 give that account write access on the forge, and sync it in Drone"
            ))]);
        }
        let found: RepoWire = self.read(&what, &answer)?;
        let wanted = self.timeout.as_secs() / 60;
        let active = match found.active {
            true => Finding::good(format!("{repository} is active in Drone")),
            false => Finding::bad(format!(
                "{repository} is not active in Drone: activate it (drone repo enable {repository})"
            )),
        };
        let timeout = match found.timeout == wanted {
            true => Finding::good(format!(
                "Drone's time-out of {repository} is {wanted} minutes"
            )),
            false => Finding::bad(format!(
                "Drone's time-out of {repository} is {} minutes and should be {wanted}; a system \
                 admin of Drone sets it, from all others it is ignored without a word \
                 (drone repo update {repository} --timeout {wanted}m)",
                found.timeout
            )),
        };
        Ok(vec![active, timeout])
    }
}
