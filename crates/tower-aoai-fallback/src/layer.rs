use std::{error::Error as StdError, fmt, sync::Arc, time::Duration};

use tower_aoai_core::Classify;
use tower_layer::Layer;

use crate::{
    Fallback, FallbackHandle, Leg,
    shared::{Settings, Shared},
};

/// Tries its legs in order; see the [crate's page](crate).
///
/// Counts, and what is learned of the legs, are shared by every service of the layer, and every clone.
#[derive(Debug, Clone)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct FallbackLayer<L> {
    legs: Arc<[Leg<L>]>,
    shared: Arc<Shared>,
}

/// Legs that make no fallback.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidLegs {
    /// There is none.
    Empty,
    /// Two have this name.
    SameName(Arc<str>),
}

impl<L> FallbackLayer<L> {
    /// Tries `legs` in their order.
    ///
    /// # Errors
    /// [`InvalidLegs`] if there is none, or if two have the same name.
    pub fn new(legs: impl IntoIterator<Item = Leg<L>>) -> Result<Self, InvalidLegs> {
        let legs: Arc<[_]> = legs.into_iter().collect();
        if legs.is_empty() {
            return Err(InvalidLegs::Empty);
        }
        for (index, leg) in legs.iter().enumerate() {
            if legs[..index].iter().any(|other| other.rule.name == leg.rule.name) {
                return Err(InvalidLegs::SameName(Arc::clone(&leg.rule.name)));
            }
        }
        let shared = Self::share(&legs, Settings::default());
        Ok(Self { legs, shared })
    }

    fn share(legs: &[Leg<L>], settings: Settings) -> Arc<Shared> {
        Arc::new(Shared::new(legs.iter().map(|leg| leg.rule.clone()).collect(), settings))
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = self.shared.settings.clone();
        change(&mut settings);
        self.shared = Self::share(&self.legs, settings);
        self
    }

    /// How long before a call's deadline the answer is to be there, by all that is expected. Default 250 ms.
    ///
    /// To be said before the layer is used: counts begin anew.
    pub fn margin(self, margin: Duration) -> Self {
        self.with(|settings| settings.margin = margin)
    }

    /// Judges answers by `classify` where no [`ObserveLayer`](tower_aoai_core::ObserveLayer) below has judged them.
    /// Default [`AzureClassifier`](tower_aoai_core::AzureClassifier).
    ///
    /// To be said before the layer is used: counts begin anew.
    pub fn classify(self, classify: Arc<dyn Classify>) -> Self {
        self.with(|settings| settings.classify = classify)
    }

    /// Sends every call into the first leg and nowhere else: for a stack whose type must not change.
    pub fn off(self) -> Self {
        self.with(|settings| settings.is_off = true)
    }

    /// Shows what the layer has done.
    #[must_use]
    pub fn handle(&self) -> FallbackHandle {
        FallbackHandle::new(Arc::clone(&self.shared))
    }
}

impl<L, S> Layer<S> for FallbackLayer<L>
where
    L: Layer<S>,
    S: Clone,
{
    type Service = Fallback<L::Service>;

    fn layer(&self, client: S) -> Self::Service {
        let legs = self.legs.iter().map(|leg| leg.layer.layer(client.clone())).collect();
        Fallback::new(legs, Arc::clone(&self.shared))
    }
}

impl fmt::Display for InvalidLegs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a fallback needs at least one leg"),
            Self::SameName(name) => write!(f, "two legs are named {name:?}: give each a name of its own"),
        }
    }
}

impl StdError for InvalidLegs {}
