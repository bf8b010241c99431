//! The container that nginx runs in.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{
    ContainerCreateBody, EndpointSettings, HostConfig, NetworkingConfig, PortBinding,
};
use bollard::query_parameters::{
    CreateContainerOptions, InspectContainerOptions, LogsOptions, RemoveContainerOptions,
    StartContainerOptions, UploadToContainerOptions,
};
use futures_util::StreamExt;

use super::routes::{NETWORK, Routes, covers};
use super::{EdgeSpec, nginx};
use crate::fault::Fault;
use crate::recipe::AppDomain;

pub const FIRST_GENERATION: u64 = 1;
const PORT: &str = "443/tcp";
/// The port of loopback that is tried first, for then URLs are the same everywhere.
const USUAL_PORT: u16 = 443;
const ZONE_LABEL: &str = "cc-ci.edge.zone";
const AUTHORITY_LABEL: &str = "cc-ci.edge.authority";

/// What a running container says about itself.
pub struct Found {
    pub zone: AppDomain,
    pub authority: String,
    pub aliases: BTreeSet<AppDomain>,
    pub address: SocketAddr,
}

/// The names that the container has on the network: those in the zone only, so that no recipe can
/// take another's name away from all containers there.
pub fn aliases(
    zone: &AppDomain,
    routes: &Routes,
    extra: &BTreeSet<AppDomain>,
) -> BTreeSet<AppDomain> {
    let all = routes.hosts().into_iter().chain(extra.iter().cloned());
    all.filter(|host| covers(zone, host)).collect()
}

/// Makes and starts the container: on 127.0.0.1:443, or where that is taken on any port.
pub async fn start(docker: &Docker, spec: &EdgeSpec) -> Result<SocketAddr, Fault> {
    let site = nginx::Site {
        zone: &spec.zone,
        routes: &spec.routes,
        generation: FIRST_GENERATION,
    };
    let files = archive(&[
        ("nginx.conf", &nginx::render(&site), 0o644),
        ("leaf.pem", &spec.leaf.certificate, 0o644),
        ("leaf.key", &spec.leaf.key, 0o600),
    ]);
    // Where somebody answers there, the first try would be half a second for nothing.
    let usual = SocketAddr::from((Ipv4Addr::LOCALHOST, USUAL_PORT));
    let port = match tokio::net::TcpStream::connect(usual).await {
        Ok(_) => 0,
        Err(_) => USUAL_PORT,
    };
    match launch(docker, spec, &files, port).await {
        Err(error) if is_port_taken(&error) => {
            remove(docker, &spec.name).await;
            launch(docker, spec, &files, 0).await
        }
        done => done,
    }
    .map_err(fault(&format!("start the proxy `{}`", spec.name)))?;
    match inspect(docker, &spec.name).await {
        Ok(found) => Ok(found.address),
        Err(fault) => {
            remove(docker, &spec.name).await;
            Err(fault)
        }
    }
}

/// Err: nothing is left of it, but where the port was taken.
async fn launch(docker: &Docker, spec: &EdgeSpec, files: &[u8], port: u16) -> Result<(), Error> {
    let options = CreateContainerOptions {
        name: Some(spec.name.clone()),
        ..CreateContainerOptions::default()
    };
    docker
        .create_container(Some(options), body(spec, port))
        .await?;
    let started = async {
        upload(docker, &spec.name, files).await?;
        docker
            .start_container(&spec.name, None::<StartContainerOptions>)
            .await
    };
    let started = started.await;
    if started.is_err() {
        remove(docker, &spec.name).await;
    }
    started
}

fn body(spec: &EdgeSpec, port: u16) -> ContainerCreateBody {
    let text = |words: &[&str]| Some(words.iter().map(|&word| word.to_owned()).collect());
    let mut labels: HashMap<String, String> = spec.labels.clone().into_iter().collect();
    labels.insert(ZONE_LABEL.to_owned(), spec.zone.to_string());
    labels.insert(AUTHORITY_LABEL.to_owned(), spec.leaf.authority.clone());
    let binding = PortBinding {
        host_ip: Some("127.0.0.1".to_owned()),
        host_port: Some(port.to_string()),
    };
    let aliases = aliases(&spec.zone, &spec.routes, &spec.extra_hosts);
    let endpoint = EndpointSettings {
        aliases: Some(aliases.iter().map(AppDomain::to_string).collect()),
        ..EndpointSettings::default()
    };
    ContainerCreateBody {
        image: Some(spec.image.clone()),
        // Whatever the image's entry point is.
        entrypoint: text(&["nginx"]),
        cmd: text(&[
            "-c",
            &format!("{}/nginx.conf", nginx::FOLDER),
            "-g",
            "daemon off;",
        ]),
        labels: Some(labels),
        exposed_ports: text(&[PORT]),
        host_config: Some(HostConfig {
            network_mode: Some(NETWORK.to_owned()),
            port_bindings: Some(HashMap::from([(PORT.to_owned(), Some(vec![binding]))])),
            ..HostConfig::default()
        }),
        networking_config: Some(NetworkingConfig {
            endpoints_config: Some(HashMap::from([(NETWORK.to_owned(), endpoint)])),
        }),
        ..ContainerCreateBody::default()
    }
}

