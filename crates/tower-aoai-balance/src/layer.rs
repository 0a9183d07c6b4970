use std::{fmt, sync::Arc};

use tower_aoai_core::{AzureClassifier, Classify, Generator};
use tower_layer::Layer;

use crate::{
    Balance, BalanceHandle, InvalidMembers, Member, Strategy,
    balancer::{Balancer, Settings},
    roster::{Layers, seat},
    seat::Seat,
    stacks::Stacks,
};

/// Sends each call to one of its members; see the [crate's page](crate).
///
/// The members, and what is learned of them, are shared by every service this layer makes and by its clones. Set it up
/// before it is cloned, handed out or used: a change of a setting starts with nothing learned.
#[must_use = "a layer does nothing until it wraps a service"]
pub struct BalanceLayer<L> {
    balancer: Arc<Balancer>,
    layers: Arc<Layers<L>>,
}

impl<L> BalanceLayer<L> {
    /// Balances over `members` by [expected finish](Strategy::ExpectedFinish).
    ///
    /// # Errors
    /// [`InvalidMembers`] if there is none, if two have the same name, if two share the state of a gate, or if one has a
    /// weight of 0.
    pub fn new(members: impl IntoIterator<Item = Member<L>>) -> Result<Self, InvalidMembers> {
        let settings = Settings {
            strategy: Strategy::default(),
            tries: 1,
            generator: Generator::from_system(),
            classify: Arc::new(AzureClassifier::default()),
            is_off: false,
        };
        let (roster, layers) = seat(members)?;
        Ok(Self { balancer: Balancer::new(Arc::new(roster), settings), layers: Arc::new(layers) })
    }

    /// Balances over the members that `make` makes, one of each of `configs`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn from_fn<C>(
        configs: impl IntoIterator<Item = C>,
        make: impl FnMut(C) -> Member<L>,
    ) -> Result<Self, InvalidMembers> {
        Self::new(configs.into_iter().map(make))
    }

    /// Sends every call to this one member, asks it nothing and learns nothing: for a stack whose type must not change.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn off(member: Member<L>) -> Result<Self, InvalidMembers> {
        Ok(Self::new([member])?.with(|settings| settings.is_off = true))
    }

    /// How a member is chosen inside a tier. Default: [`Strategy::ExpectedFinish`].
    pub fn strategy(self, strategy: Strategy) -> Self {
        self.with(|settings| settings.strategy = strategy)
    }

    /// How often a call is tried at one member before its retries go to another. Default, and least, 1.
    ///
    /// The tries are those of a retry layer above: this layer sends nothing twice.
    pub fn tries_per_member(self, tries: usize) -> Self {
        self.with(|settings| settings.tries = tries.max(1))
    }

    /// Judges answers by `classify` where no [`ObserveLayer`](tower_aoai_core::ObserveLayer) below has judged them.
    /// Default: [`AzureClassifier`].
    pub fn classify(self, classify: Arc<dyn Classify>) -> Self {
        self.with(|settings| settings.classify = classify)
    }

    /// Draws from a sequence that is the same for the same seed. Default: a seed of the system's.
    pub fn seed(self, seed: u64) -> Self {
        self.with(|settings| settings.generator = Generator::seeded(seed))
    }

    /// Shows the members, and changes them.
    #[must_use]
    pub fn handle(&self) -> BalanceHandle<L> {
        BalanceHandle::new(Arc::clone(&self.balancer), Arc::clone(&self.layers))
    }

    fn with(self, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = self.balancer.settings.clone();
        change(&mut settings);
        Self { balancer: Balancer::new(Arc::clone(&self.balancer.roster), settings), ..self }
    }
}

/// Every service has stacks of its own over a clone of its client, made once for each member; its clones share them.
///
/// Members may come later, so the service keeps the layers and the client; their types are not part of its own, or the
/// compiler would have to prove of them, wherever a call is spawned, that one makes the other.
impl<C, L> Layer<C> for BalanceLayer<L>
where
    L: Layer<C> + Send + Sync + 'static,
    C: Clone + Send + Sync + 'static,
{
    type Service = Balance<L::Service>;

    fn layer(&self, client: C) -> Self::Service {
        let layers = Arc::clone(&self.layers);
        let wrap = move |seat: &Seat| layers.of(seat).map(|layer| layer.layer(client.clone()));
        Balance::new(Stacks::new(Arc::clone(&self.balancer), Box::new(wrap)))
    }
}

impl<L> Clone for BalanceLayer<L> {
    fn clone(&self) -> Self {
        Self { balancer: Arc::clone(&self.balancer), layers: Arc::clone(&self.layers) }
    }
}

impl<L> fmt::Debug for BalanceLayer<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BalanceLayer").field(&self.balancer).finish()
    }
}
