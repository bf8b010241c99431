//! `demo bridge`: a `!testme` on a pull request, answered by a real run on this machine's swarm.
//!
//! The forge is a model; the bridge is its own program, and the run is one like any other.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use harness::recipe::RecipeName;
use harness::site::Site;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use super::forge::{BOT, Forge};
use crate::setup::{self, Ask};
use crate::text::clean_block;
use crate::{exit, place};

/// Post `!testme` on a pull request of a model forge, and follow the answer until it is final
#[derive(Debug, Args)]
pub struct Bridge {
    /// A built-in recipe with a pull request
    #[arg(long, value_name = "NAME", default_value = "custom-html")]
    recipe: RecipeName,
    /// What is written on the pull request
    #[arg(long, value_name = "TEXT", default_value = "!testme")]
    comment: String,
    /// Don't ask before each step of the set-up
    #[arg(long)]
    yes: bool,
}

/// A run of the largest built-in recipe takes some minutes; the first one builds images.
const LONGEST: Duration = Duration::from_secs(45 * 60);
const LOOK: Duration = Duration::from_millis(200);
/// The bridge ends what it has begun.
const END: Duration = Duration::from_secs(15);

impl Bridge {
    pub fn run(self) -> Result<u8> {
        setup::setup(&Site::default(), Ask::from_environment(self.yes))?;
        let program = build()?;
        crate::block_on(self.play(&program))
    }

    async fn play(&self, program: &Path) -> Result<u8> {
        let state = harness::site::state_dir()?;
        let folder = tempfile::Builder::new()
            .prefix("demo-")
            .tempdir_in(&state)?;
        let forge = Forge::start(&self.recipe, &state.join("catalogue")).await?;
        let listen = free_address()?;
        let settings = settings(folder.path(), &forge, &listen, &state)?;
        let mut child = start(program, folder.path(), &settings)?;
        println!("forge (a model)  {}", forge.gitea.url());
        println!("bridge's page    http://{listen}/");
        println!(
            "pull request     {}#{} at {}\n",
            forge.repo, forge.pull, forge.head
        );
        let outcome = follow(&mut child, &forge, &listen, &self.comment).await;
        end(&mut child).await?;
        if outcome.is_err() {
            let last = setup::tail(&folder.path().join("bridge.log"), 10);
            eprintln!("the bridge said last:\n{}", clean_block(&last));
        }
        outcome
    }
}

/// The bridge's program, which cargo puts beside this one.
fn build() -> Result<PathBuf> {
    eprintln!("$ cargo build -p bridge");
    let mut cargo = std::process::Command::new("cargo");
    cargo
        .args(["build", "--locked", "-p", "bridge"])
        .current_dir(place::workspace());
    for name in place::variables_of_a_package() {
        cargo.env_remove(name);
    }
    let status = cargo.status().context("starting cargo")?;
    ensure!(status.success(), "cargo build ended with {status}");
    let own = std::env::current_exe().context("finding this program")?;
    let program = own.with_file_name("cc-ci-bridge");
    ensure!(program.is_file(), "{} is not there", program.display());
    Ok(program)
}

fn free_address() -> Result<String> {
    let socket = TcpListener::bind("127.0.0.1:0").context("looking for a free port")?;
    Ok(socket.local_addr()?.to_string())
}

fn settings(folder: &Path, forge: &Forge, listen: &str, state: &Path) -> Result<PathBuf> {
    use std::io::Write as _;
    let token = folder.join("token");
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(&token)?.write_all(forge.token.as_bytes())?;
    let own = std::env::current_exe()?;
    let text = format!(
        "state = {database:?}\nlisten = {listen:?}\n\
         [forge]\nurl = {url:?}\nbot = {BOT:?}\ntoken_file = {token:?}\nsettle_ms = 1000\n\
         [poll]\ninterval_s = 2\nrepositories = [{repo:?}]\n\
         [executor]\nkind = \"local\"\nprogram = [{own:?}, \"ci\"]\nfolder = {workspace:?}\n\
         runs = {state:?}\nlook_ms = 500\n",
        database = folder.join("bridge"),
        url = forge.gitea.url(),
        repo = forge.repo,
        workspace = place::workspace(),
    );
    let file = folder.join("bridge.toml");
    fs::write(&file, text)?;
    Ok(file)
}

