//! Another's app on the network `proxy`, and somebody there who asks it all the time, by each of its
//! names: nobody else may answer for it, were it for a moment.
//!
//! Who asks also listens there: payloads tell it what they have reached, where the host itself can't be
//! reached from a container.

use std::collections::VecDeque;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::wait::{Probe, Unwatched, wait_until};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};

use super::{Spoilt, docker};

const IMAGE: &str = "cc-ci.local/canary:1";
const ASKS: &str = "cc-ci.local/nginx:1.22.1";
const UP_WITHIN: Duration = Duration::from_secs(60);
/// On a loaded machine a round may take long.
const ROUND_WITHIN: Duration = Duration::from_secs(60);
/// `$1` is the word that the neighbour answers with, the rest its names. One round without an answer
/// is a slow machine, three are none.
const ASK: &str = r#"
word=$1; shift
# Of another container on the network, the name tells whose it is.
whose() { for one in $1; do getent hosts "$one" | tr -s ' '; done | tr '\n' ' '; }
addresses() { getent ahostsv4 "$1" | cut -d' ' -f1 | sort -u | tr '\n' ' '; }
answer() { curl --silent --max-time 5 "http://$1:8080/" | cut -d' ' -f4; }
until [ "$(answer "$1")" = "$word" ]; do sleep 0.2; done
want=$(addresses "$1")
perl -MIO::Socket::INET -e '
  $| = 1; my $door = IO::Socket::INET->new(LocalPort => 9, Listen => 64, ReuseAddr => 1) or die;
  while (my $caller = $door->accept) {
    eval { local $SIG{ALRM} = sub { die }; alarm 5; my $line = <$caller>; alarm 0; print "heard: $line" };
    close $caller;
  }' &
silent=0
while :; do
  for name; do
    now=$(addresses "$name")
    [ "$now" = "$want" ] || echo "wrong: $name leads to $(whose "$now")and not to $want"
    said=$(answer "$name")
    case $said in
      "$word") silent=0 ;;
      "") silent=$((silent + 1)); [ $silent -lt 6 ] || echo "wrong: $name does not answer" ;;
      *) echo "wrong: $name answers as $said" ;;
    esac
  done
  echo beat
  sleep 0.2
done
"#;

pub struct Neighbour {
    service: String,
    alias: String,
    asks: Child,
    heard: Arc<Mutex<Heard>>,
}

#[derive(Default)]
struct Heard {
    beats: u64,
    wrong: VecDeque<String>,
    told: Vec<String>,
}

impl Neighbour {
    pub async fn start(mark: &str) -> Result<Self> {
        let (service, alias) = (format!("{mark}-neighbour"), format!("{mark}-alias"));
        let network = format!("name=proxy,alias={alias}");
        let role = format!("ROLE={mark}-word");
        docker(&[
            "service",
            "create",
            "--detach",
            "--quiet",
            "--no-resolve-image",
            "--endpoint-mode",
            "dnsrr",
            "--name",
            &service,
            "--network",
            &network,
            "--env",
            &role,
            IMAGE,
            "serve",
        ])
        .await?;
        let mut asks = Command::new("docker")
            .args(["run", "--rm", "--network", "proxy", "--name"])
            .arg(format!("{mark}-asks"))
            .args([ASKS, "bash", "-c", ASK, "ask"])
            .args([&format!("{mark}-word"), &service, &alias])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("starting who asks the neighbour")?;
        let stdout = asks.stdout.take().context("it has a pipe")?;
        let heard = Arc::new(Mutex::new(Heard::default()));
        tokio::spawn(follow(stdout, Arc::clone(&heard)));
        let neighbour = Self {
            service,
            alias,
            asks,
            heard,
        };
        neighbour.round(UP_WITHIN).await?;
        Ok(neighbour)
    }

    pub fn service(&self) -> &str {
        &self.service
    }

    pub fn alias(&self) -> &str {
        &self.alias
    }

    /// What was wrong since the last look, up to a whole round from now.
    pub async fn look(&mut self) -> Result<Vec<Spoilt>> {
        let gone = self.asks.try_wait()?;
        ensure!(gone.is_none(), "who asks the neighbour has ended");
        self.round(ROUND_WITHIN).await?;
        let mut heard = self.heard.lock().expect("nobody panics with it");
        let mut wrong: Vec<String> = heard.wrong.drain(..).collect();
        wrong.sort();
        wrong.dedup();
        let spoilt = |how| Spoilt::new("the neighbour", how);
        Ok(wrong.into_iter().map(spoilt).collect())
    }

    /// What a run's payload has told, once a whole round has gone by since.
    pub fn told_by(&self, run: &str) -> Vec<String> {
        let heard = self.heard.lock().expect("nobody panics with it");
        let told = heard.told.iter().filter(|line| line.contains(run));
        told.cloned().collect()
    }

    /// Waits for the end of a round that begins now.
    async fn round(&self, within: Duration) -> Result<()> {
        let beats = || self.heard.lock().map(|heard| heard.beats).unwrap_or(0);
        // The one that goes on began before.
        let wanted = beats() + 2;
        let round = wait_until(
            "a round of questions to the neighbour",
            within,
            Duration::from_millis(50),
            &Unwatched,
            || async {
                match beats() {
                    now if now >= wanted => Probe::Ready(()),
                    now => Probe::NotYet(format!("{now} rounds so far")),
                }
            },
        );
        Ok(round.await?)
    }

    pub async fn end(mut self) -> Result<()> {
        // The client's end does not end the container.
        if let Some(name) = self.service.strip_suffix("-neighbour") {
            docker(&["rm", "--force", &format!("{name}-asks")]).await?;
        }
        self.asks.wait().await?;
        docker(&["service", "rm", &self.service]).await?;
        Ok(())
    }
}

async fn follow(stdout: ChildStdout, heard: Arc<Mutex<Heard>>) {
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let mut heard = heard.lock().expect("nobody panics with it");
        if let Some(wrong) = line.strip_prefix("wrong: ") {
            if heard.wrong.len() < 100 {
                heard.wrong.push_back(wrong.to_owned());
            }
        } else if let Some(told) = line.strip_prefix("heard: ") {
            heard.told.push(told.to_owned());
        } else {
            heard.beats += 1;
        }
    }
}
