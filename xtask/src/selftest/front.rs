//! A stand-in for the Traefik of a server: an nginx of the kit on the network `proxy`, that serves
//! every app of the zone by its name, with a certificate of an authority of its own.
//!
//! It knows nothing of labels: it takes the service `app` on port 80, as the recipe custom-html has
//! it. A host that no app has gets a 404, though not Traefik's to the byte: nginx names itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use harness::edge::authority::Authority;
use harness::recipe::AppDomain;

const IMAGE: &str = "cc-ci.local/nginx:1.22.1";

pub struct Front {
    container: String,
    /// Where it answers.
    pub address: String,
    /// PEM of its authority.
    pub roots: PathBuf,
}

impl Front {
    pub fn start(folder: &Path, zone: &AppDomain) -> Result<Self> {
        fixtures::images::ensure(IMAGE, &mut |_| {})?;
        let authority = Authority::open_or_create(&folder.join("authority"))?;
        let leaf = authority.leaf(zone)?;
        let files = folder.join("front");
        fs::create_dir_all(&files)?;
        fs::write(files.join("cert.pem"), &leaf.certificate)?;
        fs::write(files.join("key.pem"), &leaf.key)?;
        fs::write(files.join("front.conf"), configuration(zone))?;
        let container = format!("cc-ci-front-{}", std::process::id());
        let mount = format!("{}:/etc/nginx/conf.d:ro", files.display());
        docker(&[
            "run",
            "--detach",
            "--name",
            &container,
            "--network",
            "proxy",
            "--publish",
            "127.0.0.1::443",
            "--volume",
            &mount,
            IMAGE,
        ])?;
        let mut front = Self {
            container,
            address: String::new(),
            roots: authority.certificate_path(),
        };
        let published = docker(&["port", &front.container, "443/tcp"])?;
        let first = published.lines().next().context("no port is published")?;
        first.clone_into(&mut front.address);
        Ok(front)
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        if let Err(error) = docker(&["rm", "--force", "--volumes", &self.container]) {
            eprintln!("{} is left behind: {error:#}", self.container);
        }
    }
}

/// The stack's name is the domain with underscores. A name that Docker's resolver does not know is
/// an app that is not there.
fn configuration(zone: &AppDomain) -> String {
    let pattern = zone.as_str().replace('.', "\\.");
    let stack = zone.as_str().replace('.', "_");
    format!(
        r#"server {{
    listen 443 ssl default_server;
    ssl_certificate /etc/nginx/conf.d/cert.pem;
    ssl_certificate_key /etc/nginx/conf.d/key.pem;
    server_name ~^(?<name>[^.]+)\.{pattern}$;
    resolver 127.0.0.11 valid=1s;
    set $app "${{name}}_{stack}_app";
    location / {{
        proxy_pass http://$app:80;
        proxy_set_header Host $host;
        proxy_set_header X-Forwarded-Proto https;
        error_page 502 504 = @nobody;
    }}
    location @nobody {{
        default_type text/plain;
        return 404 "404 page not found\n";
    }}
}}
"#
    )
}

fn docker(arguments: &[&str]) -> Result<String> {
    let output = Command::new("docker").args(arguments).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "docker {}: {}",
        arguments[0],
        said.trim()
    );
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
