//! What a site has that is not this machine's to make: its abra, and its proxy. Only looked at.

use harness::engine::abra::Program;
use harness::site::{EngineKind, Proxy, Site};

use super::Check;

pub async fn inspect(site: &Site) -> Vec<Check> {
    let mut checks = Vec::new();
    if site.engine == EngineKind::Abra {
        checks.push(abra(site).await);
    }
    if let Proxy::Traefik { address, .. } = &site.proxy {
        let at = match address {
            Some(address) => format!("at {address}"),
            None => "as names are resolved".to_owned(),
        };
        checks.push(proxy(site, &at).await);
    }
    checks
}

async fn abra(site: &Site) -> Check {
    const WHAT: &str = "abra";
    match Program::find(&site.abra).await {
        Ok(program) => {
            let (version, path) = (program.version(), program.path().display());
            Check::there(WHAT, format!("{version} at {path}"))
        }
        // It says itself what to do.
        Err(fault) => Check::broken(WHAT, fault.to_string()),
    }
}

async fn proxy(site: &Site, at: &str) -> Check {
    const WHAT: &str = "proxy";
    match site.proxy.serves(&site.zone).await {
        Ok(()) => Check::there(WHAT, format!("serves {}, {at}", site.zone)),
        Err(fault) => Check::broken(WHAT, fault.to_string()).advise(
            "abra app ls, and abra app logs of the server's traefik; docs/operate.md says what it needs",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_local_site_has_nothing_to_look_at() {
        assert_eq!(inspect(&Site::default()).await, []);
    }

    #[tokio::test]
    async fn a_server_without_its_abra_and_its_proxy_says_both() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let mut site = Site {
            engine: EngineKind::Abra,
            proxy: Proxy::Traefik {
                address: Some(address),
                roots: harness::site::Roots::default(),
            },
            ..Site::default()
        };
        site.abra.program = "/nowhere/abra".into();
        let checks = inspect(&site).await;
        let [abra, proxy] = checks.as_slice() else {
            panic!("{checks:?}")
        };
        assert_eq!((abra.what, abra.word()), ("abra", "broken"));
        assert!(abra.fact().contains("/nowhere/abra"), "{abra:?}");
        assert_eq!((proxy.what, proxy.word()), ("proxy", "broken"));
        let said = format!("the site's proxy at {address} does not serve the zone ci.test");
        assert!(proxy.fact().starts_with(&said), "{proxy:?}");
    }
}
