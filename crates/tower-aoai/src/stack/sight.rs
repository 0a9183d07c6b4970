//! What a stack shows of itself.

use std::sync::Arc;

use super::{assembly::Assembly, make};
use crate::{
    config::{Config, Overflow},
    statistics::{EndpointHandles, LegHandles, ModelHandles, Settings, StackHandles, Statistics},
};

/// The name of a stack that has none.
const NAME: &str = "aoai";

/// The statistics of a stack that is still to be made.
pub(super) fn statistics(config: &Config) -> Statistics {
    let section = &config.statistics;
    let mut settings = Settings::new();
    if let Some(share) = section.truncated_share {
        settings = settings.truncated_share(share);
    }
    if let Some(wait) = section.queue_wait {
        settings = settings.queue_wait(wait);
    }
    Statistics::with(StackHandles::new(name(config)), settings)
}

pub(super) fn name(config: &Config) -> Arc<str> {
    config.name.as_deref().unwrap_or(NAME).into()
}

/// The handles of all its layers.
pub(super) fn handles(assembly: &Assembly) -> StackHandles {
    let handles = StackHandles::new(name(&assembly.config))
        .context_window(assembly.context_window())
        .windows(Arc::clone(&assembly.windows))
        .cost(assembly.cost.handle());
    let window = Some(&assembly.config.context_window).filter(|window| window.enabled != Some(false));
    let truncates = window.is_some_and(|window| window.policy == Some(Overflow::Truncate));
    let clamps = window.is_some_and(|window| window.clamp_output == Some(true));
    let handles = if truncates { handles.truncates() } else { handles };
    let handles = if clamps { handles.clamps_outputs() } else { handles };
    assembly.chains.iter().fold(handles, |handles, chain| {
        let (plan, _) = &chain.shape;
        let model = ModelHandles::new(Arc::clone(&plan.name)).fallback(chain.layer.handle());
        let legs = plan.legs.iter().zip(&chain.legs);
        handles.model(legs.fold(model, |model, (plan, parts)| {
            let leg =
                LegHandles::new(plan.config.name.as_str()).retry(parts.retry.clone()).balance(parts.balance.clone());
            let leg = match make::leg::longest_wait(&plan.config, plan.is_provisioned) {
                Some(wait) => leg.patience(wait),
                None => leg,
            };
            model.leg(parts.endpoints.iter().fold(leg, |leg, parts| {
                let endpoint = EndpointHandles::new(Arc::clone(&parts.name))
                    .breaker(parts.breaker.clone())
                    .bucket(parts.bucket.clone())
                    .endpoint(parts.endpoint.clone());
                leg.endpoint(if parts.is_provisioned { endpoint.provisioned() } else { endpoint })
            }))
        }))
    })
}
