//! nginx's configuration as text.
//!
//! Invariants: what comes from labels arrives as parsed types, or passes through [`words`]; the text
//! is the same for the same routes. Answers that the proxy makes itself carry [`MARK`], and no
//! service's answer can.
//!
//! Handshakes for names that the certificate does not cover are refused, as Traefik's strict SNI
//! does; a name below the zone that has no router gets a marked 404.
//!
//! Must not know: labels, Docker (but for the address of its resolver).

use std::collections::BTreeSet;
use std::fmt::Write;

use super::routes::{Route, Routes, covers};
use super::rule::PathMatch;
use crate::recipe::AppDomain;

/// The header of answers that the proxy made itself: `<kind>: <reason>`.
pub const MARK: &str = "X-Cc-Ci-Edge";
/// The header that says which configuration answers; on the page of the zone's own name.
pub const GENERATION: &str = "X-Cc-Ci-Edge-Generation";
/// Where configuration and certificate lie in the container.
pub const FOLDER: &str = "/cc-ci-edge";

/// What a configuration is made of.
pub struct Site<'a> {
    pub zone: &'a AppDomain,
    pub routes: &'a Routes,
    /// Told from the one before by a reader who waits for a reload.
    pub generation: u64,
}

/// The kinds of the proxy's own answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// 404: no router for the host.
    UnknownHost,
    /// 404: routers for the host, none for the path.
    NoRouter,
    /// 502: a router that Traefik would not serve.
    Unroutable,
    /// 502: nothing answers where the router leads.
    NoAnswer,
    /// 504: the service did not answer in time.
    Timeout,
    /// A request that nginx refused, or an error of its own.
    Refused,
}

impl Page {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownHost => "unknown-host",
            Self::NoRouter => "no-router",
            Self::Unroutable => "unroutable",
            Self::NoAnswer => "no-answer",
            Self::Timeout => "timeout",
            Self::Refused => "refused",
        }
    }

    /// Whether a mark is of a kind that no waiting cures: the routes have to change.
    pub fn lasts(mark: &str) -> bool {
        [Self::UnknownHost, Self::NoRouter, Self::Unroutable]
            .iter()
            .any(|page| mark.starts_with(&format!("{}: ", page.as_str())))
    }
}

const HEAD: &str = r#"user nobody nogroup;
worker_processes 2;
pid FOLDER/nginx.pid;
error_log stderr warn;

events {
    worker_connections 4096;
}

http {
    # Without arguments: they carry tokens.
    log_format edge '$time_iso8601 $server_protocol $request_method $host$uri $status $upstream_addr $upstream_status $request_time';
    access_log /dev/stdout edge;

    client_body_temp_path FOLDER/tmp;
    proxy_temp_path FOLDER/tmp;
    fastcgi_temp_path FOLDER/tmp;
    uwsgi_temp_path FOLDER/tmp;
    scgi_temp_path FOLDER/tmp;

    default_type text/plain;
    server_tokens off;
    server_names_hash_bucket_size 512;
    variables_hash_bucket_size 128;
    merge_slashes off;
    underscores_in_headers on;
    ignore_invalid_headers off;
    large_client_header_buffers 8 64k;
    keepalive_timeout 60s;

    ssl_certificate FOLDER/leaf.pem;
    ssl_certificate_key FOLDER/leaf.key;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_ciphers HIGH:!aNULL:!MD5;
    ssl_session_cache shared:edge:1m;

    # Docker's own; asked again each second, for a redeploy changes addresses.
    resolver 127.0.0.11 valid=1s ipv6=off;
    resolver_timeout 3s;

    # Bodies stream through, whatever their size.
    client_max_body_size 0;
    proxy_request_buffering off;
    proxy_buffering off;
    proxy_buffer_size 256k;
    proxy_buffers 4 256k;
    proxy_busy_buffers_size 256k;

    proxy_http_version 1.1;
    proxy_connect_timeout 5s;
    proxy_read_timeout 1h;
    proxy_send_timeout 1h;
    client_body_timeout 1h;
    send_timeout 1h;
    # One try, as Traefik: a second one would hide a task that is down.
    proxy_next_upstream off;
    proxy_redirect off;
    proxy_ssl_server_name on;

    # A service's headers are its client's: nginx obeys none, and passes all but the mark.
    proxy_ignore_headers X-Accel-Redirect X-Accel-Expires X-Accel-Limit-Rate X-Accel-Buffering X-Accel-Charset Expires Cache-Control Set-Cookie Vary;
    proxy_pass_header Server;
    proxy_pass_header Date;
    proxy_pass_header X-Pad;
    proxy_pass_header X-Accel-Redirect;
    proxy_pass_header X-Accel-Expires;
    proxy_pass_header X-Accel-Limit-Rate;
    proxy_pass_header X-Accel-Buffering;
    proxy_pass_header X-Accel-Charset;
    proxy_hide_header X-Cc-Ci-Edge;
    proxy_hide_header X-Cc-Ci-Edge-Generation;

    map $http_upgrade $edge_connection {
        default upgrade;
        ''      '';
    }
    map $upstream_addr $edge_cause {
        default    "$upstream_addr does not take the connection, or closed it without an answer";
        ''         "no running task has that name on the network proxy";
        "~^[^0-9]" "no running task has that name on the network proxy";
    }
    proxy_set_header Host $http_host;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection $edge_connection;
    proxy_set_header X-Real-IP $remote_addr;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto https;
    proxy_set_header X-Forwarded-Host $http_host;
    proxy_set_header X-Forwarded-Port 443;
    proxy_set_header X-Forwarded-Server cc-ci-edge;
"#;

/// nginx's own pages, of each server.
const PAGES: &str = r#"
        set $edge_to "";
        error_page 502 @edge_no_answer;
        error_page 504 @edge_timeout;
        error_page 400 403 404 405 408 411 412 413 414 415 416 421 494 495 496 497 500 501 503 505 507 @edge_refused;
        location @edge_no_answer {
            add_header X-Cc-Ci-Edge "no-answer: $edge_to: $edge_cause" always;
            return 502 "cc-ci's proxy: $edge_to: $edge_cause\n";
        }
        location @edge_timeout {
            add_header X-Cc-Ci-Edge "timeout: $edge_to did not answer in time" always;
            return 504 "cc-ci's proxy: $edge_to did not answer in time\n";
        }
        location @edge_refused {
            add_header X-Cc-Ci-Edge "refused: nginx answered with $status by itself" always;
            return 500 "cc-ci's proxy: nginx answered with $status by itself\n";
        }
"#;

/// The whole configuration.
pub fn render(site: &Site) -> String {
    let mut out = HEAD.replace("FOLDER", FOLDER);
    let served = |host: &AppDomain| covers(site.zone, host);
    let hosts: BTreeSet<AppDomain> = site.routes.hosts().into_iter().filter(served).collect();
    let mut strips = Vec::new();
    let mut servers = String::new();
    for host in &hosts {
        server(&mut servers, host, site, &mut strips);
    }
    for (at, route) in strips.iter().enumerate() {
        strip_map(&mut out, at, route);
    }
    out.push_str(&servers);
    let zone = site.zone.as_str().replace('.', "[.]");
    let unknown = own(404, Page::UnknownHost, "no router has the host $host");
    let _ = write!(
        out,
        r#"
    server {{
        listen 443 ssl http2 default_server;
        server_name _;
        ssl_reject_handshake on;
        location / {{
            {unknown}
        }}{PAGES}    }}

    server {{
        listen 443 ssl http2;
        server_name "~^([^.]+[.])?{zone}$";
        location / {{
            add_header {GENERATION} {} always;
            {unknown}
        }}{PAGES}    }}
}}
"#,
        site.generation
    );
    out
}

