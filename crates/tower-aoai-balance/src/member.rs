use std::{fmt, sync::Arc};

use tower_aoai_core::{Asked, Availability};
use tower_layer::{Identity, Layer, Stack};

/// One endpoint of a balancer: its name, its layers, outermost first, and the gates among them.
pub struct Member<L> {
    pub(crate) name: Arc<str>,
    pub(crate) layer: L,
    pub(crate) gates: Vec<Arc<dyn Availability>>,
}

impl Member<Identity> {
    /// An endpoint without any layer yet.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), layer: Identity::new(), gates: Vec::new() }
    }
}

impl<L> Member<L> {
    /// Adds a gate, inside of what is there already; the balancer asks its state before it chooses.
    #[must_use]
    pub fn asked<T: Asked>(mut self, gate: T) -> Member<Stack<T, L>> {
        self.gates.push(gate.availability());
        self.layer(gate)
    }

    /// Adds a layer, inside of what is there already.
    #[must_use]
    pub fn layer<T>(self, layer: T) -> Member<Stack<T, L>> {
        Member { name: self.name, layer: Stack::new(layer, self.layer), gates: self.gates }
    }

    /// The member's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn wrap<S>(&self, client: S) -> Member<L::Service>
    where
        L: Layer<S>,
    {
        Member { name: Arc::clone(&self.name), layer: self.layer.layer(client), gates: self.gates.clone() }
    }
}

impl<L: Clone> Clone for Member<L> {
    fn clone(&self) -> Self {
        Self { name: Arc::clone(&self.name), layer: self.layer.clone(), gates: self.gates.clone() }
    }
}

impl<L> fmt::Debug for Member<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("name", &self.name).field("gates", &self.gates.len()).finish_non_exhaustive()
    }
}
