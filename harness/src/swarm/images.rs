//! Images on this engine: which are present, which were built here, and pulling what is missing.

use std::time::Duration;

use bollard::query_parameters::CreateImageOptions;
use futures_util::StreamExt;

use super::{Swarm, answered, because};
use crate::fault::Fault;

/// A pull that says nothing for so long has failed.
const SILENCE: Duration = Duration::from_secs(120);

/// The id of an image that is present and is in no registry: a look-up there would only fail.
pub async fn built_here(swarm: &Swarm, name: &str) -> Result<Option<String>, Fault> {
    match swarm.docker().inspect_image(name).await {
        Ok(image) => {
            let pulled = image
                .repo_digests
                .is_some_and(|digests| !digests.is_empty());
            Ok(image.id.filter(|_| !pulled))
        }
        Err(error) if answered(&error, 404) => Ok(None),
        Err(error) => Err(unseen(name, &error)),
    }
}

/// The engine looks for an image, and says more than that it is not there.
fn unseen(name: &str, error: &bollard::errors::Error) -> Fault {
    let why = because(error);
    if answered(error, 400) || why.contains("invalid reference format") {
        return Fault::recipe(format!("`{name}` is no name of an image: {why}"));
    }
    Swarm::fault(format!("looking for the image {name}"), error)
}

/// Pulls an image that is not present. An image or tag that the registry does not know is the
/// recipe's fault; a registry that does not answer or refuses is not.
pub async fn pull_if_missing(swarm: &Swarm, name: &str) -> Result<(), Fault> {
    match swarm.docker().inspect_image(name).await {
        Ok(_) => return Ok(()),
        Err(error) if answered(&error, 404) => {}
        Err(error) => return Err(unseen(name, &error)),
    }
    let (image, tag) = reference(name);
    let options = CreateImageOptions {
        from_image: Some(image.to_owned()),
        tag: tag.map(str::to_owned),
        ..CreateImageOptions::default()
    };
    let mut progress = swarm.docker().create_image(Some(options), None, None);
    loop {
        match tokio::time::timeout(SILENCE, progress.next()).await {
            Err(_) => {
                return Err(Fault::infra(format!(
                    "pulling {name}: the registry said nothing for {} s",
                    SILENCE.as_secs()
                )));
            }
            Ok(None) => return Ok(()),
            Ok(Some(Ok(_))) => {}
            Ok(Some(Err(error))) => return Err(refused(name, &because(&error))),
        }
    }
}

/// Name and tag; a digest stays with the name.
fn reference(name: &str) -> (&str, Option<&str>) {
    if name.contains('@') {
        return (name, None);
    }
    match name.rsplit_once(':') {
        // A colon before a slash is a registry's port.
        Some((image, tag)) if !tag.contains('/') => (image, Some(tag)),
        _ => (name, Some("latest")),
    }
}

fn refused(name: &str, why: &str) -> Fault {
    let text = format!("pulling {name}: {why}");
    let unknown = [
        "manifest unknown",
        "not found: manifest",
        "repository does not exist",
    ];
    if unknown.iter().any(|sign| why.contains(sign)) {
        Fault::recipe(text)
    } else {
        Fault::infra(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("nginx", ("nginx", Some("latest")))]
    #[case("nginx:1.27", ("nginx", Some("1.27")))]
    #[case("localhost:5000/nginx", ("localhost:5000/nginx", Some("latest")))]
    #[case("localhost:5000/nginx:1", ("localhost:5000/nginx", Some("1")))]
    #[case("nginx@sha256:00", ("nginx@sha256:00", None))]
    fn a_reference_has_a_name_and_a_tag(
        #[case] name: &str,
        #[case] expected: (&str, Option<&str>),
    ) {
        assert_eq!(reference(name), expected);
    }

    #[test]
    fn a_name_that_docker_can_not_read_is_the_recipes_fault() {
        let error =
            |status_code, message: &str| bollard::errors::Error::DockerResponseServerError {
                status_code,
                message: message.to_owned(),
            };
        let invalid = error(400, "invalid reference format: must be lowercase");
        assert!(matches!(unseen("A/b", &invalid), Fault::Recipe(_)));
        let broken = error(500, "layer store is corrupt");
        assert!(matches!(unseen("a/b", &broken), Fault::Infra(_)));
    }

    #[test]
    fn an_unknown_tag_is_the_recipes_fault_and_a_silent_registry_is_not() {
        let unknown = "manifest for nginx:nope not found: manifest unknown: manifest unknown";
        assert!(matches!(refused("nginx:nope", unknown), Fault::Recipe(_)));
        assert!(matches!(
            refused("nginx:1", "toomanyrequests: rate limit"),
            Fault::Infra(_)
        ));
        assert!(matches!(
            refused("nginx:1", "dial tcp: no such host"),
            Fault::Infra(_)
        ));
    }
}
