//! A double of a registry, for the faults that a real one won't show on demand.
//!
//! It speaks the pull part of the registry's HTTP API: `/v2/`, manifests, blobs. What it does with a
//! request goes by the first part of the repository's name: [`Registry::name`].

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

pub const USER: &str = "puller";
/// Its base64 has no digit that base64 for URLs writes otherwise.
pub const PASSWORD: &str = "correct horse";

const CHALLENGE: &str = "WWW-Authenticate: Basic realm=\"double\"\r\n";

pub struct Registry {
    port: u16,
    seen: Arc<Mutex<Seen>>,
    layer_bytes: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum Access {
    All,
    User,
}

#[derive(Default)]
struct Seen {
    /// Requests for a manifest, by kind.
    manifests: BTreeMap<String, u32>,
    /// Values of `Authorization`.
    credentials: Vec<String>,
}

/// One image: a file in a layer, and what describes it.
struct Image {
    manifest: Vec<u8>,
    blobs: BTreeMap<String, Vec<u8>>,
    layer_bytes: u64,
}

impl Registry {
    pub fn start() -> Self {
        Self::with(Access::All, None)
    }

    /// One that speaks TLS, with a certificate that nobody knows: Docker's client insists on TLS
    /// where the engine does not.
    pub fn with_tls() -> Self {
        Self::with(Access::All, Some(Arc::new(tls())))
    }

    /// One that wants [`USER`] and [`PASSWORD`].
    pub fn private() -> Self {
        Self::with(Access::User, None)
    }

    fn with(access: Access, tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let image = Arc::new(Image::new());
        let layer_bytes = image.layer_bytes;
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, image) = (Arc::clone(&shared), Arc::clone(&image));
                let tls = tls.clone();
                std::thread::spawn(move || match tls {
                    None => drop(serve(stream, access, &seen, &image)),
                    Some(tls) => {
                        let server = rustls::ServerConnection::new(tls).unwrap();
                        let stream = rustls::StreamOwned::new(server, stream);
                        drop(serve(stream, access, &seen, &image));
                    }
                });
            }
        });
        Self {
            port,
            seen,
            layer_bytes,
        }
    }

    /// An image of this kind: `limited`, `unknown`, `broken`, `once-broken`, `reset`,
    /// `silent`, `open`.
    pub fn name(&self, kind: &str) -> String {
        // Tests of one engine share its images.
        format!("{}/{kind}/x:{}", self.host(), std::process::id())
    }

    /// Size of the image's one layer.
    pub fn layer_bytes(&self) -> u64 {
        self.layer_bytes
    }

    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// How often a manifest of this kind was asked for.
    pub fn asked(&self, kind: &str) -> u32 {
        let seen = self.seen.lock().unwrap();
        seen.manifests.get(kind).copied().unwrap_or(0)
    }

    pub fn had_credentials(&self) -> bool {
        let seen = self.seen.lock().unwrap();
        seen.credentials.contains(&basic())
    }
}

fn tls() -> rustls::ServerConfig {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};

    harness::http::install_tls_provider();
    let dir = tempfile::tempdir().unwrap();
    let authority = harness::edge::authority::Authority::open_or_create(dir.path()).unwrap();
    let leaf = authority.leaf(&"ci.test".parse().unwrap()).unwrap();
    let certificate = CertificateDer::from_pem_slice(leaf.certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).unwrap();
    rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap()
}

fn basic() -> String {
    format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")))
}

