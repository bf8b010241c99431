//! Why git could not fetch, read from what it said.

use super::LOCAL;
use super::error::CheckoutError;
use crate::recipe::git::{Git, GitError};
use crate::recipe::source::Source;

/// What the end of a fetch means. Where a redirect was not followed, it is asked where it leads.
pub(super) async fn refused(git: &Git, source: &Source, error: GitError) -> CheckoutError {
    match error {
        GitError::Failed { stderr, .. } if is_redirect(&stderr) => CheckoutError::Redirected {
            to: match source.url() {
                Some(url) => {
                    let asked = git.call(LOCAL).credentials(Some(url), source.credentials());
                    asked.leads_to(url).await
                }
                None => None,
            },
            source_shown: source.to_string(),
        },
        GitError::Failed { stderr, .. } if is_answer(&stderr) => CheckoutError::NotARepository {
            source_shown: source.to_string(),
            stderr,
        },
        GitError::Failed { stderr, .. } => CheckoutError::Unreachable {
            source_shown: source.to_string(),
            stderr,
        },
        other => other.into(),
    }
}

/// Whether a redirect was not followed.
fn is_redirect(stderr: &str) -> bool {
    stderr.contains("The requested URL returned error: 30")
}

/// Whether somebody answered and said no, in contrast to a network that does not answer.
pub(super) fn is_answer(stderr: &str) -> bool {
    const SAYS_NO: [&str; 12] = [
        "does not appear to be a git",
        "does not exist",
        "not found",
        "no such file",
        "authentication failed",
        "could not read username",
        "permission denied",
        "not our ref",
        "couldn't find remote ref",
        "unadvertised object",
        "the requested url returned error: 40",
        "not a git repository",
    ];
    let said = stderr.to_ascii_lowercase();
    SAYS_NO.iter().any(|no| said.contains(no))
}
