//! The people of a trial: who writes what, and when.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use forge_model::gitea::Push;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::watch;

use crate::oracle::{Posted, What};
use crate::words::{chatter, command, help};
use crate::world::{ALLOWED, BOT, EDITOR, LONG, MEMBERS, Place, STRANGERS, World};

const BEAT: Duration = Duration::from_millis(100);
/// Pull requests with several commands at a time, and how much happens on each.
const BUSY: usize = 4;
const DEEDS: u32 = 9;
/// Chatter goes to the newest pull requests.
const RECENT: usize = 40;
/// So many a second after the last one that was asked for, until the bridge was killed often enough.
const SLOW: f64 = 6.0;

/// What was posted.
#[derive(Debug, Default)]
pub struct Script {
    pub posted: Vec<Posted>,
    pub heads: HashMap<Place, Vec<String>>,
}

pub struct Pace {
    pub a_second: f64,
    /// When so many are posted, it goes on with no more than a few.
    pub comments: u64,
    /// The part of them that are commands, about.
    pub commands: f64,
}

pub struct Poster {
    world: Arc<World>,
    rng: StdRng,
    begun: Instant,
    script: Script,
    /// Where chatter goes.
    recent: VecDeque<Place>,
    busy: Vec<(Place, u32)>,
    /// Where a stop follows soon, while there is something to stop.
    stops: VecDeque<(Instant, Place)>,
    locked: Option<Place>,
    shut: Option<Place>,
    elsewhere: Option<Place>,
    /// Comments that may be edited later, by their place in the script.
    decided_soon: VecDeque<usize>,
    plain: VecDeque<usize>,
}

impl Poster {
    pub fn new(world: Arc<World>, seed: u64, begun: Instant) -> Self {
        Self {
            world,
            rng: StdRng::seed_from_u64(seed),
            begun,
            script: Script::default(),
            recent: VecDeque::new(),
            busy: Vec::new(),
            stops: VecDeque::new(),
            locked: None,
            shut: None,
            elsewhere: None,
            decided_soon: VecDeque::new(),
            plain: VecDeque::new(),
        }
    }

    /// Commands from before there was a bridge.
    pub fn old(&mut self) -> Result<()> {
        let world = Arc::clone(&self.world);
        let early = world.enrolled.iter().step_by(3);
        for repo in early.chain(&world.late) {
            let place = self.open(repo)?;
            let (text, _) = command(&mut self.rng);
            let author = self.member();
            self.post(&place, author, text, What::Old)?;
            self.post(&place, author, "Thank you!", What::Chatter)?;
        }
        Ok(())
    }

    /// Posts until told to stop. `count` says how many there are.
    pub async fn run(
        mut self,
        pace: Pace,
        count: Arc<AtomicU64>,
        mut stop: watch::Receiver<bool>,
    ) -> Result<Script> {
        let mut every = tokio::time::interval(BEAT);
        let mut owed = 0.0;
        loop {
            tokio::select! {
                _ = every.tick() => {}
                _ = stop.changed() => break,
            }
            let enough = count.load(Ordering::Relaxed) >= pace.comments;
            owed += BEAT.as_secs_f64() * if enough { SLOW } else { pace.a_second };
            while owed >= 1.0 {
                let before = self.script.posted.len();
                self.stop()?;
                let commands = if enough { 0.6 } else { pace.commands };
                if self.rng.random_bool(commands) {
                    self.deed()?;
                } else {
                    self.talk()?;
                }
                let new = self.script.posted.len() - before;
                owed -= 1.0_f64.max(new as f64);
                count.fetch_add(new as u64, Ordering::Relaxed);
            }
        }
        Ok(self.script)
    }

    fn deed(&mut self) -> Result<()> {
        match self.rng.random_range(0..20) {
            0..=8 => self.alone(),
            9..=13 => self.among(),
            14 => self.stranger(),
            15 => self.edited_at_once(),
            16 => self.edited_later(),
            17 => self.shut(),
            18 => self.made_command(),
            _ => match self.rng.random_range(0..3) {
                0 => self.locked(),
                1 => self.elsewhere(),
                _ => self.by_bot(),
            },
        }
    }

