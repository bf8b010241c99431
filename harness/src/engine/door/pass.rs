//! Passing what walls let through, and what is the stack's own.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;

use super::call::{Act, Call, Kind};
use super::{Answer, Ceilings, LARGEST_BODY, Seen, engine, failed, keep, lock, refuse};
use crate::recipe::policy::{
    Allowed, Finding, Terms, judge_config, judge_network, judge_secret, judge_service,
};
use crate::recipe::{AppDomain, StackName};
use crate::site::RegistryLogin;
use crate::swarm;

/// Whose calls pass, and by which terms.
pub struct Passage {
    pub stack: StackName,
    pub domain: AppDomain,
    pub zone: AppDomain,
    pub allow: Allowed,
    pub ceilings: Ceilings,
    pub most_tasks: u64,
    /// What answers for other stacks.
    pub others: BTreeSet<String>,
    /// Registries whose login the swarm may use.
    pub logins: Vec<RegistryLogin>,
    /// Commands that were made through this door.
    commands: Mutex<BTreeSet<String>>,
}

impl Passage {
    pub fn new(
        (stack, domain, zone): (&StackName, &AppDomain, &AppDomain),
        (allow, ceilings, most_tasks): (&Allowed, Ceilings, u64),
        others: BTreeSet<String>,
        logins: &[RegistryLogin],
    ) -> Self {
        Self {
            stack: stack.clone(),
            domain: domain.clone(),
            zone: zone.clone(),
            allow: allow.clone(),
            ceilings,
            most_tasks,
            others,
            logins: logins.to_vec(),
            commands: Mutex::default(),
        }
    }

    pub fn terms(&self) -> Terms<'_> {
        Terms {
            stack: &self.stack,
            domain: &self.domain,
            zone: &self.zone,
            allow: &self.allow,
            others: &self.others,
            most_tasks: self.most_tasks,
        }
    }

    fn judge(&self, kind: Kind, body: &Value) -> Vec<Finding> {
        let terms = self.terms();
        match kind {
            Kind::Service => judge_service(body, &terms),
            Kind::Network => judge_network(body, &terms),
            Kind::Config => judge_config(body, &terms),
            Kind::Secret => judge_secret(body, &terms),
            _ => Vec::new(),
        }
    }

    fn is_own(&self, name: Option<&str>) -> bool {
        name.is_some_and(|name| name.starts_with(&self.stack.object("")))
    }

    /// Whether a container is of a task of the stack.
    async fn has_container(&self, engine: &Path, id: &str) -> bool {
        let Some(found) = engine::look(engine, &format!("/containers/{id}/json")).await else {
            return false;
        };
        let label = &found["Config"]["Labels"][swarm::NAMESPACE];
        let name = found["Name"]
            .as_str()
            .map(|name| name.trim_start_matches('/'));
        label.as_str() == Some(self.stack.as_str()) && self.is_own(name)
    }

    fn made_command(&self, id: Option<&str>) -> bool {
        let commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        id.is_some_and(|id| commands.contains(id))
    }
}

pub async fn answer(
    passage: &Passage,
    at: &Path,
    call: &Call,
    request: Request<Bytes>,
    seen: &Mutex<Seen>,
) -> Answer {
    let id = call.id.as_deref();
    match (call.kind, call.act) {
        (Kind::Exec, _) if !passage.made_command(id) => refuse("this command is another's"),
        (_, Act::List | Act::Look | Act::Resize) => engine::forward(at, request).await,
        (kind, Act::Create | Act::Update) => change(passage, at, kind, id, request, seen).await,
        (_, Act::Remove) => {
            let path = format!("/services/{}", id.unwrap_or_default());
            let there = engine::look(at, &path).await.unwrap_or_default();
            if passage.is_own(there["Spec"]["Name"].as_str()) {
                engine::forward(at, request).await
            } else {
                refuse("this service is another stack's")
            }
        }
        (_, Act::Run | Act::Copy) => {
            if !passage.has_container(at, id.unwrap_or_default()).await {
                return refuse("this container is another stack's");
            }
            if call.act == Act::Copy {
                return engine::forward(at, request).await;
            }
            run(passage, at, request).await
        }
        (_, Act::Start) => refuse("a stream is no message"),
    }
}

