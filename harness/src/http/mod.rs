//! The one HTTP client: trusts what the site names, resolves the zone to the proxy.
//!
//! Invariants: every exchange has a deadline and a bound on its body; redirects are shown, not
//! followed; no proxy of the environment is used; the user agent never has "bot" in it.

mod answer;
pub mod certificate;
mod exchange;
mod ready;
mod redirects;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Method, RequestBuilder};
use serde::Serialize;

pub use answer::{Answer, HttpError};
use answer::{Asked, OwnPages};
pub use ready::{connects, retry_server_errors};

use crate::recipe::AppDomain;
use crate::redact::Learning;

/// How long one exchange may take, its body included.
pub const DEADLINE: Duration = Duration::from_secs(30);
/// The longest body that is kept.
pub const LONGEST_BODY: usize = 32 * 1024 * 1024;

/// Whose certificates are trusted, for every name alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Roots {
    /// Those of this PEM file only: one certificate or several.
    Pem(String),
    System,
}

/// What a site says about its HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientSpec {
    pub zone: AppDomain,
    /// Where the proxy answers for every name in the zone. None: the system resolves them.
    pub edge: Option<SocketAddr>,
    /// Whether the proxy marks the pages that are its own.
    pub marked: bool,
    pub roots: Roots,
}

/// How many exchanges a client remembers.
const KEPT_EXCHANGES: usize = 8;

#[derive(Clone)]
pub struct Client {
    spec: ClientSpec,
    inner: reqwest::Client,
    deadline: Duration,
    longest_body: usize,
    redactor: Learning,
    /// The last exchanges, for evidence; shared by clones.
    exchanges: Arc<Mutex<VecDeque<String>>>,
}

/// Makes ring the process' TLS provider; called again it does nothing.
pub fn install_tls_provider() {
    static ONCE: Once = Once::new();
    // One that somebody else installed first is as good: only ring is compiled in.
    ONCE.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
}

impl Client {
    pub fn new(spec: ClientSpec) -> Result<Self, HttpError> {
        let inner = builder(&spec)?.build().map_err(HttpError::Client)?;
        Ok(Self {
            spec,
            inner,
            deadline: DEADLINE,
            longest_body: LONGEST_BODY,
            redactor: Learning::default(),
            exchanges: Arc::default(),
        })
    }

    /// A client that keeps cookies, beginning with none.
    pub fn with_cookies(&self) -> Result<Self, HttpError> {
        let builder = builder(&self.spec)?.cookie_store(true);
        Ok(Self {
            inner: builder.build().map_err(HttpError::Client)?,
            ..self.clone()
        })
    }

