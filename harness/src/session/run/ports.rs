//! Ports of the host that an update can't get.

use crate::fault::Fault;
use crate::recipe::Compose;
use crate::recipe::compose::Port;

/// A port of the host that a service publishes itself is held by its old task until that has ended.
/// With `order: start-first` the new one waits for it for ever: the recipe's fault, and no node's.
pub(super) fn held_port(fault: Fault, head: &Compose) -> Fault {
    let text = fault.to_string();
    if !text.contains("host-mode port already in use") {
        return fault;
    }
    let holder = head.services.iter().find(|(name, service)| {
        let is_it = text.starts_with(&format!("{name}: "));
        let ports = service.ports.iter();
        let on_host = |port: &Port| port.mode.as_deref() == Some("host");
        is_it
            && service.update_order.as_deref() == Some("start-first")
            && ports.clone().any(on_host)
    });
    match holder {
        Some((name, _)) => Fault::recipe(format!(
            "{name}: the new task waits for a port of the host that the old one holds, which with `order: start-first` stays until the new one runs; `order: stop-first` lets go of it ({text})"
        )),
        None => fault,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case::own_port("start-first", Some("host"), true)]
    #[case::lets_go("stop-first", Some("host"), false)]
    // There the overlay asks for `mode: host`, where a kernel has no other way.
    #[case::not_the_recipes_wish("start-first", None, false)]
    fn a_port_that_the_old_task_holds_is_the_recipes_fault(
        #[case] order: &str,
        #[case] mode: Option<&str>,
        #[case] recipe: bool,
    ) {
        let port = Port {
            target: 80,
            published: Some(8080),
            protocol: "tcp".to_owned(),
            mode: mode.map(str::to_owned),
        };
        let service = crate::recipe::compose::Service {
            ports: vec![port],
            update_order: Some(order.to_owned()),
            ..Default::default()
        };
        let head = Compose {
            services: [("app".to_owned(), service)].into(),
            ..Compose::default()
        };
        let text = "app: no suitable node (host-mode port already in use on 1 node)";
        let fault = held_port(Fault::infra(text), &head);
        assert_eq!(matches!(fault, Fault::Recipe(_)), recipe, "{fault}");
        let other = held_port(Fault::infra("app: no suitable node"), &head);
        assert!(matches!(other, Fault::Infra(_)));
    }
}
