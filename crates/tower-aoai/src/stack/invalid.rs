use std::{error::Error, fmt};

use crate::config::{Problem, Problems};

/// Why there is no stack, or no other one.
///
/// Its `Debug` says a configuration's problems as its `Display` does, for that is what a `main` which returns it prints.
#[non_exhaustive]
pub enum InvalidStack {
    /// What is wrong with the configuration, all of it.
    Config(Problems),
    /// The built-in transport cannot be made with these settings.
    #[cfg(feature = "transport")]
    Transport(crate::transport::InvalidTransport),
    /// It was shut down, and takes no other configuration.
    ShutDown,
    /// It is taking another configuration just now, and asks for this one from within.
    Reloading,
}

impl From<Problems> for InvalidStack {
    fn from(problems: Problems) -> Self {
        Self::Config(problems)
    }
}

impl From<Vec<Problem>> for InvalidStack {
    fn from(problems: Vec<Problem>) -> Self {
        let unknown = || Problem::new("", "the configuration makes no stack").into();
        Self::Config(Problems::of(problems).unwrap_or_else(unknown))
    }
}

impl fmt::Debug for InvalidStack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(problems) => fmt::Debug::fmt(problems, f),
            #[cfg(feature = "transport")]
            Self::Transport(error) => f.debug_tuple("Transport").field(error).finish(),
            Self::ShutDown => f.write_str("ShutDown"),
            Self::Reloading => f.write_str("Reloading"),
        }
    }
}

impl fmt::Display for InvalidStack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(problems) => problems.fmt(f),
            #[cfg(feature = "transport")]
            Self::Transport(error) => error.fmt(f),
            Self::ShutDown => f.write_str("the stack was shut down: it takes no other configuration; make a new one"),
            Self::Reloading => f.write_str(
                "the stack is just taking another configuration, of which this is a part: reload it when that is done",
            ),
        }
    }
}

impl Error for InvalidStack {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            #[cfg(feature = "transport")]
            Self::Transport(error) => error.source(),
            Self::Config(_) | Self::ShutDown | Self::Reloading => None,
        }
    }
}
