//! A configuration with all that it leaves open filled in.

use std::time::Duration;

use super::{
    CircuitBreakerConfig, Config, EndpointConfig, LegConfig, Limit, ModelConfig, Profile, QuotaConfig, RetryConfig,
    provisioned::Throughput, setting::Setting,
};
use crate::retry_after::Jitter;

/// The model that stands for all that has no name here.
pub(crate) const USUAL_MODEL: &str = "default";

impl Profile {
    /// What it says.
    #[must_use]
    pub fn config(self) -> Config {
        match self {
            Self::Cautious => Config { quota: cautious_quota(), ..cautious_failures() },
        }
    }
}

fn cautious_quota() -> QuotaConfig {
    QuotaConfig {
        max_in_flight: Some(3),
        min_interval: Some(Duration::from_millis(100)),
        requests_per_minute: Some(60),
        tokens_per_minute: Some(150_000),
        ..QuotaConfig::default()
    }
}

fn cautious_failures() -> Config {
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    Config {
        retry: RetryConfig {
            max_retries: Some(3),
            initial_backoff: seconds(1),
            max_backoff: seconds(30),
            multiplier: Some(2.0),
            jitter: Some(NEVER_SOONER),
            ..RetryConfig::default()
        },
        circuit_breaker: CircuitBreakerConfig {
            consecutive_failures: Some(Limit::Of(5)),
            failure_ratio: Some(Limit::Unlimited),
            break_time: seconds(60),
            break_cap: seconds(60),
            jitter: Some(0.0),
            successes_to_close: Some(3),
            ..CircuitBreakerConfig::default()
        },
        ..Config::default()
    }
}

/// Who says how long to wait means at least so long.
pub(crate) const NEVER_SOONER: Jitter = Jitter::Proportional(0.1);

impl Config {
    /// The same with all that it leaves open filled in: the profile; the models, where none are written down; each
    /// endpoint's and each leg's settings from those of the whole; a provisioned deployment's throughput from its units.
    ///
    /// What is then still open is as documented under "Default".
    #[must_use]
    pub fn effective(&self) -> Self {
        let mut whole = self.clone();
        if let Some(profile) = whole.profile.map(Profile::config) {
            whole.retry.take_from(&profile.retry);
            whole.circuit_breaker.take_from(&profile.circuit_breaker);
            whole.request_defaults.take_from(&profile.request_defaults);
            whole.fill(&profile);
        }
        let Self { endpoints, quota, circuit_breaker, timeouts, request_defaults, retry, .. } = &mut whole;
        for endpoint in endpoints {
            endpoint.take_from(quota);
            endpoint.circuit_breaker.take_from(circuit_breaker);
            endpoint.timeouts.fill(timeouts);
            endpoint.request_defaults.take_from(request_defaults);
        }
        let retry = retry.clone();
        if whole.models.is_empty() {
            whole.find_models();
        }
        for (name, model) in &mut whole.models {
            model.spell_out(name);
            for leg in &mut model.legs {
                leg.retry.take_from(&retry);
            }
        }
        if whole.default_model.is_none() && whole.models.len() == 1 {
            whole.default_model = whole.models.keys().next().cloned();
        }
        whole
    }

    /// The endpoint of a name.
    #[must_use]
    pub fn find_endpoint(&self, name: &str) -> Option<&EndpointConfig> {
        self.endpoints.iter().find(|endpoint| endpoint.name == name)
    }

    /// The resource of a name.
    #[must_use]
    pub fn find_resource(&self, name: &str) -> Option<&super::ResourceConfig> {
        self.resources.iter().find(|resource| resource.name == name)
    }

    /// Whether all endpoints of a leg are provisioned.
    #[must_use]
    pub fn is_provisioned(&self, leg: &LegConfig) -> bool {
        let mut endpoints = leg.endpoints.iter().filter_map(|name| self.find_endpoint(name)).peekable();
        endpoints.peek().is_some() && endpoints.all(|endpoint| endpoint.kind().is_provisioned())
    }

    /// Models, where none are written down.
    fn find_models(&mut self) {
        let names = self.endpoints.iter().flat_map(|endpoint| endpoint.models.iter().cloned());
        let mut models: Vec<(String, ModelConfig)> = names
            .map(|model| {
                let serving = self.endpoints.iter().filter(|endpoint| endpoint.models.contains(&model));
                let found = ModelConfig::in_order(serving.collect());
                (model, found)
            })
            .collect();
        let of_any: Vec<_> = self.endpoints.iter().filter(|endpoint| endpoint.models.is_empty()).collect();
        if !of_any.is_empty() {
            models.push((USUAL_MODEL.to_owned(), ModelConfig::in_order(of_any)));
            self.default_model.get_or_insert_with(|| USUAL_MODEL.to_owned());
        }
        self.models.extend(models);
    }
}

impl EndpointConfig {
    fn take_from(&mut self, quota: &QuotaConfig) {
        let mut others = QuotaConfig { shared: None, ..quota.clone() };
        if self.kind().is_provisioned() {
            // A standard deployment's quota says nothing of what units work off.
            (others.tokens_per_minute, others.requests_per_minute) = (None, None);
            if let Some((tokens, ratio)) = self.throughput() {
                self.quota.tokens_per_minute.get_or_insert(tokens);
                self.quota.output_ratio.get_or_insert(ratio);
            }
        }
        self.quota.fill(&others);
    }

    /// What its units work off in a minute, and what a token of output weighs; `None` if that is not known.
    pub(crate) fn throughput(&self) -> Option<(u64, u64)> {
        let mut names = [&self.model, &self.deployment].into_iter().flatten();
        let known = names.find_map(|name| Throughput::of(name));
        let each = self.tokens_per_minute_per_ptu.or(known.map(|known| known.tokens_per_minute))?;
        let ratio = known.map_or(1, |known| known.output_ratio);
        Some((self.ptus?.saturating_mul(each), ratio))
    }
}

impl ModelConfig {
    /// Provisioned endpoints before the others.
    fn in_order(endpoints: Vec<&EndpointConfig>) -> Self {
        let (provisioned, others): (Vec<_>, Vec<_>) =
            endpoints.into_iter().partition(|endpoint| endpoint.kind().is_provisioned());
        let legs = [("provisioned", provisioned), ("standard", others)].into_iter();
        let legs = legs.filter(|(_, endpoints)| !endpoints.is_empty());
        legs.fold(Self::new(), |model, (name, endpoints)| {
            model.leg(LegConfig::new(name, endpoints.into_iter().map(|endpoint| endpoint.name.as_str())))
        })
    }

    /// Makes a leg of the endpoints that are given in legs' stead.
    fn spell_out(&mut self, name: &str) {
        if self.legs.is_empty() && !self.endpoints.is_empty() {
            let mut leg = LegConfig::new(name, std::mem::take(&mut self.endpoints));
            leg.strategy = self.strategy.take();
            self.legs.push(leg);
        }
    }
}
