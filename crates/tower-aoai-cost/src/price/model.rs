//! What one model costs in all the ways in which it can be bought.

use super::{DeploymentType, Quote, Rates, ServiceTier};

/// What a million tokens of a model cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ModelPrice {
    pub(super) plain: Rates,
    pub(super) batch: Option<Rates>,
    pub(super) flex: Option<Rates>,
    pub(super) priority: Option<Rates>,
    pub(super) long: Option<Long>,
    /// Thousandths of the global price, where they are not the table's.
    pub(super) data_zone: Option<u32>,
    pub(super) regional: Option<u32>,
    pub(super) max_output: u64,
    pub(super) reasons: bool,
}

/// What requests with long prompts cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Long {
    /// The longest prompt that is not long, in tokens.
    pub(super) above: u64,
    pub(super) rates: Rates,
}

/// Thousandths of the global price, for models that have no price of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Factors {
    pub(super) data_zone: u32,
    pub(super) regional: u32,
    pub(super) batch: u32,
    pub(super) flex: u32,
    pub(super) priority: u32,
}

impl Default for Factors {
    /// As in the table that the crate brings.
    fn default() -> Self {
        Self { data_zone: 1_100, regional: 1_100, batch: 500, flex: 500, priority: 2_500 }
    }
}

impl ModelPrice {
    pub(super) const fn new(plain: Rates, max_output: u64) -> Self {
        Self {
            plain,
            batch: None,
            flex: None,
            priority: None,
            long: None,
            data_zone: None,
            regional: None,
            max_output,
            reasons: false,
        }
    }

    pub(super) fn quote(&self, tier: ServiceTier, prompt_tokens: u64, factors: &Factors) -> Quote {
        let Self { max_output, reasons, .. } = *self;
        let sure = |rates| Quote { rates, is_assumed: false, max_output, reasons };
        let quote = match tier {
            ServiceTier::Default => sure(self.plain),
            ServiceTier::Batch => sure(self.batch.unwrap_or_else(|| self.plain.per_mille(factors.batch))),
            ServiceTier::Flex => sure(self.flex.unwrap_or_else(|| self.plain.per_mille(factors.flex))),
            ServiceTier::Priority => match self.priority {
                Some(rates) => sure(rates),
                None => Quote { is_assumed: true, ..sure(self.plain.per_mille(factors.priority)) },
            },
        };
        match self.long {
            Some(long) if prompt_tokens > long.above => {
                Quote { rates: long.rates.as_to(&self.plain, &quote.rates), ..quote }
            }
            _ => quote,
        }
    }

    pub(super) fn factor(&self, deployment: DeploymentType, factors: &Factors) -> u32 {
        match deployment {
            DeploymentType::DataZone => self.data_zone.unwrap_or(factors.data_zone),
            DeploymentType::Regional => self.regional.unwrap_or(factors.regional),
            DeploymentType::Global
            | DeploymentType::Batch
            | DeploymentType::Provisioned
            | DeploymentType::ProvisionedSpilling => 1_000,
        }
    }
}
