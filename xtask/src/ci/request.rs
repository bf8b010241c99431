//! What a run is asked to do, and how the runner's children learn it.
//!
//! JOINT: `harness::session::request::Request` reads these variables; once both are in one tree,
//! its `to_environment` takes the place of [`Request::environment`].

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use harness::recipe::names::{RecipeName, RunId};
use jiff::Timestamp;
use results::outcome::Tier;

/// What one run is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub run_id: RunId,
    pub recipe: RecipeName,
    pub source: Option<String>,
    pub reference: Option<String>,
    pub pr: u64,
    /// Empty: all.
    pub tiers: Vec<Tier>,
    pub quick: bool,
    pub from: Option<String>,
    pub keep: bool,
    pub site: Option<PathBuf>,
}

impl Request {
    /// Every variable of a request; without a value it must not be inherited.
    pub fn environment(&self) -> Vec<(&'static str, Option<OsString>)> {
        let text = |text: &Option<String>| text.as_ref().map(OsString::from);
        let flag = |set: bool| set.then(|| OsString::from("1"));
        let tiers: Vec<_> = self.tiers.iter().map(|tier| tier.as_str()).collect();
        vec![
            ("CCCI_RUN_ID", Some(self.run_id.as_str().into())),
            ("CCCI_RECIPE", Some(self.recipe.as_str().into())),
            ("CCCI_SOURCE", text(&self.source)),
            ("CCCI_REF", text(&self.reference)),
            ("CCCI_PR", Some(self.pr.to_string().into())),
            (
                "CCCI_TIERS",
                (!tiers.is_empty()).then(|| tiers.join(",").into()),
            ),
            ("CCCI_FROM", text(&self.from)),
            ("CCCI_QUICK", flag(self.quick)),
            ("CCCI_KEEP", flag(self.keep)),
            ("CCCI_RUNNER", this_process()),
            // Every trial of the listing will come.
            ("CCCI_COMPLETE", flag(true)),
            ("CCCI_SITE", self.site.as_ref().map(OsString::from)),
        ]
    }
}

/// `<process id>:<start time>`: an id that was given again is another process.
fn this_process() -> Option<OsString> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name, in parentheses, may hold anything, spaces and parentheses too.
    let start = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?;
    Some(format!("{}:{start}", std::process::id()).into())
}

/// `<recipe>-<utc yyyymmdd-hhmmss>-<4 hex>`. A long recipe name is cut: an id has 80 characters.
pub fn new_run_id(recipe: &RecipeName, now: Timestamp, random: u16) -> RunId {
    let recipe: String = recipe.as_str().chars().take(59).collect();
    format!("{recipe}-{}-{random:04x}", now.strftime("%Y%m%d-%H%M%S"))
        .parse()
        .expect("a cut recipe name, a time and four digits are a run id")
}

/// Tiers at most once each, in the order of a run.
pub fn in_order(tiers: &[Tier]) -> Vec<Tier> {
    let mut tiers = tiers.to_vec();
    tiers.sort_unstable();
    tiers.dedup();
    tiers
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
