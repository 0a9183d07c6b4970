//! Whose turn it is.

/// Turns by weight, evenly spread: each member's next one is due a stride after its last.
///
/// Who was away does not catch up: turns not taken are lost.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// When the last one that was taken was due.
    now: u128,
    /// When each slot's next one is; `None` if it has had none.
    due: Vec<Option<u128>>,
}

/// From one turn to the next for a weight of 1.
const STRIDE: u128 = 1 << 32;

impl Turns {
    /// Gives a turn to one of `those`, each a candidate, its slot and its weight; to the first of several.
    pub(crate) fn next(&mut self, those: impl Iterator<Item = (usize, usize, u32)> + Clone) -> Option<usize> {
        let stride = |weight: u32| STRIDE / u128::from(weight.max(1));
        let slots = those.clone().map(|(_, slot, _)| slot + 1).max()?;
        if self.due.len() < slots {
            self.due.resize(slots, None);
        }
        let mut first: Option<(u128, usize, usize, u32)> = None;
        for (candidate, slot, weight) in those {
            // Who is new comes in halfway to its next turn, or they would all bunch together.
            let due = self.due[slot].map_or(self.now + stride(weight) / 2, |due| due.max(self.now));
            self.due[slot] = Some(due);
            if first.is_none_or(|(first, ..)| due < first) {
                first = Some((due, candidate, slot, weight));
            }
        }
        let (due, candidate, slot, weight) = first?;
        self.now = due;
        self.due[slot] = Some(due + stride(weight));
        Some(candidate)
    }

    /// Forgets the turns of a slot, which is somebody else's now.
    pub(crate) fn forget(&mut self, slot: usize) {
        if let Some(due) = self.due.get_mut(slot) {
            *due = None;
        }
    }
}
