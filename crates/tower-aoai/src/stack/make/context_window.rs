use std::sync::Arc;

use http::HeaderName;

use super::{problem, said};
use crate::{
    config::{Config, Overflow, Problems},
    context_window::{Budgets, ContextWindowLayer, Models, Policy},
};

/// The table of models, without the names that this stack gives them.
pub(in crate::stack) fn models(config: &Config) -> Result<Models, Problems> {
    match &config.context_window.models_file {
        None => Ok(Models::built_in()),
        Some(path) => {
            Models::built_in().with_file(path).map_err(|error| problem("context_window.models_file", error.to_string()))
        }
    }
}

pub(in crate::stack) fn layer(config: &Config, models: Models) -> Result<ContextWindowLayer, Problems> {
    let section = &config.context_window;
    if section.enabled == Some(false) {
        return Ok(ContextWindowLayer::off());
    }
    let layer = ContextWindowLayer::new().policy(policy(config)).models(models).budgets(budgets(config)?);
    let layer = said(layer, section.inline_up_to, ContextWindowLayer::inline_up_to);
    Ok(if section.warm == Some(true) { layer.warm() } else { layer })
}

fn policy(config: &Config) -> Policy {
    let section = &config.context_window;
    let policy = match section.policy.unwrap_or_default() {
        Overflow::Reject => Policy::reject(),
        Overflow::Truncate => Policy::truncate(),
        Overflow::LetThrough => Policy::let_through(),
    };
    let policy = if section.cut_texts == Some(false) { policy.whole_messages() } else { policy };
    let policy = said(policy, section.keep, Policy::keep);
    let policy = said(policy, section.marker.clone(), Policy::marker);
    let policy = if section.clamp_output == Some(true) { policy.clamp_output() } else { policy };
    let policy = said(policy, section.least_output, Policy::least_output);
    let policy = said(policy, section.output_room, Policy::output_room);
    said(policy, section.margin, Policy::margin)
}

fn budgets(config: &Config) -> Result<Budgets, Problems> {
    let section = &config.context_window;
    let of_agents = config.agents.iter().filter_map(|(name, agent)| Some((name, agent.context_tokens?)));
    let budgets =
        of_agents.fold(Budgets::new(), |budgets, (name, tokens)| budgets.tag(Arc::<str>::from(name.as_str()), tokens));
    let budgets = said(budgets, section.others, Budgets::others);
    match &section.agent_header {
        None => Ok(budgets),
        Some(name) => Ok(budgets.header(header("context_window.agent_header", name)?)),
    }
}

/// A header's name, of the setting at `key`.
pub(in crate::stack) fn header(key: &str, name: &str) -> Result<HeaderName, Problems> {
    HeaderName::try_from(name).map_err(|_| {
        problem(key, format!("{name:?} is no name of a header; letters, digits and hyphens are wanted: \"x-agent\""))
    })
}
