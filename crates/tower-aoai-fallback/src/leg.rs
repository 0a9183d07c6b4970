use std::{fmt, sync::Arc, time::Duration};

use crate::{Condition, Patience, TokenPrice};

/// One alternative of a fallback: a name, the layers of its own stack, and when and how long a call is there.
///
/// ```
/// use std::time::Duration;
/// use tower::layer::util::Identity;
/// use tower_aoai_fallback::{Leg, Patience, TokenPrice};
///
/// let ptu = Leg::new("ptu", Identity::new()).provisioned().patience(Patience::AtMost(Duration::from_secs(1)));
/// // 2.50 and 10 dollars for a million tokens.
/// let standard = Leg::new("standard", Identity::new()).price(TokenPrice::new(2_500, 10_000));
/// ```
#[derive(Clone)]
#[must_use]
pub struct Leg<L> {
    pub(crate) layer: L,
    pub(crate) rule: Rule,
}

/// What a leg is told, apart from its stack.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) name: Arc<str>,
    pub(crate) condition: Condition,
    pub(crate) patience: Option<Patience>,
    pub(crate) is_provisioned: bool,
    pub(crate) price: Option<TokenPrice>,
    pub(crate) expected_service: Duration,
}

impl Rule {
    pub(crate) const fn new(name: Arc<str>) -> Self {
        Self {
            name,
            condition: Condition::elsewhere(),
            patience: None,
            is_provisioned: false,
            price: None,
            expected_service: Duration::from_secs(10),
        }
    }

    pub(crate) fn patience(&self) -> Patience {
        self.patience.unwrap_or(if self.is_provisioned { Patience::INTERACTIVE } else { Patience::Unlimited })
    }
}

impl<L> Leg<L> {
    /// A leg with this stack: anything that is a layer, from one gate to retries over a balancer.
    pub fn new(name: impl Into<Arc<str>>, layer: L) -> Self {
        Self { layer, rule: Rule::new(name.into()) }
    }

    /// After which failures of the leg that was tried before a call comes to this one; nothing to the first. Default
    /// [`Condition::elsewhere`].
    pub fn on(mut self, condition: Condition) -> Self {
        self.rule.condition = condition;
        self
    }

    /// How long a call may wait here while there is a next leg. Default 2 s for a [provisioned](Self::provisioned) leg,
    /// which is paid for in any case, else [`Patience::Unlimited`].
    pub fn patience(mut self, patience: Patience) -> Self {
        self.rule.patience = Some(patience);
        self
    }

    /// The legs of the recipes that know a `PTU_MAX_WAIT`: a hint that ends later than so long after the call came is
    /// not waited for. The same as [`Patience::AtMost`].
    pub fn max_wait(self, wait: Duration) -> Self {
        self.patience(Patience::AtMost(wait))
    }

    /// A provisioned deployment: what it cannot serve is spilled to the next leg, and counted as that.
    pub fn provisioned(mut self) -> Self {
        self.rule.is_provisioned = true;
        self
    }

    /// What the leg's tokens cost: what a spill to it is weighed with, and booked as. Default: not known, and
    /// nothing is weighed or booked.
    pub const fn price(mut self, price: TokenPrice) -> Self {
        self.rule.price = Some(price);
        self
    }

    /// How long an answer of this leg takes, from its send to its last byte, until 20 answers have shown it, to calls
    /// that asked for about as much output; from then on it is what all but one in a thousand of the recent ones took
    /// at the most. Answers are seen by an [`ObserveLayer`](tower_aoai_core::ObserveLayer) below. Default 10 s.
    pub const fn expected_service(mut self, service: Duration) -> Self {
        self.rule.expected_service = service;
        self
    }
}

impl<L> fmt::Debug for Leg<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rule.fmt(f)
    }
}
