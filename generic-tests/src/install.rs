//! What holds for an app that was deployed and has converged.

use std::collections::BTreeMap;

use anyhow::{Context, bail, ensure};
use harness::http::certificate;
use harness::session::deployment::deployment;
use harness::suite::{App, TestResult};
use harness::swarm::{self, Converged, Expected};
use results::Tier;

/// Every service runs as many tasks as it wants, zero included.
pub async fn services_converged(app: &App) -> TestResult {
    let live = swarm::live(app.swarm().await?, &app.view().stack).await?;
    ensure!(!live.is_empty(), "the stack has no services");
    let short: Vec<String> = live
        .iter()
        .filter_map(|service| {
            let wanted = usize::try_from(service.replicas?).ok()?;
            let running = service.containers.len();
            (running != wanted).then(|| format!("{}: {running} of {wanted} running", service.name))
        })
        .collect();
    ensure!(short.is_empty(), "{}", short.join("; "));
    Ok(())
}

/// The app itself, and not a proxy in front of it, answers with an allowed status; and where that
/// is a redirect, it leads somewhere.
pub async fn answers_over_https(app: &App) -> TestResult {
    let Err(error) = answers(app).await else {
        return Ok(());
    };
    // A task that has ended since is the cause, and what the proxy makes of that its symptom.
    match ended_since_convergence(app).await {
        Ok(ended) if !ended.is_empty() => bail!("{}; it does not answer", ended.join("; ")),
        _ => Err(error),
    }
}

async fn answers(app: &App) -> TestResult {
    let view = app.view();
    let url = app.url(&view.health_path);
    let answer = app.http().get(&url).await?;
    if let Some(page) = &answer.edge_page {
        bail!("{url}: the proxy answered in the app's place: {page}");
    }
    let answer = answer.expect_one_of(&view.health_ok)?;
    if answer.status.is_redirection() {
        app.http().follow(&url).await?;
    }
    Ok(())
}

/// What became of the tasks that the last deploy had left running.
async fn ended_since_convergence(app: &App) -> anyhow::Result<Vec<String>> {
    let last = [Tier::Fresh, Tier::Upgrade, Tier::Install]
        .into_iter()
        .find_map(|tier| converged_after(app, tier).ok())
        .context("nothing has converged")?;
    Ok(swarm::restarts(app.swarm().await?, &app.view().stack, &last).await?)
}

/// The stack as it was when the tier's operation had converged.
fn converged_after(app: &App, tier: Tier) -> anyhow::Result<Converged> {
    let facts: BTreeMap<String, serde_json::Value> = app.recall(tier.as_str())?;
    let services = facts
        .get("services")
        .context("the operation kept no list of services")?;
    Ok(serde_json::from_value(services.clone())?)
}

/// The certificate is the site's wildcard, and no other that happens to be trusted.
pub async fn certificate_is_the_sites(app: &App) -> TestResult {
    let url = app.url(&app.view().health_path);
    let answer = app.http().get(&url).await?;
    let der = answer
        .certificate
        .context("the connection showed no certificate")?;
    let shown = harness::edge::authority::fingerprint_of(&der);
    let Some(expected) = app.site_certificate()? else {
        // Which one a server's proxy has is not known here, but that it is for the whole zone.
        let zone = &app.view().zone;
        ensure!(
            certificate::is_wildcard_of(zone, &der),
            "{url} shows no certificate for *.{zone}, but: {}",
            certificate::described(&der)
        );
        return Ok(());
    };
    ensure!(
        shown == expected,
        "{url} shows the certificate {shown}; the site's is {expected}"
    );
    Ok(())
}

/// No task of the converged stack has been replaced.
pub async fn no_restarts_since_convergence(app: &App, tier: Tier) -> TestResult {
    let converged = converged_after(app, tier)?;
    ensure!(
        !converged.services.is_empty(),
        "the operation saw no services converge"
    );
    let restarts = swarm::restarts(app.swarm().await?, &app.view().stack, &converged).await?;
    ensure!(restarts.is_empty(), "{}", restarts.join("; "));
    Ok(())
}

