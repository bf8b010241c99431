//! One HTTP client for all that the bridge speaks to.
//!
//! Invariants: redirects are shown and not followed; every exchange has a deadline and a bound on
//! its body; nothing is sent twice; no proxy of the environment is used; a token is in no text.

use std::error::Error as _;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::Method;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use crate::secret::Secret;

const CONNECT: Duration = Duration::from_secs(5);
/// For one exchange, its body included.
const DEADLINE: Duration = Duration::from_secs(30);
/// The longest body that is read, where a request says nothing else.
pub const LONGEST_BODY: usize = 8 * 1024 * 1024;
/// A server may ask for patience, and not for more than this.
const LONGEST_WAIT: Duration = Duration::from_secs(600);
/// How much of a server's text is shown.
const SHOWN: usize = 200;

#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error(
        "{0} is no address of a server: give http:// or https:// and a host, with no user and no query"
    )]
    Address(String),
    #[error("the token has characters that no header takes: is it the right file?")]
    Token,
    #[error("the authorities in {path}: {why}; give a PEM file with at least one certificate")]
    Authorities { path: PathBuf, why: String },
    #[error("can't set up HTTP: {0}; with https the system needs certificates (ca-certificates)")]
    Client(String),
}

/// An exchange that came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broken {
    /// The request was not sent.
    Unreached(String),
    /// It may have been taken, and its answer was lost or is late.
    Lost(String),
    /// The answer is longer than so many bytes.
    TooLong(usize),
}

/// A request before it is sent. Each part of the path and of the query is encoded.
#[derive(Debug, Clone)]
pub struct Ask {
    method: Method,
    path: Vec<String>,
    query: Vec<(String, String)>,
    body: Option<Value>,
    longest: usize,
}

impl Ask {
    pub fn new(method: Method, path: &[&str]) -> Self {
        Self {
            method,
            path: path.iter().map(|part| (*part).to_owned()).collect(),
            query: Vec::new(),
            body: None,
            longest: LONGEST_BODY,
        }
    }

    pub fn get(path: &[&str]) -> Self {
        Self::new(Method::GET, path)
    }

    #[must_use]
    pub fn query(mut self, name: &str, value: impl ToString) -> Self {
        self.query.push((name.to_owned(), value.to_string()));
        self
    }

    #[must_use]
    pub fn body(self, body: Value) -> Self {
        Self {
            body: Some(body),
            ..self
        }
    }

    #[must_use]
    pub fn longest(self, longest: usize) -> Self {
        Self { longest, ..self }
    }
}

pub struct Http {
    client: reqwest::Client,
    base: Url,
    authorization: HeaderValue,
    deadline: Duration,
    requests: AtomicU64,
    failures: AtomicU64,
}

impl Http {
    /// `scheme` is the word before the token. The authorities in `ca` are trusted beside the
    /// system's.
    pub fn new(
        base: &Url,
        scheme: &str,
        token: &Secret,
        ca: Option<&Path>,
    ) -> Result<Self, SetupError> {
        let plain = matches!(base.scheme(), "http" | "https")
            && base.has_host()
            && base.username().is_empty()
            && base.password().is_none()
            && base.query().is_none()
            && base.fragment().is_none();
        if !plain {
            let host = base.host_str().unwrap_or_default();
            return Err(SetupError::Address(format!("{}://{host}", base.scheme())));
        }
        let mut authorization = HeaderValue::from_str(&format!("{scheme} {}", token.expose()))
            .map_err(|_| SetupError::Token)?;
        authorization.set_sensitive(true);
        Ok(Self {
            client: client(ca)?,
            base: base.clone(),
            authorization,
            deadline: DEADLINE,
            requests: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        })
    }

    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Counts a request that did not come to what was wanted.
    pub fn count_failure(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    /// The address of a path on the server.
    pub fn address(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .expect("an address with a host has a path")
            .pop_if_empty()
            .extend(path);
        url
    }

    /// Sends and reads the whole answer, whatever its status.
    pub async fn send(&self, ask: Ask) -> Result<Answer, Broken> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        match tokio::time::timeout(self.deadline, self.exchange(ask)).await {
            Ok(done) => done,
            Err(_) => Err(Broken::Lost(format!(
                "no whole answer within {:?}",
                self.deadline
            ))),
        }
    }

    async fn exchange(&self, ask: Ask) -> Result<Answer, Broken> {
        let path: Vec<_> = ask.path.iter().map(String::as_str).collect();
        let mut url = self.address(&path);
        if !ask.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&ask.query);
        }
        let mut request = self
            .client
            .request(ask.method, url)
            .header(AUTHORIZATION, self.authorization.clone())
            .header(ACCEPT, "application/json");
        if let Some(body) = &ask.body {
            request = request.json(body);
        }
        let mut response = request.send().await.map_err(broken)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            if body.len() + chunk.len() > ask.longest {
                return Err(Broken::TooLong(ask.longest));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body,
        })
    }
}

