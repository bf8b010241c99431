//! An answer, read whole, and what can go wrong on the way to it.

use std::error::Error;
use std::fmt::Write;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode, Url, Version};
use serde::de::DeserializeOwned;

use crate::edge::nginx::MARK;
use crate::fault::Fault;
use crate::redact::Redactor;
use crate::wait::{Seconds, WaitError};

/// How much of a body an error shows.
const SHOWN: usize = 600;

#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error("can't set up the HTTP client")]
    Client(#[source] reqwest::Error),
    #[error("the file of trusted certificates holds none")]
    NoRoots,
    #[error("this is no request")]
    Request(#[source] reqwest::Error),
    /// No answer: name, connection, TLS, or cut off.
    #[error("{method} {url}: no answer: {cause}")]
    NoAnswer {
        method: String,
        url: String,
        cause: String,
    },
    #[error("{method} {url}: not within {}", Seconds(*.deadline))]
    Late {
        method: String,
        url: String,
        deadline: Duration,
    },
    #[error("{method} {url}: the body is longer than {longest} bytes")]
    TooLong {
        method: String,
        url: String,
        longest: usize,
    },
    #[error("{what}: expected status {expected}, got {got}{edge}\n{body}")]
    Status {
        /// Method and URL.
        what: String,
        expected: String,
        got: StatusCode,
        /// The proxy's reason, if it was its own page.
        edge: String,
        body: String,
    },
    #[error("{what}: the body is not the JSON that was expected: {cause}\n{body}")]
    Json {
        what: String,
        cause: String,
        body: String,
    },
    #[error("{url} never ends in a page: after {followed} redirects, {last} leads to {next}")]
    Redirects {
        url: String,
        followed: usize,
        last: String,
        next: String,
    },
    #[error(transparent)]
    Wait(#[from] WaitError),
}

impl From<HttpError> for Fault {
    fn from(error: HttpError) -> Self {
        match &error {
            HttpError::Client(_) | HttpError::NoRoots => Self::infra(error.to_string()),
            _ => Self::recipe(error.to_string()),
        }
    }
}

impl HttpError {
    /// Whether trying again may help: nothing came back, or not in time.
    pub fn is_connection(&self) -> bool {
        matches!(self, Self::NoAnswer { .. } | Self::Late { .. })
    }
}

/// What came back, whatever its status.
#[derive(Debug, Clone)]
pub struct Answer {
    pub method: Method,
    pub url: Url,
    pub status: StatusCode,
    pub version: Version,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// DER of the certificate that the peer showed; none without TLS.
    pub certificate: Option<Vec<u8>>,
    /// What the proxy's own page says, where it is not the app's answer: the mark of the local one,
    /// `<kind>: <reason>`, or that a server's has no route.
    pub edge_page: Option<String>,
    pub elapsed: Duration,
    /// The request's headers.
    pub(super) asked: HeaderMap,
    pub(super) redactor: Redactor,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json<T: DeserializeOwned>(&self) -> Result<T, HttpError> {
        serde_json::from_slice(&self.body).map_err(|cause| HttpError::Json {
            what: self.what(),
            cause: cause.to_string(),
            body: self.beginning(SHOWN),
        })
    }

    /// The value of a header, if it is there and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// This answer, if it has the status and is the app's own.
    pub fn expect_status(self, expected: u16) -> Result<Self, HttpError> {
        self.expect_one_of(&[expected])
    }

    pub fn expect_one_of(self, expected: &[u16]) -> Result<Self, HttpError> {
        if self.edge_page.is_none() && expected.contains(&self.status.as_u16()) {
            return Ok(self);
        }
        let edge = match &self.edge_page {
            None => String::new(),
            Some(reason) => format!(" by {}, not by the app ({reason})", self.proxy()),
        };
        Err(HttpError::Status {
            what: self.what(),
            expected: any_of(expected),
            got: self.status,
            edge,
            body: self.beginning(SHOWN),
        })
    }

    /// Whose page it is, if it is not the app's.
    pub(super) fn proxy(&self) -> &'static str {
        match self.headers.contains_key(MARK) {
            true => "cc-ci's proxy",
            false => "the proxy",
        }
    }

    pub(super) fn what(&self) -> String {
        format!("{} {}", self.method, shown(&self.url))
    }

    /// So many characters of the body, redacted before they are cut.
    pub(super) fn beginning(&self, longest: usize) -> String {
        let body = self.redactor.redact_bytes(&self.body);
        let text = without_tokens(String::from_utf8_lossy(&body).trim());
        match text.char_indices().nth(longest) {
            None if text.is_empty() => "(empty body)".to_owned(),
            None => text,
            Some((end, _)) => format!("{}… ({} bytes)", &text[..end], self.body.len()),
        }
    }
}

/// `200, 301 or 302`.
pub(super) fn any_of(statuses: &[u16]) -> String {
    let all: Vec<String> = statuses.iter().map(u16::to_string).collect();
    match all.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => "any".to_owned(),
    }
}

