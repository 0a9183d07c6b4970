//! What the members said that one send of a call was taken to, with nothing sent.

use std::sync::Arc;

use tokio::time::Instant;
use tower_aoai_core::{Admission, Rejected};

use crate::seat::Seat;

/// The members that this send of a call is not asking again.
#[derive(Debug, Default)]
pub(crate) struct Spurned {
    seats: Vec<(Arc<Seat>, Said)>,
}

/// What a chosen member's stack said.
#[derive(Debug)]
pub(crate) enum Said {
    /// A layer of it refused, with nothing sent.
    No(Rejected),
    /// It is not ready yet.
    Later,
    /// It will not be ready any more.
    Never,
}

impl Spurned {
    pub(crate) fn add(&mut self, seat: &Arc<Seat>, said: Said) {
        self.seats.push((Arc::clone(seat), said));
    }

    /// What it said counts no more.
    pub(crate) fn withdraw(&mut self, seat: &Arc<Seat>) {
        self.seats.retain(|(theirs, _)| !Arc::ptr_eq(theirs, seat));
    }

    /// Who was only not ready may be asked again.
    pub(crate) fn forgive(&mut self) {
        self.seats.retain(|(_, said)| !matches!(said, Said::Later));
    }

    /// Who refused until an instant that has come may be asked again.
    pub(crate) fn reopen(&mut self, now: Instant) {
        let has_come = |no: &Rejected| no.opens_at().is_some_and(|at| at <= now);
        self.seats.retain(|(_, said)| !matches!(said, Said::No(no) if has_come(no)));
    }

    pub(crate) fn len(&self) -> usize {
        self.seats.len()
    }

    pub(crate) fn admission(&self, seat: &Arc<Seat>) -> Option<Admission> {
        let (_, said) = self.seats.iter().find(|(theirs, _)| Arc::ptr_eq(theirs, seat))?;
        Some(Admission::Shut(match said {
            Said::No(rejected) => rejected.opens_at(),
            Said::Later | Said::Never => None,
        }))
    }

    /// What all of them said, if they agree on the reason.
    pub(crate) fn refusal(&self) -> Option<&Rejected> {
        let mut refusals = self.seats.iter().map(|(_, said)| match said {
            Said::No(rejected) => Some(rejected),
            Said::Later | Said::Never => None,
        });
        let first = refusals.next()??;
        refusals.all(|other| other.is_some_and(|other| other.reason() == first.reason())).then_some(first)
    }
}
