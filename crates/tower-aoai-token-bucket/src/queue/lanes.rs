//! Equal shares for tenants: whose turn it is.

use std::collections::{BTreeSet, HashMap};

use tower_aoai_core::Tenant;

/// The lane of those who name no tenant, and of tenants for whom there is no lane left.
const COMMON: u64 = 0;

/// A virtual counter for each tenant: what it was served, in tokens. Next is the least served of those who wait.
///
/// Who comes back is lifted to the least served of them: nobody saves up turns by not waiting. So the counters of those
/// who wait never differ by more than one charge, and what two of them are served while both wait by no more than two.
#[derive(Debug, Clone)]
pub(super) struct Lanes {
    lanes: Vec<Lane>,
    of: HashMap<Tenant, u64>,
    most: usize,
    /// Lanes in which somebody waits: counter, lane.
    active: BTreeSet<(u64, u64)>,
    /// The counter of who was served last, before that.
    turn: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Lane {
    counter: u64,
    waiting: usize,
    tenant: Option<Tenant>,
}

/// What a call weighs: those of no tokens count, too.
pub(super) fn weight(tokens: u64) -> u64 {
    tokens.max(1)
}

impl Lanes {
    pub(super) fn new(most: usize) -> Self {
        Self { lanes: vec![Lane::default()], of: HashMap::new(), most: most.max(1), active: BTreeSet::new(), turn: 0 }
    }

    /// The lane in which a call of this tenant would wait, if it has one already.
    fn known(&self, tenant: Option<Tenant>) -> Option<u64> {
        tenant.map_or(Some(COMMON), |tenant| self.of.get(&tenant).copied())
    }

    /// Where, and with which counter, a call of this tenant would begin to wait.
    pub(super) fn entry(&self, tenant: Option<Tenant>) -> (u64, u64) {
        let lane = self.known(tenant).unwrap_or_else(|| if self.is_full() { COMMON } else { self.lanes.len() as u64 });
        (self.counter(lane).max(if self.is_active(lane) { 0 } else { self.floor() }), lane)
    }

    fn is_full(&self) -> bool {
        self.lanes.len() > self.most && !self.lanes.iter().skip(1).any(|lane| self.is_idle(lane))
    }

    /// Nothing would be lost by forgetting it: it would be lifted higher than it stands.
    fn is_idle(&self, lane: &Lane) -> bool {
        lane.waiting == 0 && lane.counter <= self.floor()
    }

    fn lane_for(&mut self, tenant: Option<Tenant>) -> u64 {
        if let Some(lane) = self.known(tenant) {
            return lane;
        }
        let lane = if self.lanes.len() <= self.most {
            self.lanes.push(Lane::default());
            self.lanes.len() - 1
        } else {
            match (1..self.lanes.len()).find(|lane| self.is_idle(&self.lanes[*lane])) {
                Some(idle) => idle,
                None => return COMMON,
            }
        };
        if let Some(left) = std::mem::replace(&mut self.lanes[lane], Lane { tenant, ..Lane::default() }).tenant {
            self.of.remove(&left);
        }
        self.of.extend(tenant.map(|tenant| (tenant, lane as u64)));
        lane as u64
    }

    fn counter(&self, lane: u64) -> u64 {
        self.lanes.get(lane as usize).map_or(0, |lane| lane.counter)
    }

    fn is_active(&self, lane: u64) -> bool {
        self.lanes.get(lane as usize).is_some_and(|lane| lane.waiting > 0)
    }

    /// Where who comes begins.
    fn floor(&self) -> u64 {
        self.active.first().map_or(self.turn, |(counter, _)| *counter)
    }

    /// Somebody begins to wait; in which lane.
    pub(super) fn enter(&mut self, tenant: Option<Tenant>) -> u64 {
        let lane = self.lane_for(tenant);
        let floor = self.floor();
        if let Some(entered) = self.lanes.get_mut(lane as usize) {
            if entered.waiting == 0 {
                entered.counter = entered.counter.max(floor);
                self.active.insert((entered.counter, lane));
            }
            entered.waiting += 1;
        }
        lane
    }

    /// Somebody waits no more.
    pub(super) fn leave(&mut self, lane: u64) {
        if let Some(left) = self.lanes.get_mut(lane as usize) {
            left.waiting = left.waiting.saturating_sub(1);
            if left.waiting == 0 {
                self.active.remove(&(left.counter, lane));
            }
        }
    }

    /// Somebody of this lane was served, and has left it.
    pub(super) fn serve(&mut self, lane: u64, tokens: u64) {
        if let Some(served) = self.lanes.get_mut(lane as usize) {
            self.turn = self.turn.max(served.counter);
            let is_active = self.active.remove(&(served.counter, lane));
            served.counter = served.counter.saturating_add(weight(tokens));
            if is_active {
                self.active.insert((served.counter, lane));
            }
        }
    }

    /// Whose turn it is.
    pub(super) fn first(&self) -> Option<u64> {
        self.active.first().map(|(_, lane)| *lane)
    }

    /// Those in whose lanes somebody waits, by whose turn it is.
    pub(super) fn turns(&self) -> BTreeSet<(u64, u64)> {
        self.active.clone()
    }

    /// Whether a call of `lane` may be served before the one whose turn it is, without its tenant being further ahead after
    /// that than the other's will be.
    pub(super) fn may_pass(&self, lane: u64, tokens: u64, head_tokens: u64) -> bool {
        self.counter(lane).saturating_add(weight(tokens)) <= self.floor().saturating_add(weight(head_tokens))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p3_tenants_are_bounded_and_those_who_wait_are_not_forgotten() {
        let mut lanes = Lanes::new(3);
        let tenant = |number: u64| Some(Tenant::named(&number));
        let waiting = [lanes.enter(tenant(1)), lanes.enter(tenant(2))];
        for number in 10..1_000 {
            let lane = lanes.enter(tenant(number));
            assert_ne!(lane, COMMON);
            lanes.leave(lane);
        }
        assert_eq!((lanes.lanes.len(), lanes.of.len()), (4, 3));
        assert_eq!([lanes.enter(tenant(1)), lanes.enter(tenant(2))], waiting);
        lanes.enter(tenant(3));
        assert_eq!(lanes.entry(tenant(4)).1, COMMON);
        assert_eq!(lanes.enter(tenant(4)), COMMON, "three wait, and each has a lane: the fourth shares");
    }
}