fn start(program: &Path, folder: &Path, settings: &Path) -> Result<Child> {
    let log = fs::File::create(folder.join("bridge.log"))?;
    Command::new(program)
        .arg("--config")
        .arg(settings)
        .env("PATH", place::search_path())
        // A Ctrl-C is for the demo, which then asks for a stop like anybody.
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("starting {}", program.display()))
}

/// Writes the comment once the bridge watches, and shows what is said until it is final.
async fn follow(child: &mut Child, forge: &Forge, listen: &str, comment: &str) -> Result<u8> {
    let began = Instant::now();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut shown: Vec<(u64, String)> = Vec::new();
    let mut status = None;
    let mut written = None;
    let mut stopping = false;
    loop {
        if let Some(ended) = child.try_wait()? {
            bail!("the bridge ended with {ended}");
        }
        ensure!(
            began.elapsed() < LONGEST,
            "nothing final was said within {} minutes",
            LONGEST.as_secs() / 60
        );
        if written.is_none() && is_ready(listen).await {
            println!("{:>6}  maintainer: {comment}\n", clock(began));
            forge.say(comment)?;
            written = Some(Instant::now());
        }
        for said in forge.said()? {
            let text = said.body.trim().to_owned();
            if !shown.contains(&(said.id, text.clone())) {
                print_comment(
                    began,
                    said.id,
                    &text,
                    shown.iter().any(|(id, _)| *id == said.id),
                );
                shown.retain(|(id, _)| *id != said.id);
                shown.push((said.id, text));
            }
        }
        let now = forge.status();
        if now != status {
            if let Some(now) = &now {
                println!(
                    "{:>6}  status {}: {} – {}\n",
                    clock(began),
                    now.context,
                    now.state,
                    clean_block(&now.description)
                );
            }
            status = now;
        }
        let state = status.as_ref().map(|status| status.state.as_str());
        match state {
            Some("success") => return Ok(exit::PASS),
            Some("failure") => return Ok(exit::FAILED),
            Some("error") if stopping => return Ok(exit::CANCELLED),
            Some("error") => return Ok(exit::INFRA),
            _ => {}
        }
        // Without a run there is an answer, and no status: nothing was shown to work.
        let answered = state.is_none() && !shown.is_empty();
        if answered && written.is_some_and(|at| at.elapsed() > Duration::from_secs(10)) {
            println!("no run came of it");
            return Ok(exit::INFRA);
        }
        let told = tokio::select! {
            // tidy: sleep: the pace of a loop that ends by its own deadline
            () = tokio::time::sleep(LOOK) => false,
            _ = interrupt.recv() => true,
            _ = terminate.recv() => true,
        };
        if told {
            ensure!(written.is_some() && !stopping, "interrupted");
            stopping = true;
            println!("{:>6}  maintainer: !testme stop\n", clock(began));
            forge.say("!testme stop")?;
        }
    }
}

async fn is_ready(listen: &str) -> bool {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let ask = async {
        let mut stream = tokio::net::TcpStream::connect(listen).await?;
        let request =
            format!("GET /readyz HTTP/1.1\r\nHost: {listen}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    ask.await
        .is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

fn print_comment(began: Instant, id: u64, text: &str, edited: bool) {
    let what = if edited { "edited" } else { "new" };
    println!("{:>6}  {BOT}, comment {id} ({what}):", clock(began));
    // The first line is a marker, which a forge does not show.
    for line in clean_block(text)
        .lines()
        .filter(|line| !line.starts_with("<!--"))
    {
        println!("        {line}");
    }
    println!();
}

fn clock(began: Instant) -> String {
    let seconds = began.elapsed().as_secs();
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

/// Asks the bridge to end; a run that goes on would go on.
async fn end(child: &mut Child) -> Result<()> {
    let pid = child
        .id()
        .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    if let Some(pid) = pid {
        // It may have ended just now.
        let _ = kill_process(pid, Signal::TERM);
    }
    let ended = tokio::time::timeout(END, child.wait()).await;
    ended.context("the bridge does not end when it is told to")??;
    Ok(())
}
