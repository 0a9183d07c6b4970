use tower_aoai_core::{GuardedFuture, Sending};

use crate::Permit;

/// The future of a [`CircuitBreaker`](crate::CircuitBreaker).
///
/// Dropped, it gives back what it held; a probe that is dropped before it has shown anything decides nothing.
///
/// # Errors
///
/// A refusal, with nothing sent, or the inner service's error, [flattened](tower_aoai_core::Error::flatten).
pub type ResponseFuture<F> = Sending<GuardedFuture<F, Permit>>;
