//! What a configuration comes to: which endpoints serve which names, in which legs, with every setting in its place.

use std::{sync::Arc, time::Duration};

use super::router::Routes;
use crate::config::{Config, EndpointConfig, LegConfig, ModelConfig, ObserveConfig, ResourceConfig, UnknownModel};

/// The chains of a stack.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plan {
    pub(super) chains: Vec<ChainPlan>,
    pub(super) routes: Routes,
}

/// What serves one name by which callers ask.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ChainPlan {
    pub(super) name: Arc<str>,
    pub(super) margin: Option<Duration>,
    pub(super) legs: Vec<LegPlan>,
}

/// One of its legs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LegPlan {
    pub(super) config: LegConfig,
    /// All endpoints are provisioned.
    pub(super) is_provisioned: bool,
    pub(super) endpoints: Vec<EndpointPlan>,
}

/// One of its endpoints, with all that is said elsewhere of endpoints.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct EndpointPlan {
    pub(super) config: EndpointConfig,
    pub(super) resource: ResourceConfig,
    pub(super) observe: ObserveConfig,
    /// Every chain that has it has another one, too, for while it is left alone.
    pub(super) has_stand_in: bool,
}

impl Plan {
    /// Of a configuration that is [effective](Config::effective), and was found to be right.
    pub(super) fn of(whole: &Config) -> Self {
        let mut routes = Routes::default();
        let mut chains = Vec::new();
        for (name, model) in &whole.models {
            for name in std::iter::once(name).chain(&model.aliases) {
                routes.insert(name.as_str().into(), chains.len());
            }
            chains.push(chain(name, model, whole));
        }
        let default = whole.default_model.as_deref();
        routes.unnamed = default.and_then(|name| chains.iter().position(|chain| *chain.name == *name));
        routes.default = routes.unnamed.filter(|_| whole.unknown_model != Some(UnknownModel::Refuse));
        Self { chains, routes }
    }
}

fn chain(name: &str, model: &ModelConfig, whole: &Config) -> ChainPlan {
    let leg = |leg: &LegConfig| {
        let endpoints = leg.endpoints.iter().filter_map(|name| {
            let config = whole.find_endpoint(name)?.clone();
            let resource = whole.find_resource(&config.resource)?.clone();
            let (observe, has_stand_in) = (whole.observe.clone(), has_stand_in(name, whole));
            Some(EndpointPlan { config, resource, observe, has_stand_in })
        });
        let is_provisioned = whole.is_provisioned(leg);
        LegPlan { config: leg.clone(), is_provisioned, endpoints: endpoints.collect() }
    };
    ChainPlan { name: name.into(), margin: model.margin, legs: model.legs.iter().map(leg).collect() }
}

/// It has one circuit, and the shortest patience of all who meet it there counts.
fn has_stand_in(endpoint: &str, whole: &Config) -> bool {
    whole.models.values().all(|model| {
        let mut others = model.legs.iter().flat_map(|leg| &leg.endpoints);
        let is_here = others.clone().any(|name| name == endpoint);
        !is_here || others.any(|name| name != endpoint)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Config {
        Config::new()
            .resource(ResourceConfig::new("contoso", "https://contoso.openai.azure.com"))
            .endpoint(EndpointConfig::new("payg", "contoso").deployment("chat"))
            .endpoint(EndpointConfig::new("ptu", "contoso").deployment("chat-ptu").provisioned(50))
    }

    fn endpoints(chain: &ChainPlan) -> Vec<Vec<&str>> {
        chain.legs.iter().map(|leg| leg.endpoints.iter().map(|plan| plan.config.name.as_str()).collect()).collect()
    }

    #[test]
    fn endpoints_of_which_nothing_is_said_serve_every_call() {
        let plan = Plan::of(&two().effective());
        assert_eq!(plan.chains.len(), 1);
        assert_eq!(endpoints(&plan.chains[0]), [["ptu"], ["payg"]]);
        assert_eq!((plan.routes.default, plan.routes.unnamed), (Some(0), Some(0)));
        assert!(plan.chains[0].legs[0].is_provisioned && plan.chains[0].legs[0].endpoints[0].has_stand_in);
    }

    #[test]
    fn each_name_that_an_endpoint_serves_has_a_chain() {
        let mut config = two();
        config.endpoints[0].models = vec!["small".to_owned(), "large".to_owned()];
        config.endpoints[1].models = vec!["large".to_owned()];
        let plan = Plan::of(&config.effective());
        let chains: Vec<_> = plan.chains.iter().map(|chain| (&*chain.name, endpoints(chain))).collect();
        assert_eq!(chains, [("large", vec![vec!["ptu"], vec!["payg"]]), ("small", vec![vec!["payg"]])]);
        let large = &plan.chains[0].legs;
        assert!(large[0].endpoints[0].has_stand_in);
        assert!(!large[1].endpoints[0].has_stand_in, "nobody else serves the other name");
        assert!(!plan.chains[1].legs[0].endpoints[0].has_stand_in);
        assert_eq!(plan.routes.default, None, "there are two, and neither is for all");
    }

    #[test]
    fn who_refuses_unknown_names_serves_calls_without_one() {
        let mut config = two();
        config.unknown_model = Some(UnknownModel::Refuse);
        let routes = Plan::of(&config.effective()).routes;
        assert_eq!((routes.default, routes.unnamed), (None, Some(0)));
    }
}
