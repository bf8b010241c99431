//! Following redirects, to see that they end.

use super::answer::shown;
use super::{Answer, Client, HttpError, in_zone};

/// As many as browsers bear with, about.
const MOST: usize = 20;

impl Client {
    /// Follows redirects from `url`, cookies kept, to the first answer that is none or that leads
    /// out of the zone. An error: they never end, as those that lead in a circle.
    pub async fn follow(&self, url: &str) -> Result<Answer, HttpError> {
        let client = self.with_cookies()?;
        let mut answer = client.get(url).await?;
        for _ in 0..MOST {
            match self.next_of(&answer) {
                None => return Ok(answer),
                Some(next) => answer = client.get(next.as_str()).await?,
            }
        }
        match self.next_of(&answer) {
            None => Ok(answer),
            Some(next) => Err(HttpError::Redirects {
                url: url.to_owned(),
                followed: MOST,
                last: shown(&answer.url),
                next: shown(&next),
            }),
        }
    }

    /// Where an answer leads, if that is in the zone.
    fn next_of(&self, answer: &Answer) -> Option<reqwest::Url> {
        let location = answer.header("location");
        let location = location.filter(|_| answer.status.is_redirection())?;
        let next = answer.url.join(location).ok()?;
        let host = next.host_str()?;
        in_zone(&self.spec.zone, host).then_some(next)
    }
}
