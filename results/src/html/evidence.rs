//! Evidence in a report: embedded as far as it is bounded, linked only below the run's directory.

use std::path::{Component, Path};

use base64::Engine as _;
use maud::{Markup, html};

use crate::evidence::{Evidence, Find, Part};
use crate::text::{block, line};

/// All files of an outcome, folded.
pub(super) fn evidence(paths: &[String], find: Find<'_>) -> Markup {
    html! { @for path in paths { (embedded(path, find(path))) } }
}

fn embedded(path: &str, found: Option<Evidence>) -> Markup {
    match found {
        Some(Evidence::Text { text, part }) => html! {
            details.evidence {
                summary { code { (line(path)) } }
                p { (link(path)) @if let Some(part) = name(part) { span.muted { " has all of it; this is its " (part) } } }
                pre tabindex="0" { (block(&text)) }
            }
        },
        Some(Evidence::Image { mime, bytes }) => html! {
            details.evidence {
                summary { code { (line(path)) } }
                (picture(path, mime, &bytes))
            }
        },
        Some(Evidence::LinkOnly) => html! { p.evidence { (link(path)) } },
        None => html! { p.evidence.muted { code { (line(path)) } " is not there" } },
    }
}

pub(super) fn name(part: Part) -> Option<&'static str> {
    match part {
        Part::Whole => None,
        Part::Beginning => Some("beginning"),
        Part::End => Some("end"),
    }
}

pub(super) fn picture(path: &str, mime: &str, bytes: &[u8]) -> Markup {
    let data = base64::engine::general_purpose::STANDARD.encode(bytes);
    html! { img src={ "data:" (mime) ";base64," (data) } alt={ "Picture " (line(path)) }; }
}

pub(super) fn link(path: &str) -> Markup {
    html! {
        @if let Some(href) = href(path) { a href=(href) { code { (line(path)) } } }
        @else { code { (line(path)) } }
    }
}

/// A link to a file below the report's directory; none for a path that leads elsewhere.
fn href(path: &str) -> Option<String> {
    use std::fmt::Write;
    // `./` in front: a first segment with a colon would be a scheme.
    let mut href = ".".to_owned();
    for part in Path::new(path).components() {
        let Component::Normal(part) = part else {
            return None;
        };
        href.push('/');
        for byte in part.to_str()?.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                href.push(char::from(byte));
            } else {
                // Writing to a String can't fail.
                let _ = write!(href, "%{byte:02X}");
            }
        }
    }
    (href.len() > 1).then_some(href)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("evidence/install/a b.log", Some("./evidence/install/a%20b.log"))]
    #[case("javascript:alert(1)", Some("./javascript%3Aalert%281%29"))]
    #[case("a?b#c", Some("./a%3Fb%23c"))]
    #[case("../../etc/passwd", None)]
    #[case("/etc/passwd", None)]
    #[case("", None)]
    fn a_link_stays_below_the_report(#[case] path: &str, #[case] link: Option<&str>) {
        assert_eq!(href(path).as_deref(), link);
    }
}
