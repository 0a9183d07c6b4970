//! What a configuration comes to: which endpoints serve which names, in which legs, with every setting in its place.

use std::{collections::BTreeMap, sync::Arc};

use super::router::Routes;
use crate::config::{
    Config, EndpointConfig, LegConfig, ModelConfig, Problem, ResourceConfig, UnknownModel, setting::Setting,
};

/// The chain of the calls whose model no chain is named after.
const ANY: &str = "any";
const PROVISIONED: &str = "provisioned";
const STANDARD: &str = "standard";

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
    pub(super) margin: Option<std::time::Duration>,
    pub(super) legs: Vec<LegPlan>,
}

/// One of its legs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LegPlan {
    pub(super) config: LegConfig,
    /// All endpoints are provisioned.
    pub(super) is_provisioned: bool,
    pub(super) endpoints: Vec<EndpointPlan>,
    /// There is another endpoint, here or in another leg of the chain, while one of these is left alone.
    pub(super) has_stand_in: bool,
}

/// One of its endpoints, with all that is said elsewhere of endpoints.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct EndpointPlan {
    pub(super) config: EndpointConfig,
    pub(super) resource: ResourceConfig,
}

impl Plan {
    /// # Errors
    ///
    /// What names nothing that there is, all at once.
    pub(super) fn of(config: &Config) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let endpoints = endpoints(config, &mut problems);
        let models = if config.models.is_empty() { implied(config) } else { config.models.clone() };
        let mut chains = Vec::new();
        let mut routes = Routes::default();
        for (name, model) in &models {
            if let Some(chain) = chain(name, model, config, &endpoints, &mut problems) {
                if !(config.models.is_empty() && name == ANY) {
                    routes.insert(name.as_str().into(), chains.len());
                }
                for alias in &model.aliases {
                    routes.insert(alias.as_str().into(), chains.len());
                }
                chains.push(chain);
            }
        }
        if chains.is_empty() && problems.is_empty() {
            problems.push(Problem::new(
                "endpoints",
                "there is none, so nothing can be called; add a resource, and an endpoint that is of it",
            ));
        }
        let find = |name: &str| chains.iter().position(|chain| *chain.name == *name);
        let only = (chains.len() == 1).then_some(0);
        let default = match &config.default_model {
            Some(name) => {
                let found = find(name);
                if found.is_none() && problems.is_empty() {
                    problems.push(Problem::new("default_model", format!("there is no model {name:?}")));
                }
                found
            }
            None => find(ANY).filter(|_| config.models.is_empty()).or(only),
        };
        routes.unnamed = default;
        routes.default = default.filter(|_| config.unknown_model != Some(UnknownModel::Refuse));
        if problems.is_empty() { Ok(Self { chains, routes }) } else { Err(problems) }
    }
}

/// The endpoints with what is said of all, by name.
fn endpoints(config: &Config, problems: &mut Vec<Problem>) -> BTreeMap<String, EndpointPlan> {
    let mut endpoints = BTreeMap::new();
    for (index, endpoint) in config.endpoints.iter().enumerate() {
        let Some(resource) = config.resources.iter().find(|resource| resource.name == endpoint.resource) else {
            let message = format!("there is no resource {:?}", endpoint.resource);
            problems.push(Problem::new(format!("endpoints[{index}].resource"), message));
            continue;
        };
        let mut endpoint = endpoint.clone();
        let mut quota = config.quota.clone();
        if endpoint.kind().is_provisioned() {
            (quota.tokens_per_minute, quota.requests_per_minute) = (None, None);
        }
        endpoint.quota.fill(&quota);
        endpoint.circuit_breaker.fill(&config.circuit_breaker);
        endpoint.timeouts.fill(&config.timeouts);
        endpoint.request_defaults.fill(&config.request_defaults);
        let name = endpoint.name.clone();
        let plan = EndpointPlan { config: endpoint, resource: resource.clone() };
        if endpoints.insert(name.clone(), plan).is_some() {
            problems
                .push(Problem::new(format!("endpoints[{index}].name"), format!("two endpoints are named {name:?}")));
        }
    }
    endpoints
}

/// The chains of endpoints of which nothing is said but which models they serve.
fn implied(config: &Config) -> BTreeMap<String, ModelConfig> {
    let mut serving: BTreeMap<String, Vec<&EndpointConfig>> = BTreeMap::new();
    for endpoint in &config.endpoints {
        if endpoint.models.is_empty() {
            serving.entry(ANY.to_owned()).or_default().push(endpoint);
        }
        for model in &endpoint.models {
            serving.entry(model.clone()).or_default().push(endpoint);
        }
    }
    let chain = |endpoints: Vec<&EndpointConfig>| {
        let (provisioned, standard): (Vec<_>, Vec<_>) =
            endpoints.into_iter().partition(|endpoint| endpoint.kind().is_provisioned());
        [(PROVISIONED, provisioned), (STANDARD, standard)]
            .into_iter()
            .filter(|(_, endpoints)| !endpoints.is_empty())
            .map(|(name, endpoints)| LegConfig::new(name, endpoints.iter().map(|endpoint| endpoint.name.as_str())))
            .fold(ModelConfig::new(), ModelConfig::leg)
    };
    serving.into_iter().map(|(name, endpoints)| (name, chain(endpoints))).collect()
}