pub async fn inspect(docker: &Docker, name: &str) -> Result<Found, Fault> {
    let seen = docker
        .inspect_container(name, None::<InspectContainerOptions>)
        .await
        .map_err(fault(&format!("look at the proxy `{name}`")))?;
    let labels = seen.config.and_then(|config| config.labels);
    let label = |key: &str| labels.as_ref().and_then(|labels| labels.get(key)).cloned();
    let settings = seen.network_settings.unwrap_or_default();
    let port = settings
        .ports
        .and_then(|mut ports| ports.remove(PORT))
        .flatten()
        .and_then(|bindings| bindings.into_iter().next())
        .and_then(|binding| binding.host_port)
        .and_then(|port| port.parse().ok());
    let aliases = settings
        .networks
        .and_then(|mut networks| networks.remove(NETWORK))
        .and_then(|endpoint| endpoint.aliases)
        .unwrap_or_default();
    let zone = label(ZONE_LABEL).and_then(|zone| zone.parse().ok());
    match (zone, label(AUTHORITY_LABEL), port) {
        (Some(zone), Some(authority), Some(port)) => Ok(Found {
            zone,
            authority,
            aliases: aliases.iter().filter_map(|one| one.parse().ok()).collect(),
            address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port),
        }),
        (_, _, None) => Err(Fault::infra(format!(
            "the container `{name}` publishes no port: it does not run\n{}",
            log(docker, name).await
        ))),
        _ => Err(Fault::infra(format!(
            "the container `{name}` is no proxy of cc-ci's: it has no label `{ZONE_LABEL}`"
        ))),
    }
}

/// False only if the engine says so.
pub async fn runs(docker: &Docker, name: &str) -> bool {
    let seen = docker
        .inspect_container(name, None::<InspectContainerOptions>)
        .await;
    match seen {
        Ok(seen) => seen.state.and_then(|state| state.running) != Some(false),
        Err(error) => !is_status(&error, 404),
    }
}

/// Puts another configuration into the running container.
pub async fn configure(docker: &Docker, name: &str, config: &str) -> Result<(), Fault> {
    upload(docker, name, &archive(&[("nginx.conf", config, 0o644)]))
        .await
        .map_err(fault(&format!("configure the proxy `{name}`")))
}

/// The last 50 lines of its log, or why there are none.
pub async fn log(docker: &Docker, name: &str) -> String {
    let options = LogsOptions {
        stdout: true,
        stderr: true,
        tail: "50".to_owned(),
        ..LogsOptions::default()
    };
    let mut lines = docker.logs(name, Some(options));
    let mut out = String::new();
    while let Some(line) = lines.next().await {
        match line {
            Ok(line) => out.push_str(&line.to_string()),
            Err(error) => {
                out.push_str(&format!("(no log: {error})"));
                break;
            }
        }
    }
    out
}

async fn upload(docker: &Docker, name: &str, files: &[u8]) -> Result<(), Error> {
    let options = UploadToContainerOptions {
        path: "/".to_owned(),
        ..UploadToContainerOptions::default()
    };
    let body = bollard::body_full(files.to_vec().into());
    docker.upload_to_container(name, Some(options), body).await
}

/// A tar archive of nginx's folder with the files, and its folder for what is temporary.
fn archive(files: &[(&str, &str, u32)]) -> Vec<u8> {
    const IN_MEMORY: &str = "writing to memory does not fail, and the names are short";
    let folder = nginx::FOLDER.trim_start_matches('/');
    let mut tar = tar::Builder::new(Vec::new());
    let mut add = |path: String, kind: tar::EntryType, mode: u32, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, path, content)
            .expect(IN_MEMORY);
    };
    add(format!("{folder}/"), tar::EntryType::Directory, 0o755, b"");
    add(
        format!("{folder}/tmp/"),
        tar::EntryType::Directory,
        0o1777,
        b"",
    );
    for (name, content, mode) in files {
        let path = format!("{folder}/{name}");
        add(path, tar::EntryType::Regular, *mode, content.as_bytes());
    }
    tar.into_inner().expect(IN_MEMORY)
}

/// Best effort, on the way to a fault that says more.
async fn remove(docker: &Docker, name: &str) {
    let options = RemoveContainerOptions {
        force: true,
        v: true,
        ..RemoveContainerOptions::default()
    };
    let _ = docker.remove_container(name, Some(options)).await;
}

fn is_port_taken(error: &Error) -> bool {
    let text = error.to_string();
    text.contains("address already in use") || text.contains("port is already allocated")
}

pub fn is_status(error: &Error, status: u16) -> bool {
    matches!(error, Error::DockerResponseServerError { status_code, .. } if *status_code == status)
}

/// Names what could not be done.
pub fn fault(what: &str) -> impl Fn(Error) -> Fault + use<> {
    let what = what.to_owned();
    move |error| Fault::infra(format!("can't {what}: {error}"))
}
