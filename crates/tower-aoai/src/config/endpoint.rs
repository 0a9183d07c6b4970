//! Endpoints: deployments, with what they can take.

use super::{CircuitBreakerConfig, QuotaConfig, RequestDefaultsConfig, TimeoutsConfig, read::words, setting::section};
use crate::cost::DeploymentType;

section! {
    /// One deployment of a resource, with its quota.
    pub struct EndpointConfig {
        /// Its name, by which legs refer to it, and under which its state is kept. Required.
        pub name: String,
        /// The [resource](super::ResourceConfig) that it is of, by name. Required.
        pub resource: String,
        /// The deployment's name. Default: what the call itself names.
        pub deployment: Option<String>,
        /// The models, as callers name them, that it serves; of use only where no [`models`](super::Config::models) are
        /// written down. Default: any.
        pub models: Vec<String>,
        /// Which model is deployed, as price lists and tables of context windows name it. Default: what the
        /// deployment is called.
        pub model: Option<String>,
        /// How it is deployed, and billed. Default [`DeploymentKind::GlobalStandard`].
        pub kind as "type": Option<DeploymentKind>,
        /// Provisioned throughput units. With a known [`model`](Self::model) they say how many tokens per minute it
        /// works off. Default: not known, and then only its refusals tell that it is full.
        pub ptus: Option<u64>,
        /// How many input tokens per minute a unit works off. Default: by the model, from Azure's documentation.
        pub tokens_per_minute_per_ptu: Option<u64>,
        /// Among the endpoints of a leg: those of a lower tier are preferred. Default 0.
        pub tier: Option<u64>,
        /// Its share of its tier's calls, relative to the others'. Default 1.
        pub weight: Option<u32>,
        /// What it can take. What is not said here is as in [`Config::quota`](super::Config::quota).
        pub quota: QuotaConfig,
        /// When calls are kept from it. What is not said here is as in
        /// [`Config::circuit_breaker`](super::Config::circuit_breaker).
        pub circuit_breaker: CircuitBreakerConfig,
        /// How long an attempt may take. What is not said here is as in [`Config::timeouts`](super::Config::timeouts).
        pub timeouts: TimeoutsConfig,
        /// Parameters for calls that leave them out. What is not said here is as in
        /// [`Config::request_defaults`](super::Config::request_defaults).
        pub request_defaults: RequestDefaultsConfig,
        /// Asks for the usage of streamed answers; false for an api-version that does not know `stream_options`.
        /// Default true.
        pub include_usage: Option<bool>,
    }
}

/// How a deployment is deployed: Azure's SKUs, as far as they are billed or throttled differently.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeploymentKind {
    /// `GlobalStandard`: by the token.
    #[default]
    GlobalStandard,
    /// `DataZoneStandard`: by the token, within a data zone.
    DataZoneStandard,
    /// `Standard`: by the token, in one region.
    Standard,
    /// `GlobalBatch`, `DataZoneBatch`: by the token, half as much.
    Batch,
    /// `ProvisionedManaged`, also global or of a data zone: by the hour, whatever it serves.
    Provisioned,
    /// The same, and Azure itself spills to a standard deployment what it cannot serve.
    ProvisionedSpilling,
}

impl DeploymentKind {
    /// Whether it is paid for by the hour.
    #[must_use]
    pub const fn is_provisioned(self) -> bool {
        matches!(self, Self::Provisioned | Self::ProvisionedSpilling)
    }

    /// How it is billed.
    #[must_use]
    pub const fn billing(self) -> DeploymentType {
        match self {
            Self::GlobalStandard => DeploymentType::Global,
            Self::DataZoneStandard => DeploymentType::DataZone,
            Self::Standard => DeploymentType::Regional,
            Self::Batch => DeploymentType::Batch,
            Self::Provisioned => DeploymentType::Provisioned,
            Self::ProvisionedSpilling => DeploymentType::ProvisionedSpilling,
        }
    }
}

impl EndpointConfig {
    /// An endpoint of this resource, for whatever deployment a call names.
    pub fn new(name: impl Into<String>, resource: impl Into<String>) -> Self {
        Self { name: name.into(), resource: resource.into(), ..Self::default() }
    }

    /// Its deployment's name. Default: what each call names.
    #[must_use]
    pub fn deployment(mut self, name: impl Into<String>) -> Self {
        self.deployment = Some(name.into());
        self
    }

    /// Which model is deployed, as Azure names it: for prices, context windows and units. Default: what the deployment is
    /// called.
    #[must_use]
    pub fn model(mut self, name: impl Into<String>) -> Self {
        self.model = Some(name.into());
        self
    }

    /// A provisioned deployment of so many units (PTU). Default: a standard one.
    #[must_use]
    pub const fn provisioned(mut self, ptus: u64) -> Self {
        self.kind = Some(DeploymentKind::Provisioned);
        self.ptus = Some(ptus);
        self
    }

    /// Its quota of tokens, per minute. Default: no limit here; what the server's headers tell is learned.
    #[must_use]
    pub const fn tokens_per_minute(mut self, tokens: u64) -> Self {
        self.quota.tokens_per_minute = Some(tokens);
        self
    }

    /// Its quota of requests, per minute. Default: no limit here.
    #[must_use]
    pub const fn requests_per_minute(mut self, requests: u64) -> Self {
        self.quota.requests_per_minute = Some(requests);
        self
    }

    /// How it is deployed; global standard if nothing is said.
    #[must_use]
    pub fn kind(&self) -> DeploymentKind {
        self.kind.unwrap_or_default()
    }
}

words!(DeploymentKind {
    "global-standard" => Self::GlobalStandard,
    "data-zone-standard" => Self::DataZoneStandard,
    "standard" => Self::Standard,
    "batch" => Self::Batch,
    "provisioned" => Self::Provisioned,
    "provisioned-spilling" => Self::ProvisionedSpilling,
    // Azure's own names of the SKUs.
    "global-batch" => Self::Batch,
    "data-zone-batch" => Self::Batch,
    "provisioned-managed" => Self::Provisioned,
    "global-provisioned-managed" => Self::Provisioned,
    "data-zone-provisioned-managed" => Self::Provisioned,
});
