//! Whether something of ours, or an old `.env`, keeps head on the base's images.
//!
//! Such an upgrade would run the old image under head's name: all is as the files ask, with the
//! variables that the app has, and nothing was upgraded.

use crate::recipe::Compose;

/// The base and head, rendered with one kind of environment.
pub(super) struct Pair<'a> {
    pub base: &'a Compose,
    pub head: &'a Compose,
}

/// A line for each service whose image head moves, and the app's own environment does not let move.
/// `defaults`: rendered with each version's own `.env.sample`; `app`: with the app's `.env`.
pub(super) fn pinned(defaults: &Pair<'_>, app: &Pair<'_>) -> Vec<String> {
    let image = |compose: &Compose, name: &str| {
        let service = compose.services.get(name)?;
        Some(service.image.clone())
    };
    let services = app.head.services.keys();
    services
        .filter_map(|name| {
            let was = image(defaults.base, name)?;
            let wanted = image(defaults.head, name)?;
            let before = image(app.base, name)?;
            let now = image(app.head, name)?;
            (was != wanted && before == now && now != wanted).then(|| {
                format!("{name}: head's image is {wanted}, and the app's .env pins it to {now}, the base's")
            })
        })
        .collect()
}

/// Why what was deployed would not be head: head changes an image in one of its files, and another
/// file that the app's `.env` selects puts the base's image back in its place.
pub(super) fn pinned_by_file(base: &Compose, head: &Compose) -> Option<String> {
    head.services.iter().find_map(|(name, service)| {
        let before = base.services.get(name)?;
        let (named, named_before) = (
            head.images_by_file.get(name)?,
            base.images_by_file.get(name)?,
        );
        let (pin, _) = named.last()?;
        let (file, image) = named
            .iter()
            .find(|one| one.1 != service.image && !named_before.contains(one))?;
        (service.image == before.image).then(|| {
            format!(
                "{name}: head's {} has the image {image}, and {}, which the app's .env selects, puts the base's {} in its place: what would be tested is not head",
                file.display(),
                pin.display(),
                service.image
            )
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::compose::Service;

    fn compose(image: &str) -> Compose {
        let service = Service {
            image: image.to_owned(),
            ..Service::default()
        };
        Compose {
            services: [("app".to_owned(), service)].into(),
            ..Compose::default()
        }
    }

    fn pair_of(images: [&str; 4]) -> Vec<String> {
        let [was, wanted, before, now] = images.map(compose);
        let defaults = Pair {
            base: &was,
            head: &wanted,
        };
        let app = Pair {
            base: &before,
            head: &now,
        };
        pinned(&defaults, &app)
    }

    #[test]
    fn an_overlay_that_pins_the_old_image_on_head_shows() {
        assert_eq!(
            pair_of(["x:1", "x:2", "x:1", "x:1"]),
            ["app: head's image is x:2, and the app's .env pins it to x:1, the base's"]
        );
        let mirrored = pair_of(["x:1", "x:2", "mirror/x:1", "mirror/x:1"]);
        assert_eq!(mirrored.len(), 1, "{mirrored:?}");
    }

    #[rstest::rstest]
    #[case::moved(["x:1", "x:2", "x:1", "x:2"])]
    #[case::another_flavour(["x:1", "x:2", "x:1-slim", "x:2-slim"])]
    #[case::head_moves_no_image(["x:1", "x:1", "x:1", "x:1"])]
    #[case::ours_is_heads_already(["x:1", "x:2", "x:2", "x:2"])]
    fn an_image_that_head_moves_or_leaves_is_not_pinned(#[case] images: [&str; 4]) {
        assert!(pair_of(images).is_empty());
    }

    fn compose_of(first: &str, second: Option<&str>) -> Compose {
        let dir = tempfile::tempdir().unwrap();
        let mut files = Vec::new();
        for (name, image) in [("compose.yml", Some(first)), ("compose.pin.yml", second)] {
            if let Some(image) = image {
                let text = format!("services: {{app: {{image: '{image}'}}}}");
                std::fs::write(dir.path().join(name), text).unwrap();
                files.push(name.into());
            }
        }
        Compose::load(dir.path(), &files, &[].into()).unwrap()
    }

    #[test]
    fn a_file_that_puts_the_bases_image_back_is_named() {
        let pin = pinned_by_file(
            &compose_of("a:1", Some("a:1")),
            &compose_of("a:2", Some("a:1")),
        );
        insta::assert_snapshot!(pin.unwrap(), @"app: head's compose.yml has the image a:2, and compose.pin.yml, which the app's .env selects, puts the base's a:1 in its place: what would be tested is not head");
    }

    #[rstest::rstest]
    #[case::one_file("a:1", None, "a:2", None)]
    #[case::no_change("a:1", Some("b:1"), "a:1", Some("b:1"))]
    #[case::both_change("a:1", Some("b:1"), "a:2", Some("b:2"))]
    #[case::the_last_file_changes("a:1", Some("b:1"), "a:1", Some("b:2"))]
    fn an_image_that_is_heads_own_is_no_pin(
        #[case] base: &str,
        #[case] base_pin: Option<&str>,
        #[case] head: &str,
        #[case] head_pin: Option<&str>,
    ) {
        let pin = pinned_by_file(&compose_of(base, base_pin), &compose_of(head, head_pin));
        assert_eq!(pin, None);
    }
}