fn client(ca: Option<&Path>) -> Result<reqwest::Client, SetupError> {
    static ONCE: Once = Once::new();
    // One that somebody else installed first is as good: only ring is compiled in.
    ONCE.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
    let mut builder = reqwest::Client::builder()
        .user_agent("cc-ci")
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(CONNECT)
        .pool_max_idle_per_host(16);
    if let Some(path) = ca {
        let wrong = |why: String| SetupError::Authorities {
            path: path.to_owned(),
            why,
        };
        let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
        let found = reqwest::Certificate::from_pem_bundle(&pem)
            .map_err(|error| wrong(error.to_string()))?;
        if found.is_empty() {
            return Err(wrong("there is none".to_owned()));
        }
        builder = builder.tls_certs_merge(found);
    }
    builder
        .build()
        .map_err(|error| SetupError::Client(causes(&error).join(": ")))
}

fn broken(error: reqwest::Error) -> Broken {
    // Its own text repeats the address, query and all.
    let error = error.without_url();
    if is_unknown_authority(&error) {
        return Broken::Unreached(
            "the certificate is of an unknown authority; if it is the right server, name the \
             authority's PEM file as `ca_file`"
                .to_owned(),
        );
    }
    let why = one_line(&causes(&error).join(": "), SHOWN);
    if error.is_connect() {
        Broken::Unreached(why)
    } else {
        Broken::Lost(why)
    }
}

/// The texts of an error and its causes, each once.
fn causes(error: &reqwest::Error) -> Vec<String> {
    let mut texts = vec![error.to_string()];
    let mut next = error.source();
    while let Some(inner) = next {
        let text = inner.to_string();
        if !texts.iter().any(|known| known.contains(&text)) {
            texts.push(text);
        }
        next = inner.source();
    }
    texts
}

fn is_unknown_authority(error: &reqwest::Error) -> bool {
    let mut next = error.source();
    while let Some(inner) = next {
        if let Some(rustls::Error::InvalidCertificate(why)) = tls_error(inner) {
            return *why == rustls::CertificateError::UnknownIssuer;
        }
        next = inner.source();
    }
    false
}

/// An I/O error's source is the source of what it holds, so it is looked into.
fn tls_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    match error.downcast_ref::<std::io::Error>() {
        Some(outer) => tls_error(outer.get_ref()?),
        None => error.downcast_ref(),
    }
}

/// What came back, whatever its status.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// 429 or 5xx: the same may be answered another time.
    pub fn is_passing(&self) -> bool {
        self.status == 429 || self.status >= 500
    }

    pub fn json<T: DeserializeOwned>(&self) -> Result<T, String> {
        serde_json::from_slice(&self.body).map_err(|error| {
            if self.body.trim_ascii_start().starts_with(b"<") {
                "a page of HTML".to_owned()
            } else {
                one_line(&error.to_string(), SHOWN)
            }
        })
    }

    /// What the server says about a refusal; empty where it says nothing that is for people.
    pub fn message(&self) -> String {
        let text = match serde_json::from_slice::<Value>(&self.body) {
            Ok(value) => value["message"].as_str().unwrap_or_default().to_owned(),
            Err(_) if self.body.trim_ascii_start().starts_with(b"<") => String::new(),
            Err(_) => String::from_utf8_lossy(&self.body).into_owned(),
        };
        one_line(&text, SHOWN)
    }

    /// The server's clock.
    pub fn date(&self) -> Option<Timestamp> {
        http_date(self.header("date")?)
    }

    pub fn number(&self, header: &str) -> Option<u64> {
        self.header(header)?.trim().parse().ok()
    }

    /// How long the server asks to wait: seconds, or a time by its own clock.
    pub fn retry_after(&self) -> Option<Duration> {
        let text = self.header("retry-after")?.trim();
        let wait = match text.parse() {
            Ok(seconds) => Duration::from_secs(seconds),
            Err(_) => {
                let now = self.date().unwrap_or_else(Timestamp::now);
                // A time that is over asks for nothing.
                Duration::try_from(http_date(text)?.duration_since(now)).unwrap_or_default()
            }
        };
        Some(wait.min(LONGEST_WAIT))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

fn http_date(text: &str) -> Option<Timestamp> {
    rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

/// A text of somebody else as one line of at most so many characters.
pub(crate) fn one_line(text: &str, most: usize) -> String {
    results::text::cut(&results::text::line(text), most)
}
