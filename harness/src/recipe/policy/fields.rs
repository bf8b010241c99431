//! The fields that a recipe's labels may set, as Traefik reads the keys of labels.
//!
//! What is not here: other servers (`url`), files of the proxy (`usersfile`, `tls`, transports), stores
//! elsewhere (`ratelimit.redis`), plugins, and what holds for all apps.

/// What a field's value is.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Field {
    /// It acts on this app's own requests alone.
    Fine,
    /// Judged with its router.
    OfRouter,
    /// A router, service, middleware, transport or TLS option, or a list of them.
    Names,
    /// Likewise, and it decides which server answers.
    Service,
    /// Hosts that a certificate is for.
    Hosts,
    /// Traefik sends requests there.
    Address,
    /// Traefik sends requests there, below the service's own address.
    Path,
    Network,
}

/// Fields behind `traefik.`: `*` is one name, `[]` an index, `**` any rest.
const FIELDS: [(&str, Field); 90] = [
    ("enable", Field::Fine),
    ("docker.network", Field::Network),
    ("docker.lbswarm", Field::Fine),
    ("swarm.network", Field::Network),
    ("swarm.lbswarm", Field::Fine),
    ("http.routers.*.rule", Field::OfRouter),
    ("http.routers.*.entrypoints", Field::OfRouter),
    ("http.routers.*.rulesyntax", Field::Fine),
    ("http.routers.*.priority", Field::Fine),
    ("http.routers.*.middlewares", Field::Names),
    ("http.routers.*.service", Field::Service),
    ("http.routers.*.observability.**", Field::Fine),
    ("http.routers.*.tls", Field::Fine),
    ("http.routers.*.tls.options", Field::Names),
    ("http.routers.*.tls.certresolver", Field::Fine),
    ("http.routers.*.tls.domains.[].main", Field::Hosts),
    ("http.routers.*.tls.domains.[].sans", Field::Hosts),
    ("http.services.*.middlewares", Field::Names),
    ("http.services.*.loadbalancer.server.port", Field::Fine),
    ("http.services.*.loadbalancer.server.scheme", Field::Fine),
    ("http.services.*.loadbalancer.server.weight", Field::Fine),
    (
        "http.services.*.loadbalancer.server.preservepath",
        Field::Fine,
    ),
    ("http.services.*.loadbalancer.passhostheader", Field::Fine),
    ("http.services.*.loadbalancer.strategy", Field::Fine),
    ("http.services.*.loadbalancer.sticky", Field::Fine),
    ("http.services.*.loadbalancer.sticky.**", Field::Fine),
    (
        "http.services.*.loadbalancer.responseforwarding.flushinterval",
        Field::Fine,
    ),
    (
        "http.services.*.loadbalancer.serverstransport",
        Field::Names,
    ),
    (
        "http.services.*.loadbalancer.passivehealthcheck.**",
        Field::Fine,
    ),
    ("http.services.*.loadbalancer.healthcheck.path", Field::Path),
    (
        "http.services.*.loadbalancer.healthcheck.headers.*",
        Field::Fine,
    ),
    ("http.services.*.loadbalancer.healthcheck.*", Field::Fine),
    ("http.middlewares.*.addprefix.**", Field::Fine),
    ("http.middlewares.*.basicauth.headerfield", Field::Fine),
    ("http.middlewares.*.basicauth.realm", Field::Fine),
    ("http.middlewares.*.basicauth.removeheader", Field::Fine),
    ("http.middlewares.*.basicauth.users", Field::Fine),
    ("http.middlewares.*.buffering.**", Field::Fine),
    ("http.middlewares.*.chain.middlewares", Field::Names),
    ("http.middlewares.*.circuitbreaker.**", Field::Fine),
    ("http.middlewares.*.compress", Field::Fine),
    ("http.middlewares.*.compress.**", Field::Fine),
    ("http.middlewares.*.contenttype", Field::Fine),
    ("http.middlewares.*.contenttype.**", Field::Fine),
    ("http.middlewares.*.digestauth.headerfield", Field::Fine),
    ("http.middlewares.*.digestauth.realm", Field::Fine),
    ("http.middlewares.*.digestauth.removeheader", Field::Fine),
    ("http.middlewares.*.digestauth.users", Field::Fine),
    ("http.middlewares.*.encodedcharacters.**", Field::Fine),
    ("http.middlewares.*.errors.query", Field::Fine),
    ("http.middlewares.*.errors.service", Field::Service),
    ("http.middlewares.*.errors.status", Field::Fine),
    ("http.middlewares.*.errors.statusrewrites.*", Field::Fine),
    ("http.middlewares.*.forwardauth.address", Field::Address),
    ("http.middlewares.*.forwardauth.*", Field::Fine),
    ("http.middlewares.*.grpcweb.**", Field::Fine),
    ("http.middlewares.*.headers.**", Field::Fine),
    ("http.middlewares.*.inflightreq.**", Field::Fine),
    ("http.middlewares.*.ipallowlist.**", Field::Fine),
    ("http.middlewares.*.ipwhitelist.**", Field::Fine),
    ("http.middlewares.*.passtlsclientcert.**", Field::Fine),
    ("http.middlewares.*.ratelimit.*", Field::Fine),
    (
        "http.middlewares.*.ratelimit.sourcecriterion.**",
        Field::Fine,
    ),
    ("http.middlewares.*.redirectregex.**", Field::Fine),
    ("http.middlewares.*.redirectscheme.**", Field::Fine),
    ("http.middlewares.*.replacepath.**", Field::Fine),
    ("http.middlewares.*.replacepathregex.**", Field::Fine),
    ("http.middlewares.*.retry.**", Field::Fine),
    ("http.middlewares.*.stripprefix.**", Field::Fine),
    ("http.middlewares.*.stripprefixregex.**", Field::Fine),
    ("tcp.middlewares.*.inflightconn.amount", Field::Fine),
    ("tcp.middlewares.*.ipallowlist.sourcerange", Field::Fine),
    ("tcp.middlewares.*.ipwhitelist.sourcerange", Field::Fine),
    ("tcp.routers.*.rule", Field::OfRouter),
    ("tcp.routers.*.entrypoints", Field::OfRouter),
    ("tcp.routers.*.rulesyntax", Field::Fine),
    ("tcp.routers.*.priority", Field::Fine),
    ("tcp.routers.*.middlewares", Field::Names),
    ("tcp.routers.*.service", Field::Service),
    ("tcp.routers.*.tls", Field::Fine),
    ("tcp.routers.*.tls.passthrough", Field::Fine),
    ("tcp.routers.*.tls.options", Field::Names),
    ("tcp.routers.*.tls.certresolver", Field::Fine),
    ("tcp.routers.*.tls.domains.[].main", Field::Hosts),
    ("tcp.routers.*.tls.domains.[].sans", Field::Hosts),
    ("tcp.services.*.loadbalancer.server.*", Field::Fine),
    ("tcp.services.*.loadbalancer.*", Field::Fine),
    ("udp.routers.*.entrypoints", Field::OfRouter),
    ("udp.routers.*.service", Field::Service),
    ("udp.services.*.loadbalancer.server.port", Field::Fine),
];

