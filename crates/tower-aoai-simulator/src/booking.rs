//! Booking a request's charge in the quota of its deployment.

use tokio::time::Instant;

use crate::{
    deployment::{Deployment, Kind},
    quota::{ProvisionedQuota, QuotaSnapshot, Refusal, RefusalReason, RequestWindow, StandardQuota},
};

/// What a request is to be charged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Charge {
    /// The estimate of the prompt, its cached part, and the estimate of the output.
    pub(crate) prompt: u64,
    pub(crate) cached: u64,
    pub(crate) output: u64,
}

/// A deployment's quota, whatever its kind.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "one for each deployment, and never moved")]
pub(crate) enum Quota {
    Standard(StandardQuota),
    Provisioned(ProvisionedQuota),
    Unlimited,
}

impl Quota {
    /// What a deployment has at the start.
    pub(crate) fn of(deployment: &Deployment, start: Instant) -> Self {
        match deployment.kind {
            Kind::Standard => {
                let tokens = deployment.tokens_per_minute;
                let derived = (tokens.saturating_mul(6) / 1_000).max(1);
                let requests = RequestWindow::new(
                    deployment.requests_per_minute.unwrap_or(derived),
                    deployment.request_limit,
                    start,
                );
                let quota = StandardQuota::new(tokens, deployment.token_limit, Some(requests), start);
                Self::Standard(quota.count_refused(deployment.count_refused))
            }
            Kind::Provisioned => {
                let model = deployment.facts();
                Self::Provisioned(ProvisionedQuota::new(
                    deployment.units.saturating_mul(model.input_per_unit),
                    model.output_ratio,
                    deployment.utilisation_window,
                    start,
                ))
            }
            Kind::Unlimited => Self::Unlimited,
        }
    }

    /// Admits the request, or refuses it; either way says what its charge is in this quota.
    pub(crate) fn admit(&mut self, now: Instant, charge: Charge) -> (u64, Result<(), Refusal>) {
        let cost = self.cost(charge);
        let decision = match self {
            Self::Standard(quota) => quota.admit(now, cost),
            Self::Provisioned(quota) => quota
                .admit(now, cost)
                .map_err(|retry_after| Refusal { reason: RefusalReason::Utilisation, retry_after }),
            Self::Unlimited => Ok(()),
        };
        (cost, decision)
    }

    /// Charges without asking.
    pub(crate) fn force(&mut self, now: Instant, charge: Charge) -> u64 {
        let cost = self.cost(charge);
        match self {
            Self::Standard(quota) => quota.charge(now, cost),
            Self::Provisioned(quota) => quota.add(now, cost),
            Self::Unlimited => {}
        }
        cost
    }

    /// Counts a request that is no work: one that is answered with an error.
    pub(crate) fn count_failed(&mut self, now: Instant) {
        if let Self::Standard(quota) = self {
            quota.charge(now, 0);
        }
    }

    /// Corrects what was reserved to what was used, where the quota does that.
    pub(crate) fn settle(&mut self, now: Instant, reserved: u64, used: Charge) {
        let cost = self.cost(used);
        if let Self::Provisioned(quota) = self {
            quota.correct(now, reserved, cost);
        }
    }

    pub(crate) fn snapshot(&self, now: Instant) -> QuotaSnapshot {
        match self {
            Self::Standard(quota) => quota.snapshot(now),
            Self::Provisioned(quota) => QuotaSnapshot::Provisioned { utilisation: quota.utilisation(now) },
            Self::Unlimited => QuotaSnapshot::Unlimited,
        }
    }

    fn cost(&self, charge: Charge) -> u64 {
        match self {
            Self::Provisioned(quota) => quota.weigh(charge.prompt.saturating_sub(charge.cached), charge.output),
            _ => charge.prompt.saturating_add(charge.output),
        }
    }
}
