//! Answers that several callers get: what makes requests alike, and what is handed to each.

mod again;
mod body;
mod head;

pub use self::body::AnswerBody;
pub(crate) use self::{again::again, head::Head};
