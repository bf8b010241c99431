//! Where progress is shown: drawn over on a terminal, line by line in a log. Always standard error.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use results::event::Event;

use super::Progress;
use crate::text::Colour;

pub struct Screen {
    progress: Progress,
    started: Instant,
    /// None: a log.
    bar: Option<ProgressBar>,
}

impl Screen {
    pub fn new() -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self {
            progress: Progress::new(Colour::of_stderr()),
            started: Instant::now(),
            bar: terminal.then(bar),
        }
    }

    pub fn take(&mut self, event: &Event) {
        for line in self.progress.take(event, self.started.elapsed()) {
            self.say(&line);
        }
        self.tick();
    }

    /// To be called a few times a second.
    pub fn tick(&mut self) {
        let now = self.started.elapsed();
        match &self.bar {
            Some(bar) => bar.set_message(self.progress.status(now)),
            None => {
                if let Some(line) = self.progress.tick(now) {
                    self.say(&line);
                }
            }
        }
    }

    pub fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            // A log that is gone is no reason to leave an app behind.
            None => {
                let _ = writeln!(std::io::stderr(), "{text}");
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {wide_msg}")
        .expect("the template is a constant and well-formed");
    let bar = ProgressBar::new_spinner().with_style(style);
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}
