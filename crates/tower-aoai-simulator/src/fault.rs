use std::{error::Error, fmt};

/// What a caller sees in place of an answer, or of the rest of one, when the connection fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectionFault {
    /// The connection was reset before the head of the answer.
    Reset,
    /// The connection broke inside the answer's body.
    Cut,
    /// The caller's own request body failed; there was nothing to answer.
    RequestBody,
}

impl fmt::Display for ConnectionFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reset => "connection reset by peer",
            Self::Cut => "connection closed before the answer was complete",
            Self::RequestBody => "the request's body could not be read",
        })
    }
}

impl Error for ConnectionFault {}