fn chain(
    name: &str,
    model: &ModelConfig,
    config: &Config,
    endpoints: &BTreeMap<String, EndpointPlan>,
    problems: &mut Vec<Problem>,
) -> Option<ChainPlan> {
    let legs = if model.legs.is_empty() && !model.endpoints.is_empty() {
        let mut only = LegConfig::new(STANDARD, model.endpoints.clone());
        only.strategy = model.strategy;
        vec![only]
    } else {
        model.legs.clone()
    };
    let many = legs.iter().map(|leg| leg.endpoints.len()).sum::<usize>() > 1;
    let mut plans = Vec::new();
    for (index, mut leg) in legs.into_iter().enumerate() {
        leg.retry.fill(&config.retry);
        let mut of_leg = Vec::new();
        for endpoint in &leg.endpoints {
            match endpoints.get(endpoint) {
                Some(plan) => of_leg.push(plan.clone()),
                // Said already, where it is its resource that is missing.
                None if config.endpoints.iter().any(|known| known.name == *endpoint) => {}
                None => problems.push(Problem::new(
                    format!("models.{name}.legs[{index}].endpoints"),
                    format!("there is no endpoint {endpoint:?}"),
                )),
            }
        }
        let is_provisioned = of_leg.iter().all(|plan| plan.config.kind().is_provisioned()) && !of_leg.is_empty();
        plans.push(LegPlan { config: leg, is_provisioned, endpoints: of_leg, has_stand_in: many });
    }
    if plans.is_empty() {
        problems.push(Problem::new(format!("models.{name}"), "there are neither legs nor endpoints that serve it"));
        return None;
    }
    Some(ChainPlan { name: name.into(), margin: model.margin, legs: plans })
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

    fn names(chain: &ChainPlan) -> Vec<(&str, Vec<&str>)> {
        let endpoints = |leg: &LegPlan| leg.endpoints.iter().map(|plan| plan.config.name.clone()).collect::<Vec<_>>();
        chain
            .legs
            .iter()
            .map(|leg| {
                let names = endpoints(leg);
                let names = leg.config.endpoints.iter().filter(|name| names.contains(name)).map(String::as_str);
                (leg.config.name.as_str(), names.collect())
            })
            .collect()
    }

    #[test]
    fn endpoints_of_which_nothing_is_said_serve_every_call_and_provisioned_ones_come_first() {
        let plan = Plan::of(&two()).expect("a plan");
        assert_eq!(plan.chains.len(), 1);
        assert_eq!(names(&plan.chains[0]), [("provisioned", vec!["ptu"]), ("standard", vec!["payg"])]);
        assert_eq!((plan.routes.default, plan.routes.unnamed), (Some(0), Some(0)));
        assert!(plan.chains[0].legs[0].is_provisioned && plan.chains[0].legs[0].has_stand_in);
    }

    #[test]
    fn each_name_that_an_endpoint_serves_has_a_chain() {
        let mut config = two();
        config.endpoints[0].models = vec!["small".to_owned(), "large".to_owned()];
        config.endpoints[1].models = vec!["large".to_owned()];
        let plan = Plan::of(&config).expect("a plan");
        let chains: Vec<_> = plan.chains.iter().map(|chain| (&*chain.name, names(chain))).collect();
        assert_eq!(
            chains,
            [
                ("large", vec![("provisioned", vec!["ptu"]), ("standard", vec!["payg"])]),
                ("small", vec![("standard", vec!["payg"])])
            ]
        );
        assert_eq!(plan.routes.default, None, "there are two, and neither is for all");
    }

    #[test]
    fn what_is_said_of_all_is_said_of_each_but_rates_of_those_that_are_paid_by_the_hour() {
        let mut config = two();
        config.quota.tokens_per_minute = Some(1_000);
        config.quota.max_in_flight = Some(3);
        let plan = Plan::of(&config).expect("a plan");
        let endpoints = plan.chains.iter().flat_map(|chain| &chain.legs).flat_map(|leg| &leg.endpoints);
        let quotas: Vec<_> =
            endpoints.map(|plan| (plan.config.quota.tokens_per_minute, plan.config.quota.max_in_flight)).collect();
        assert_eq!(quotas, [(None, Some(3)), (Some(1_000), Some(3))]);
    }

    #[test]
    fn what_names_nothing_is_told_all_at_once() {
        let mut config = two()
            .endpoint(EndpointConfig::new("lost", "nowhere"))
            .model("chat", ModelConfig::of(["payg", "paygo", "lost"]));
        config.default_model = Some("chat".to_owned());
        let problems = Plan::of(&config).expect_err("problems");
        let keys: Vec<_> = problems.iter().map(Problem::key).collect();
        assert_eq!(keys, ["endpoints[2].resource", "models.chat.legs[0].endpoints"]);
        let problems = Plan::of(&Config::new()).expect_err("nothing to call");
        assert_eq!(problems[0].key(), "endpoints");
    }
}