fn server<'a>(out: &mut String, host: &AppDomain, site: &Site<'a>, strips: &mut Vec<&'a Route>) {
    let _ = write!(
        out,
        "\n    server {{\n        listen 443 ssl http2;\n        server_name {host};\n"
    );
    let routes = site.routes.routes.iter().filter(|r| r.host == *host);
    for route in routes {
        let uri = if route.strip.is_empty() {
            String::new()
        } else {
            strips.push(route);
            format!("$edge_path_{}", strips.len() - 1)
        };
        let up = &route.upstream;
        let scheme = if up.tls { "https" } else { "http" };
        // `tasks.`: the tasks themselves, as Traefik dials them; it needs no virtual address.
        let _ = write!(
            out,
            r#"        location ~ "{}" {{
            set $edge_to "{}:{}";
            proxy_pass {scheme}://tasks.$edge_to{uri};
        }}
"#,
            regex(&route.path),
            up.service,
            up.port
        );
    }
    let refused = site.routes.unroutable.iter();
    let refused: Vec<String> = refused
        .filter(|one| one.host == host.as_str())
        .map(|one| words(&one.reason))
        .collect();
    let rest = if refused.is_empty() {
        own(404, Page::NoRouter, "no router of this host has the path")
    } else {
        own(502, Page::Unroutable, &refused.join("; "))
    };
    let _ = write!(
        out,
        "        location / {{\n            {rest}\n        }}{PAGES}    }}\n"
    );
}

/// A variable that is the request's path without the first prefix that fits.
fn strip_map(out: &mut String, at: usize, route: &Route) {
    let _ = write!(
        out,
        "    map $request_uri $edge_path_{at} {{\n        default $request_uri;\n"
    );
    for prefix in &route.strip {
        let literal = literal(prefix.as_str());
        let _ = write!(
            out,
            "        \"~^{literal}(?<edge_rest_{at}>/.*)$\" $edge_rest_{at};\n        \"~^{literal}(?<edge_bare_{at}>.*)$\" /$edge_bare_{at};\n"
        );
    }
    out.push_str("    }\n");
}

fn own(status: u16, page: Page, reason: &str) -> String {
    format!(
        "add_header {MARK} \"{}: {reason}\" always;\n            return {status} \"cc-ci's proxy: {reason}\\n\";",
        page.as_str()
    )
}

fn regex(path: &PathMatch) -> String {
    match path {
        PathMatch::Prefix(path) => format!("^{}", literal(path.as_str())),
        PathMatch::Exact(path) => format!("^{}$", literal(path.as_str())),
    }
}

/// A path as a pattern that means just it.
fn literal(path: &str) -> String {
    let escape = |c: char| match c {
        c if c.is_ascii_alphanumeric() || "/-_~".contains(c) => c.to_string(),
        c => format!("[{c}]"),
    };
    path.chars().map(escape).collect()
}

/// Free text for a quoted string: what could end the string or start a variable becomes `'` or `?`,
/// and it is cut where a header would be too long.
fn words(text: &str) -> String {
    let safe = |c: char| match c {
        '`' | '"' | '\'' => '\'',
        ' ' | '(' | ')' | '<' | '>' | '[' | ']' => c,
        c if c.is_ascii_alphanumeric() || "-._~/@:+,=%*!&|".contains(c) => c,
        _ => '?',
    };
    text.chars().take(500).map(safe).collect()
}

#[cfg(test)]
#[path = "nginx_tests.rs"]
mod tests;
