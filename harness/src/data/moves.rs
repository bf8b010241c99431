//! What an upgrade did to the places at which services mount volumes.

use std::collections::{BTreeMap, BTreeSet};

use crate::swarm::MountedVolume;

/// What changed, in words for the recipe's maintainer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Moves {
    /// Content that the app can't reach any more.
    pub lost: Vec<String>,
    /// Changes that lose nothing, or that are head's decision.
    pub notes: Vec<String>,
}

/// Compares volumes by service and mount target. `services`: those that there are now; `renamed`:
/// full names of volumes whose content head itself takes along to another.
pub fn moves(
    before: &[MountedVolume],
    now: &[MountedVolume],
    services: &BTreeSet<&str>,
    renamed: &BTreeMap<String, String>,
) -> Moves {
    let mut moves = Moves::default();
    // One for each task of a service.
    let mut seen = BTreeSet::new();
    let first = |was: &&MountedVolume| seen.insert((was.service.clone(), was.target.clone()));
    for was in before.iter().filter(first) {
        let MountedVolume {
            service,
            target,
            volume,
            ..
        } = was;
        let mut of_service = now.iter().filter(|is| is.service == *service);
        if let Some(is) = of_service.clone().find(|is| is.target == *target) {
            let is = &is.volume;
            if is == volume {
                continue;
            }
            if renamed.get(volume) == Some(is) {
                moves.notes.push(format!(
                    "{service}: {target} was volume {volume} and is {is} now, as `renamed_volumes` says"
                ));
            } else {
                moves.lost.push(format!(
                    "{service}: {target} was volume {volume} and is {is} now: its data is left behind (a head that takes it along is declared by `renamed_volumes`)"
                ));
            }
        } else if let Some(is) = of_service.find(|is| is.volume == *volume) {
            let is = &is.target;
            moves.notes.push(format!(
                "{service}: volume {volume} was at {target} and is at {is} now"
            ));
        } else if let Some(is) = now.iter().find(|is| is.volume == *volume) {
            let MountedVolume {
                service: other,
                target: at,
                ..
            } = is;
            moves.notes.push(format!(
                "{service}: volume {volume} was at {target}; now it is with {other}, at {at}"
            ));
        } else if services.contains(service.as_str()) {
            moves.lost.push(format!(
                "{service}: {target} was volume {volume} and is no volume now: its data is left behind"
            ));
        } else {
            moves.notes.push(format!(
                "{service}: it is gone, and volume {volume} that it had at {target} is not mounted any more"
            ));
        }
    }
    moves
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `<service> <volume> <target>`, separated by commas.
    fn mounts(text: &str) -> Vec<MountedVolume> {
        let mounts = text.split(", ").filter(|mount| !mount.is_empty());
        let mounts = mounts.map(|mount| {
            let words: Vec<_> = mount.split(' ').map(str::to_owned).collect();
            MountedVolume {
                service: words[0].clone(),
                volume: words[1].clone(),
                target: words[2].clone(),
                driver: "local".to_owned(),
                read_only: false,
                anonymous: false,
                key: None,
            }
        });
        mounts.collect()
    }

    #[rstest::rstest]
    #[case::nothing("app x_data /data", "app x_data /data", "", "")]
    #[case::two_tasks(
        "app x_data /data, app x_data /data",
        "app x_new /data",
        "app: /data was volume x_data and is x_new now: its data is left behind (a head that takes it along is declared by `renamed_volumes`)",
        ""
    )]
    #[case::declared(
        "app x_old /data",
        "app x_declared /data",
        "",
        "app: /data was volume x_old and is x_declared now, as `renamed_volumes` says"
    )]
    #[case::another_than_declared(
        "app x_old /data",
        "app x_new /data",
        "app: /data was volume x_old and is x_new now: its data is left behind (a head that takes it along is declared by `renamed_volumes`)",
        ""
    )]
    #[case::target(
        "app x_data /data",
        "app x_data /srv",
        "",
        "app: volume x_data was at /data and is at /srv now"
    )]
    #[case::service(
        "app x_data /data",
        "db x_data /var",
        "",
        "app: volume x_data was at /data; now it is with db, at /var"
    )]
    #[case::mount_gone(
        "app x_data /data",
        "",
        "app: /data was volume x_data and is no volume now: its data is left behind",
        ""
    )]
    #[case::both_gone(
        "old x_data /data",
        "app x_app /data",
        "",
        "old: it is gone, and volume x_data that it had at /data is not mounted any more"
    )]
    fn what_is_lost_and_what_is_noted(
        #[case] before: &str,
        #[case] now: &str,
        #[case] lost: &str,
        #[case] notes: &str,
    ) {
        let services = BTreeSet::from(["app", "db"]);
        let renamed = [("x_old".to_owned(), "x_declared".to_owned())].into();
        let moves = moves(&mounts(before), &mounts(now), &services, &renamed);
        assert_eq!(moves.lost.join("\n"), lost);
        assert_eq!(moves.notes.join("\n"), notes);
    }
}
