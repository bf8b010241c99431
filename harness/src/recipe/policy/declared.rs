//! What the files ask for and Docker's client leaves out, so that no body shows it.
//!
//! It leaves out `privileged` and `network_mode`: what was asked for would not be had, and a recipe
//! that needs it can't be judged here. Without the others an app is the same, so they are notes.

use super::Terms;
use super::body::Judging;
use super::finding::Finding;
use crate::recipe::Compose;

pub fn declared(compose: &Compose, terms: &Terms<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for (name, service) in &compose.services {
        let mut judging = Judging::new(terms);
        judging.service = Some(name.clone());
        judging.root = format!("services.{name}");
        if service.privileged {
            judging.site("privileged", "privileged", "", "is privileged".to_owned());
        }
        if service.network_mode.as_deref() == Some("host") {
            let message = "has `network_mode: host`".to_owned();
            judging.site("host-network", "network_mode", "", message);
        }
        found.extend(judging.found());
    }
    found
}
