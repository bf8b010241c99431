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
}
