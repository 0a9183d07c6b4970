//! The members as they are, and changes to them.

use std::{error::Error as StdError, fmt, sync::Arc, time::Duration};

use tokio::time::Instant;
use tower_aoai_core::{Admission, Call, CallContext};

use crate::{InvalidMembers, Member, OutOfRotation, balancer::Balancer, roster::Layers, seat::Seat};

/// Shows the members of all services of one layer, and changes them; clones show the same.
///
/// Services notice a change with their next call. Calls under way go on where they are.
pub struct BalanceHandle<L> {
    balancer: Arc<Balancer>,
    layers: Arc<Layers<L>>,
}

/// The members at one instant, in the order in which they were added.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct BalanceSnapshot {
    /// The members.
    pub members: Vec<MemberSnapshot>,
}

/// A member at one instant.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct MemberSnapshot {
    /// Its name.
    pub name: Arc<str>,
    /// Its tier, 0 being the most preferred.
    pub tier: usize,
    /// Its weight.
    pub weight: u32,
    /// Whether it takes no new calls.
    pub is_draining: bool,
    /// When a call of no size, and without a deadline, would start there if it came now.
    pub admission: Admission,
    /// Calls that were sent there, or wait there, and have not ended; a streamed answer ends with its body.
    pub in_flight: usize,
    /// Calls that wait at one of its gates.
    pub queued: usize,
    /// How long it takes to the first token of an answer to an empty prompt; `None` until it has answered.
    pub time_to_first_token: Option<Duration>,
    /// How long from one token to the next; `None` until it has answered at length.
    pub time_per_token: Option<Duration>,
    /// How likely the next call fails, from 0 to 1, as the last 8 s tell.
    pub failing: f64,
    /// The deployments for which it is left alone, because they were found misconfigured.
    pub out_of_rotation: Vec<OutOfRotation>,
    /// Calls handed to it since the layer was made, or last reset. The counts of this kind below are of these.
    pub entered: u64,
    /// Calls whose answer began well.
    pub answered: u64,
    /// Calls that failed for the endpoint's own reasons: 5xx, connections and streams lost, time limits.
    pub failed: u64,
    /// Calls that the server refused for a quota, or for want of capacity.
    pub throttled: u64,
    /// Calls that were answered that the configuration is wrong.
    pub misconfigured: u64,
    /// Calls that were refused by a gate that had promised to let them in, with nothing sent.
    pub races_lost: u64,
}

/// There is no member of this name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownMember(Arc<str>);

/// A member that takes no new calls: see [`BalanceHandle::drain`].
#[must_use = "calls may still be under way"]
pub struct Draining {
    seat: Arc<Seat>,
}

impl<L> BalanceHandle<L> {
    pub(crate) const fn new(balancer: Arc<Balancer>, layers: Arc<Layers<L>>) -> Self {
        Self { balancer, layers }
    }

    /// The members as they are now. Asks every gate.
    #[must_use]
    pub fn snapshot(&self) -> BalanceSnapshot {
        let now = Instant::now();
        let context = CallContext::new(Call::default(), now);
        let lineup = self.balancer.roster.lineup();
        BalanceSnapshot { members: lineup.seats.iter().map(|seat| seat.snapshot(&context, now)).collect() }
    }

    /// Forgets what was learned and counted, so that every member is in rotation again; who is in flight stays so, and
    /// what becomes of it is neither learned nor counted.
    pub fn reset(&self) {
        self.balancer.reset();
        for seat in &self.balancer.roster.lineup().seats {
            seat.reset();
        }
    }

    /// Adds a member, of the type of those that are there. Nothing is known of it, so it is tried soon.
    ///
    /// # Errors
    /// [`InvalidMembers`] if there is one of the same name, if it shares the state of a gate with another, or if its
    /// weight is 0; nothing is changed then.
    pub fn add(&self, member: Member<L>) -> Result<(), InvalidMembers> {
        let name = Arc::clone(&member.name);
        let slot = self.layers.add(&self.balancer.roster, member)?;
        self.balancer.slot_is_new(slot);
        tracing::info!(member = &*name, "a member was added");
        Ok(())
    }

    /// Lets a member finish the calls it has and sends it no new ones, until it is [resumed](Self::resume) or
    /// [removed](Self::remove). Calls that wait at its gates count as calls it has.
    ///
    /// # Errors
    /// [`UnknownMember`].
    pub fn drain(&self, name: &str) -> Result<Draining, UnknownMember> {
        let seat = self.seat(name)?;
        seat.set_draining(true);
        tracing::info!(member = name, in_flight = seat.in_flight(), "a member takes no new calls");
        Ok(Draining { seat })
    }

    /// Sends calls to a member again that was drained.
    ///
    /// # Errors
    /// [`UnknownMember`].
    pub fn resume(&self, name: &str) -> Result<(), UnknownMember> {
        self.seat(name)?.set_draining(false);
        tracing::info!(member = name, "a member takes calls again");
        Ok(())
    }

    /// Takes a member off at once; calls it has go on to their end. Without any member left, every call is refused with
    /// [`Reason::NoEndpoint`](tower_aoai_core::Reason::NoEndpoint) until one is added.
    ///
    /// # Errors
    /// [`UnknownMember`].
    pub fn remove(&self, name: &str) -> Result<Draining, UnknownMember> {
        let seat = self.layers.remove(&self.balancer.roster, name).ok_or_else(|| UnknownMember(name.into()))?;
        tracing::info!(member = name, in_flight = seat.in_flight(), "a member was removed");
        Ok(Draining { seat })
    }

    /// Changes a member's share of its tier's calls. 0 counts as 1: to send it nothing, [drain](Self::drain) it.
    ///
    /// # Errors
    /// [`UnknownMember`].
    pub fn set_weight(&self, name: &str, weight: u32) -> Result<(), UnknownMember> {
        self.seat(name)?.set_weight(weight.max(1));
        Ok(())
    }

    fn seat(&self, name: &str) -> Result<Arc<Seat>, UnknownMember> {
        self.balancer.roster.seat(name).ok_or_else(|| UnknownMember(name.into()))
    }
}

impl BalanceSnapshot {
    /// The member of this name.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&MemberSnapshot> {
        self.members.iter().find(|member| *member.name == *name)
    }
}

impl Draining {
    /// Calls that have not ended.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.seat.in_flight()
    }

    /// Waits until all calls have ended, streamed bodies included. Dropping the wait changes nothing.
    pub async fn emptied(&self) {
        self.seat.emptied().await;
    }
}

impl UnknownMember {
    /// The name that was asked for.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl<L> Clone for BalanceHandle<L> {
    fn clone(&self) -> Self {
        Self { balancer: Arc::clone(&self.balancer), layers: Arc::clone(&self.layers) }
    }
}

impl<L> fmt::Debug for BalanceHandle<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BalanceHandle").field(&self.balancer).finish()
    }
}

impl fmt::Debug for Draining {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Draining")
            .field("member", &self.seat.name)
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for UnknownMember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the balancer has no member named {:?}", self.0)
    }
}

impl StdError for UnknownMember {}
