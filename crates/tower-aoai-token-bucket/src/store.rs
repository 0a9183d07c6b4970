//! Where a quota is kept.

use std::{
    fmt,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::Instant;
use tower_aoai_core::{Admission, Load, Priority, QuotaHeaders, Rejected, Tenant};

use crate::{Charge, Ending};

/// Where a quota is kept: [`Local`](crate::Local), in this process, or somewhere that many replicas share.
///
/// The layer asks for a charge before a call, says when it was sent, and settles it exactly once, whatever becomes of the
/// call; how charges are counted, in which order they are granted and how one waits for them is the store's. None of the
/// methods but [`poll_reserve`](Self::poll_reserve) may wait, and none may block or panic: they are called in `poll` and
/// `Drop`. A store over a network sends what they say with its next request, or from a task of its own, through a bounded
/// queue; since all but `poll_reserve` return nothing, it alone decides what a lost message costs.
///
/// A store that *reserves ahead* needs one round trip for a call: it answers "at once", "at that instant, which is yours
/// now" or "not in time, but then"; `poll_reserve` waits for the answer, then for the instant.
///
/// Instants are this process's own. A store with a clock of its own tells them apart by durations: an answer "in 700 ms"
/// is counted from its arrival here, and a send "300 ms ago" from its arrival there.
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// What is kept for a call that waits: its place in a queue, its timer, a request on its way. Made when the wait
    /// begins.
    type Waiting: Default + fmt::Debug + Send + Sync + Unpin;

    /// What is kept for a granted charge until it is settled.
    type Ticket: fmt::Debug + Send + Sync + Unpin;

    /// Asks for a charge, and waits for it.
    ///
    /// # Errors
    ///
    /// A [`Reason`](tower_aoai_core::Reason) why it is not granted, with the instant at which it would be, if waiting
    /// helps. Nothing is held then.
    fn poll_reserve(
        &self,
        ask: &Ask,
        waiting: &mut Self::Waiting,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Granted<Self::Ticket>, Rejected>>;

    /// Who waited has gone; what may have been granted meanwhile goes back. Not called after `poll_reserve` was ready.
    fn abandon(&self, ask: &Ask, waiting: &mut Self::Waiting);

    /// A granted charge was sent, at `sent`: from then on it ages.
    fn sent(&self, ticket: &mut Self::Ticket, charge: Charge, sent: Instant);

    /// A granted charge was not sent, and never will be.
    fn cancel(&self, ticket: Self::Ticket, charge: Charge);

    /// A sent call is over.
    fn settle(&self, ticket: Self::Ticket, charge: Charge, settlement: Settlement);

    /// The quota headers of the answer to a sent call, as it stood at the server when the call came there.
    fn hear(&self, ticket: &Self::Ticket, headers: &QuotaHeaders);

    /// The server is not to be asked before `until`. An earlier instant never shortens a later one.
    fn shut(&self, until: Instant, cause: Cause);

    /// When a call that comes at `from` would be let through, as far as is known here.
    fn admission(&self, ask: &Ask, from: Instant) -> Admission;

    /// How busy it is, as far as is known here.
    fn load(&self) -> Load;

    /// Whether a charge can ever be granted, as far as is known here. Default: it can.
    fn can_ever(&self, _charge: Charge) -> bool {
        true
    }
}

/// What a call asks of a quota.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Ask {
    /// What it costs.
    pub charge: Charge,
    /// The latest start that is of any use.
    pub latest: Option<Instant>,
    /// Whether that is the caller's deadline, and not a start-by.
    pub is_deadline: bool,
    /// What serving it elsewhere would cost, in nano-dollars, where that is possible.
    pub spill_cost: Option<u64>,
    /// The class in which it waits.
    pub priority: Priority,
    /// For whom it is.
    pub tenant: Option<Tenant>,
}

impl Ask {
    /// For this charge, whenever that may be.
    #[must_use]
    pub const fn new(charge: Charge) -> Self {
        Self { charge, latest: None, is_deadline: false, spill_cost: None, priority: Priority(0), tenant: None }
    }
}

/// A charge that was let through.
#[derive(Debug)]
pub struct Granted<T> {
    /// What the store knows it by.
    pub ticket: T,
    /// When.
    pub at: Instant,
    /// How long it was waited for.
    pub waited: Duration,
}

/// How a sent call ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settlement {
    /// What it is settled for, in tokens; `None`: its charge stands.
    pub actual: Option<u64>,
    /// What its end says of the server.
    pub ending: Ending,
}

/// Why a server is not to be asked for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// Its quota of tokens is spent, or it did not say which.
    Tokens,
    /// Another quota, or its capacity.
    Quota,
    /// It is not well.
    Health,
}
