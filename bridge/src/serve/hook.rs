//! `/hook`: the forge says that somebody commented.
//!
//! Invariants: nothing is believed that is not signed, and of what is signed only which pull
//! request it is about; what is not understood changes nothing.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, FailedToBufferBody};
use axum::extract::{FromRequest as _, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use hmac::{Hmac, Mac as _};
use serde::Deserialize;
use sha2::Sha256;
use tokio::sync::mpsc::error::TrySendError;

use super::{Nudge, Shared};
use crate::secret::Secret;

/// Why a hook is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    Unsigned,
    TooLarge,
    Malformed(&'static str),
}

pub async fn receive(
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> (StatusCode, &'static str) {
    let Some(secret) = &shared.webhook else {
        let said = "there is no webhook here: its secret is not set\n";
        return (StatusCode::NOT_FOUND, said);
    };
    let (result, status, said) = match read(secret, request).await {
        Ok(None) => ("ignored", StatusCode::ACCEPTED, "nothing to do\n"),
        Ok(Some(nudge)) => match shared.nudges.try_send(nudge) {
            Ok(()) => ("nudged", StatusCode::ACCEPTED, "it will be looked at\n"),
            Err(TrySendError::Full(_) | TrySendError::Closed(_)) => {
                ("dropped", StatusCode::ACCEPTED, "polling will find it\n")
            }
        },
        Err(Refusal::Unsigned) => (
            "unsigned",
            StatusCode::UNAUTHORIZED,
            "the signature is missing or wrong: set the same secret here and in the forge\n",
        ),
        Err(Refusal::TooLarge) => (
            "too_large",
            StatusCode::PAYLOAD_TOO_LARGE,
            "too large for a hook: 1 MiB at most\n",
        ),
        Err(Refusal::Malformed(said)) => ("malformed", StatusCode::BAD_REQUEST, said),
    };
    shared.metrics.hook(result);
    (status, said)
}

async fn read(secret: &Secret, request: Request) -> Result<Option<Nudge>, Refusal> {
    let signature = signature(request.headers()).ok_or(Refusal::Unsigned)?;
    let form = is_form(request.headers());
    let comment = one(request.headers(), "x-gitea-event").is_some_and(|it| it == "issue_comment");
    let body = Bytes::from_request(request, &()).await.map_err(cut)?;
    let json = if form {
        payload(&body).ok_or(Refusal::Unsigned)?
    } else {
        body.to_vec()
    };
    // Of a form the forge signs the JSON in it; a release that signs the form means the same.
    let signed = [Some(&json[..]), form.then_some(&body[..])];
    let good = |text: &[u8]| is_signed(secret, text, &signature);
    if !signed.into_iter().flatten().any(good) {
        return Err(Refusal::Unsigned);
    }
    let text = std::str::from_utf8(&json).map_err(|_| Refusal::Malformed("it is no UTF-8\n"))?;
    let hook: Hook = serde_json::from_str(text)
        .map_err(|_| Refusal::Malformed("it is not the JSON of a hook\n"))?;
    Ok(comment.then_some(hook).and_then(Hook::nudge))
}

/// In a time that does not tell where they differ.
fn is_signed(secret: &Secret, text: &[u8], signature: &[u8]) -> bool {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes())
        .expect("a key may have any length");
    mac.update(text);
    mac.verify_slice(signature).is_ok()
}

fn cut(rejection: BytesRejection) -> Refusal {
    match rejection {
        BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)) => {
            Refusal::TooLarge
        }
        _ => Refusal::Malformed("the body ended early\n"),
    }
}

/// The one value of a header. With two, each of two readers may take another one.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values
        .next()
        .is_none()
        .then(|| value.to_str().ok())
        .flatten()
}

/// The forge's own header, whatever is in it, else the one that others send, too.
fn signature(headers: &HeaderMap) -> Option<Vec<u8>> {
    const OWN: &str = "x-gitea-signature";
    let digits = if headers.contains_key(OWN) {
        one(headers, OWN)?
    } else {
        one(headers, "x-hub-signature-256")?.strip_prefix("sha256=")?
    };
    hex::decode(digits).ok().filter(|bytes| !bytes.is_empty())
}

fn is_form(headers: &HeaderMap) -> bool {
    one(headers, header::CONTENT_TYPE.as_str())
        .and_then(|kind| kind.split(';').next())
        .is_some_and(|kind| {
            kind.trim()
                .eq_ignore_ascii_case("application/x-www-form-urlencoded")
        })
}

/// The one field `payload` of a form: the JSON, which is what the forge signs.
fn payload(body: &[u8]) -> Option<Vec<u8>> {
    let mut fields = url::form_urlencoded::parse(body).filter(|(name, _)| name == "payload");
    let (_, json) = fields.next()?;
    fields
        .next()
        .is_none()
        .then(|| json.into_owned().into_bytes())
}

/// As much of a hook as is looked at. What another event lacks is no error.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Hook {
    action: Option<String>,
    is_pull: Option<bool>,
    repository: Option<Repository>,
    issue: Option<Issue>,
}

#[derive(Debug, Deserialize)]
struct Repository {
    full_name: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Issue {
    number: Option<u64>,
}

impl Hook {
    /// A new comment of a pull request. An edited one never counts.
    fn nudge(self) -> Option<Nudge> {
        let new = self.action.as_deref() == Some("created") && self.is_pull == Some(true);
        let repo = self.repository?.full_name?.parse().ok()?;
        let number = self.issue?.number.filter(|number| *number > 0)?;
        new.then_some(Nudge { repo, number })
    }
}
