//! How much of a limit is used while the server counts more than we do.

/// A refusal that the mirror did not foresee takes this much of the share…
const LOST: f64 = 0.97;

/// …and an answer gives this much back…
const REGAINED: f64 = 2e-5;

/// …but only a tenth of that near where it was refused: what was too much then is likely to be too much again.
const NEAR: f64 = 0.965;
const REGAINED_NEAR: f64 = 2e-6;

/// As far above where it was refused it no longer counts that it was.
const BEYOND: f64 = 1.01;

/// Below this it is not the estimate that is wrong.
const LEAST: f64 = 0.5;

/// Windows are told of a change no smaller than this.
const STEP: f64 = 0.0025;

/// Lowered at once, raised slowly.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    share: f64,
    /// Where the server refused last.
    refused_at: f64,
    told: f64,
}

impl Default for Share {
    fn default() -> Self {
        Self { share: 1.0, refused_at: f64::INFINITY, told: 1.0 }
    }
}

impl Share {
    /// The server refused what we thought would fit: the share from now on. One that `corrects` its charges was wrong for a
    /// moment and not for good: that it was is not kept in mind.
    pub(crate) const fn lower(&mut self, corrects: bool) -> f64 {
        self.refused_at = if corrects { f64::INFINITY } else { self.share };
        self.share = (self.share * LOST).max(LEAST);
        self.told = self.share;
        self.told
    }

    /// The server answered: the share from now on, where it has changed.
    pub(crate) fn raise(&mut self) -> Option<f64> {
        if self.told >= 1.0 {
            return None;
        }
        if self.share > self.refused_at * BEYOND {
            self.refused_at = f64::INFINITY;
        }
        let is_near = self.share >= self.refused_at * NEAR;
        self.share = (self.share + if is_near { REGAINED_NEAR } else { REGAINED }).min(1.0);
        let is_due = self.share - self.told >= STEP || self.share >= 1.0;
        is_due.then(|| {
            self.told = self.share;
            self.told
        })
    }

    pub(crate) const fn now(self) -> f64 {
        self.told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers_until(share: &mut Share, reached: f64) -> u32 {
        let mut answers = 0;
        while share.now() < reached {
            share.raise();
            answers += 1;
        }
        answers
    }

    #[test]
    fn it_falls_at_once_and_rises_slowly() {
        let mut share = Share::default();
        assert!(share.raise().is_none(), "nothing is above the whole");
        assert!((share.lower(false) - 0.97).abs() < 1e-9);
        let near = answers_until(&mut share, 1.0);
        assert!((14_000..=15_001).contains(&near), "a tenth as fast where it was refused: {near}");
        share.lower(true);
        let wrong_for_a_moment = answers_until(&mut share, 1.0);
        assert!((1_499..=1_502).contains(&wrong_for_a_moment), "{wrong_for_a_moment}");
        for _ in 0..1_000 {
            share.lower(false);
        }
        assert!(share.now() >= LEAST);
    }
}
