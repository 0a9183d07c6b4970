//! The sending of a group.

use std::{future::poll_fn, pin::Pin, sync::Arc};

use bytes::Bytes;
use futures_util::future::{Shared, WeakShared};
use http::{HeaderMap, Request, Response, StatusCode, header, request::Parts};
use http_body::Body;
use parking_lot::Mutex;
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};
use tower::ServiceExt;
use tower_aoai_core::{
    AzureClassifier, BoxError, Call, CallContext, Error, Outcome, Reason, Served,
    classify::{ResponseHead, judge_head},
};
use tower_service::Service;

use super::{
    MergeHandle,
    groups::{Group, Groups, Key, Piece},
    join::join,
    split::split,
};
use crate::{
    answer::Head,
    gather::{Gather, Gathered},
};

/// What became of a group: each of its callers takes its part.
pub(super) enum Sent {
    /// Nobody joined: the caller sends its request as it is.
    Alone,
    /// Refused for what may be one caller's mistake, or answered in a way that cannot be taken apart: each sends its
    /// own.
    Apart,
    Answered(Box<Answered>),
    Failed(Arc<Error>),
}

/// The answer to a merged request.
pub(super) struct Answered {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) bodies: Bodies,
    pub(super) served: Served,
    pub(super) callers: usize,
    pub(super) inputs: usize,
}

pub(super) enum Bodies {
    /// By seat.
    Each(Vec<(u64, Bytes)>),
    /// A failure is everyone's.
    Same(Bytes),
}

/// Boxed once for each merged request, not for each call: who polls it is whoever of its callers is there.
pub(super) type Drive = Pin<Box<dyn Future<Output = Arc<Sent>> + Send>>;
pub(super) type Driven = Shared<Drive>;
pub(super) type Waiting = Arc<Mutex<Groups<Option<WeakShared<Drive>>>>>;

/// What a group is sent with.
pub(super) struct Sender<S> {
    pub(super) inner: S,
    pub(super) waiting: Waiting,
    pub(super) handle: MergeHandle,
    pub(super) answer_bytes: usize,
}

impl<S> Sender<S> {
    /// Waits until the group is full or its time has come, and sends it.
    pub(super) async fn run<B, RB>(self, id: u64, until: Instant, is_full: oneshot::Receiver<()>) -> Arc<Sent>
    where
        S: Service<Request<B>, Response = Response<RB>>,
        S::Error: Into<BoxError>,
        B: From<Bytes>,
        RB: Body<Data = Bytes>,
        RB::Error: Into<BoxError>,
    {
        // Full, or time: either way it goes.
        let _ = timeout_at(until, is_full).await;
        let group = self.waiting.lock().seal(id);
        let Some(group) = group.filter(|group| group.pieces.len() > 1) else {
            self.handle.count(|counts| counts.alone += 1);
            return Arc::new(Sent::Alone);
        };
        let callers = group.pieces.len() as u64;
        let inputs: usize = group.pieces.iter().map(|piece| piece.inputs.texts.len()).sum();
        self.handle.count(|counts| {
            counts.merged_requests += 1;
            counts.merged_calls += callers;
            counts.merged_inputs += inputs as u64;
        });
        let sent = match self.send::<B, RB>(group, inputs).await {
            Ok(sent) => sent,
            Err(error) if is_of_size(&error) => Sent::Apart,
            Err(error) => Sent::Failed(Arc::new(error)),
        };
        Arc::new(sent)
    }

