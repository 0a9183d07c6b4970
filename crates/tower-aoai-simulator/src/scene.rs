//! What is scripted for one deployment, for a region, or for all.

use std::collections::VecDeque;

use tokio::time::Instant;

use crate::{Scripted, draw::Draws};

/// What is scripted for one deployment, or for all.
#[derive(Debug, Default)]
pub(crate) struct Scene {
    next: VecDeque<Scripted>,
    outages: Vec<(Instant, Instant, Scripted)>,
    chances: Vec<(f64, Scripted)>,
}

impl Scene {
    pub(crate) fn push(&mut self, scripted: Scripted) {
        self.next.push_back(scripted);
    }

    pub(crate) fn during(&mut self, from: Instant, until: Instant, scripted: Scripted) {
        self.outages.push((from, until, scripted));
    }

    pub(crate) fn sometimes(&mut self, probability: f64, scripted: Scripted) {
        self.chances.push((probability, scripted));
    }

    pub(crate) fn waiting(&self) -> usize {
        self.next.len()
    }

    /// The answer to a request that arrives now, if one is dictated: the queue first, then the
    /// outage, then chance.
    pub(crate) fn take(&mut self, now: Instant, draws: &mut Draws) -> Option<Scripted> {
        if let Some(scripted) = self.next.pop_front() {
            return Some(scripted);
        }
        let outage = self.outages.iter().find(|(from, until, _)| (*from..*until).contains(&now));
        if let Some((_, _, scripted)) = outage {
            return Some(scripted.clone());
        }
        let mut chance = self.chances.iter().filter(|(probability, _)| draws.unit() < *probability);
        chance.next().map(|(_, scripted)| scripted.clone())
    }
}
