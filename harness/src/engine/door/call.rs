//! The calls of the engine's API that a deploy makes. Any other is none.

use hyper::{Method, Uri};

/// What a call is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The engine itself: `_ping`, `version`, `info`.
    Engine,
    Service,
    Network,
    Config,
    Secret,
    /// What is looked at and never made: tasks, nodes, volumes, images.
    Other,
    Container,
    Exec,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    List,
    Look,
    Create,
    Update,
    Remove,
    /// Of a container: a command, or a file for it.
    Run,
    Copy,
    /// Of a command: its streams.
    Start,
    Resize,
}

/// One call. The id is an id or a name, as the client has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub kind: Kind,
    pub act: Act,
    pub id: Option<String>,
}

impl Kind {
    fn named(collection: &str) -> Option<Self> {
        Some(match collection {
            "services" => Self::Service,
            "networks" => Self::Network,
            "configs" => Self::Config,
            "secrets" => Self::Secret,
            "tasks" | "nodes" | "volumes" => Self::Other,
            _ => return None,
        })
    }

    fn is_made(self) -> bool {
        matches!(
            self,
            Self::Service | Self::Network | Self::Config | Self::Secret
        )
    }
}

impl Call {
    /// The call that a request is, if a deploy makes it.
    pub fn read(method: &Method, uri: &Uri) -> Option<Self> {
        let path = uri.path().strip_prefix('/')?;
        let path = match path.split_once('/') {
            Some((version, rest)) if is_version(version) => rest,
            _ => path,
        };
        let parts: Vec<&str> = path.split('/').collect();
        // An id is no path: nothing that could be read in two ways.
        let plain = |part: &&str| {
            let sign = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
            !part.is_empty() && *part != ".." && part.bytes().all(sign)
        };
        if !parts.iter().all(plain) {
            return None;
        }
        let look = method == Method::GET || method == Method::HEAD;
        let call = |kind, act, id: Option<&str>| {
            let id = id.map(str::to_owned);
            Some(Self { kind, act, id })
        };
        match parts.as_slice() {
            ["_ping" | "version" | "info"] if look => call(Kind::Engine, Act::Look, None),
            ["containers", "json"] if look => call(Kind::Container, Act::List, None),
            ["containers", id, "json"] if look => call(Kind::Container, Act::Look, Some(id)),
            ["containers", id, "exec"] if method == Method::POST => {
                call(Kind::Container, Act::Run, Some(id))
            }
            ["containers", id, "archive"] if method == Method::PUT => {
                call(Kind::Container, Act::Copy, Some(id))
            }
            ["exec", id, "json"] if look => call(Kind::Exec, Act::Look, Some(id)),
            ["exec", id, "start"] if method == Method::POST => {
                call(Kind::Exec, Act::Start, Some(id))
            }
            ["exec", id, "resize"] if method == Method::POST => {
                call(Kind::Exec, Act::Resize, Some(id))
            }
            ["images", "json"] if look => call(Kind::Other, Act::List, None),
            [collection] if look => call(Kind::named(collection)?, Act::List, None),
            [collection, id] if look => call(Kind::named(collection)?, Act::Look, Some(id)),
            [collection, "create"] if method == Method::POST => {
                let kind = Kind::named(collection).filter(|kind| kind.is_made())?;
                call(kind, Act::Create, None)
            }
            [collection, id, "update"] if method == Method::POST => {
                let kind = Kind::named(collection).filter(|kind| kind.is_made())?;
                // Networks can't be changed.
                (kind != Kind::Network).then_some(())?;
                call(kind, Act::Update, Some(id))
            }
            ["services", id] if method == Method::DELETE => {
                call(Kind::Service, Act::Remove, Some(id))
            }
            _ => None,
        }
    }

    /// Whether its body is a stream, and no message that can be judged as a whole.
    pub fn is_stream(&self) -> bool {
        self.act == Act::Start
    }
}

fn is_version(text: &str) -> bool {
    text.strip_prefix('v').is_some_and(|version| {
        !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit() || b == b'.')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Option<Call> {
        let (method, uri) = line.split_once(' ').unwrap();
        Call::read(&method.parse().unwrap(), &uri.parse().unwrap())
    }

    #[rstest::rstest]
    #[case("HEAD /_ping", Kind::Engine, Act::Look, None)]
    #[case("GET /v1.41/info", Kind::Engine, Act::Look, None)]
    #[case("GET /v1.41/services?filters=%7B%7D", Kind::Service, Act::List, None)]
    #[case("GET /v1.41/networks/proxy", Kind::Network, Act::Look, Some("proxy"))]
    #[case("POST /v1.41/services/create", Kind::Service, Act::Create, None)]
    #[case(
        "POST /services/abc/update?version=1",
        Kind::Service,
        Act::Update,
        Some("abc")
    )]
    #[case("DELETE /v1.50/services/abc", Kind::Service, Act::Remove, Some("abc"))]
    #[case("POST /v1.41/containers/c/exec", Kind::Container, Act::Run, Some("c"))]
    fn what_a_deploy_asks_for(
        #[case] line: &str,
        #[case] kind: Kind,
        #[case] act: Act,
        #[case] id: Option<&str>,
    ) {
        let id = id.map(str::to_owned);
        assert_eq!(read(line), Some(Call { kind, act, id }));
    }

    #[rstest::rstest]
    #[case("POST /v1.41/containers/create")]
    #[case("POST /v1.41/build")]
    #[case("POST /v1.41/images/create?fromImage=x")]
    #[case("POST /v1.41/volumes/create")]
    #[case("POST /v1.41/networks/abc/connect")]
    #[case("POST /v1.41/networks/abc/update")]
    #[case("POST /v1.41/swarm/update")]
    #[case("POST /v1.41/plugins/pull")]
    #[case("GET /v1.41/containers/c/archive?path=/etc")]
    #[case("GET /v1.41/distribution/10.0.0.1:80/x/json")]
    #[case("GET /v1.41/events")]
    #[case("DELETE /v1.41/secrets/abc")]
    #[case("GET /v1.41/services/../info")]
    #[case("POST /v1.41/services/%2e%2e/update")]
    #[case("GET /v1.41//info")]
    fn what_it_does_not_ask_for(#[case] line: &str) {
        assert_eq!(read(line), None);
    }
}
