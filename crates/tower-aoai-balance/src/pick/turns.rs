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
    pub(crate) fn next(&mut self, those: impl Iterator<Item = (usize, usize, u32)>) -> Option<usize> {
        let stride = |weight: u32| STRIDE / u128::from(weight.max(1));
        let due = |slot: usize, weight| match self.due.get(slot).copied().flatten() {
            Some(due) => due.max(self.now),
            None => self.now + stride(weight) / 2,
        };
        let those = those.map(|(candidate, slot, weight)| (due(slot, weight), candidate, slot, weight));
        let (due, candidate, slot, weight) = those.min_by_key(|those| those.0)?;
        if self.due.len() <= slot {
            self.due.resize(slot + 1, None);
        }
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