/// Every named volume of the services that run is mounted, and is there.
pub async fn mounted_volumes_exist(app: &App) -> TestResult {
    let swarm = app.swarm().await?;
    let stack = &app.view().stack;
    let mounted = swarm::mounted_volumes(swarm, stack).await?;
    let plan = live_deployment(app)?;
    let running = swarm::live(swarm, stack).await?;
    for service in running
        .iter()
        .filter(|service| !service.containers.is_empty())
    {
        let Some(declared) = plan.compose.services.get(&service.name) else {
            continue;
        };
        for mount in &declared.mounts {
            let harness::recipe::compose::MountKind::Volume(key) = &mount.kind else {
                continue;
            };
            let there = mounted
                .iter()
                .any(|volume| volume.service == service.name && volume.target == mount.target);
            ensure!(
                there,
                "{}: volume `{key}` is not mounted at {}",
                service.name,
                mount.target
            );
        }
    }
    for volume in &mounted {
        ensure!(
            swarm.docker().inspect_volume(&volume.volume).await.is_ok(),
            "{}: volume {} is mounted and does not exist",
            volume.service,
            volume.volume
        );
    }
    Ok(())
}

/// The label names what was asked for, and every live service is as the commit's compose files say:
/// a label is only what the engine wrote itself.
pub async fn live_is_what_was_asked(app: &App) -> TestResult {
    let live = app.view().live.as_ref().context("nothing is live")?;
    let stack = &app.view().stack;
    let services = swarm::live(app.swarm().await?, stack).await?;
    let (what, name, asked) = match &live.version {
        Some(version) => ("version", "version", version.as_str()),
        None => ("commit", "chaos-version", live.commit.short()),
    };
    let key = format!("coop-cloud.{stack}.{name}");
    let mut shown = Vec::new();
    for service in &services {
        if let Some(label) = service.labels.get(&key) {
            shown.push((&service.name, label.trim_end_matches("+U")));
        }
    }
    ensure!(
        !shown.is_empty(),
        "{what} {asked} was asked for, and no service has the label `{key}`"
    );
    for (service, label) in shown {
        ensure!(
            label == asked,
            "{what} {asked} was asked for, and the label `{key}` of {service} says {label}"
        );
    }
    let plan = live_deployment(app)?;
    let expected = Expected {
        stack,
        compose: &plan.compose,
        tree: &plan.tree,
        local_images: &plan.local_images,
        variables: &plan.variables,
    };
    let differences = swarm::differences(&expected, &services);
    ensure!(differences.is_empty(), "{}", differences.join("; "));
    Ok(())
}

/// Head on empty volumes runs and answers.
pub async fn head_installs(app: &App) -> TestResult {
    let live = app.view().live.as_ref().context("nothing is live")?;
    ensure!(live.is_head, "what is live is not head");
    services_converged(app).await?;
    live_is_what_was_asked(app).await?;
    answers_over_https(app).await
}

/// What is live, as its commit's files say.
pub fn live_deployment(app: &App) -> anyhow::Result<harness::engine::Deployment> {
    let view = app.view();
    let live = view.live.as_ref().context("nothing is live")?;
    let env = app.env()?;
    let mut plan = deployment(
        &live.tree,
        &live.commit,
        live.version.as_deref(),
        &env,
        &view.stack,
    )?;
    let tier = if live.is_head {
        [Tier::Fresh, Tier::Upgrade, Tier::Install]
    } else {
        [Tier::Install; 3]
    };
    plan.local_images = tier
        .iter()
        .find_map(|tier| {
            app.recall::<BTreeMap<String, serde_json::Value>>(tier.as_str())
                .ok()
        })
        .and_then(|facts| serde_json::from_value(facts.get("images")?.clone()).ok())
        .unwrap_or_default();
    Ok(plan)
}
