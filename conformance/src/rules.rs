//! Lint: what the engine says of a recipe that is in order, and of one that is not.

use harness::engine::{LintSubject, Linted};
use harness::fault::Fault;
use harness::recipe::lint;
use harness::session::deployment::{abra_sh, deployment, new_env};

use crate::row::{Miss, Rows, Seen, holds};
use crate::subject::{Recipe, Subject};

pub async fn try_all(subject: &Subject<'_>, rows: &mut Rows<'_>) -> Result<(), Fault> {
    let log = |name: &str| subject.dir.join(name).join(harness::engine::abra::LOG);
    rows.follow(&log("lint-good"));
    rows.follow(&log("lint-bad"));
    rows.row(
        "lint",
        &[],
        "A recipe that is in order has no error-level finding.",
        good(subject),
    )
    .await;
    rows.row(
        "lint-finds",
        &[],
        "A version whose tag is lightweight is an error-level finding that names its rule.",
        bad(subject),
    )
    .await;
    Ok(())
}

async fn good(subject: &Subject<'_>) -> Seen {
    let linted = linted(subject, &subject.recipe, "lint-good").await?;
    let errors = errors(&linted);
    holds(errors.is_empty(), || errors.join("; "))?;
    Ok(format!("{linted:#?}"))
}

async fn bad(subject: &Subject<'_>) -> Seen {
    let recipe = subject.with_lightweight_tag().await;
    let recipe = recipe.map_err(|fault| Miss::NotRun(fault.to_string()))?;
    let linted = linted(subject, &recipe, "lint-bad").await?;
    let errors = errors(&linted);
    let named = errors.iter().any(|error| error.starts_with("R014"));
    holds(named, || {
        format!(
            "no error-level finding of R014, but [{}]",
            errors.join("; ")
        )
    })?;
    Ok(format!("{linted:#?}"))
}

async fn linted(subject: &Subject<'_>, recipe: &Recipe, name: &str) -> Result<Linted, Fault> {
    let domain = subject.domain("lint");
    let engine = subject.engine(recipe, &domain, &subject.dir.join(name))?;
    let head = &recipe.head;
    let env = new_env(&head.tree, domain.as_str(), &[])?;
    let plan = deployment(&head.tree, &head.sha, None, &env, &domain.stack())?;
    let subject = LintSubject {
        repo: recipe.checkout.repo(),
        commit: &head.sha,
        native: lint::Subject {
            tree: &head.tree,
            files: &plan.files,
            compose: &plan.compose,
            env: &env,
            abra_sh: &abra_sh(&head.tree)?,
            tags: recipe.checkout.tags(),
        },
    };
    engine.lint(&subject).await
}

fn errors(linted: &Linted) -> Vec<String> {
    let errors = linted.findings.iter();
    let errors = errors.filter(|finding| finding.severity == "error");
    let line =
        |finding: &results::event::LintFinding| format!("{}: {}", finding.rule, finding.message);
    errors.map(line).collect()
}
