//! Nothing that a recipe names may lead out of its folder: whoever deploys reads it with the
//! engine's rights, and its content ends up in the app.

use std::path::{Component, Path};

use crate::engine::Deployment;
use crate::fault::Fault;

/// Compose files, and files of configs and secrets.
pub fn stays_inside(what: &Deployment) -> Result<(), Fault> {
    let objects = [
        ("config", &what.compose.configs),
        ("secret", &what.compose.secrets),
    ];
    let of_objects = objects.iter().flat_map(|(kind, objects)| {
        objects.iter().filter_map(move |(key, object)| {
            let file = object.file.as_ref()?;
            Some((format!("the {kind} {key}"), Path::new(file).to_owned()))
        })
    });
    let of_files = what
        .files
        .iter()
        .map(|file| ("COMPOSE_FILE".to_owned(), file.clone()));
    for (who, file) in of_objects.chain(of_files) {
        if !leads_inside(Path::new(""), &file) {
            return Err(Fault::recipe(format!(
                "{who} names `{}`, which is outside the recipe",
                file.display()
            )));
        }
    }
    Ok(())
}

/// Whether `path`, seen from `folder` (itself relative to the recipe), stays in the recipe.
pub fn leads_inside(folder: &Path, path: &Path) -> bool {
    let mut depth = folder.components().count();
    for component in path.components() {
        match component {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 => depth -= 1,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::overlay::tests::deployment;
    use crate::recipe::Compose;
    use crate::recipe::compose::Object;

    #[rstest::rstest]
    #[case("/etc/shadow")]
    #[case("../../etc/shadow")]
    #[case("conf/../../shadow")]
    fn a_config_from_outside_the_recipe_is_refused(#[case] file: &str) {
        let object = Object {
            file: Some(file.to_owned()),
            ..Object::default()
        };
        let what = deployment(Compose {
            configs: [("c".to_owned(), object)].into(),
            ..Compose::default()
        });
        let fault = stays_inside(&what).unwrap_err();
        assert!(matches!(fault, Fault::Recipe(_)), "{fault:?}");
    }
}