    fn talk(&mut self) -> Result<()> {
        let Some(place) = self.some_recent() else {
            return self.alone();
        };
        let authors = [MEMBERS[0], MEMBERS[1], STRANGERS[0], ALLOWED];
        let author = authors[self.rng.random_range(0..authors.len())];
        let text = chatter(&mut self.rng);
        let number = self.post(&place, author, text, What::Chatter)?;
        self.plain.push_back(number);
        if self.plain.len() > RECENT {
            self.plain.pop_front();
        }
        Ok(())
    }

    fn alone(&mut self) -> Result<()> {
        let place = self.open_somewhere()?;
        let (text, wish) = command(&mut self.rng);
        let author = self.member();
        let number = self.post(&place, author, text, What::Alone(wish))?;
        self.decided_soon.push_back(number);
        if self.decided_soon.len() > RECENT {
            self.decided_soon.pop_front();
        }
        self.remember(place);
        Ok(())
    }

    /// One thing more on a pull request with several commands.
    fn among(&mut self) -> Result<()> {
        if self.busy.len() < BUSY {
            let place = self.open_somewhere()?;
            let busy = self.world.busy.lock();
            busy.unwrap_or_else(PoisonError::into_inner)
                .insert(place.clone());
            self.busy.push((place.clone(), 0));
            return self.command_among(&place);
        }
        let at = self.rng.random_range(0..self.busy.len());
        let (place, deeds) = &mut self.busy[at];
        *deeds += 1;
        let place = place.clone();
        if *deeds >= DEEDS {
            self.busy.swap_remove(at);
        }
        let author = self.member();
        match self.rng.random_range(0..12) {
            0..=3 => self.command_among(&place),
            4..=7 => {
                let sha = self.world.commit();
                // One that comes in the second of the command is not run under it.
                let ago = match self.rng.random_bool(0.7) {
                    true => LONG,
                    false => Duration::ZERO,
                };
                let push = Push::new(&sha).ago(ago);
                self.world.gitea.push_with(&place.0, place.1, push)?;
                self.script
                    .heads
                    .entry(place.clone())
                    .or_default()
                    .push(sha);
                self.command_among(&place)
            }
            8 => self
                .post(&place, author, "!testme stop", What::Stop)
                .map(drop),
            _ => {
                let text = help(&mut self.rng);
                self.post(&place, author, text, What::Help).map(drop)
            }
        }
    }

    /// What was begun a moment ago is stopped, one at a time.
    fn stop(&mut self) -> Result<()> {
        let is_due = |(at, _): &mut (Instant, Place)| *at <= Instant::now();
        if let Some((_, place)) = self.stops.pop_front_if(is_due) {
            let author = self.member();
            self.post(&place, author, "!testme stop", What::Stop)?;
        }
        Ok(())
    }

    fn command_among(&mut self, place: &Place) -> Result<()> {
        let (text, wish) = command(&mut self.rng);
        let author = self.member();
        if self.rng.random_bool(0.5) {
            let soon = Duration::from_millis(self.rng.random_range(200..1_500));
            self.stops.push_back((Instant::now() + soon, place.clone()));
        }
        self.post(place, author, text, What::Among(wish)).map(drop)
    }

    fn stranger(&mut self) -> Result<()> {
        let place = self.some_place()?;
        let author = STRANGERS[self.rng.random_range(0..STRANGERS.len())];
        let (text, _) = command(&mut self.rng);
        self.post(&place, author, text, What::Stranger).map(drop)
    }

    fn edited_at_once(&mut self) -> Result<()> {
        let place = self.open_somewhere()?;
        let author = self.member();
        let number = self.post(&place, author, "!testme", What::EditedAtOnce)?;
        // Within one second of the forge an edit can't be seen.
        self.world.gitea.clock().advance(Duration::from_secs(1));
        self.edit(number, EDITOR, "!testme quick")
    }

    /// A command that was decided: an edit changes nothing any more.
    fn edited_later(&mut self) -> Result<()> {
        let Some(number) = self.decided_soon.pop_front() else {
            return self.talk();
        };
        let id = self.script.posted[number].id;
        let seen = self.world.gitea.comment_seen(id).context("it was posted")?;
        // The reaction says so.
        if !seen.reactions.iter().any(|(who, _)| who == BOT) {
            return self.talk();
        }
        self.edit(number, EDITOR, "!testme restore")
    }

