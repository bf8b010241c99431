//! The table of a matrix: a line a cell, what is wrong below, and a count.

use std::fmt;
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Result;
use harness::wait::Seconds;

use super::play::Played;

pub struct Row {
    name: String,
    run: String,
    played: Played,
}

pub fn row(name: &str, played: Result<Played>) -> Row {
    Row {
        name: name.to_owned(),
        run: String::new(),
        played: played.unwrap_or_else(|error| Played {
            wrong: vec![format!("{error:#}")],
            ..Played::default()
        }),
    }
}

impl Row {
    #[must_use]
    pub fn of_run(mut self, run: &str) -> Self {
        run.clone_into(&mut self.run);
        self
    }

    pub fn is_good(&self) -> bool {
        self.played.wrong.is_empty()
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let played = &self.played;
        let word = match (self.is_good(), played.not_played) {
            (true, false) => "good",
            (true, true) => "-",
            (false, _) => "BAD",
        };
        let verdict = played
            .verdict
            .map_or("-".to_owned(), |verdict| verdict.to_string());
        let exit = played.exit.map_or("-".to_owned(), |code| code.to_string());
        let took = played
            .clean_up
            .map_or("-".to_owned(), |took| Seconds(took).to_string());
        let name = &self.name;
        write!(f, "{word:4}  {name:32}  {verdict:9}  {exit:>4}  {took:>7}")?;
        if !played.note.is_empty() {
            write!(f, "  {}", played.note)?;
        }
        for line in &played.wrong {
            write!(f, "\n        {}", line.replace('\n', "\n        "))?;
        }
        Ok(())
    }
}

/// All rows, bad ones last, and how many there are.
pub fn summary(rows: &[Row], took: Duration) -> String {
    let mut text = format!(
        "\n{:4}  {:32}  {:9}  {:>4}  {:>7}\n",
        "", "cell", "verdict", "exit", "cleaned"
    );
    let (good, bad): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.is_good());
    for row in good.iter().chain(&bad) {
        // Writing to a string can't fail.
        let _ = writeln!(text, "{row}");
        if !row.is_good() && !row.run.is_empty() {
            let _ = writeln!(text, "        run {}", row.run);
        }
    }
    let not_played = good.iter().filter(|row| row.played.not_played).count();
    let _ = writeln!(
        text,
        "\n{} cells: {} good, {} bad, {not_played} not played, in {}",
        rows.len(),
        good.len() - not_played,
        bad.len(),
        Seconds(took)
    );
    text
}

#[cfg(test)]
mod tests {
    use results::Verdict;

    use super::*;

    #[test]
    fn bad_cells_come_last_with_what_is_wrong() {
        let bad = Played {
            verdict: Some(Verdict::Pass),
            exit: Some(0),
            clean_up: Some(Duration::from_millis(1500)),
            wrong: vec!["left: volume x".to_owned()],
            ..Played::default()
        };
        let good = Played {
            verdict: Some(Verdict::Error),
            exit: Some(3),
            clean_up: Some(Duration::from_secs(12)),
            note: "removed by the janitor".to_owned(),
            ..Played::default()
        };
        let rows = [
            row("keeper/kill/deploy", Ok(bad)).of_run("chaos-1"),
            row("xtask/kill/deploy", Ok(good)).of_run("chaos-2"),
            row("docker/kill/deploy", Err(anyhow::anyhow!("no process"))),
        ];
        insta::assert_snapshot!(summary(&rows, Duration::from_secs(60)), @r"
              cell                              verdict    exit  cleaned
        good  xtask/kill/deploy                 error         3     12 s  removed by the janitor
        BAD   keeper/kill/deploy                pass          0    1.5 s
                left: volume x
                run chaos-1
        BAD   docker/kill/deploy                -             -        -
                no process

        3 cells: 1 good, 2 bad, 0 not played, in 60 s
        ");
    }
}
