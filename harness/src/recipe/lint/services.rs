//! Services: their images, their health checks, the one that is called `app`, the way to it.

use super::{Findings, Rule, Subject};

/// Tags that another image gets every few days.
const MOVING: [&str; 7] = [
    "latest", "main", "master", "edge", "nightly", "dev", "stable",
];

pub(super) fn check(subject: &Subject<'_>, found: &mut Findings) {
    let services = &subject.compose.services;
    for (name, service) in services {
        let path = format!("services.{name}");
        if !service.has_healthcheck {
            let message = format!("service `{name}` has no health check");
            found.at_path(Rule::Healthchecks, message, &path);
        }
        if service.image.is_empty() {
            let message = format!("service `{name}` has no image");
            found.at_path(Rule::Images, message, &path);
        } else if let Some((rule, what)) = wrong_tag(&service.image) {
            let message = format!("service `{name}`: the image `{}` {what}", service.image);
            found.at_path(rule, message, &format!("{path}.image"));
        }
    }
    if !services.contains_key("app") {
        let message = "there is no service `app`".to_owned();
        found.at_path(Rule::ServiceApp, message, "services");
    }
    let routed = services.values().any(|service| {
        let enabled = service.labels.get("traefik.enable");
        enabled.is_some_and(|value| value.eq_ignore_ascii_case("true"))
    });
    if !routed && subject.env.get("DOMAIN").is_some() {
        let message =
            "no service has the label `traefik.enable=true`, though .env.sample has a `DOMAIN`";
        found.at_path(Rule::Routed, message.to_owned(), "services");
    }
}

fn wrong_tag(image: &str) -> Option<(Rule, &'static str)> {
    match tag_of(image) {
        None => Some((Rule::ImageTags, "has no tag")),
        Some(tag) if MOVING.contains(&tag) => Some((Rule::StableTags, "has a tag that moves")),
        Some(tag) => {
            let like_a_version = tag
                .trim_start_matches('v')
                .starts_with(|c: char| c.is_ascii_digit());
            (!like_a_version).then_some((Rule::VersionTags, "has a tag that is not like a version"))
        }
    }
}

/// The tag of an image; a digest counts as the strictest of tags.
fn tag_of(image: &str) -> Option<&str> {
    if let Some((named, digest)) = image.split_once('@') {
        return tag_of(named).or_else(|| digest.split_once(':').map(|_| "0"));
    }
    let name = image.rsplit('/').next().unwrap_or(image);
    name.split_once(':')
        .map(|(_, tag)| tag)
        .filter(|tag| !tag.is_empty())
}
