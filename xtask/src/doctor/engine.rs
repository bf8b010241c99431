//! `doctor --engine`: what an engine does against what cc-ci expects of it, on this machine.
//!
//! Invariant: whatever comes of it, nothing of what was tried stays in the swarm; and all that was
//! seen is in one folder, for whoever asks.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;
use conformance::{Outcome, Part, Row, Spec};
use harness::engine::abra::Program;
use harness::fault::Fault;
use harness::site::{EngineKind, Site, state_dir};
use harness::swarm::Swarm;

use super::{Engine, code, table};
use crate::exit;
use crate::setup::{self, ThisHost};
use crate::text::{Colour, clean};

pub fn run(engine: Engine, site: Option<&Path>) -> anyhow::Result<u8> {
    let site = match site {
        Some(path) => Site::read(path)?,
        None => Site::from_environment()?,
    };
    let kind = match engine {
        Engine::Stack => EngineKind::Stack,
        Engine::Abra => EngineKind::Abra,
    };
    // Said first: without abra there is nothing to be fit for.
    let program = match kind {
        EngineKind::Stack => None,
        EngineKind::Abra => Some(crate::block_on(Program::find(&site.abra))?),
    };
    let checks = setup::inspect(&ThisHost, &site);
    if code(&checks) != exit::PASS {
        println!("{}", table(&checks, Colour::of_stdout()));
        return Ok(exit::INFRA);
    }
    let reports = state_dir()?.join("doctor");
    let making = || format!("making a folder in {}", reports.display());
    std::fs::create_dir_all(&reports).with_context(making)?;
    let work = tempfile::Builder::new()
        .prefix("work-")
        .tempdir_in(&reports)
        .with_context(making)?;
    let tried = crate::block_on(async {
        let head = head(kind, program.as_ref()).await?;
        let spec = Spec {
            engine: kind,
            site: &site,
            dir: work.path(),
            part: Part::Whole,
            told: &told,
        };
        // Whoever is dropped here removes what it made.
        tokio::select! {
            tried = tried(&head, &spec) => tried.map(Some),
            _ = tokio::signal::ctrl_c() => Ok(None),
        }
    })?;
    let Some((report, rows)) = tried else {
        return Err(exit::Stopped("stopped; what was deployed is removed".to_owned()).into());
    };
    let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    let folder = reports.join(format!("{}-{now}", kind.name()));
    conformance::write(&folder, &report, &rows)
        .with_context(|| format!("writing to {}", folder.display()))?;
    print!("{report}");
    println!("\nAll that was seen: {}", folder.display());
    if rows.iter().all(|row| row.outcome == Outcome::Holds) {
        return Ok(exit::PASS);
    }
    println!("What differs is for cc-ci to know: send that folder along.");
    Ok(exit::INFRA)
}

/// The tables, and all rows.
async fn tried(head: &str, spec: &Spec<'_>) -> Result<(String, Vec<Row>), Fault> {
    let mut rows = conformance::run(spec).await?;
    let mut report = format!(
        "{head}\n{}",
        conformance::table("What every engine owes", &rows)
    );
    if spec.engine == EngineKind::Abra {
        let assumed = conformance::assumptions(spec).await?;
        let more = conformance::table("What is assumed of abra", &assumed);
        let _ = write!(report, "\n{more}");
        rows.extend(assumed);
    }
    Ok((report, rows))
}

/// What was looked at: the program, and the engine below it.
async fn head(kind: EngineKind, program: Option<&Program>) -> Result<String, Fault> {
    let swarm = Swarm::connect().await?;
    let version = swarm.docker().version().await;
    let version = version.ok().and_then(|version| version.version);
    let docker = version.unwrap_or_else(|| "of an unknown version".to_owned());
    let addresses = match swarm.needs_dnsrr() {
        true => "no service addresses (no IPVS): deployed with endpoint_mode dnsrr",
        false => "service addresses answer",
    };
    let mut head = format!("engine  {}\n", kind.name());
    if let Some(program) = program {
        let (version, path) = (program.version(), program.path().display());
        let _ = writeln!(head, "abra    {version} at {path}");
        if let Some(warning) = program.warning() {
            let _ = writeln!(head, "        {}", clean(&warning));
        }
    }
    let _ = writeln!(head, "docker  {docker}, {addresses}");
    Ok(head)
}

/// For people who wait.
fn told(row: &Row) {
    let word = match row.outcome {
        Outcome::Holds => "holds",
        Outcome::Differs { .. } => "differs",
        Outcome::NotRun { .. } => "not run",
    };
    eprintln!(
        "{word:<7}  {:<24}  {:.1} s",
        row.area,
        row.took.as_secs_f32()
    );
}