/// What stands behind `traefik.`, in lower case, with an index as a token of its own. None: a key that
/// Traefik reads in a way of its own.
pub(super) fn tokens(key: &str) -> Option<Vec<String>> {
    let lower = key.is_ascii().then(|| key.to_ascii_lowercase())?;
    let mut tokens = Vec::new();
    for part in lower.strip_prefix("traefik.")?.split('.') {
        match part.split_once('[') {
            None if part.is_empty() || part.contains(']') => return None,
            None => tokens.push(part.to_owned()),
            Some((name, index)) => {
                let index = index.strip_suffix(']')?;
                let number = !index.is_empty() && index.chars().all(|c| c.is_ascii_digit());
                if name.is_empty() || !number {
                    return None;
                }
                tokens.extend([name.to_owned(), "[]".to_owned()]);
            }
        }
    }
    Some(tokens)
}

pub(super) fn field(tokens: &[String]) -> Option<Field> {
    FIELDS
        .iter()
        .find(|(pattern, _)| fits(pattern, tokens))
        .map(|(_, field)| *field)
}

fn fits(pattern: &str, tokens: &[String]) -> bool {
    let mut rest = tokens.iter();
    for part in pattern.split('.') {
        match (part, rest.next()) {
            ("**", Some(_)) => return true,
            ("*", Some(token)) if token != "[]" => {}
            (part, Some(token)) if part == token => {}
            _ => return false,
        }
    }
    rest.next().is_none()
}
