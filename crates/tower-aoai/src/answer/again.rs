//! One error, told to several callers.

use std::{error::Error as StdError, fmt, sync::Arc};

use tower_aoai_core::Error;

/// The same error once more: refusals and time limits as they are, what the transport said behind a shared pointer.
pub(crate) fn again(error: &Arc<Error>) -> Error {
    match (error.rejected(), error.timeout()) {
        (Some(rejected), _) => rejected.clone().into(),
        (_, Some(timeout)) => timeout.into(),
        (None, None) => Error::Transport(Box::new(Again(Arc::clone(error)))),
    }
}

#[derive(Debug)]
struct Again(Arc<Error>);

impl fmt::Display for Again {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("another caller's request, which stood for this one, failed")
    }
}

impl StdError for Again {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}

#[cfg(test)]
mod tests {
    use tower_aoai_core::{Reason, Rejected, Timeout};

    use super::*;

    #[test]
    fn each_caller_is_told_the_same() {
        let rejected = Rejected::new(Reason::QueueFull, "token bucket");
        let told = again(&Arc::new(rejected.clone().into()));
        assert_eq!(told.rejected(), Some(&rejected));
        assert_eq!(again(&Arc::new(Timeout::Idle.into())).timeout(), Some(Timeout::Idle));
        let transport = again(&Arc::new(Error::flatten("connection reset")));
        let cause = transport.source().and_then(StdError::source);
        assert_eq!(cause.map(ToString::to_string).as_deref(), Some("connection reset"));
    }
}