impl Image {
    fn new() -> Self {
        let mut layer = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        // Another image at each start, so that none is there already.
        let content = format!("{:?}", std::time::SystemTime::now());
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        layer
            .append_data(&mut header, "file", content.as_bytes())
            .unwrap();
        let layer = layer.into_inner().unwrap();
        let layer_bytes = layer.len() as u64;
        let config = serde_json::json!({
            "architecture": architecture(), "os": "linux",
            "config": { "Cmd": ["/nothing"] },
            "rootfs": { "type": "layers", "diff_ids": [digest(&layer)] },
        });
        let config = config.to_string().into_bytes();
        let described = |kind: &str, blob: &[u8]| serde_json::json!({ "mediaType": kind, "size": blob.len(), "digest": digest(blob) });
        let manifest = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": described("application/vnd.docker.container.image.v1+json", &config),
            "layers": [described("application/vnd.docker.image.rootfs.diff.tar.gzip", &layer)],
        });
        let blobs = [config, layer].map(|blob| (digest(&blob), blob)).into();
        Self {
            manifest: manifest.to_string().into_bytes(),
            blobs,
            layer_bytes,
        }
    }
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn digest(bytes: &[u8]) -> String {
    let hex: Vec<String> = Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{}", hex.concat())
}

/// What is answered: status, further headers, body.
type Reply<'a> = (&'a str, String, Vec<u8>);

fn serve(
    stream: impl Read + Write,
    access: Access,
    seen: &Mutex<Seen>,
    image: &Image,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let mut authorised = access == Access::All;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim().split_once(": ") else {
                break;
            };
            if name.eq_ignore_ascii_case("authorization") {
                authorised |= value == basic();
                let mut seen = seen.lock().unwrap();
                seen.credentials.push(value.to_owned());
            }
        }
        let mut words = first.split(' ');
        let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let Some((status, headers, body)) = answer(path, method, authorised, seen, image) else {
            return Ok(());
        };
        let writer = reader.get_mut();
        write!(
            writer,
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n",
            body.len()
        )?;
        if method != "HEAD" {
            writer.write_all(&body)?;
        }
        writer.flush()?;
    }
}

/// None: the connection ends without an answer.
fn answer<'a>(
    path: &str,
    method: &str,
    authorised: bool,
    seen: &Mutex<Seen>,
    image: &Image,
) -> Option<Reply<'a>> {
    let refused = |status, code: &str, message: &str, headers: &str| {
        let body = serde_json::json!({ "errors": [{ "code": code, "message": message }] });
        let headers = format!("Content-Type: application/json\r\n{headers}");
        Some((status, headers, body.to_string().into_bytes()))
    };
    if !authorised {
        let why = "authentication required";
        return refused("401 Unauthorized", "UNAUTHORIZED", why, CHALLENGE);
    }
    let Some(rest) = path.strip_prefix("/v2/").filter(|rest| !rest.is_empty()) else {
        return Some(("200 OK", String::new(), b"{}".to_vec()));
    };
    let kind = rest.split('/').next().unwrap_or_default().to_owned();
    if let Some((_, blob)) = rest.split_once("/blobs/") {
        return match image.blobs.get(blob) {
            Some(blob) => Some(("200 OK", String::new(), blob.clone())),
            None => refused("404 Not Found", "BLOB_UNKNOWN", "blob unknown", ""),
        };
    }
    let count = {
        let mut seen = seen.lock().unwrap();
        let count = seen.manifests.entry(kind.clone()).or_default();
        // The engine asks for the headers first, and again in full if it likes.
        *count += u32::from(method == "GET" || kind == "reset" || kind == "silent");
        *count
    };
    let manifest = || {
        let kind = "application/vnd.docker.distribution.manifest.v2+json";
        let headers = format!(
            "Content-Type: {kind}\r\nDocker-Content-Digest: {}\r\n",
            digest(&image.manifest)
        );
        Some(("200 OK", headers, image.manifest.clone()))
    };
    match kind.as_str() {
        "limited" => refused(
            "429 Too Many Requests",
            "TOOMANYREQUESTS",
            "You have reached your pull rate limit.",
            "",
        ),
        "unknown" => refused("404 Not Found", "MANIFEST_UNKNOWN", "manifest unknown", ""),
        "broken" => refused("500 Internal Server Error", "UNKNOWN", "broken", ""),
        "once-broken" if count <= 1 => refused("500 Internal Server Error", "UNKNOWN", "soon", ""),
        "reset" => None,
        "silent" => {
            // tidy: sleep: the silence is the work, longer than any test waits
            std::thread::sleep(std::time::Duration::from_secs(20));
            None
        }
        _ => manifest(),
    }
}
