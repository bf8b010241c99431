//! Where a credential goes when a server leads elsewhere: real git, and two servers that write down
//! what they are asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use rstest::rstest;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use url::Url;

use super::tests::Repo;
use super::*;
use crate::fault::Fault;
use crate::recipe::git::Credentials;

const SECRET: &str = "s3cret-token";

/// A request: its method and path, and its authorization.
type Asked = (String, Option<String>);
/// Status, further headers and body for a method and path.
type Answers = Box<dyn Fn(&str) -> (u16, String, Vec<u8>) + Send>;

/// Answers by a function, and remembers what it was asked.
struct Server {
    url: Url,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    async fn new(answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let asked = Arc::<Mutex<Vec<Asked>>>::default();
        let notes = asked.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mut stream = BufReader::new(stream);
                let (mut line, mut head) = (String::new(), BTreeMap::new());
                let _ = stream.read_line(&mut line).await;
                let request = line.trim().trim_end_matches(" HTTP/1.1").to_owned();
                loop {
                    line.clear();
                    let _ = stream.read_line(&mut line).await;
                    let Some((name, value)) = line.trim().split_once(": ") else {
                        break;
                    };
                    head.insert(name.to_ascii_lowercase(), value.to_owned());
                }
                let length = head
                    .get("content-length")
                    .map_or(0, |it| it.parse().unwrap());
                let _ = stream.read_exact(&mut vec![0; length]).await;
                let (status, headers, body) = answers(&request);
                let authorization = head.remove("authorization");
                notes.lock().unwrap().push((request, authorization));
                let head = format!(
                    "HTTP/1.1 {status} x\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(head.as_bytes()).await;
                let _ = stream.write_all(&body).await;
            }
        });
        Self {
            url: url.parse().unwrap(),
            asked,
        }
    }

    /// Gives the files of a bare repository, as any web server can.
    async fn of_files(repo: &Repo) -> Self {
        let path = repo.path().join(".git");
        repo.git(&["update-server-info"]);
        Self::new(Box::new(move |asked| file(&path, asked))).await
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    fn source(&self) -> Source {
        Source::parse(self.url.join("r.git").unwrap().as_str()).unwrap()
    }

    async fn fetch_with_a_token(&self) -> Result<Checkout, CheckoutError> {
        let source = self.source().with_credentials(Credentials::token(SECRET));
        fetch(&source).await
    }

    /// Whether every request here had the credential.
    fn got_the_credential(&self) -> bool {
        let asked = self.asked();
        !asked.is_empty()
            && asked
                .iter()
                .all(|(_, authorization)| authorization.is_some())
    }
}

async fn fetch(source: &Source) -> Result<Checkout, CheckoutError> {
    let into = tempfile::tempdir().unwrap();
    let fetched = Checkout::fetch(source, None, into.path()).await;
    // Its trees are read by the test.
    let _ = into.keep();
    fetched
}

fn file(folder: &Path, asked: &str) -> (u16, String, Vec<u8>) {
    let path = asked.trim_start_matches("GET /r.git/");
    let path = path.split('?').next().unwrap_or_default();
    match std::fs::read(folder.join(path)) {
        Ok(bytes) => (200, String::new(), bytes),
        Err(_) => (404, String::new(), Vec::new()),
    }
}

fn to(status: u16, place: &str) -> (u16, String, Vec<u8>) {
    (status, format!("Location: {place}\r\n"), Vec::new())
}

#[rstest]
#[case(301)]
#[case(302)]
#[case(303)]
#[case(307)]
#[case(308)]
#[tokio::test]
async fn a_credential_follows_no_redirect(#[case] status: u16) {
    let repo = Repo::new();
    repo.commit("one");
    let other = Server::of_files(&repo).await;
    let place = other.url.to_string();
    let answers = move |asked: &str| {
        let path = asked.trim_start_matches("GET /");
        to(status, &format!("http://me:pw@{}{path}", &place[7..]))
    };
    let server = Server::new(Box::new(answers)).await;
    let error = server.fetch_with_a_token().await.unwrap_err();
    assert_eq!(other.asked(), []);
    assert!(server.got_the_credential());
    let fault = Fault::from(error).to_string();
    let expected = format!(
        "{} leads to {}r.git, and was asked with a token",
        server.source(),
        other.url
    );
    assert!(fault.contains(&expected), "{fault}");
    assert!(!fault.contains("pw") && !fault.contains(SECRET), "{fault}");
    // Without one, the way is open.
    fetch(&server.source()).await.unwrap();
    assert!(!other.asked().is_empty());
}

