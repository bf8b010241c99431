//! `chaos`: kills each part of a run at each moment, breaks what it stands on, and looks at what is
//! left. Invariant 3 of the architecture, shown on whole runs.
//!
//! Invariants: no cell touches what it did not start; a matrix of which no cell was played is an
//! error.

mod cell;
mod engine;
mod fault;
mod look;
mod play;
mod processes;
mod stage;
mod subject;
mod table;

use std::collections::VecDeque;
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Instant;

use anyhow::Result;
use clap::Args;
use harness::fault::Fault;
use harness::site::Site;

use self::play::Played;
use self::stage::{Bystander, Stage};
use crate::exit;
use crate::setup::{self, Ask};

/// Room beside what others have live on this engine.
const SPARE_SLOTS: usize = 12;

/// Kill each part of a run at each moment, and look at what is left
#[derive(Debug, Args)]
pub struct Chaos {
    /// A few cells only
    #[arg(long)]
    quick: bool,
    /// Only those that stop the Docker engine or drain the node: nothing else may run here
    #[arg(long, conflicts_with = "quick")]
    engine: bool,
    /// Cells with this in their name
    #[arg(long, value_name = "PATTERN")]
    only: Option<String>,
    /// How many cells are played side by side
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=8))]
    jobs: u8,
    /// Name the cells and play none
    #[arg(long)]
    list: bool,
    /// Don't ask before each step of the set-up
    #[arg(long)]
    yes: bool,
}

/// Plays a cell on a stage, in a run of that id.
type Play = dyn Fn(&Stage, &str) -> Result<Played> + Send;

/// A cell by its name.
struct Cell {
    name: String,
    /// Nothing is played beside it, and no bystander is there.
    alone: bool,
    play: Box<Play>,
}

impl Chaos {
    pub fn run(self) -> Result<u8> {
        let cells = self.cells();
        if cells.is_empty() {
            return Err(Fault::usage("no cell has that in its name; see them with --list").into());
        }
        if self.list {
            cells.iter().for_each(|cell| println!("{}", cell.name));
            return Ok(exit::PASS);
        }
        setup::setup(&Site::default(), Ask::from_environment(self.yes))?;
        let stage = Stage::new(SPARE_SLOTS)?;
        stage.build()?;
        let began = Instant::now();
        let (alone, cells): (Vec<_>, _) = cells.into_iter().partition(|cell| cell.alone);
        let mut rows = side_by_side(&stage, alone, 1);
        if !cells.is_empty() {
            let bystander = Bystander::start(&stage)?;
            rows.extend(side_by_side(&stage, cells, self.jobs));
            let untouched = bystander.end(&stage);
            rows.push(table::row(
                "bystander",
                untouched.map(|()| Played::default()),
            ));
        }
        let bad = rows.iter().filter(|row| !row.is_good()).count();
        print!("{}", table::summary(&rows, began.elapsed()));
        if bad == 0 {
            return Ok(exit::PASS);
        }
        println!("what was found is kept in {}", stage.keep().display());
        Ok(exit::FAILED)
    }

    fn cells(&self) -> Vec<Cell> {
        let wanted = |cell: &Cell| {
            self.only
                .as_ref()
                .is_none_or(|part| cell.name.contains(part))
        };
        if self.engine {
            let cells = engine::all().into_iter().map(|(name, away, point)| Cell {
                name,
                alone: true,
                play: Box::new(move |stage, id| engine::play(stage, id, away, point)),
            });
            return cells.filter(wanted).collect();
        }
        let kills = if self.quick {
            cell::quick()
        } else {
            cell::all()
        };
        let kills = kills.into_iter().map(|kill| Cell {
            name: kill.to_string(),
            alone: false,
            play: Box::new(move |stage, id| play::kill(stage, kill, id)),
        });
        let alone = fault::ALONE.into_iter().map(|fault| (fault, true));
        let beside = fault::BESIDE_OTHERS.into_iter().map(|fault| (fault, false));
        let faults = alone.chain(beside).map(|((name, play), alone)| Cell {
            name: name.to_owned(),
            alone,
            play: Box::new(play),
        });
        let cells = kills.chain(faults.filter(|_| !self.quick));
        cells.filter(wanted).collect()
    }
}

/// The quick cells, as a part of all tests of the project.
pub fn quick() -> Result<u8> {
    let quick = Chaos {
        quick: true,
        engine: false,
        only: None,
        jobs: 3,
        list: false,
        yes: false,
    };
    quick.run()
}

/// Plays cells on a few threads, and shows each as it is done.
fn side_by_side(stage: &Stage, cells: Vec<Cell>, jobs: u8) -> Vec<table::Row> {
    let count = cells.len();
    let queue = Mutex::new(cells.into_iter().collect::<VecDeque<_>>());
    let (done, rows) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..jobs {
            let (queue, done) = (&queue, done.clone());
            scope.spawn(move || {
                loop {
                    let next = queue
                        .lock()
                        .expect("no player panics with the lock")
                        .pop_front();
                    let Some(cell) = next else { break };
                    let id = cell.name.replace(['/', '+'], "-");
                    let row = table::row(&cell.name, (cell.play)(stage, &id)).of_run(&id);
                    // Nobody listens: then nobody is shown it.
                    let _ = done.send(row);
                }
            });
        }
        drop(done);
        rows.iter()
            .enumerate()
            .map(|(n, row)| {
                println!("{:3}/{count} {row}", n + 1);
                row
            })
            .collect()
    })
}
