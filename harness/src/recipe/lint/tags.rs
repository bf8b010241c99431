//! Published versions.

use super::{Findings, Rule};
use crate::recipe::versions::{Tag, Version};

pub(super) fn check(tags: &[Tag], found: &mut Findings) {
    let is_release = |tag: &&Tag| tag.name.parse::<Version>().is_ok();
    let releases: Vec<&Tag> = tags.iter().filter(is_release).collect();
    if releases.is_empty() {
        let message = "no version is published: no tag is like 1.0.0+2.1".to_owned();
        found.nowhere(Rule::Published, message);
    }
    for tag in releases.into_iter().filter(|tag| !tag.annotated) {
        let message = format!(
            "the tag `{}` is lightweight; make it with `git tag -a`",
            tag.name
        );
        found.nowhere(Rule::AnnotatedTags, message);
    }
}