/// Another scheme is another place, and so is another path: who answers there may be another.
#[rstest]
#[case::scheme(
    "https://{host}/r.git/info/refs?service=git-upload-pack",
    "https://{host}/r.git"
)]
#[case::path(
    "/moved/r.git/info/refs?service=git-upload-pack",
    "http://{host}/moved/r.git"
)]
#[case::odd("//[", "another place")]
#[tokio::test]
async fn it_is_said_where_a_redirect_leads(#[case] location: &str, #[case] said: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    drop(listener);
    let place = location.replace("{host}", &host);
    let server = Server::new(Box::new(move |_| to(302, &place))).await;
    let error = server.fetch_with_a_token().await.unwrap_err().to_string();
    let own = server.url.as_str().trim_start_matches("http://");
    let host = match location.starts_with('/') {
        true => own.trim_end_matches('/'),
        false => &host,
    };
    let expected = format!("leads to {}, and", said.replace("{host}", host));
    assert!(error.contains(&expected), "{error}");
    assert!(
        server
            .asked()
            .iter()
            .all(|(asked, _)| asked.starts_with("GET /r.git/"))
    );
}

#[tokio::test]
async fn a_credential_follows_no_redirect_of_a_later_request() {
    let other = Server::new(Box::new(|_| (500, String::new(), Vec::new()))).await;
    let place = other.url.join("r.git/git-upload-pack").unwrap();
    let line = |text: String| format!("{:04x}{text}", text.len() + 4);
    let tip = "a".repeat(40);
    let advertised = [
        line("# service=git-upload-pack\n".to_owned()),
        "0000".to_owned(),
        line(format!("{tip} HEAD\0symref=HEAD:refs/heads/main\n")),
        line(format!("{tip} refs/heads/main\n")),
        "0000".to_owned(),
    ]
    .concat();
    let answers = move |asked: &str| match asked.starts_with("POST") {
        true => to(307, place.as_str()),
        false => {
            let kind = "Content-Type: application/x-git-upload-pack-advertisement\r\n";
            (200, kind.to_owned(), advertised.clone().into_bytes())
        }
    };
    let server = Server::new(Box::new(answers)).await;
    let error = server.fetch_with_a_token().await.unwrap_err();
    assert!(matches!(error, CheckoutError::Redirected { .. }), "{error}");
    assert!(
        server
            .asked()
            .iter()
            .any(|(asked, _)| asked.starts_with("POST"))
    );
    assert_eq!(other.asked(), []);
}

/// A repository of plain files can name others from which objects are to be had.
#[tokio::test]
async fn a_credential_follows_no_alternates() {
    let repo = Repo::new();
    repo.commit("one");
    let other = Server::of_files(&repo).await;
    let alternate = other.url.join("r.git/objects").unwrap();
    let folder = repo.path().join(".git");
    let answers = move |asked: &str| match asked {
        "GET /r.git/objects/info/http-alternates" => {
            (200, String::new(), format!("{alternate}\n").into_bytes())
        }
        _ if asked.starts_with("GET /r.git/objects/") => (404, String::new(), Vec::new()),
        _ => file(&folder, asked),
    };
    let server = Server::new(Box::new(answers)).await;
    server.fetch_with_a_token().await.unwrap_err();
    let asked = server.asked();
    let alternates = |(asked, _): &Asked| asked.ends_with("/http-alternates");
    assert!(asked.iter().any(alternates), "{asked:?}");
    assert_eq!(other.asked(), []);
}

#[tokio::test]
async fn submodules_are_not_fetched() {
    let other = Server::new(Box::new(|_| (404, String::new(), Vec::new()))).await;
    let repo = Repo::new();
    let modules = format!("[submodule \"x\"]\n\tpath = x\n\turl = {}\n", other.url);
    std::fs::write(repo.path().join(".gitmodules"), modules).unwrap();
    let first = repo.commit("one");
    let link = format!("160000,{first},x");
    repo.git(&["update-index", "--add", "--cacheinfo", &link]);
    let second = repo.commit_index("two");
    let server = Server::of_files(&repo).await;
    let checkout = server.fetch_with_a_token().await.unwrap();
    assert_eq!(checkout.head(), &second);
    checkout.tree(&second).await.unwrap();
    assert!(server.got_the_credential());
    assert_eq!(other.asked(), []);
}
