//! The hostile catalogue: each attack is run as a pull request's recipe is, and what stands outside
//! is looked at afterwards.
//!
//! Invariants: a spoilt witness is a failure whatever the verdict; so are an attack that was to be
//! refused and was not, a known-good recipe that is no pass, and a case that did not report.

mod judge;
mod once;
mod shown;

use std::fs;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result};
use fixtures::hostile::{self, By, Case};
use harness::fault::Fault;
use results::Tier;

use super::once::Place;
use super::witness::Shared;
use super::{IMAGES, abra, turns};
use crate::exit;
use once::GENERIC;

/// One run: what is run, and the engine that runs it.
#[derive(Debug, Clone)]
pub struct Turn {
    pub subject: Subject,
    pub by: By,
}

#[derive(Debug, Clone)]
pub enum Subject {
    Case(Box<Case>),
    /// A recipe of the built-in catalogue, which is known to be good.
    BuiltIn(String),
}

impl Turn {
    pub fn name(&self) -> &str {
        match &self.subject {
            Subject::Case(case) => &case.name,
            Subject::BuiltIn(name) => name,
        }
    }

    fn kind(&self) -> &str {
        match &self.subject {
            Subject::Case(case) => &case.kind,
            Subject::BuiltIn(_) => "built-in",
        }
    }

    pub fn at(&self) -> &'static str {
        match &self.subject {
            Subject::Case(case) => case.at.as_str(),
            Subject::BuiltIn(_) => "install",
        }
    }

    pub fn tiers(&self) -> &[Tier] {
        match &self.subject {
            Subject::Case(case) => &case.tiers,
            Subject::BuiltIn(_) => &[Tier::Install],
        }
    }
}

/// Those that are asked for. All cases are read first: a malformed one is never left out.
///
/// The short form has one of each kind, by one engine: both have their turns.
pub fn turns(quick: bool, only: &[String], engine: Option<By>) -> Result<Vec<Turn>> {
    let mut turns = Vec::new();
    let mut of_quick = [By::Stack, By::Abra].into_iter().cycle();
    let cases = hostile::cases()?;
    let mut add = |subject: Subject, engines: &[By], in_quick: bool| {
        let engines: Vec<By> = match (quick, in_quick) {
            (false, _) => engines.to_vec(),
            (true, false) => Vec::new(),
            (true, true) => {
                let turn = of_quick.next().filter(|by| engines.contains(by));
                vec![turn.unwrap_or(engines[0])]
            }
        };
        turns.extend(engines.into_iter().map(|by| Turn {
            subject: subject.clone(),
            by,
        }));
    };
    for case in cases {
        let (engines, in_quick) = (case.engines.clone(), case.quick);
        add(Subject::Case(Box::new(case)), &engines, in_quick);
    }
    for name in fixtures::catalogue::names() {
        let in_quick = name == "custom-html";
        add(Subject::BuiltIn(name), &[By::Stack, By::Abra], in_quick);
    }
    for wanted in only {
        if !turns
            .iter()
            .any(|turn| [turn.name(), turn.kind()].contains(&wanted.as_str()))
        {
            let text = format!("there is no case and no kind `{wanted}` among those");
            return Err(Fault::usage(text).into());
        }
    }
    let is_asked = |turn: &Turn| {
        let mut wanted = only.iter();
        only.is_empty() || wanted.any(|name| [turn.name(), turn.kind()].contains(&name.as_str()))
    };
    turns.retain(is_asked);
    turns.retain(|turn| engine.is_none_or(|engine| turn.by == engine));
    if turns.is_empty() {
        return Err(Fault::usage("no case is left of those that were asked for").into());
    }
    Ok(turns)
}

/// An engine, as the command line names it.
pub fn engine(text: &str) -> Result<By, String> {
    let known = [By::Stack, By::Abra];
    let found = known.into_iter().find(|by| by.as_str() == text);
    found.ok_or_else(|| "is `stack` or `abra`".to_owned())
}

pub fn run(turns: Vec<Turn>, place: Place) -> Result<u8> {
    for image in IMAGES {
        fixtures::images::ensure(image, &mut |line| eprintln!("{line}"))?;
    }
    super::once::build_suite(&place, GENERIC)?;
    let by_abra = |turn: &Turn| turn.by == By::Abra;
    if turns.iter().any(by_abra) {
        fixtures::abra::stand_in(&place.state.join("abra"), &[])?;
    }
    let backs_up = |turn: &Turn| turn.tiers().contains(&Tier::Backup);
    let with_bot = turns.iter().any(|turn| by_abra(turn) && backs_up(turn));
    let _bot = with_bot.then(abra::bot).transpose()?;
    let started = Instant::now();
    let place = Arc::new(place);
    let (mut ended, stopped) = crate::block_on(all(turns, &place))?;
    ended.sort_by_key(|one| (one.turn.name().to_owned(), one.turn.at(), one.turn.by));
    print!("{}", shown::table(&ended, started.elapsed()));
    if stopped {
        return Ok(exit::CANCELLED);
    }
    if ended.is_empty() || ended.iter().any(|one| !one.is_well()) {
        println!("What they left to read is in {}", place.state.display());
        return Ok(exit::FAILED);
    }
    fs::remove_dir_all(&place.state)
        .with_context(|| format!("removing {}", place.state.display()))?;
    Ok(exit::PASS)
}

async fn all(turns: Vec<Turn>, place: &Arc<Place>) -> Result<(Vec<shown::Ended>, bool)> {
    let shared = Arc::new(Shared::set_up().await?);
    let run = |turn: Turn, stopping| {
        let (place, shared) = (Arc::clone(place), Arc::clone(&shared));
        async move {
            let got = once::run(&turn, &place, &shared, stopping).await;
            shown::Ended { turn, got }
        }
    };
    let ended = turns::side_by_side(turns, place.jobs, run, shown::line).await;
    // Each run has let go of it.
    let shared = Arc::into_inner(shared).context("a run still holds the witnesses")?;
    shared.take_down().await?;
    ended
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn there_are_sixty_attacks_and_more_and_ten_known_good() {
        let cases = hostile::cases().unwrap();
        assert!(
            hostile::attacks(&cases) >= 60,
            "{}",
            hostile::attacks(&cases)
        );
        let good = cases.iter().filter(|case| case.kind == "known-good");
        assert!(good.count() >= 10);
    }

    #[test]
    fn the_short_form_has_each_kind_once_and_both_engines() {
        let all = turns(false, &[], None).unwrap();
        let quick = turns(true, &[], None).unwrap();
        let kinds = |turns: &[Turn]| -> BTreeSet<String> {
            turns.iter().map(|turn| turn.kind().to_owned()).collect()
        };
        assert_eq!(kinds(&all), kinds(&quick));
        assert_eq!(kinds(&quick).len(), quick.len());
        let engines: BTreeSet<By> = quick.iter().map(|turn| turn.by).collect();
        assert_eq!(engines.len(), 2);
    }

    #[test]
    fn a_case_or_a_kind_is_asked_for_by_name() {
        assert!(
            !turns(false, &["known-good".to_owned()], None)
                .unwrap()
                .is_empty()
        );
        assert_eq!(
            turns(false, &["custom-html".to_owned()], None)
                .unwrap()
                .len(),
            2
        );
        assert!(turns(false, &["no-such".to_owned()], None).is_err());
    }
}
