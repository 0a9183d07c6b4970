//! Who may go before those who came first.

use tokio::time::Instant;

use super::{Desk, Wakes};
use crate::{Charge, ledger::Ledger};

/// How many waiters behind the head are looked at for one that may pass.
pub(super) const LOOK_BEHIND: usize = 64;

impl Desk {
    /// Lets those go who fit beside a head that does not, as long as nobody before them starts later for it than if
    /// nobody had passed.
    ///
    /// Those behind one who passes do not start later either: what it takes was to be taken before their turn, and is
    /// free again the sooner.
    pub(super) fn let_small_ones_pass(&mut self, now: Instant, head: Charge, head_at: Instant, wakes: &mut Wakes) {
        // As a rule there is no room for anybody: not worth a look at each.
        if self.queue.len() < 2 || !self.ledger.fits(now, Charge::tokens(1)) {
            return;
        }
        let waiting: Vec<_> =
            self.queue.in_order().take(LOOK_BEHIND + 1).map(|(place, waiter)| (place, waiter.charge)).collect();
        let mut ahead = vec![head];
        for (place, charge) in waiting.into_iter().skip(1) {
            // The head first: few are left then for whom all before them have to be worked out.
            let may_pass = self.queue.may_pass(place, charge, head)
                && self.ledger.may_pass(now, charge, head, head_at)
                && (ahead.len() == 1 || self.delays_nobody(now, charge, &ahead));
            if may_pass {
                self.let_through(now, place, wakes);
            } else {
                ahead.push(charge);
            }
        }
    }

    fn delays_nobody(&self, now: Instant, passing: Charge, ahead: &[Charge]) -> bool {
        let (with, without) = (self.starts(now, Some(passing), ahead), self.starts(now, None, ahead));
        with.len() == without.len() && with.iter().zip(&without).all(|(with, without)| with <= without)
    }

    /// When these would start, in this order, if nothing else happens but that another one goes now.
    fn starts(&self, now: Instant, passing: Option<Charge>, charges: &[Charge]) -> Vec<Instant> {
        let mut ledger = self.ledger.ahead(now);
        let book = |ledger: &mut Ledger, at, charge| {
            ledger.reserve(at, charge);
            ledger.send(at, at, charge);
        };
        if let Some(charge) = passing {
            book(&mut ledger, now, charge);
        }
        let mut at = now;
        charges
            .iter()
            .map_while(|charge| {
                at = at.max(ledger.earliest(at, *charge)?);
                book(&mut ledger, at, *charge);
                Some(at)
            })
            .collect()
    }
}
