use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::{
    answer::{Call, Content, errors::Failure, refusal::Hint},
    deployment::RetryHints,
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
    pub(crate) without: Vec<HeaderName>,
    pub(crate) pace: Pace,
    /// What the answer says, where it is not for the request to decide.
    pub(crate) content: Option<Content>,
    /// The content filter blocks the answer after so many tokens.
    pub(crate) filtered_after: Option<u64>,
}

/// How fast an answer comes, where it is not for the latency model to decide.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pace {
    /// To the head.
    pub(crate) head: Option<Duration>,
    /// To the first token.
    pub(crate) first: Option<Duration>,
    /// From token to token.
    pub(crate) gap: Option<Duration>,
    /// So many bytes at a time, with so long between.
    pub(crate) drip: Option<(usize, Duration)>,
}

#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// The catalogue's answer of this status.
    Status(StatusCode),
    Failure(Failure),
    /// A 400 in the words of the operation asked for.
    ContentFilter,
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
    /// One event that is no JSON, then the rest as usual.
    Malformed,
}

impl Scripted {
    fn new(kind: Kind) -> Self {
        Self {
            kind,
            headers: HeaderMap::new(),
            without: Vec::new(),
            pace: Pace::default(),
            content: None,
            filtered_after: None,
        }
    }

    /// An answer as usual, admitted whatever the quota says.
    pub fn ok() -> Self {
        Self::new(Kind::Usual(None))
    }

    /// An answer as usual that says this.
    pub fn text(text: &str) -> Self {
        Self { content: Some(Content::text(text)), ..Self::ok() }
    }

    /// An answer as usual that calls these tools: each a name and its arguments in JSON, which
    /// are sent as they are. Legacy completions have no tools and say nothing then.
    pub fn tool_calls<'a>(calls: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let calls = calls.into_iter().map(|(name, arguments)| Call {
            name: name.to_owned(),
            arguments: arguments.to_owned(),
            by_name: false,
        });
        Self { content: Some(Content::Calls(calls.collect())), ..Self::ok() }
    }

    /// An answer that the content filter blocks after so many tokens: `finish_reason`
    /// `content_filter`, status 200, and charged.
    pub fn filtered_after(tokens: u64) -> Self {
        Self { filtered_after: Some(tokens), ..Self::ok() }
    }

    /// An error of this status, with the body Azure is known to send by it. A number that is no
    /// status counts as 500.
    pub fn status(status: u16) -> Self {
        Self::new(Kind::Status(of(status)))
    }

    /// This status and body, as JSON if it looks like it.
    pub fn response(status: u16, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let content_type = if body.starts_with(b"{") { "application/json" } else { "text/plain" };
        Self::new(Kind::Failure(Failure { status: of(status), content_type, body }))
    }

    /// A 429 that says to come back after this time, in `retry-after-ms` and `retry-after`.
    pub fn rate_limited(after: Duration) -> Self {
        Self::new(Kind::RateLimited(Hint::of(after, RetryHints::Milliseconds, true)))
    }

    /// A 429 whose `retry-after` is in whole seconds and has no milliseconds beside it.
    pub fn rate_limited_seconds(seconds: u64) -> Self {
        Self::new(Kind::RateLimited(Hint { milliseconds: None, seconds: Some(seconds) }))
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

    /// The 429 of an API Management gateway in front of the service, which has limits of its own.
    /// `retry-after` in whole seconds.
    pub fn gateway_rate_limited(seconds: u64) -> Self {
        Self::new(Kind::Failure(Failure::gateway_rate_limited(seconds))).header("retry-after", &seconds.to_string())
    }

    /// The 503 of a proxy in front of the service: plain text.
    pub fn plain_text_503() -> Self {
        Self::new(Kind::Failure(Failure::plain_text_503()))
    }

    /// The 403 of a resource that is closed to this network.
    pub fn virtual_network() -> Self {
        Self::new(Kind::Failure(Failure::virtual_network()))
    }

    /// The 401 of an identity that may not do this, which comes without the usual wrapper.
    pub fn permission_denied() -> Self {
        Self::new(Kind::Failure(Failure::permission_denied()))
    }

    /// The 400 of a filtered prompt.
    pub fn content_filter() -> Self {
        Self::new(Kind::ContentFilter)
    }

    /// The 400 of a prompt that is too long, for a window of 128,000 tokens.
    pub fn context_length() -> Self {
        Self::new(Kind::Failure(Failure::context_length(128_000, 192_041, None)))
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

    /// No answer, ever: the future ends when it is dropped, by a time limit of the caller's.
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

    /// One event that is no JSON after this many events that carry content, then the rest of the
    /// stream as usual.
    pub fn malformed_after(events: u64) -> Self {
        Self::new(Kind::Usual(Some((events, StreamFault::Malformed))))
    }

    /// An answer as usual, so many bytes at a time with `gap` between, whatever the events'
    /// bounds: a slow line. Zero bytes count as one.
    pub fn drip(bytes: usize, gap: Duration) -> Self {
        let mut scripted = Self::ok();
        scripted.pace.drip = Some((bytes.max(1), gap));
        scripted
    }

    /// Leaves out a header of the answer. A name that no header can have is ignored.
    pub fn without_header(mut self, name: &str) -> Self {
        self.without.extend(HeaderName::try_from(name));
        self
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
        self.pace.head = Some(delay);
        self
    }

    /// From the request's arrival to the first token of a streamed answer, whose head and events
    /// without content come before, as they would have.
    pub fn first_token_after(mut self, delay: Duration) -> Self {
        self.pace.first = Some(delay);
        self
    }

    /// From one token to the next.
    pub fn every(mut self, gap: Duration) -> Self {
        self.pace.gap = Some(gap);
        self
    }
}

fn of(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
