//! The body of a prepared request.

use std::{
    convert::Infallible,
    fmt,
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use serde::de::IgnoredAny;

use super::edits::{EditError, Edits};
use crate::{Spans, json_object};

/// A request body in memory: cheap to clone, sent as often as needed, rewritten without being copied.
///
/// It keeps the bytes as they came, its *source*, and what stands in their place where a layer
/// [replaced](Self::replace) something. It is sent as frames that are slices of both, so that a prompt of megabytes
/// of which the model's name was changed is still never copied; its length is always known exactly.
///
/// A clone costs two reference counts, shares all bytes, and **starts at the beginning**, however much of the
/// original was polled already: so does [`Replay::try_clone`](crate::Replay::try_clone). What is replaced in a clone
/// is replaced there alone.
///
/// Differs from [`Full`](http_body_util::Full), whose polled clone is silently empty, and from
/// [`Collected`](http_body_util::Collected), which keeps frames and trailers of a body but cannot be changed.
///
/// ```
/// use tower_aoai_core::RequestBody;
///
/// let mut body = RequestBody::from(r#"{"model":"gpt-4o","messages":[]}"#);
/// body.replace(9..17, r#""eastus-4o""#)?;
/// assert_eq!(body.to_bytes(), r#"{"model":"eastus-4o","messages":[]}"#);
/// assert_eq!(body.source(), r#"{"model":"gpt-4o","messages":[]}"#);
/// # Ok::<(), tower_aoai_core::EditError>(())
/// ```
#[derive(Default)]
pub struct RequestBody {
    source: Bytes,
    edits: Option<Arc<Edits>>,
    len: usize,
    sent: Cursor,
}

/// How much was polled.
#[derive(Debug, Clone, Copy, Default)]
struct Cursor {
    /// Bytes handed out.
    bytes: usize,
    /// Bytes of the source that are behind us.
    source: usize,
    /// Edits that are behind us.
    edits: usize,
}

impl RequestBody {
    /// A body of no bytes.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// The bytes as they came, without any edit: what [`Spans`] point into.
    #[must_use]
    pub fn source(&self) -> &Bytes {
        &self.source
    }

    /// The bytes that are sent in all, whatever was polled already.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is sent at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The whole body in one piece, whatever was polled already: a copy if something was replaced, else none.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        if self.edit_count() == 0 {
            return self.source.clone();
        }
        let mut whole = BytesMut::with_capacity(self.len);
        let mut cursor = Cursor::default();
        while let Some(piece) = self.piece(&mut cursor) {
            whole.extend_from_slice(&piece);
        }
        whole.freeze()
    }

    /// Where in the [source](Self::source) a part of it stands, such as a value that was read from it without a copy;
    /// `None` for bytes that lie elsewhere.
    ///
    /// ```
    /// use tower_aoai_core::RequestBody;
    ///
    /// let mut body = RequestBody::from(r#"{"input":"Hello"}"#);
    /// let hello = body.source().slice(9..16);
    /// assert_eq!(body.span_of(&hello), Some(9..16));
    /// assert_eq!(body.span_of(b"Hello"), None);
    /// ```
    #[must_use]
    pub fn span_of(&self, part: &[u8]) -> Option<Range<usize>> {
        json_object::part(&self.source, part)
    }

    /// Puts other bytes in the place of a span of the **source**, whatever was replaced before.
    ///
    /// An empty span inserts; of insertions at one place the earlier stands first. A span that was replaced before is
    /// replaced anew.
    ///
    /// # Errors
    ///
    /// The body stays as it was, and the error says why: the span does not lie within the source, overlaps another one
    /// that was replaced before, or the body is being sent ([`EditError::Started`]; a clone can be changed).
    pub fn replace(&mut self, span: Range<usize>, with: impl Into<Bytes>) -> Result<(), EditError> {
        if self.sent.bytes > 0 {
            return Err(EditError::Started);
        }
        if span.end > self.source.len() {
            return Err(EditError::OutOfRange);
        }
        let edits = Arc::make_mut(self.edits.get_or_insert_default());
        edits.put(span, with.into())?;
        self.len = edits.edited_len(self.source.len());
        Ok(())
    }

    /// Adds a member to the JSON object that the body is, before all others.
    ///
    /// `spans` are those of the [`Call`](crate::Call) that was read from this body; `value` is JSON text. The key
    /// should be one that the object does not have: of two, servers take the one that stands last.
    ///
    /// # Errors
    ///
    /// As for [`replace`](Self::replace); also if the body is no JSON object, or `value` no JSON.
    ///
    /// ```
    /// use tower_aoai_core::{Call, RequestBody};
    ///
    /// let mut body = RequestBody::from(r#"{"input":"Hello"}"#);
    /// let call = Call::read(&"/openai/v1/responses".parse()?, &http::HeaderMap::new(), body.source());
    /// body.add_member(&call.spans, "max_output_tokens", "100")?;
    /// body.add_member(&call.spans, "store", "false")?;
    /// assert_eq!(body.to_bytes(), r#"{"max_output_tokens":100,"store":false,"input":"Hello"}"#);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn add_member(&mut self, spans: &Spans, key: &str, value: &str) -> Result<(), EditError> {
        let place = spans.first_member.ok_or(EditError::NoObject)?;
        serde_json::from_str::<IgnoredAny>(value).map_err(|_| EditError::NotJson)?;
        let key = serde_json::Value::from(key);
        let member = if !spans.is_empty_object {
            format!("{key}:{value},")
        } else if self.inserts_at(place) {
            format!(",{key}:{value}")
        } else {
            format!("{key}:{value}")
        };
        self.replace(place..place, member)
    }

    fn edit_count(&self) -> usize {
        self.edits.as_ref().map_or(0, |edits| edits.len())
    }

    fn inserts_at(&self, place: usize) -> bool {
        self.edits.as_ref().is_some_and(|edits| edits.inserts_at(place))
    }

    /// The next piece that is not empty.
    fn piece(&self, cursor: &mut Cursor) -> Option<Bytes> {
        loop {
            let edit = self.edits.as_ref().and_then(|edits| edits.get(cursor.edits));
            let until = edit.map_or(self.source.len(), |edit| edit.span.start);
            let piece = match edit {
                _ if cursor.source < until => {
                    let kept = cursor.source..until;
                    cursor.source = until;
                    self.source.slice(kept)
                }
                Some(edit) => {
                    cursor.source = edit.span.end;
                    cursor.edits += 1;
                    edit.with.clone()
                }
                None => return None,
            };
            if !piece.is_empty() {
                cursor.bytes = cursor.bytes.saturating_add(piece.len());
                return Some(piece);
            }
        }
    }

    fn left(&self) -> usize {
        self.len.saturating_sub(self.sent.bytes)
    }
}

impl From<Bytes> for RequestBody {
    fn from(source: Bytes) -> Self {
        Self { len: source.len(), source, ..Self::default() }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let mut sent = self.sent;
        let piece = self.piece(&mut sent);
        self.sent = sent;
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left() as u64)
    }
}

impl Clone for RequestBody {
    fn clone(&self) -> Self {
        Self { source: self.source.clone(), edits: self.edits.clone(), len: self.len, sent: Cursor::default() }
    }
}

/// Sizes only: what is in the body belongs in no log.
impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody")
            .field("len", &self.len)
            .field("edits", &self.edit_count())
            .field("sent", &self.sent.bytes)
            .finish()
    }
}
