//! Tests of the layer, with a classifier and a body made for them.

mod contract;
mod drops;
mod errors;
mod hold;
mod hostile;
mod json;
mod reported;
mod streams;
mod strip;

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::time::{Instant, Sleep, sleep};
use tower::{Layer, Service, ServiceExt, service_fn};

use super::*;
use crate::{
    Attempt, BoxError, Call, CallContext, Classify, Error, Hint, HintSource, Operation, Outcome, Scope, Usage, Verdict,
    classify::{HeadVerdict, ResponseHead, StreamError},
};

/// Judges by little, so that these tests do not depend on what Azure's answers mean.
#[derive(Debug)]
pub(super) struct Judge;

pub(super) const TRANSIENT: Outcome = Outcome::Transient { hint: None };

pub(super) fn throttled(seconds: u64) -> Outcome {
    let (after, source) = (Duration::from_secs(seconds), HintSource::RetryAfterSeconds);
    let (hint, scope) = (Some(Hint { after, source }), Scope::Unknown);
    Outcome::Throttled { hint, scope }
}

fn hint(headers: &HeaderMap) -> u64 {
    let value = headers.get("retry-after").and_then(|value| value.to_str().ok());
    value.and_then(|value| value.parse().ok()).unwrap_or(0)
}

impl Classify for Judge {
    fn head(&self, _: &Call, head: ResponseHead<'_>) -> HeadVerdict {
        match head.status.as_u16() {
            200..300 => HeadVerdict::Open,
            404 => HeadVerdict::Known(Outcome::Misconfigured.into()),
            _ => HeadVerdict::ReadBody,
        }
    }

    fn error_body(&self, _: &Call, head: ResponseHead<'_>, body: &[u8]) -> Verdict {
        match head.status.as_u16() {
            429 => throttled(hint(head.headers)).into(),
            400 if memchr::memmem::find(body, b"context_length").is_some() => Outcome::ContextLength.into(),
            400 => Outcome::Refused.into(),
            _ => TRANSIENT.into(),
        }
    }

    fn stream_error(&self, _: &Call, head: ResponseHead<'_>, error: StreamError<'_>, after_content: bool) -> Verdict {
        match error.code {
            _ if after_content => Outcome::Broken.into(),
            Some("rate_limit_exceeded") => throttled(hint(head.headers)).into(),
            _ => TRANSIENT.into(),
        }
    }

    fn failure(&self, _: &Error, after_content: bool) -> Verdict {
        if after_content { Outcome::Broken.into() } else { TRANSIENT.into() }
    }
}

pub(super) enum Part {
    Data(Bytes),
    Trailers,
    Fail,
    Wait(Duration),
    Hang,
}

/// A body that does as it is told.
#[derive(Default)]
pub(super) struct Script {
    parts: VecDeque<Part>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Script {
    pub(super) fn new(parts: impl IntoIterator<Item = Part>) -> Self {
        let parts = parts.into_iter().collect();
        Self { parts, sleep: None }
    }
}

pub(super) fn data(text: impl Into<String>) -> Part {
    Part::Data(Bytes::from(text.into()))
}

impl Body for Script {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            if let Some(sleep) = &mut self.sleep {
                ready!(sleep.as_mut().poll(cx));
                self.sleep = None;
            }
            match self.parts.pop_front() {
                None => return Poll::Ready(None),
                Some(Part::Data(data)) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Some(Part::Trailers) => {
                    let mut trailers = HeaderMap::new();
                    trailers.insert("x-end", http::HeaderValue::from_static("1"));
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
                Some(Part::Fail) => return Poll::Ready(Some(Err("reset".into()))),
                Some(Part::Wait(time)) => self.sleep = Some(Box::pin(sleep(time))),
                Some(Part::Hang) => {
                    self.parts.push_front(Part::Hang);
                    return Poll::Pending;
                }
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        let length = self.parts.iter().map(|part| match part {
            Part::Data(data) => data.len() as u64,
            _ => 0,
        });
        SizeHint::with_exact(length.sum())
    }
}

pub(super) fn layer() -> ObserveLayer {
    ObserveLayer::new().classify(Arc::new(Judge))
}

pub(super) fn request(call: Call, strips: bool) -> (Request<()>, Arc<Attempt>) {
    let mut context = CallContext::new(call, Instant::now());
    context.set_usage_added(strips);
    let attempt = context.attempt();
    let mut request = Request::new(());
    request.extensions_mut().insert(context);
    (request, attempt)
}

pub(super) fn response(status: u16, content_type: &str, body: Script) -> Response<Script> {
    Response::builder()
        .status(status)
        .header("content-type", content_type)
        .header("retry-after", "7")
        .header("x-ms-deployment-name", "gpt")
        .body(body)
        .unwrap()
}

pub(super) fn stream(parts: impl IntoIterator<Item = Part>) -> Response<Script> {
    response(200, "text/event-stream; charset=utf-8", Script::new(parts))
}

pub(super) type Answer = Result<Response<ObservedBody<Script>>, Error>;

/// Sends a call of chat, which is answered at once.
pub(super) async fn send(layer: &ObserveLayer, response: Response<Script>) -> (Answer, Arc<Attempt>) {
    send_as(layer, Operation::Chat, false, response).await
}

pub(super) async fn send_as(
    layer: &ObserveLayer,
    operation: Operation,
    strips: bool,
    response: Response<Script>,
) -> (Answer, Arc<Attempt>) {
    let call = Call { operation, ..Call::default() };
    let (request, attempt) = request(call, strips);
    let mut response = Some(response);
    let service = service_fn(move |_: Request<()>| {
        let response = response.take().ok_or("called twice");
        async move { response }
    });
    let answer = layer.layer(service).oneshot(request).await;
    (answer, attempt)
}

pub(super) fn outcome(attempt: &Attempt) -> Option<Outcome> {
    attempt.verdict().map(|verdict| verdict.outcome)
}

/// Reads a body to its end: its data, and whether it failed.
pub(super) async fn read(mut body: ObservedBody<Script>) -> (String, bool) {
    let mut text = Vec::new();
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => text.extend_from_slice(&data),
            Ok(Err(_)) => {}
            Err(_) => return (String::from_utf8(text).unwrap(), true),
        }
    }
    (String::from_utf8(text).unwrap(), false)
}

pub(super) fn chat(choice: &str) -> String {
    format!("data: {{\"model\":\"gpt-4o\",\"choices\":[{choice}],\"usage\":null}}\n\n")
}

pub(super) fn role() -> String {
    chat(r#"{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}"#)
}

pub(super) fn content(text: &str) -> String {
    let delta = format!(r#"{{"index":0,"delta":{{"content":"{text}"}},"finish_reason":null}}"#);
    chat(&delta)
}

pub(super) fn finish() -> String {
    chat(r#"{"index":0,"delta":{},"finish_reason":"stop"}"#)
}

pub(super) const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2}}\n\n";
pub(super) const DONE: &str = "data: [DONE]\n\n";
pub(super) const THROTTLED: &str = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"too_many_requests\",\
    \"code\":\"rate_limit_exceeded\",\"message\":\"Your requests have exceeded rate limit.\"}}\n\n";
pub(super) const CREATED: &str = "event: response.created\n\
    data: {\"type\":\"response.created\",\"response\":{\"status\":\"in_progress\",\"model\":\"gpt-5\"}}\n\n";
pub(super) const FAILED: &str = "event: response.failed\n\
    data: {\"type\":\"response.failed\",\"response\":{\"status\":\"failed\",\"error\":null,\"output\":[]}}\n\n";
pub(super) const SECOND: Duration = Duration::from_secs(1);
