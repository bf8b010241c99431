//! Services by name: which there are, and one that goes.

use std::collections::BTreeSet;

use bollard::query_parameters::{ListContainersOptions, ListServicesOptions};

use super::{NAMESPACE, Swarm, answered, of_stack};
use crate::fault::Fault;
use crate::recipe::StackName;

/// The short names of the stack's services.
pub async fn service_names(swarm: &Swarm, stack: &StackName) -> Result<Vec<String>, Fault> {
    let options = ListServicesOptions {
        filters: Some(of_stack(stack)),
        ..Default::default()
    };
    let services = swarm.docker().list_services(Some(options)).await;
    let services = services
        .map_err(|error| Swarm::fault(format!("listing the services of {stack}"), &error))?;
    let prefix = stack.object("");
    let names = services
        .into_iter()
        .filter_map(|service| service.spec?.name);
    Ok(names
        .map(|name| name.strip_prefix(&prefix).unwrap_or(&name).to_owned())
        .collect())
}

/// What answers for others than the stack: full names of their services, and the aliases that
/// somebody gave them. A short name is not among them: Docker makes it an alias in every stack.
pub async fn foreign_names(swarm: &Swarm, stack: &StackName) -> Result<BTreeSet<String>, Fault> {
    let services = swarm.docker().list_services(None::<ListServicesOptions>);
    let services = services
        .await
        .map_err(|error| Swarm::fault("listing services", &error))?;
    let own = stack.object("");
    let mut names = BTreeSet::new();
    for spec in services.into_iter().filter_map(|service| service.spec) {
        let Some(name) = spec.name.filter(|name| !name.starts_with(&own)) else {
            continue;
        };
        let labels = spec.labels.unwrap_or_default();
        let theirs = labels.get(NAMESPACE);
        let short = theirs.and_then(|stack| name.strip_prefix(&format!("{stack}_")));
        let task = spec.task_template.unwrap_or_default();
        let networks = task.networks.into_iter().chain(spec.networks).flatten();
        let aliases = networks.flat_map(|network| network.aliases.unwrap_or_default());
        names.extend(aliases.filter(|alias| Some(alias.as_str()) != short));
        names.insert(name);
    }
    Ok(names)
}

/// Removes a service; one that is gone already is no fault.
pub async fn remove_service(swarm: &Swarm, stack: &StackName, service: &str) -> Result<(), Fault> {
    match swarm.docker().delete_service(&stack.object(service)).await {
        Err(error) if !answered(&error, 404) => Err(Swarm::fault(
            format!("removing the service {service} of {stack}"),
            &error,
        )),
        _ => Ok(()),
    }
}

/// A running container, on this node, of the service with this label.
pub async fn container_labelled(swarm: &Swarm, label: &str) -> Result<Option<String>, Fault> {
    let what = |error| Swarm::fault(format!("looking for a service labelled {label}"), &error);
    let docker = swarm.docker();
    let options = ListServicesOptions {
        filters: Some([("label".to_owned(), vec![label.to_owned()])].into()),
        ..Default::default()
    };
    for service in docker.list_services(Some(options)).await.map_err(what)? {
        let Some(id) = service.id else { continue };
        let of_service = format!("com.docker.swarm.service.id={id}");
        let options = ListContainersOptions {
            filters: Some([("label".to_owned(), vec![of_service])].into()),
            ..Default::default()
        };
        let running = docker.list_containers(Some(options)).await.map_err(what)?;
        if let Some(container) = running.into_iter().find_map(|container| container.id) {
            return Ok(Some(container));
        }
    }
    Ok(None)
}
