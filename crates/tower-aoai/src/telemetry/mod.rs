//! What became of calls and attempts, for those who watch.

mod record;

pub use self::record::{AttemptRecord, CallEnding, CallRecord, Recorder};