/// A text without JSON Web Tokens: whoever reads one in a record could use it. Each begins with the
/// base64 of `{"`, and its parts are joined by dots.
pub(super) fn without_tokens(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("eyJ") {
        let (before, from) = rest.split_at(start);
        let is_part = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let (token, behind) = from.split_at(from.find(|c| !is_part(c)).unwrap_or(from.len()));
        let is_token = token.matches('.').count() >= 2;
        out.push_str(before);
        out.push_str(if is_token { "[token]" } else { token });
        rest = behind;
    }
    out + rest
}

/// An URL for people: without credentials, and without the values of its query.
pub fn shown(url: &Url) -> String {
    let mut plain = url.clone();
    plain.set_fragment(None);
    let hidden = plain.query().is_some();
    plain.set_query(None);
    // Fails for URLs that can't have credentials at all.
    let _ = plain.set_username("");
    let _ = plain.set_password(None);
    format!("{plain}{}", if hidden { "?…" } else { "" })
}

pub(super) fn unsent(method: &Method, url: &Url, source: reqwest::Error) -> HttpError {
    // reqwest repeats the URL, query and all; its causes say what happened.
    let source = source.without_url();
    let mut cause = source.to_string();
    let mut next = source.source();
    while let Some(inner) = next {
        let text = inner.to_string();
        if !cause.contains(&text) {
            let _ = write!(cause, ": {text}");
        }
        next = inner.source();
    }
    HttpError::NoAnswer {
        method: method.to_string(),
        url: shown(url),
        cause,
    }
}

/// How the pages are known that a proxy made itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OwnPages {
    /// The URL is not in the zone: no proxy of the site is asked.
    None,
    /// By the mark of cc-ci's own.
    Marked,
    /// By the one page that Traefik has.
    Traefik,
}

impl OwnPages {
    fn reason(self, response: &reqwest::Response, body: &[u8]) -> Option<String> {
        match self {
            Self::None => None,
            Self::Marked => {
                let mark = response.headers().get(MARK)?;
                Some(String::from_utf8_lossy(mark.as_bytes()).into_owned())
            }
            Self::Traefik => is_bare_404(response, body).then(|| {
                let host = response.url().host_str().unwrap_or_default();
                format!("the proxy has no route for {host}")
            }),
        }
    }
}

/// Traefik's answer for what it does not know (yet). It names no server; an app written in Go may
/// answer just the same, and is not told apart.
fn is_bare_404(response: &reqwest::Response, body: &[u8]) -> bool {
    let header = |name| {
        let value = response.headers().get(name)?;
        value.to_str().ok()
    };
    response.status() == StatusCode::NOT_FOUND
        && header("server").is_none()
        && header("content-type").is_some_and(|kind| kind.starts_with("text/plain"))
        && body == b"404 page not found\n"
}

/// What is known before the answer comes.
pub(super) struct Asked {
    pub method: Method,
    pub headers: HeaderMap,
    pub own_pages: OwnPages,
    pub longest_body: usize,
    pub started: Instant,
    pub redactor: Redactor,
}

pub(super) async fn read(
    mut response: reqwest::Response,
    asked: &Asked,
) -> Result<Answer, HttpError> {
    let url = response.url().clone();
    let (method, longest) = (&asked.method, asked.longest_body);
    let mut body = BytesMut::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|source| unsent(method, &url, source))?
    {
        if body.len() + chunk.len() > longest {
            return Err(HttpError::TooLong {
                method: method.to_string(),
                url: shown(&url),
                longest,
            });
        }
        body.extend_from_slice(&chunk);
    }
    let certificate = response
        .extensions()
        .get::<reqwest::tls::TlsInfo>()
        .and_then(|info| info.peer_certificate())
        .map(<[u8]>::to_vec);
    let body = body.freeze();
    let edge_page = asked.own_pages.reason(&response, &body);
    Ok(Answer {
        method: method.clone(),
        status: response.status(),
        version: response.version(),
        edge_page,
        headers: response.headers().clone(),
        body,
        certificate,
        elapsed: asked.started.elapsed(),
        asked: asked.headers.clone(),
        redactor: asked.redactor.clone(),
        url,
    })
}
