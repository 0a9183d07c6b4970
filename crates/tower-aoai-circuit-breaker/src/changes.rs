use tokio::sync::watch;

use crate::CircuitChange;

/// The changes of one circuit, as they come.
///
/// Holds one change, however many there were: whoever listens slowly misses those in between
/// ([`CircuitChange::sequence`] tells how many), never the latest. It does not keep the circuit alive.
///
/// ```
/// use tower_aoai_circuit_breaker::{CircuitBreakerLayer, CircuitState};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let handle = CircuitBreakerLayer::new().handle();
/// let mut changes = handle.changes();
/// handle.trip();
/// let change = changes.changed().await.expect("the circuit is there");
/// assert_eq!(change.to, CircuitState::Open { until: None });
///
/// drop(handle);
/// assert!(changes.changed().await.is_none());
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct CircuitChanges {
    receiver: watch::Receiver<Option<CircuitChange>>,
}

impl CircuitChanges {
    pub(crate) const fn new(receiver: watch::Receiver<Option<CircuitChange>>) -> Self {
        Self { receiver }
    }

    /// Waits for a change that this listener has not seen, and gives the latest; `None` when layer, services and handles
    /// are gone.
    ///
    /// # Cancellation
    ///
    /// Dropping the future loses nothing.
    pub async fn changed(&mut self) -> Option<CircuitChange> {
        self.receiver.changed().await.ok()?;
        *self.receiver.borrow_and_update()
    }

    /// The latest change, seen or not; `None`: there was none yet.
    #[must_use]
    pub fn latest(&self) -> Option<CircuitChange> {
        *self.receiver.borrow()
    }
}
