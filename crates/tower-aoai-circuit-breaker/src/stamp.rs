//! What a call is told at the door.

use tokio::time::Instant;
use tower_aoai_core::Reason;

/// Under which state a call was let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) generation: u64,
    pub(crate) role: Role,
}

/// As what it was let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Call,
    Probe(u64),
    /// A probe that has succeeded; its answer goes on.
    Proven,
}

/// Why a call is not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: Reason,
    pub(crate) until: Option<Instant>,
}

impl Stamp {
    /// Of a circuit that is closed.
    pub(crate) const fn closed(generation: u64) -> Self {
        Self { generation, role: Role::Call }
    }

    pub(crate) const fn is_probe(self) -> bool {
        matches!(self.role, Role::Probe(_))
    }
}
