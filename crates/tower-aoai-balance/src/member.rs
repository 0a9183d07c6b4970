use std::{fmt, sync::Arc};

use tower_aoai_core::{Asked, Availability};
use tower_layer::{Identity, Stack};

/// One endpoint of a balancer: its name, its layers, outermost first, and the gates among them.
pub struct Member<L> {
    pub(crate) name: Arc<str>,
    pub(crate) tier: usize,
    pub(crate) weight: u32,
    pub(crate) layer: L,
    pub(crate) gates: Vec<Arc<dyn Availability>>,
}

impl Member<Identity> {
    /// An endpoint without any layer yet, of tier 0 and weight 1.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), tier: 0, weight: 1, layer: Identity::new(), gates: Vec::new() }
    }
}

impl<L> Member<L> {
    /// Its tier: 0, the default, is preferred to 1, that to 2, and so on. A later one takes the calls that no member of
    /// an earlier one can serve in time.
    #[must_use]
    pub const fn tier(mut self, tier: usize) -> Self {
        self.tier = tier;
        self
    }

    /// Its share of its tier's calls, relative to the other members'. Default 1; 0 is refused by
    /// [`BalanceLayer::new`](crate::BalanceLayer::new).
    #[must_use]
    pub const fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// Adds a gate, inside of what is there already; the balancer asks its state before it chooses.
    #[must_use]
    pub fn asked<T: Asked>(mut self, gate: T) -> Member<Stack<T, L>> {
        self.gates.push(gate.availability());
        self.layer(gate)
    }

    /// Adds a layer, inside of what is there already.
    #[must_use]
    pub fn layer<T>(self, layer: T) -> Member<Stack<T, L>> {
        let Self { name, tier, weight, layer: outer, gates } = self;
        Member { name, tier, weight, layer: Stack::new(layer, outer), gates }
    }

    /// The member's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl<L: Clone> Clone for Member<L> {
    fn clone(&self) -> Self {
        let Self { name, tier, weight, layer, gates } = self;
        Self { name: Arc::clone(name), tier: *tier, weight: *weight, layer: layer.clone(), gates: gates.clone() }
    }
}

impl<L> fmt::Debug for Member<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member")
            .field("name", &self.name)
            .field("tier", &self.tier)
            .field("weight", &self.weight)
            .field("gates", &self.gates.len())
            .finish_non_exhaustive()
    }
}
