//! A recipe whose front resolves its upstream once, when it starts; head replaces the upstream.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::ensure;

const COMPOSE: &str = r#"version: "3.8"
services:
  app:
    image: cc-ci.local/nginx:1.22.1
    networks: [proxy, internal]
    configs:
      - source: front
        target: /etc/nginx/conf.d/default.conf
    deploy:
      labels:
        - "traefik.enable=true"
        - "traefik.http.services.${STACK_NAME}.loadbalancer.server.port=80"
        - "traefik.http.routers.${STACK_NAME}.rule=Host(`${DOMAIN}`)"
        - "traefik.http.routers.${STACK_NAME}.entrypoints=web-secure"
        - "coop-cloud.${STACK_NAME}.version=VERSION"
  backend:
    image: cc-ci.local/nginx:1.22.1
    networks: [internal]
    environment:
      - RELEASE=VERSION
    healthcheck:
      test: ["CMD", "curl", "--fail", "--silent", "--output", "/dev/null", "http://127.0.0.1/"]
      interval: 1s
networks:
  proxy:
    external: true
  internal:
configs:
  front:
    name: ${STACK_NAME}_front_v1
    file: front.conf
"#;

const FRONT: &str = "server {
    listen 80 default_server;
    location / {
        proxy_connect_timeout 2s;
        proxy_pass http://backend:80;
    }
}
";

/// Its repository: a published version, and a commit after it.
pub fn repository(folder: &Path) -> anyhow::Result<()> {
    let git = |arguments: &[&str]| -> anyhow::Result<()> {
        let done = Command::new("git")
            .args(["-c", "user.name=test", "-c", "user.email=test@ci.test"])
            .args(arguments)
            .current_dir(folder)
            .output()?;
        ensure!(done.status.success(), "git {arguments:?}: {done:?}");
        Ok(())
    };
    git(&["init", "--quiet", "--initial-branch", "main"])?;
    fs::write(folder.join("front.conf"), FRONT)?;
    fs::write(folder.join("abra.sh"), "")?;
    fs::write(
        folder.join(".env.sample"),
        "TYPE=custom-html\nDOMAIN=x.example.com\nLETS_ENCRYPT_ENV=production\n",
    )?;
    for version in ["1.0.0+1", "1.1.0+2"] {
        fs::write(
            folder.join("compose.yml"),
            COMPOSE.replace("VERSION", version),
        )?;
        git(&["add", "--all"])?;
        git(&["commit", "--quiet", "--message", version])?;
        if version == "1.0.0+1" {
            git(&["tag", "--annotate", version, "--message", version])?;
        }
    }
    Ok(())
}
