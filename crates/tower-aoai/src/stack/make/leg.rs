use std::{sync::Arc, time::Duration};

use super::said;
use crate::{
    config::{FailureKind, LegConfig, PatienceConfig},
    core::{LegFailure, Outcome, Reason},
    cost::{DeploymentType, Prices, ServiceTier},
    fallback::{Condition, Leg, Patience, TokenPrice},
};

/// What is said of a leg beside its layers.
pub(in crate::stack) fn leg<L>(config: &LegConfig, layers: L, is_provisioned: bool) -> Leg<L> {
    let leg = Leg::new(Arc::<str>::from(config.name.as_str()), layers);
    let leg = if is_provisioned { leg.provisioned() } else { leg };
    let leg = said(leg, patience(config.patience), Leg::patience);
    let leg = said(leg, config.on.clone(), |leg, kinds| leg.on(condition(kinds)));
    said(leg, config.expected_service, Leg::expected_service)
}

fn patience(config: Option<PatienceConfig>) -> Option<Patience> {
    const NANO: f64 = 1e9;
    Some(match config? {
        PatienceConfig::AtMost(wait) => Patience::AtMost(wait),
        PatienceConfig::Unlimited => Patience::Unlimited,
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
        PatienceConfig::DollarsPerSecond(dollars) => {
            Patience::Worth { nano_dollars_per_second: (dollars.max(0.0) * NANO).round() as u64 }
        }
    })
}

/// How long a call waits in the leg at the most while there is a next one, as far as it is a length of time.
pub(in crate::stack) fn longest_wait(config: &LegConfig, is_provisioned: bool) -> Option<Duration> {
    match patience(config.patience).or(is_provisioned.then_some(Patience::INTERACTIVE)) {
        Some(Patience::AtMost(wait)) => Some(wait),
        _ => None,
    }
}

/// What a token of a model costs by the list; a provisioned deployment's are paid for.
pub(in crate::stack) fn price(prices: &Prices, model: &str, kind: DeploymentType) -> Option<TokenPrice> {
    if kind.is_provisioned() {
        return None;
    }
    let rates = prices.rates(model, kind, ServiceTier::Default, 0)?;
    let each = |million: crate::cost::Money| million.as_nano_dollars() / 1_000_000;
    Some(TokenPrice::new(each(rates.input), each(rates.output)))
}

fn condition(kinds: Vec<FailureKind>) -> Condition {
    Condition::when(move |failure| kind(failure.cause).is_some_and(|kind| kinds.contains(&kind)))
}

/// `None` for what no leg does better.
const fn kind(cause: LegFailure) -> Option<FailureKind> {
    Some(match cause {
        LegFailure::Outcome(Outcome::Throttled { .. })
        | LegFailure::KnownFull { .. }
        | LegFailure::Rejected(Reason::QueueFull | Reason::QuotaSpent | Reason::StartBy) => FailureKind::Throttled,
        LegFailure::Outcome(Outcome::TooLarge) | LegFailure::Rejected(Reason::TooLarge) => FailureKind::TooLarge,
        LegFailure::Outcome(Outcome::Transient { .. })
        | LegFailure::Rejected(Reason::CircuitOpen | Reason::NoEndpoint) => FailureKind::Unavailable,
        LegFailure::Outcome(Outcome::Misconfigured)
        | LegFailure::Rejected(Reason::NoCredential | Reason::Unsupported) => FailureKind::Misconfigured,
        LegFailure::Outcome(Outcome::ContextLength) | LegFailure::Rejected(Reason::ContextLength) => {
            FailureKind::ContextLength
        }
        LegFailure::Outcome(Outcome::Refused) => FailureKind::Refused,
        _ => return None,
    })
}