    fn made_command(&mut self) -> Result<()> {
        let Some(number) = self.plain.pop_front() else {
            return self.talk();
        };
        let id = self.script.posted[number].id;
        let seen = self.world.gitea.comment_seen(id).context("it was posted")?;
        if seen.created == self.world.gitea.clock().seconds() {
            return self.talk();
        }
        self.script.posted[number].what = What::MadeCommand;
        self.edit(number, EDITOR, "!testme")
    }

    fn shut(&mut self) -> Result<()> {
        let place = match self.shut.take() {
            Some(place) => place,
            None => {
                let place = self.open_somewhere()?;
                let gitea = &self.world.gitea;
                match self.rng.random_range(0..3) {
                    0 => gitea.close(&place.0, place.1)?,
                    1 => gitea.merge(&place.0, place.1)?,
                    _ => gitea.delete_fork(&place.0, place.1)?,
                }
                self.shut = Some(place.clone());
                place
            }
        };
        self.command_at(&place, What::Shut)
    }

    fn locked(&mut self) -> Result<()> {
        let place = match &self.locked {
            Some(place) => place.clone(),
            None => {
                let place = self.open_somewhere()?;
                self.world.gitea.lock(&place.0, place.1)?;
                self.locked.insert(place).clone()
            }
        };
        self.command_at(&place, What::Locked)
    }

    fn elsewhere(&mut self) -> Result<()> {
        let place = match &self.elsewhere {
            Some(place) => place.clone(),
            None => {
                let repo = self.world.elsewhere.clone();
                let place = self.open(&repo)?;
                self.elsewhere.insert(place).clone()
            }
        };
        self.command_at(&place, What::Elsewhere)
    }

    fn command_at(&mut self, place: &Place, what: What) -> Result<()> {
        let (text, _) = command(&mut self.rng);
        let author = self.member();
        self.post(place, author, text, what).map(drop)
    }

    fn by_bot(&mut self) -> Result<()> {
        let place = self.some_place()?;
        self.post(&place, BOT, "!testme", What::ByBot).map(drop)
    }

    fn open_somewhere(&mut self) -> Result<Place> {
        let at = self.rng.random_range(0..self.world.enrolled.len());
        let repo = self.world.enrolled[at].clone();
        self.open(&repo)
    }

    fn open(&mut self, repo: &str) -> Result<Place> {
        let author = self.member();
        let (pull, head) = self.world.open(repo, author)?;
        let place = (repo.to_owned(), pull);
        self.script.heads.insert(place.clone(), vec![head]);
        Ok(place)
    }

    fn some_recent(&mut self) -> Option<Place> {
        let at = self.rng.random_range(0..self.recent.len().max(1));
        self.recent.get(at).cloned()
    }

    fn some_place(&mut self) -> Result<Place> {
        match self.some_recent() {
            Some(place) => Ok(place),
            None => self.open_somewhere(),
        }
    }

    fn remember(&mut self, place: Place) {
        self.recent.push_back(place);
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
    }

    /// Whoever may.
    fn member(&mut self) -> &'static str {
        let at = self.rng.random_range(0..=MEMBERS.len());
        MEMBERS.get(at).copied().unwrap_or(ALLOWED)
    }

    /// Its place in the script.
    fn post(
        &mut self,
        place: &Place,
        author: &'static str,
        text: &str,
        what: What,
    ) -> Result<usize> {
        let id = self.world.gitea.comment(&place.0, place.1, author, text)?;
        self.script.posted.push(Posted {
            id,
            place: place.clone(),
            author,
            text: text.to_owned(),
            what,
            heads: self.script.heads.get(place).map_or(0, Vec::len),
            at: self.begun.elapsed().as_millis(),
            created: self
                .world
                .gitea
                .comment_seen(id)
                .map_or(0, |seen| seen.created),
            edits: Vec::new(),
        });
        Ok(self.script.posted.len() - 1)
    }

    fn edit(&mut self, number: usize, editor: &str, text: &str) -> Result<()> {
        let posted = &mut self.script.posted[number];
        self.world.gitea.edit_comment(posted.id, editor, text)?;
        posted
            .edits
            .push((self.begun.elapsed().as_millis(), text.to_owned()));
        Ok(())
    }
}
