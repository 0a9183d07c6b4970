use std::{collections::HashSet, error::Error as StdError, fmt, sync::Arc};

use tower_aoai_core::Availability;
use tower_layer::Layer;

use crate::{Balance, Member};

/// Sends each call to one of its members; see the [crate's page](crate).
#[derive(Debug, Clone)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct BalanceLayer<L> {
    members: Arc<[Member<L>]>,
}

/// Members that cannot be balanced.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidMembers {
    /// There is none.
    Empty,
    /// Two have this name.
    SameName(Arc<str>),
    /// The member shares the state of a gate with another one: each needs a layer value of its own.
    SharedState(Arc<str>),
}

impl<L> BalanceLayer<L> {
    /// Balances over `members`.
    ///
    /// # Errors
    /// [`InvalidMembers`] if there is none, if two have the same name, or if two share the state of a gate.
    pub fn new(members: impl IntoIterator<Item = Member<L>>) -> Result<Self, InvalidMembers> {
        let members: Arc<[_]> = members.into_iter().collect();
        if members.is_empty() {
            return Err(InvalidMembers::Empty);
        }
        let (mut names, mut states) = (HashSet::new(), HashSet::new());
        for member in &*members {
            if !names.insert(&*member.name) {
                return Err(InvalidMembers::SameName(Arc::clone(&member.name)));
            }
            if !member.gates.iter().all(|gate| states.insert(identity(gate))) {
                return Err(InvalidMembers::SharedState(Arc::clone(&member.name)));
            }
        }
        Ok(Self { members })
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
}

fn identity(gate: &Arc<dyn Availability>) -> *const () {
    Arc::as_ptr(gate).cast()
}

impl<L, S> Layer<S> for BalanceLayer<L>
where
    L: Layer<S>,
    S: Clone,
{
    type Service = Balance<L::Service>;

    fn layer(&self, client: S) -> Self::Service {
        Balance::new(self.members.iter().map(|member| member.wrap(client.clone())).collect())
    }
}

impl fmt::Display for InvalidMembers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a balancer needs at least one member"),
            Self::SameName(name) => write!(f, "two members are named {name:?}: give each a name of its own"),
            Self::SharedState(name) => write!(
                f,
                "member {name:?} shares the state of a gate with another member: make a new layer value for each"
            ),
        }
    }
}

impl StdError for InvalidMembers {}
