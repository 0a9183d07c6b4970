//! Reading how long the server asks to wait.
//!
//! | where | form | unit |
//! |---|---|---|
//! | `retry-after-ms`, then `x-ms-retry-after-ms` | number, may have a fraction | milliseconds |
//! | `retry-after` | number, may have a fraction | seconds |
//! | `retry-after` | HTTP date | |
//! | the error's message | `retry after 45 seconds`, `Try again in 50 seconds` | as it says, else seconds |
//!
//! The first that can be read counts. What is not a number, negative, not finite, or longer than 136 years is passed
//! over as if it were not there; nothing is ever shortened, so that the 86,400 seconds with which Azure says "this
//! request never fits" arrive as they are. The order of the headers is that of Azure's own client libraries, the
//! wording of the messages is captured traffic.

use std::{
    iter,
    time::{Duration, SystemTime},
};

use http::{
    HeaderMap, HeaderName,
    header::{DATE, RETRY_AFTER},
};

use crate::{Hint, HintSource, duration, text};

#[cfg(test)]
mod tests;

const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
const X_MS_RETRY_AFTER_MS: HeaderName = HeaderName::from_static("x-ms-retry-after-ms");
const X_SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// The words of a message behind which the wait stands.
const WORDS: [&str; 5] = ["retry after", "retry-after", "try again in", "try again after", "retry in"];

impl Hint {
    /// What the headers say, uncorrected: `None` if they say nothing that can be read.
    ///
    /// An HTTP date counts from the response's own `date` header, which makes it immune to a clock that is set
    /// wrong here or there; `now` stands in where there is none. A date that has passed is a wait of zero.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap, now: SystemTime) -> Option<Self> {
        Self::all(headers, now).next()
    }

    /// What a message's own words say: "Please retry after 45 seconds", "Try again in 1.5s".
    ///
    /// A number without a unit is seconds. At most the first 8 KiB are searched.
    #[must_use]
    pub fn from_message(message: &str) -> Option<Self> {
        let after = WORDS.iter().find_map(|word| after_word(message, word))?;
        Some(Self { after, source: HintSource::Message })
    }

    /// Every hint that the headers hold, in the order in which they count.
    pub(crate) fn all(headers: &HeaderMap, now: SystemTime) -> impl Iterator<Item = Self> {
        let millis = |name: HeaderName, source| {
            let after = first(headers, &name, |value| duration::count_of(Duration::from_millis(1), value));
            after.map(|after| Self { after, source })
        };
        let seconds = move || first(headers, &RETRY_AFTER, |value| seconds_or_date(headers, value, now));
        iter::empty()
            .chain(millis(RETRY_AFTER_MS, HintSource::RetryAfterMs))
            .chain(millis(X_MS_RETRY_AFTER_MS, HintSource::XMsRetryAfterMs))
            .chain(iter::once_with(seconds).flatten())
    }
}

/// The header `x-should-retry`, if it is `true` or `false`.
pub(crate) fn should_retry(headers: &HeaderMap) -> Option<bool> {
    first(headers, &X_SHOULD_RETRY, |value| {
        if value.eq_ignore_ascii_case("true") {
            Some(true)
        } else if value.eq_ignore_ascii_case("false") {
            Some(false)
        } else {
            None
        }
    })
}

/// The first of a header's values that can be read.
fn first<T>(headers: &HeaderMap, name: &HeaderName, read: impl Fn(&str) -> Option<T>) -> Option<T> {
    headers.get_all(name).iter().find_map(|value| read(value.to_str().ok()?.trim()))
}

fn seconds_or_date(headers: &HeaderMap, value: &str, now: SystemTime) -> Option<Hint> {
    if let Some(after) = duration::count_of(Duration::from_secs(1), value) {
        return Some(Hint { after, source: HintSource::RetryAfterSeconds });
    }
    let date = httpdate::parse_http_date(value).ok()?;
    let from = first(headers, &DATE, |value| httpdate::parse_http_date(value).ok()).unwrap_or(now);
    let after = date.duration_since(from).unwrap_or(Duration::ZERO);
    (after <= duration::LONGEST).then_some(Hint { after, source: HintSource::RetryAfterDate })
}

/// The first wait behind `word`; the word is searched for in the beginning, the wait may reach beyond it.
fn after_word(message: &str, word: &str) -> Option<Duration> {
    let mut searched = text::searched(message);
    while let Some(at) = text::find(searched, word) {
        searched = &searched[at + word.len()..];
        let beyond = message.len().saturating_sub(text::SEARCHED);
        let behind = &message.as_bytes()[message.len() - beyond - searched.len()..];
        if let Some(after) = leading_wait(behind) {
            return Some(after);
        }
    }
    None
}

/// The wait with which `text` begins: a number and a unit (`20 seconds`), numbers and units (`1m30s`), or a number.
fn leading_wait(text: &[u8]) -> Option<Duration> {
    let text = skip(text, |byte| matches!(byte, b' ' | b':' | b'=' | b'"' | b'~'));
    let (number, rest) = split(text, |byte| byte.is_ascii_digit() || byte == b'.');
    if !number.first()?.is_ascii_digit() {
        return None;
    }
    if rest.first().is_some_and(u8::is_ascii_alphabetic) {
        let (compact, _) = split(text, |byte| byte.is_ascii_alphanumeric() || byte == b'.');
        return duration::parse_duration(ascii(compact)?);
    }
    let (word, _) = split(skip(rest, |byte| byte == b' '), |byte| byte.is_ascii_alphabetic());
    let unit = if word.is_empty() { Duration::from_secs(1) } else { duration::unit_of(ascii(word)?)? };
    duration::count_of(unit, ascii(number)?)
}

fn skip(text: &[u8], over: impl Fn(u8) -> bool) -> &[u8] {
    split(text, over).1
}

fn split(text: &[u8], inside: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !inside(*byte));
    text.split_at(end.unwrap_or(text.len()))
}

/// Without the full stop of the sentence.
fn ascii(text: &[u8]) -> Option<&str> {
    Some(std::str::from_utf8(text).ok()?.trim_end_matches('.'))
}
