//! The words after `!testme`.

use results::outcome::Tier;
use results::text::cut;

use super::{Asked, Command, Unknown, WHOLE_COMMIT, Why};

const LONGEST_VERSION: usize = 64;
/// As short as git writes ids.
const SHORTEST_COMMIT: usize = 7;
/// How much of a word is kept and looked at.
const LONGEST_WORD: usize = 40;
/// How many letters a word may be off.
const OFF: usize = 2;

const STOP: &str = "stop";
const HELP: &str = "help";
const QUICK: &str = "quick";
const FROM: &str = "from";
const TIERS: &str = "tiers";

pub(super) fn command(line: &str) -> Command {
    read(line).unwrap_or_else(|unknown| Command::Help(Some(unknown)))
}

fn read(line: &str) -> Result<Command, Unknown> {
    let mut asked = Asked::default();
    // The first word for a run, and the first that says stop or help.
    let (mut run, mut stop, mut help) = (None, false, false);
    let mut words = line.split_whitespace();
    while let Some(given) = words.next() {
        // Telephones make a dash of `--`.
        let word = given.trim_start_matches(['-', '–', '—']);
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        match (name.to_lowercase().as_str(), value) {
            (STOP, None) => stop = true,
            (HELP, None) => help = true,
            (FROM, value) => {
                let value = value.or_else(|| words.next());
                run.get_or_insert(given);
                take_version(&mut asked, given, value)?;
            }
            (TIERS, value) => {
                let value = value.or_else(|| words.next());
                run.get_or_insert(given);
                take_list(&mut asked, given, value.unwrap_or_default())?;
            }
            (commit, None) if is_commit(commit) => {
                run.get_or_insert(given);
                take_commit(&mut asked, commit)?;
            }
            _ => {
                run.get_or_insert(given);
                take_list(&mut asked, given, word)?;
            }
        }
    }
    match run {
        _ if help => Ok(Command::Help(None)),
        Some(word) if stop => Err(unknown(word, Why::StopAndMore)),
        _ if stop => Ok(Command::Stop),
        _ => {
            asked.tiers.sort_unstable();
            asked.tiers.dedup();
            if asked.tiers == Tier::NAMED {
                asked.tiers.clear();
            }
            Ok(Command::Test(asked))
        }
    }
}

fn take_version(asked: &mut Asked, given: &str, value: Option<&str>) -> Result<(), Unknown> {
    let version = match value {
        None | Some("") => return Err(unknown(given, Why::NoVersion)),
        Some(value) if !is_version(value) => return Err(unknown(value, Why::NotAVersion)),
        Some(value) => value.to_owned(),
    };
    match asked.from.replace(version) {
        Some(before) if asked.from.as_ref() != Some(&before) => {
            Err(unknown(&before, Why::TwoVersions))
        }
        _ => Ok(()),
    }
}

/// None of the commands' own words is one.
fn is_commit(text: &str) -> bool {
    (SHORTEST_COMMIT..=WHOLE_COMMIT).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn take_commit(asked: &mut Asked, commit: &str) -> Result<(), Unknown> {
    match asked.commit.replace(commit.to_owned()) {
        Some(before) if before != commit => Err(unknown(&before, Why::TwoCommits)),
        _ => Ok(()),
    }
}

/// What git and a shell read as a name and nothing else.
fn is_version(text: &str) -> bool {
    text.len() <= LONGEST_VERSION
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || ".+_-".contains(c))
}

fn take_list(asked: &mut Asked, given: &str, list: &str) -> Result<(), Unknown> {
    let mut names = list.split(',').filter(|name| !name.is_empty()).peekable();
    if names.peek().is_none() {
        return Err(unknown(given, Why::NoSuchWord));
    }
    for name in names {
        let lower = name.to_lowercase();
        if lower == QUICK {
            asked.quick = true;
        } else {
            let tier = lower.parse();
            asked
                .tiers
                .push(tier.map_err(|_| unknown(name, Why::NoSuchWord))?);
        }
    }
    Ok(())
}

fn unknown(word: &str, why: Why) -> Unknown {
    let word = cut(word, LONGEST_WORD);
    let nearest = match why {
        Why::NoSuchWord => nearest(&word.to_lowercase()),
        _ => None,
    };
    Unknown { word, why, nearest }
}

fn nearest(word: &str) -> Option<String> {
    let tiers = Tier::NAMED.into_iter().map(Tier::as_str);
    let known = tiers.chain([QUICK, FROM, STOP, HELP]);
    let off = |known: &&str| strsim::damerau_levenshtein(word, known);
    let nearest = known.min_by_key(off)?;
    // A short word is soon like any other.
    let most = OFF.min(nearest.len() / 3);
    (off(&nearest) <= most).then(|| nearest.to_owned())
}
