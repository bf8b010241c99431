//! What a Traefik middleware means for this proxy: done, ignored with a note, or a reason to refuse.

use super::rule::PathText;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Prefixes that are taken off the path.
    Strip(Vec<PathText>),
    /// Nothing to do: what it asks for is so here.
    None,
    /// Not done, and worth a note.
    Ignored(String),
}

/// The effect of the middleware `reference` (`name` or `name@provider`). `labels` gives what is
/// defined for a name: `kind.option` and value. Err: the router must not be served, for what answers
/// would not be what production answers.
pub fn effect(
    reference: &str,
    labels: &dyn Fn(&str) -> Vec<(String, String)>,
) -> Result<Effect, String> {
    let reference = reference.to_ascii_lowercase();
    let name = match reference.split_once('@') {
        None => reference.as_str(),
        Some((name, "docker" | "swarm")) => name,
        Some(_) => {
            return Ok(Effect::Ignored(format!(
                "middleware `{reference}` is the production proxy's own; not applied here"
            )));
        }
    };
    let fields = labels(name);
    let Some(kind) = fields.first().map(|(field, _)| kind(field)) else {
        return Err(format!("no label defines its middleware `{name}`"));
    };
    let value = |option: &str| {
        let key = format!("{kind}.{option}");
        fields
            .iter()
            .find(|(field, _)| *field == key)
            .map(|(_, value)| value.as_str())
    };
    match kind {
        "redirectscheme" => match value("scheme") {
            Some("https") | None => Ok(Effect::None),
            Some(scheme) => Err(format!("middleware `{name}` redirects to `{scheme}`")),
        },
        "stripprefix" => {
            let prefixes = value("prefixes").unwrap_or_default();
            prefixes
                .split(',')
                .map(|prefix| PathText::parse(prefix.trim()))
                .collect::<Result<_, _>>()
                .map(Effect::Strip)
                .map_err(|error| format!("middleware `{name}`: {error}"))
        }
        "buffering" | "circuitbreaker" | "compress" | "contenttype" | "headers" | "inflightreq"
        | "ratelimit" | "redirectregex" | "retry" => Ok(Effect::Ignored(format!(
            "middleware `{name}` ({kind}) is not applied here"
        ))),
        _ => Err(format!(
            "middleware `{name}` ({kind}) is not supported here"
        )),
    }
}

fn kind(field: &str) -> &str {
    field.split('.').next().unwrap_or(field)
}