    /// What errors and evidence show of an answer is redacted by it.
    #[must_use]
    pub fn with_redactor(self, redactor: Learning) -> Self {
        Self { redactor, ..self }
    }

    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        Self {
            deadline,
            ..self.clone()
        }
    }

    #[must_use]
    pub fn with_longest_body(&self, bytes: usize) -> Self {
        Self {
            longest_body: bytes,
            ..self.clone()
        }
    }

    pub async fn get(&self, url: &str) -> Result<Answer, HttpError> {
        self.send(self.build(Method::GET, url)).await
    }

    pub async fn delete(&self, url: &str) -> Result<Answer, HttpError> {
        self.send(self.build(Method::DELETE, url)).await
    }

    pub async fn put(
        &self,
        url: &str,
        body: impl Into<reqwest::Body>,
    ) -> Result<Answer, HttpError> {
        self.send(self.build(Method::PUT, url).body(body)).await
    }

    pub async fn post_json(
        &self,
        url: &str,
        body: &(impl Serialize + ?Sized),
    ) -> Result<Answer, HttpError> {
        self.send(self.build(Method::POST, url).json(body)).await
    }

    pub async fn post_form(
        &self,
        url: &str,
        form: &(impl Serialize + ?Sized),
    ) -> Result<Answer, HttpError> {
        self.send(self.build(Method::POST, url).form(form)).await
    }

    /// For what the methods above don't have: headers, a streamed body. Goes to [`Client::send`].
    pub fn build(&self, method: Method, url: &str) -> RequestBuilder {
        self.inner.request(method, url)
    }

    /// Sends and reads the whole answer, whatever its status.
    pub async fn send(&self, request: RequestBuilder) -> Result<Answer, HttpError> {
        let (client, request) = request.build_split();
        let request = request.map_err(HttpError::Request)?;
        let (method, url) = (request.method().clone(), request.url().clone());
        let in_zone = |host: &str| in_zone(&self.spec.zone, host);
        let own_pages = match url.host_str().is_some_and(in_zone) {
            false => OwnPages::None,
            true if self.spec.marked => OwnPages::Marked,
            true => OwnPages::Traefik,
        };
        let asked = Asked {
            method: method.clone(),
            headers: request.headers().clone(),
            own_pages,
            longest_body: self.longest_body,
            started: Instant::now(),
            redactor: self.redactor.now(),
        };
        let exchange = async {
            let response = client.execute(request).await;
            let response = response.map_err(|source| answer::unsent(&method, &url, source))?;
            answer::read(response, &asked).await
        };
        let answer = match tokio::time::timeout(self.deadline, exchange).await {
            Ok(done) => done,
            Err(_) => Err(HttpError::Late {
                method: method.to_string(),
                url: answer::shown(&url),
                deadline: self.deadline,
            }),
        };
        self.keep(match &answer {
            Ok(answer) => answer.exchange(),
            Err(error) => format!("{method} {}\n{error}", answer::shown(&url)),
        });
        answer
    }

    /// The certificate that is shown for a URL, trusted or not, as DER: to say what is wrong with it.
    pub async fn shown_certificate(&self, url: &str) -> Result<Option<Vec<u8>>, HttpError> {
        let any = builder(&self.spec)?
            .tls_danger_accept_invalid_certs(true)
            .build()
            .map_err(HttpError::Client)?;
        let client = Self {
            inner: any,
            ..self.clone()
        };
        Ok(client.get(url).await?.certificate)
    }

    /// What was asked and answered last, oldest first: for evidence.
    pub fn exchanges(&self) -> Vec<String> {
        let kept = self
            .exchanges
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        kept.iter().cloned().collect()
    }

    fn keep(&self, exchange: String) {
        let mut kept = self
            .exchanges
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT_EXCHANGES {
            kept.pop_front();
        }
        kept.push_back(exchange);
    }
}

fn builder(spec: &ClientSpec) -> Result<reqwest::ClientBuilder, HttpError> {
    install_tls_provider();
    let zone = Zone {
        zone: spec.zone.clone(),
        edge: spec.edge,
    };
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("cc-ci/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(10))
        .tls_info(true)
        .dns_resolver(Arc::new(zone));
    if let Roots::Pem(pem) = &spec.roots {
        let roots =
            reqwest::Certificate::from_pem_bundle(pem.as_bytes()).map_err(HttpError::Client)?;
        if roots.is_empty() {
            return Err(HttpError::NoRoots);
        }
        builder = builder.tls_certs_only(roots);
    }
    Ok(builder)
}

/// Resolves the zone to the proxy, all else by the system.
struct Zone {
    zone: AppDomain,
    edge: Option<SocketAddr>,
}

impl Resolve for Zone {
    fn resolve(&self, name: Name) -> Resolving {
        let edge = self.edge.filter(|_| in_zone(&self.zone, name.as_str()));
        Box::pin(async move {
            let addresses: Addrs = match edge {
                // The port is kept, for an URL without one: the proxy may be on another than 443.
                Some(edge) => Box::new(std::iter::once(edge)),
                None => {
                    let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
                    Box::new(found.collect::<Vec<_>>().into_iter())
                }
            };
            Ok(addresses)
        })
    }
}

fn in_zone(zone: &AppDomain, host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let zone = zone.as_str().to_ascii_lowercase();
    host == zone
        || host
            .strip_suffix(&zone)
            .is_some_and(|left| left.ends_with('.'))
}

#[cfg(test)]
mod elsewhere;
#[cfg(test)]
#[path = "tests.rs"]
mod tests;
