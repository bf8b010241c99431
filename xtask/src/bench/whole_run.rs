//! Whole runs of a recipe: ours and the script's, one after the other, again and again.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};

use super::figure::{Aim, Figure, median};
use super::ours::{self, Run};
use super::script::{Script, Took};
use super::{Scratch, say};
use crate::place;

/// Everything that is not to be measured is made ready before: the suite is compiled, the images
/// are built, and one run of each side has warmed the caches.
pub fn measure(recipe: &str, runs: u32, scratch: &Scratch) -> Result<Vec<Figure>> {
    compile(recipe)?;
    let state = scratch.folder(&format!("{recipe}-state"))?;
    build_images(recipe)?;
    say(&format!("{recipe}: one run of each to warm up"));
    let warm = ours::run(recipe, &state, 0)?;
    let folder = scratch.folder(&format!("{recipe}-script"))?;
    let script = Script::new(recipe, &folder, &warm.commits()?)?;
    script.run()?;
    let mut pairs = Vec::new();
    for number in 1..=runs {
        let ours = ours::run(recipe, &state, number)?;
        let plain = script.run()?;
        say(&format!(
            "{recipe}: {number} of {runs}: ours {:.2} s ({}), script {:.2} s ({})",
            ours.wall.as_secs_f64(),
            phases_of(&ours),
            plain.wall.as_secs_f64(),
            script_phases(&plain),
        ));
        pairs.push((ours, plain));
    }
    Ok(figures(recipe, &pairs))
}

fn figures(recipe: &str, pairs: &[(Run, Took)]) -> Vec<Figure> {
    let each = |of: &dyn Fn(&(Run, Took)) -> f64| pairs.iter().map(of).collect::<Vec<f64>>();
    let ours = each(&|pair| pair.0.wall.as_secs_f64());
    let script = each(&|pair| pair.1.wall.as_secs_f64());
    let pairwise = each(&|pair| pair.0.wall.as_secs_f64() / pair.1.wall.as_secs_f64());
    let removals = each(&|pair| pair.0.removal().unwrap_or(f64::NAN));
    let last_of_script = each(&|pair| pair.1.phases.last().map_or(f64::NAN, |phase| phase.1));
    let gaps = pairs.iter().flat_map(|pair| pair.0.gaps()).collect();
    let edges = each(&|pair| pair.0.phase("edge").unwrap_or(f64::NAN));
    let memory = each(&|pair| pair.0.keeper_mib);
    let name = |what: &str| format!("{recipe}: {what}");
    let ratio = median(&ours) / median(&script);
    vec![
        Figure::median(
            name("whole run"),
            "s",
            ours,
            "`xtask ci`, from its start to its end",
        ),
        Figure::median(
            name("script"),
            "s",
            script,
            "the same Docker commands and waits",
        ),
        Figure {
            value: ratio,
            ..Figure::median(
                name("ratio of medians"),
                "x",
                pairwise.clone(),
                "alternating runs",
            )
        }
        .aim(Aim::AtMost(0.75)),
        Figure::median(
            name("median of ratios"),
            "x",
            pairwise,
            "each run and the script's after it",
        )
        .aim(Aim::AtMost(0.75)),
        Figure::median(
            name("a trial"),
            "ms",
            gaps,
            "between one assertion's end and the next's beginning",
        )
        .aim(Aim::AtMost(15.0)),
        Figure::median(
            name("keeper"),
            "MiB",
            memory,
            "VmHWM, the peak of what was resident",
        )
        .aim(Aim::AtMost(40.0)),
        Figure::median(
            name("removal"),
            "s",
            removals,
            "last teardown, with the look for what is left",
        ),
        Figure::median(
            name("removal, script"),
            "s",
            last_of_script,
            "its last `stack rm` until all is gone",
        ),
        Figure::median(name("edge start"), "ms", edges, "beside the first deploy"),
    ]
}

fn compile(recipe: &str) -> Result<()> {
    say(&format!("{recipe}: compiling what is run"));
    let status = super::small::nextest("run", recipe)
        .args(["--no-run", "--cargo-quiet"])
        .status()
        .context("starting cargo nextest")?;
    ensure!(
        status.success(),
        "compiling the suite of {recipe}: {status}"
    );
    Ok(())
}

/// The images of all versions of the recipe, and the edge's.
fn build_images(recipe: &str) -> Result<()> {
    let sources = place::workspace().join("fixtures/catalogue").join(recipe);
    let mut wanted = vec![harness::site::Site::from_environment()?.edge_image];
    for version in
        std::fs::read_dir(&sources).with_context(|| format!("reading {}", sources.display()))?
    {
        let compose = version?.path().join("compose.yml");
        let text = std::fs::read_to_string(compose).unwrap_or_default();
        let images = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("image: "));
        wanted.extend(images.map(|image| image.trim().to_owned()));
    }
    wanted.sort();
    wanted.dedup();
    for image in wanted
        .iter()
        .filter(|image| fixtures::images::is_ours(image))
    {
        fixtures::images::ensure(image, &mut |line| say(line))?;
    }
    Ok(())
}

fn phases_of(run: &Run) -> String {
    let mut parts: Vec<String> = run
        .operations()
        .into_iter()
        .map(|(tier, seconds)| format!("{tier} {seconds:.1}"))
        .collect();
    parts.extend(run.removal().map(|seconds| format!("removal {seconds:.1}")));
    parts.join(", ")
}

fn script_phases(took: &Took) -> String {
    let mut sums = BTreeMap::<&str, f64>::new();
    let mut order = Vec::new();
    for (name, seconds) in &took.phases {
        if !sums.contains_key(name.as_str()) {
            order.push(name.as_str());
        }
        *sums.entry(name).or_default() += seconds;
    }
    let parts: Vec<String> = order
        .into_iter()
        .map(|name| format!("{name} {:.1}", sums[name]))
        .collect();
    parts.join(", ")
}
