//! What a run is asked to do, from the command line.

use std::path::Path;

use harness::recipe::names::{RecipeName, RunId};
use jiff::Timestamp;
use results::outcome::Tier;

/// `<recipe>-<utc yyyymmdd-hhmmss>-<4 hex>`. A long recipe name is cut: an id has 80 characters.
pub fn new_run_id(recipe: &RecipeName, now: Timestamp, random: u16) -> RunId {
    let recipe: String = recipe.as_str().chars().take(59).collect();
    format!("{recipe}-{}-{random:04x}", now.strftime("%Y%m%d-%H%M%S"))
        .parse()
        .expect("a cut recipe name, a time and four digits are a run id")
}

/// The tiers of a run: install always, for without it nothing is proven; none where that makes all
/// of them, which is a whole run.
pub fn asked(tiers: &[Tier]) -> Option<Vec<Tier>> {
    let is_asked = |tier: &Tier| *tier == Tier::Install || tiers.contains(tier);
    let asked: Vec<_> = Tier::NAMED.into_iter().filter(is_asked).collect();
    (!tiers.is_empty() && asked.len() < Tier::NAMED.len()).then_some(asked)
}

/// A ref, a version or a repository: nothing that git would read as an option, nothing that can't
/// be seen. What it may name is for whoever fetches it to say.
pub fn word(text: &str) -> Result<String, String> {
    match text {
        "" => Err("is empty".to_owned()),
        _ if text.starts_with('-') => Err("must not begin with `-`".to_owned()),
        _ if text.chars().any(|c| c.is_control() || c.is_whitespace()) => {
            Err("must have no blanks and no control characters".to_owned())
        }
        _ => Ok(text.to_owned()),
    }
}

/// A path stays the same one for a child with another working directory; a URL is left alone.
pub fn absolute(source: &str) -> String {
    let path = Path::new(source);
    match path.is_dir().then(|| std::fs::canonicalize(path)) {
        Some(Ok(path)) => path.to_string_lossy().into_owned(),
        _ => source.to_owned(),
    }
}
