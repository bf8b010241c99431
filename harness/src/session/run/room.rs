//! Room on the disk, before the first deploy.

use std::path::Path;

use super::prepare::Target;
use super::{Run, Stop};
use crate::fault::Fault;
use crate::room::{Fit, Needs, Room, STATE, UNKNOWN, fit};
use crate::site::RegistryLogin;
use crate::suite::Generic;
use crate::swarm::{self, Swarm};

impl<G: Generic> Run<'_, G> {
    /// Looks whether the images of base and head fit. Where only head's do, there is no base: head is
    /// installed, and the upgrade is an error that names what is missing.
    pub(super) async fn look_for_room(&mut self) -> Result<(), Stop> {
        if let Some(free) = self.free(&self.paths.state)
            && let Some(missing) = STATE.missing(free)
        {
            let text = format!(
                "no room in {}: {missing} are missing",
                self.paths.state.display()
            );
            return Err(Fault::infra(text).into());
        }
        let prepared = self.prepared()?;
        let swarm = &prepared.swarm;
        let Some(root) = swarm::root_dir(swarm).await? else {
            return Ok(());
        };
        let Some(free) = self.free(Path::new(&root)) else {
            return Ok(());
        };
        let mut head = self.missing_images(&prepared.head).await?;
        let mut base = match &prepared.base {
            Some(base) => self.missing_images(base).await.unwrap_or_default(),
            None => Needs::new(),
        };
        let mut found = fit(free, &base, &head);
        if found != Fit::All {
            let logins = &prepared.site.registry;
            ask_for_sizes(swarm, logins, &mut head).await;
            for (name, known) in &head {
                base.entry(name.clone()).and_modify(|room| *room = *known);
            }
            base.retain(|name, _| !head.contains_key(name));
            ask_for_sizes(swarm, logins, &mut base).await;
            found = fit(free, &base, &head);
        }
        match found {
            Fit::All => Ok(()),
            Fit::Nothing(missing) => {
                let text = format!("no room for head's images in {root}: {missing} are missing");
                Err(Fault::infra(text).into())
            }
            Fit::HeadOnly(missing) => {
                let text = format!(
                    "no room for the images of base and head in {root}: {missing} are missing"
                );
                self.journal()
                    .note(None, format!("{text}; head is installed at once"));
                let head = prepared.head.clone();
                self.no_room = Some(text);
                if let Some(prepared) = &mut self.prepared {
                    prepared.base = None;
                }
                Ok(self.take_env_of(&head)?)
            }
        }
    }

    /// None, with a note, where a file system can't be asked.
    fn free(&self, path: &Path) -> Option<Room> {
        match Room::free(path) {
            Ok(free) => Some(free),
            Err(error) => {
                let text = format!(
                    "how much room is in {} is not known: {error}",
                    path.display()
                );
                self.journal().note(None, text);
                None
            }
        }
    }

    /// The images of a target that are neither there nor built here.
    async fn missing_images(&self, target: &Target) -> Result<Needs, Fault> {
        let prepared = self.prepared()?;
        let compose = target.deployment(&prepared.env, &prepared.app)?.compose;
        let mut missing = Needs::new();
        for name in compose.images() {
            if !fixtures::images::is_ours(name) && !swarm::is_present(&prepared.swarm, name).await?
            {
                missing.insert(name.to_owned(), UNKNOWN);
            }
        }
        Ok(missing)
    }
}

/// What registries say of images, in place of the guess.
async fn ask_for_sizes(swarm: &Swarm, logins: &[RegistryLogin], needs: &mut Needs) {
    let asked = needs.iter_mut().map(|(name, room)| async move {
        if let Some(bytes) = swarm::download_size(swarm, name, logins).await {
            *room = Room::of_download(bytes);
        }
    });
    futures_util::future::join_all(asked).await;
}
