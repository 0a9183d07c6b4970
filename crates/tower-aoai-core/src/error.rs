//! The one error of every layer.

use std::{error::Error as StdError, fmt};

use crate::Rejected;

/// An error of any type: what tower's own layers speak.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// How deep in a foreign error one of ours is looked for; a chain may be a ring.
const CAUSES: usize = 16;

/// Why a call has no answer.
///
/// Every layer of the workspace has this one error, whatever lies below it: an inner error that already is an
/// [`Error`], boxed or not, is taken over as it is ([`Error::flatten`]), so that a caller sees *who* said no however
/// many layers, ours or not, stand in between.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// Refused here; the server was not asked.
    Rejected(Rejected),
    /// A time limit of a layer ran out.
    Timeout(Timeout),
    /// The service at the bottom failed: a connection refused or reset, a body that broke, TLS, DNS.
    Transport(BoxError),
}

/// Which time limit ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Timeout {
    /// The connection was not made in time.
    Connect,
    /// The head of the response did not come in time.
    FirstByte,
    /// The first content of a streamed answer did not come in time.
    FirstToken,
    /// The body fell silent.
    Idle,
    /// The attempt took too long as a whole.
    Total,
    /// The call's own deadline passed ([`DeadlineLayer`](crate::DeadlineLayer)).
    Deadline,
}

impl Error {
    /// Takes over an inner service's error.
    ///
    /// An [`Error`], [`Rejected`] or [`Timeout`] stays what it is: behind tower's `BoxError`, and as the
    /// [source](StdError::source) of a foreign error, as a client leaves it that wraps what its connector says. Anything
    /// else is a [`Error::Transport`].
    #[must_use]
    pub fn flatten(error: impl Into<BoxError>) -> Self {
        match error.into().downcast::<Self>() {
            Ok(ours) => *ours,
            Err(foreign) => Self::within(&*foreign).unwrap_or(Self::Transport(foreign)),
        }
    }

    /// The error of ours that stands behind a foreign one; of a transport's it is the foreign one that tells more.
    fn within(foreign: &(dyn StdError + 'static)) -> Option<Self> {
        let mut cause = Some(foreign);
        for _ in 0..CAUSES {
            let error = cause?;
            let ours = error.downcast_ref::<Self>();
            if let Some(timeout) = ours.and_then(Self::timeout).or_else(|| error.downcast_ref().copied()) {
                return Some(Self::Timeout(timeout));
            }
            if let Some(rejected) = ours.and_then(Self::rejected).or_else(|| error.downcast_ref()) {
                return Some(Self::Rejected(rejected.clone()));
            }
            cause = error.source();
        }
        None
    }

    /// The refusal, if this is one.
    #[must_use]
    pub const fn rejected(&self) -> Option<&Rejected> {
        match self {
            Self::Rejected(rejected) => Some(rejected),
            _ => None,
        }
    }

    /// The time limit, if one ran out.
    #[must_use]
    pub const fn timeout(&self) -> Option<Timeout> {
        match self {
            Self::Timeout(timeout) => Some(*timeout),
            _ => None,
        }
    }

    /// The HTTP status with which a gateway tells its caller: that of the [`Reason`](crate::Reason), 504 for a time
    /// limit, 502 for a transport that failed.
    #[must_use]
    pub fn status(&self) -> http::StatusCode {
        match self {
            Self::Rejected(rejected) => rejected.reason().status(),
            Self::Timeout(_) => http::StatusCode::GATEWAY_TIMEOUT,
            Self::Transport(_) => http::StatusCode::BAD_GATEWAY,
        }
    }
}

impl From<Rejected> for Error {
    fn from(rejected: Rejected) -> Self {
        Self::Rejected(rejected)
    }
}

impl From<Timeout> for Error {
    fn from(timeout: Timeout) -> Self {
        Self::Timeout(timeout)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(rejected) => rejected.fmt(f),
            Self::Timeout(timeout) => timeout.fmt(f),
            Self::Transport(_) => f.write_str("the connection to the endpoint failed"),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Transport(source) => Some(&**source),
            Self::Rejected(_) | Self::Timeout(_) => None,
        }
    }
}

impl Timeout {
    /// A short name for logs and metrics: `connect_timeout`, `first_byte_timeout`, …
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect_timeout",
            Self::FirstByte => "first_byte_timeout",
            Self::FirstToken => "first_token_timeout",
            Self::Idle => "idle_timeout",
            Self::Total => "total_timeout",
            Self::Deadline => "deadline_exceeded",
        }
    }
}

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "no connection to the endpoint within the connect timeout",
            Self::FirstByte => "no response from the endpoint within the first-byte timeout",
            Self::FirstToken => "no content from the endpoint within the first-token timeout",
            Self::Idle => "the response fell silent for longer than the idle timeout",
            Self::Total => "the attempt took longer than its total timeout",
            Self::Deadline => "the call's deadline passed before its answer was complete",
        })
    }
}

impl StdError for Timeout {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reason;

    #[test]
    fn an_error_of_ours_survives_any_number_of_boxes() {
        let ours = Error::from(Rejected::new(Reason::QueueFull, "token bucket"));
        let boxed: BoxError = Box::new(ours);
        let reboxed: BoxError = Error::flatten(boxed).into();
        let flat = Error::flatten(reboxed);
        assert_eq!(flat.rejected().map(Rejected::by), Some("token bucket"));
    }

    /// As a client wraps what its connector says.
    #[derive(Debug)]
    struct Wrapped(BoxError);

    impl fmt::Display for Wrapped {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("client error (Connect)")
        }
    }

    impl StdError for Wrapped {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            Some(&*self.0)
        }
    }

    /// Its own cause.
    #[derive(Debug)]
    struct Ring;

    impl fmt::Display for Ring {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("round and round")
        }
    }

    impl StdError for Ring {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            Some(self)
        }
    }

    #[test]
    fn an_error_of_ours_is_found_behind_a_foreign_one() {
        let wrapped = |inner: BoxError| Error::flatten(Wrapped(Box::new(Wrapped(inner))));
        let rejected = Rejected::new(Reason::QueueFull, "token bucket");
        for inner in [Box::new(Error::from(Timeout::Connect)) as BoxError, Box::new(Timeout::Connect)] {
            assert_eq!(wrapped(inner).timeout(), Some(Timeout::Connect));
        }
        for inner in [Box::new(Error::from(rejected.clone())) as BoxError, Box::new(rejected.clone())] {
            assert_eq!(wrapped(inner).rejected(), Some(&rejected));
        }
        let transport = wrapped(Error::flatten("reset").into());
        assert!(transport.source().is_some_and(<dyn StdError>::is::<Wrapped>), "what the client said stays");
        assert!(matches!(Error::flatten(Ring), Error::Transport(_)));
        assert_eq!(Error::flatten(Timeout::Idle).timeout(), Some(Timeout::Idle));
    }

    #[test]
    fn a_foreign_error_is_transport_and_keeps_its_source() {
        let flat = Error::flatten("connection reset");
        assert!(matches!(flat, Error::Transport(_)));
        assert_eq!(flat.source().map(ToString::to_string).as_deref(), Some("connection reset"));
    }
}
