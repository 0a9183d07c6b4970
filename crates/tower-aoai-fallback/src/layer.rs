use std::{error::Error as StdError, fmt, sync::Arc};

use tower_layer::Layer;

use crate::Fallback;

/// Tries its legs in order; see the [crate's page](crate).
#[derive(Debug, Clone)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct FallbackLayer<L> {
    legs: Arc<[Leg<L>]>,
}

/// One alternative: a name, and the layers of its own stack.
#[derive(Clone)]
pub struct Leg<L> {
    pub(crate) name: Arc<str>,
    pub(crate) layer: L,
}

/// A fallback was made without any leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoLegs;

impl<L> Leg<L> {
    /// A leg with this stack.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, layer: L) -> Self {
        Self { name: name.into(), layer }
    }
}

impl<L> FallbackLayer<L> {
    /// Tries `legs` in their order.
    ///
    /// # Errors
    /// [`NoLegs`] if there is none.
    pub fn new(legs: impl IntoIterator<Item = Leg<L>>) -> Result<Self, NoLegs> {
        let legs: Arc<[_]> = legs.into_iter().collect();
        if legs.is_empty() { Err(NoLegs) } else { Ok(Self { legs }) }
    }
}

impl<L, S> Layer<S> for FallbackLayer<L>
where
    L: Layer<S>,
    S: Clone,
{
    type Service = Fallback<L::Service>;

    fn layer(&self, client: S) -> Self::Service {
        let wrap = |leg: &Leg<L>| Leg { name: Arc::clone(&leg.name), layer: leg.layer.layer(client.clone()) };
        Fallback::new(self.legs.iter().map(wrap).collect())
    }
}

impl<L> fmt::Debug for Leg<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leg").field("name", &self.name).finish_non_exhaustive()
    }
}

impl fmt::Display for NoLegs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a fallback needs at least one leg")
    }
}

impl StdError for NoLegs {}