/// An object that is to be made or changed: judged, bounded, handed on.
async fn change(
    passage: &Passage,
    at: &Path,
    kind: Kind,
    id: Option<&str>,
    request: Request<Bytes>,
    seen: &Mutex<Seen>,
) -> Answer {
    let mut body: Value = match serde_json::from_slice(request.body()) {
        Ok(body) => body,
        Err(error) => return failed(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let mut refused = passage.judge(kind, &body);
    refused.retain(Finding::refuses);
    if !refused.is_empty() {
        let said: Vec<_> = refused.iter().map(ToString::to_string).collect();
        lock(seen).refused.extend(refused);
        return refuse(&said.join("; "));
    }
    if let Some(id) = id {
        let collection = match kind {
            Kind::Service => "services",
            Kind::Config => "configs",
            _ => "secrets",
        };
        let there = engine::look(at, &format!("/{collection}/{id}")).await;
        let there = there.unwrap_or_default();
        if there["Spec"]["Name"] != body["Name"] {
            return refuse("what is to be changed has another name");
        }
    }
    keep(&mut lock(seen), kind, body.clone());
    if kind == Kind::Service {
        let notes = passage.ceilings.put_on(&mut body);
        lock(seen).notes.extend(notes);
    }
    let (mut parts, _) = request.into_parts();
    parts.headers.remove(hyper::header::CONTENT_LENGTH);
    parts.headers.remove(hyper::header::TRANSFER_ENCODING);
    let image = body["TaskTemplate"]["ContainerSpec"]["Image"].as_str();
    match swarm::login(image.unwrap_or_default(), &passage.logins).await {
        Ok(Some(login)) => {
            if let Ok(login) = login.parse() {
                parts.headers.insert(engine::CREDENTIALS, login);
            }
        }
        Ok(None) => {}
        Err(fault) => return failed(StatusCode::INTERNAL_SERVER_ERROR, &fault.to_string()),
    }
    let body = Bytes::from(body.to_string());
    engine::forward(at, Request::from_parts(parts, body)).await
}

/// A command for a container of the stack, with no more rights than its own.
async fn run(passage: &Passage, at: &Path, request: Request<Bytes>) -> Answer {
    let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
    if !matches!(body["Privileged"], Value::Null | Value::Bool(false)) {
        return refuse("a command with the host's rights");
    }
    let answer = engine::forward(at, request).await;
    let (parts, body) = answer.into_parts();
    let Ok(body) = body.collect().await;
    let body = body.to_bytes();
    let made: Value = serde_json::from_slice(&body).unwrap_or_default();
    if let Some(id) = made["Id"].as_str() {
        let mut commands = passage
            .commands
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        commands.insert(id.to_owned());
    }
    Response::from_parts(parts, Full::new(body))
}

/// The streams of a command that was made through this door.
pub async fn stream(
    passage: &Passage,
    at: &Path,
    call: &Call,
    mut request: Request<Incoming>,
) -> Answer {
    if !passage.made_command(call.id.as_deref()) {
        return refuse("this command is another's");
    }
    let client = hyper::upgrade::on(&mut request);
    let (parts, body) = request.into_parts();
    let body = match Limited::new(body, LARGEST_BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return failed(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let mut answer = match engine::send(at, Request::from_parts(parts, body)).await {
        Ok(answer) => answer,
        Err(error) => return failed(StatusCode::BAD_GATEWAY, &error.to_string()),
    };
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        let (parts, body) = answer.into_parts();
        return match Limited::new(body, LARGEST_BODY).collect().await {
            Ok(body) => Response::from_parts(parts, Full::new(body.to_bytes())),
            Err(error) => failed(StatusCode::BAD_GATEWAY, &error.to_string()),
        };
    }
    let engine = hyper::upgrade::on(&mut answer);
    tokio::spawn(async move {
        if let (Ok(client), Ok(engine)) = tokio::join!(client, engine) {
            let (mut client, mut engine) = (TokioIo::new(client), TokioIo::new(engine));
            // Either side ends it by going away.
            let _ = tokio::io::copy_bidirectional(&mut client, &mut engine).await;
        }
    });
    let (parts, _) = answer.into_parts();
    Response::from_parts(parts, Full::new(Bytes::new()))
}
