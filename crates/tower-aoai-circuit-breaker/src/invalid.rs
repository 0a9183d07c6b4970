use std::{error::Error as StdError, fmt, time::Duration};

/// What is wrong with a [`CircuitPolicy`](crate::CircuitPolicy); its text says what would be right.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum InvalidPolicy {
    /// This setting must be above zero.
    Zero(&'static str),
    /// This share is not above 0 and at most 1.
    Ratio {
        /// The setting.
        setting: &'static str,
        /// Its value.
        ratio: f64,
    },
    /// The jitter is not from 0 to 1.
    Jitter(f64),
    /// The window is too short to be told apart from an instant.
    ShortWindow {
        /// The window.
        window: Duration,
        /// The shortest there is.
        least: Duration,
    },
    /// No process sends that many calls in the window: the shares would never say anything.
    NeverFills {
        /// How many calls the shares need.
        min_calls: u32,
        /// The window.
        window: Duration,
        /// The most that it can hold.
        most: u32,
    },
    /// The first break is longer than the longest.
    BreakAboveCap {
        /// The first break.
        break_time: Duration,
        /// The longest.
        break_cap: Duration,
    },
    /// Every rule is off: nothing would ever open the circuit.
    NeverOpens,
}

impl fmt::Display for InvalidPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zero(setting) => write!(f, "{setting} is 0: set it above that"),
            Self::Ratio { setting, ratio } => {
                write!(f, "{setting} is {ratio}: set it above 0 and at most to 1, as 0.5 for half of the calls")
            }
            Self::Jitter(share) => write!(f, "jitter is {share}: set it from 0 (none) to 1 (all of a break)"),
            Self::ShortWindow { window, least } => write!(f, "window is {window:?}: set it to {least:?} or more"),
            Self::NeverFills { min_calls, window, most } => write!(
                f,
                "min_calls is {min_calls}, but a window of {window:?} never holds more than {most}: lower it to what the \
                 endpoint sees in that time, or widen the window"
            ),
            Self::BreakAboveCap { break_time, break_cap } => write!(
                f,
                "break_time is {break_time:?}, above the break_cap of {break_cap:?}: raise break_cap, or say fixed_break"
            ),
            Self::NeverOpens => f.write_str(
                "consecutive_failures, failure_ratio and slow_first_bytes are all off: turn one on, or switch the layer \
                 off with CircuitBreakerLayer::off",
            ),
        }
    }
}

impl StdError for InvalidPolicy {}