    async fn send<B, RB>(self, group: Group<Option<WeakShared<Drive>>>, inputs: usize) -> Result<Sent, Error>
    where
        S: Service<Request<B>, Response = Response<RB>>,
        S::Error: Into<BoxError>,
        B: From<Bytes>,
        RB: Body<Data = Bytes>,
        RB::Error: Into<BoxError>,
    {
        let Self { inner, answer_bytes, .. } = self;
        let (request, context) = merged(&group.key, &group.pieces, Instant::now());
        let response = inner.oneshot(request.map(B::from)).await.map_err(Error::flatten)?;
        let (head, body) = response.into_parts();
        let mut body = std::pin::pin!(body);
        let mut gather = Gather::new(answer_bytes);
        let gathered = poll_fn(|cx| gather.poll(body.as_mut(), cx)).await.map_err(Error::flatten)?;
        let body = gather.take();
        let bodies = if head.status.is_success() && gathered == Gathered::Whole {
            let shares: Vec<_> = group.pieces.iter().map(Piece::share).collect();
            let Some(bodies) = split(&body, &shares) else {
                tracing::warn!(
                    callers = shares.len(),
                    inputs,
                    "the answer to merged embedding requests has not one vector for each input: each is sent apart"
                );
                return Ok(Sent::Apart);
            };
            Bodies::Each(group.pieces.iter().map(|piece| piece.seat).zip(bodies).collect())
        } else if gathered == Gathered::TooLong || is_one_callers(&context, head.status, &head.headers) {
            return Ok(Sent::Apart);
        } else {
            Bodies::Same(body)
        };
        let mut headers = head.headers;
        // Of the whole answer, in which each has a part.
        headers.remove(header::CONTENT_LENGTH);
        Ok(Sent::Answered(Box::new(Answered {
            status: head.status,
            headers,
            bodies,
            served: context.served(),
            callers: group.pieces.len(),
            inputs,
        })))
    }
}

/// Whether an answer may be the fault of one of the inputs, or of there being so many.
fn is_one_callers(context: &CallContext, status: StatusCode, headers: &HeaderMap) -> bool {
    let observed = context.last_attempt().and_then(|attempt| attempt.verdict()).map(|verdict| verdict.outcome);
    let judged = || judge_head(&AzureClassifier::default(), context.call(), ResponseHead { status, headers }).outcome;
    matches!(observed.unwrap_or_else(judged), Outcome::Refused | Outcome::ContextLength | Outcome::TooLarge)
}

/// Whether a smaller request might be let through.
fn is_of_size(error: &Error) -> bool {
    let reason = error.rejected().map(tower_aoai_core::Rejected::reason);
    matches!(reason, Some(Reason::TooLarge | Reason::ContextLength | Reason::BodyTooLarge { .. }))
}

/// One request for all of them, with a context of its own: the eldest's head, the most urgent class, the latest
/// deadline.
fn merged(key: &Key, pieces: &[Piece], now: Instant) -> (Request<Bytes>, CallContext) {
    let body = join(&key.rest, pieces.iter().flat_map(|piece| &piece.inputs.texts));
    let mut request = Request::new(body);
    if let Some(Piece { parts, .. }) = pieces.first() {
        request.method_mut().clone_from(&parts.method);
        request.uri_mut().clone_from(&parts.uri);
        *request.version_mut() = parts.version;
        *request.extensions_mut() = parts.extensions.clone();
        for (name, value) in &parts.headers {
            if !Head::is_of_one_call(name) {
                request.headers_mut().append(name, value.clone());
            }
        }
    }
    let mut context = CallContext::new(Call::read(request.uri(), request.headers(), request.body()), now);
    let theirs: Vec<&CallContext> = pieces.iter().filter_map(|piece| context_of(&piece.parts)).collect();
    if let Some(tenant) = theirs.iter().find_map(|context| context.tenant()) {
        context.set_tenant(Some(tenant));
    }
    if let Some(priority) = theirs.iter().map(|context| context.priority()).min() {
        context.set_priority(priority);
    }
    let deadlines: Option<Vec<Instant>> =
        pieces.iter().map(|piece| context_of(&piece.parts).and_then(CallContext::deadline)).collect();
    if let Some(latest) = deadlines.and_then(|deadlines| deadlines.into_iter().max()) {
        context.tighten_deadline(latest);
    }
    request.extensions_mut().insert(context.clone());
    (request, context)
}

fn context_of(parts: &Parts) -> Option<&CallContext> {
    parts.extensions.get()
}
