use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::time::Instant;

use crate::{
    answer::{errors::Failure, refusal::Hint},
    deployment::RetryHints,
    draw::Draws,
};

/// One answer that is dictated instead of decided.
///
/// An error ([`status`](Self::status), [`rate_limited`](Self::rate_limited), …) costs no tokens.
/// An answer that is given as usual but goes wrong on the way ([`cut_after`](Self::cut_after), …)
/// is admitted whatever the quota says, and is charged.
#[derive(Debug, Clone)]
#[must_use]
pub struct Scripted {
    pub(crate) kind: Kind,
    pub(crate) headers: HeaderMap,
    pub(crate) delay: Option<Duration>,
}

#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// The catalogue's answer of this status.
    Status(StatusCode),
    Failure(Failure),
    /// A 429 in the deployment's own words.
    RateLimited(Hint),
    /// A stream of exactly these bytes, event by event.
    Events(Vec<Bytes>),
    /// The 200 that is a 429.
    RefusedStream(Duration),
    /// An answer as usual, which goes wrong after so many events that carry content.
    Usual(Option<(u64, StreamFault)>),
    Hang,
    Reset,
}

/// What goes wrong inside a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamFault {
    /// The connection breaks.
    Cut,
    /// An error event, then the end.
    Error,
    /// Nothing comes any more.
    Stall,
    /// The stream ends as if it were complete, without its last events.
    End,
    /// Everything comes but `[DONE]`.
    NoDone,
}

impl Scripted {
    fn new(kind: Kind) -> Self {
        Self {
            kind,
            headers: HeaderMap::new(),
            delay: None,
        }
    }

    /// An answer as usual, admitted whatever the quota says.
    pub fn ok() -> Self {
        Self::new(Kind::Usual(None))
    }

    /// An error of this status, with the body Azure is known to send by it. A number that is no
    /// status counts as 500.
    pub fn status(status: u16) -> Self {
        Self::new(Kind::Status(of(status)))
    }

    /// This status and body, as JSON if it looks like it.
    pub fn response(status: u16, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let content_type = if body.starts_with(b"{") {
            "application/json"
        } else {
            "text/plain"
        };
        Self::new(Kind::Failure(Failure {
            status: of(status),
            content_type,
            body,
        }))
    }

    /// A 429 that says to come back after this time, in `retry-after-ms` and `retry-after`.
    pub fn rate_limited(after: Duration) -> Self {
        Self::new(Kind::RateLimited(Hint::of(
            after,
            RetryHints::Milliseconds,
            true,
        )))
    }

    /// A 429 whose `retry-after` is in whole seconds and has no milliseconds beside it.
    pub fn rate_limited_seconds(seconds: u64) -> Self {
        Self::new(Kind::RateLimited(Hint {
            milliseconds: None,
            seconds: Some(seconds),
        }))
    }

    /// The quirk `retry-after: 1`, `retry-after-ms: 0`.
    pub fn rate_limited_zero() -> Self {
        let hint = Hint::of(Duration::ZERO, RetryHints::ZeroMilliseconds, true);
        Self::new(Kind::RateLimited(hint))
    }

    /// A 429 that says nothing about when to come back.
    pub fn rate_limited_silently() -> Self {
        Self::new(Kind::RateLimited(Hint::default()))
    }

    /// The 429 of a request that is larger than the deployment's quota: retry after 86400 s.
    pub fn too_large() -> Self {
        Self::rate_limited_seconds(86_400)
    }

    /// The 429 of a system without capacity; it has no hint.
    pub fn no_capacity() -> Self {
        Self::new(Kind::Failure(Failure::no_capacity()))
    }

    /// The 503 of a proxy in front of the service: plain text.
    pub fn plain_text_503() -> Self {
        Self::new(Kind::Failure(Failure::plain_text_503()))
    }

    /// The 400 of a filtered prompt.
    pub fn content_filter() -> Self {
        Self::new(Kind::Failure(Failure::content_filter()))
    }

    /// The 400 of a prompt that is too long, for a window of 128,000 tokens.
    pub fn context_length() -> Self {
        Self::new(Kind::Failure(Failure::context_length(
            128_000, 192_041, None,
        )))
    }

    /// Status 200, a `retry-after` header, and the refusal inside the stream, as the Responses
    /// operation refuses.
    pub fn refused_stream(after: Duration) -> Self {
        Self::new(Kind::RefusedStream(after))
    }

    /// Status 200 and a stream of exactly these pieces, each a frame of the body; nothing is
    /// added, not even blank lines.
    pub fn events<I>(pieces: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<Bytes>,
    {
        Self::new(Kind::Events(pieces.into_iter().map(Into::into).collect()))
    }

    /// No answer, ever.
    pub fn hang() -> Self {
        Self::new(Kind::Hang)
    }

    /// The connection is reset before the head.
    pub fn reset() -> Self {
        Self::new(Kind::Reset)
    }

    /// The connection breaks after this many events that carry content (0: after the events that
    /// precede content). An answer that is not streamed breaks before its body.
    pub fn cut_after(events: u64) -> Self {
        Self::new(Kind::Usual(Some((events, StreamFault::Cut))))
    }

    /// An error event after this many events that carry content, then the end of the stream.
    pub fn error_after(events: u64) -> Self {
        Self::new(Kind::Usual(Some((events, StreamFault::Error))))
    }

    /// Nothing more after this many events that carry content.
    pub fn stall_after(events: u64) -> Self {
        Self::new(Kind::Usual(Some((events, StreamFault::Stall))))
    }

    /// The stream ends, as if it were well, after this many events that carry content.
    pub fn end_after(events: u64) -> Self {
        Self::new(Kind::Usual(Some((events, StreamFault::End))))
    }

    /// A whole stream that lacks `data: [DONE]`.
    pub fn without_done() -> Self {
        Self::new(Kind::Usual(Some((u64::MAX, StreamFault::NoDone))))
    }

    /// Adds or replaces a header of the answer. A name or value that no header can have is
    /// ignored.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) {
            self.headers.insert(name, value);
        }
        self
    }

    /// From the request's arrival to the answer's head, in place of the latency model's time.
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self
    }
}

fn of(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// What is scripted for one deployment, or for all.
#[derive(Debug, Default)]
pub(crate) struct Scene {
    next: VecDeque<Scripted>,
    outages: Vec<(Instant, Instant, Scripted)>,
    chances: Vec<(f64, Scripted)>,
}

impl Scene {
    pub(crate) fn push(&mut self, scripted: Scripted) {
        self.next.push_back(scripted);
    }

    pub(crate) fn during(&mut self, from: Instant, until: Instant, scripted: Scripted) {
        self.outages.push((from, until, scripted));
    }

    pub(crate) fn sometimes(&mut self, probability: f64, scripted: Scripted) {
        self.chances.push((probability, scripted));
    }

    pub(crate) fn waiting(&self) -> usize {
        self.next.len()
    }

    /// The answer to a request that arrives now, if one is dictated: the queue first, then the
    /// outage, then chance.
    pub(crate) fn take(&mut self, now: Instant, draws: &mut Draws) -> Option<Scripted> {
        if let Some(scripted) = self.next.pop_front() {
            return Some(scripted);
        }
        let outage = self
            .outages
            .iter()
            .find(|(from, until, _)| (*from..*until).contains(&now));
        if let Some((_, _, scripted)) = outage {
            return Some(scripted.clone());
        }
        let mut chance = self
            .chances
            .iter()
            .filter(|(probability, _)| draws.unit() < *probability);
        chance.next().map(|(_, scripted)| scripted.clone())
    }
}
