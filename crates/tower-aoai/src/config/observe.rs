use std::time::Duration;

use super::setting::section;

section! {
    /// How attempts are watched.
    pub struct ObserveConfig {
        /// How long the head of a streamed answer is held for its first content, so that what fails until then is tried
        /// elsewhere without the caller noticing; 0 s: not at all. Default 2 s.
        pub hold: Option<Duration>,
        /// For how many bytes it is held at most. Default 262,144.
        pub hold_bytes: Option<usize>,
        /// How long an error's body is read to be judged; 0 s: not at all. Default 2 s.
        pub read_errors: Option<Duration>,
        /// How many bytes of it are read. Default 65,536.
        pub error_bytes: Option<usize>,
        /// The largest event of a stream that is read, in bytes. Default 1,048,576, at least 512.
        pub event_limit: Option<usize>,
    }
}

section! {
    /// The door: where calls come in.
    pub struct DoorConfig {
        /// The most that is taken of a request's body, in bytes. Default 33,554,432.
        pub body_limit: Option<usize>,
        /// Answers refusals in OpenAI's shape, with a status and `retry-after-ms`, instead of returning them as errors.
        /// Default false.
        pub answer_refusals: Option<bool>,
    }
}
