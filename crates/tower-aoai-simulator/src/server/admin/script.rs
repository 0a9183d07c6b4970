use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;

use super::{Mistake, answer::AnswerSpec, check_deployment, resource};
use crate::{Deployment, Script, Scripted, Simulator, World, latency::later, state::region_key};

/// The body of `POST /_simulator/script`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScriptSpec {
    resource: Option<String>,
    deployment: Option<String>,
    region: Option<String>,
    answers: Vec<AnswerSpec>,
    probability: Option<f64>,
    in_ms: Option<u64>,
    for_ms: Option<u64>,
}

/// More at once than any test means to dictate.
const MOST_TIMES: usize = 100_000;

/// When the answers are given.
#[derive(Clone, Copy)]
enum When {
    Next,
    Sometimes(f64),
    During(Instant, Instant),
}

/// Dictates what a body says; how many answers these were.
pub(super) fn dictate(world: &World, spec: ScriptSpec) -> Result<usize, Mistake> {
    if spec.deployment.is_some() && spec.region.is_some() {
        return Err(Mistake::bad("give a deployment or a region, not both"));
    }
    if spec.answers.is_empty() {
        return Err(Mistake::bad("answers: give at least one"));
    }
    let when = when(&spec)?;
    // All are read before any is dictated.
    let mut answers = Vec::new();
    for (index, answer) in spec.answers.into_iter().enumerate() {
        let times = answer.times();
        if times > MOST_TIMES {
            return Err(Mistake::bad(format!("answers[{index}].times: at most {MOST_TIMES}")));
        }
        let scripted = answer.scripted();
        let scripted = scripted.map_err(|error| Mistake::bad(format!("answers[{index}]: {error}")))?;
        answers.push((times, scripted));
    }
    let resources: Vec<&Simulator> = match (&spec.resource, &spec.region) {
        (None, Some(_)) => world.resources().map(|(_, one)| one).collect(),
        (named, _) => vec![resource(world, named.as_deref())?],
    };
    if let Some(name) = &spec.deployment {
        resources.iter().try_for_each(|simulator| check_deployment(simulator, name))?;
    }
    if let Some(region) = &spec.region {
        check_region(&resources, region)?;
    }
    for simulator in resources {
        let script = match (&spec.deployment, &spec.region) {
            (Some(name), _) => simulator.script(name),
            (None, Some(region)) => simulator.script_region(region),
            (None, None) => simulator.script_any(),
        };
        for (times, scripted) in &answers {
            give(script.clone(), when, *times, scripted);
        }
    }
    Ok(answers.iter().map(|(times, _)| times).sum())
}

fn check_region(resources: &[&Simulator], region: &str) -> Result<(), Mistake> {
    let regions = || resources.iter().flat_map(|simulator| simulator.deployments().map(Deployment::region_name));
    if regions().any(|one| region_key(one) == region_key(region)) {
        return Ok(());
    }
    let mut known: Vec<_> = regions().collect();
    known.sort_unstable();
    known.dedup();
    Err(Mistake::missing(format!("no deployment is in the region {region:?}: there are {}", known.join(", "))))
}

fn when(spec: &ScriptSpec) -> Result<When, Mistake> {
    let now = Instant::now();
    match (spec.probability, spec.for_ms) {
        (Some(_), Some(_)) => Err(Mistake::bad("give probability or for_ms, not both")),
        (Some(chance), None) if (0.0..=1.0).contains(&chance) => Ok(When::Sometimes(chance)),
        (Some(_), None) => Err(Mistake::bad("probability: give a share from 0 to 1")),
        (None, Some(length)) => {
            let from = later(now, Duration::from_millis(spec.in_ms.unwrap_or_default()));
            Ok(When::During(from, later(from, Duration::from_millis(length))))
        }
        (None, None) if spec.in_ms.is_some() => {
            Err(Mistake::bad("in_ms: needs for_ms beside it, the length of the outage"))
        }
        (None, None) => Ok(When::Next),
    }
}

fn give(script: Script<'_>, when: When, times: usize, scripted: &Scripted) {
    match when {
        When::Next => script.times(times, scripted),
        When::Sometimes(probability) => script.sometimes(probability, scripted.clone()),
        When::During(from, until) => script.during(from, until, scripted.clone()),
    };
}
