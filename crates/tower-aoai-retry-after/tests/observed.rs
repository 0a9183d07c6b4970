//! With core's observer below: R2 where content was handed on, and answers that only their bodies explain.

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use support::{Plain, answer, answer_with, exact, layer, request};
use tower::{Layer, ServiceExt, service_fn};
use tower_aoai_core::{
    AzureClassifier, BoxError, Call, Classify, Error, ObserveLayer, Outcome, Verdict,
    classify::{HeadVerdict, ResponseHead, StreamError},
    observe::ObservedBody,
};

/// Takes everything that fails for something that may pass, also after content.
#[derive(Debug)]
struct Careless;

impl Classify for Careless {
    fn head(&self, call: &Call, head: ResponseHead<'_>) -> HeadVerdict {
        AzureClassifier::new().head(call, head)
    }

    fn error_body(&self, _: &Call, _: ResponseHead<'_>, _: &[u8]) -> Verdict {
        Outcome::Transient { hint: None }.into()
    }

    fn stream_error(&self, _: &Call, _: ResponseHead<'_>, _: StreamError<'_>, _: bool) -> Verdict {
        Outcome::Transient { hint: None }.into()
    }

    fn failure(&self, _: &Error, _: bool) -> Verdict {
        Outcome::Transient { hint: None }.into()
    }
}

fn stream(events: &'static str) -> Response<Plain> {
    let mut response = answer_with(200, &[("content-type", "text/event-stream")]);
    *response.body_mut() = Full::from(events);
    response
}

fn chat() -> Request<Plain> {
    let mut request = request();
    let path = "https://one.openai.azure.com/openai/deployments/d/chat/completions";
    *request.uri_mut() = http::Uri::from_static(path);
    request
}

const CONTENT: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}]}\n\n";

#[tokio::test(start_paused = true)]
async fn r2_after_content_nothing_is_sent_again_whatever_the_classifier_says() {
    let sends = Arc::new(AtomicUsize::new(0));
    let sent = Arc::clone(&sends);
    let leaf = service_fn(move |_: Request<Plain>| {
        sent.fetch_add(1, Ordering::Relaxed);
        async { Ok::<_, Error>(stream(CONTENT)) }
    });
    // A layer in between that reads what it was handed, and then fails.
    let reader = ObserveLayer::new().classify(Arc::new(Careless)).layer(leaf).and_then(
        |response: Response<ObservedBody<Plain>>| async move {
            response.into_body().collect().await.unwrap();
            Err::<Response<Plain>, Error>(Error::Transport(BoxError::from("failed on its own")))
        },
    );
    let layer = layer(exact(1).retry_if(|_| true)).classify(Arc::new(Careless));
    layer.layer(reader).oneshot(chat()).await.unwrap_err();
    assert_eq!(sends.load(Ordering::Relaxed), 1);
    assert_eq!(layer.handle().snapshot().final_outcomes, 1);
}

#[tokio::test(start_paused = true)]
async fn a_throttle_inside_a_stream_is_tried_again_while_nothing_was_handed_on() {
    let sends = Arc::new(AtomicUsize::new(0));
    let sent = Arc::clone(&sends);
    let leaf = service_fn(move |_: Request<Plain>| {
        let n = sent.fetch_add(1, Ordering::Relaxed);
        let throttled = "data: {\"error\":{\"code\":\"rate_limit_exceeded\",\
            \"message\":\"Please retry after 3 seconds\"}}\n\n";
        async move { Ok::<_, Error>(stream(if n == 0 { throttled } else { CONTENT })) }
    });
    let layer = layer(exact(60));
    let service = layer.layer(ObserveLayer::new().layer(leaf));
    service.oneshot(chat()).await.unwrap();
    assert_eq!(sends.load(Ordering::Relaxed), 2);
    let counts = layer.handle().snapshot();
    assert_eq!((counts.answered, counts.waited), (1, Duration::from_secs(3)));
}

#[tokio::test(start_paused = true)]
async fn an_account_without_credit_is_told_by_its_body_and_never_sent_again() {
    let sends = Arc::new(AtomicUsize::new(0));
    let sent = Arc::clone(&sends);
    let leaf = service_fn(move |_: Request<Plain>| {
        sent.fetch_add(1, Ordering::Relaxed);
        let mut response = answer(429);
        *response.body_mut() = Full::from(r#"{"error":{"code":"insufficient_quota"}}"#);
        async move { Ok::<_, Error>(response) }
    });
    let service = layer(exact(1)).layer(ObserveLayer::new().layer(leaf));
    assert_eq!(service.oneshot(chat()).await.unwrap().status(), 429);
    assert_eq!(sends.load(Ordering::Relaxed), 1);
}
