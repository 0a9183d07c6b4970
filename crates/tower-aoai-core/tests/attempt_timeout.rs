//! What `AttemptTimeoutLayer` and `ConnectTimeoutLayer` promise, under paused time.

use std::{convert::Infallible, future::pending, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, StreamBody};
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceExt, service_fn};
use tower_aoai_core::{
    AttemptTimeoutLayer, BoxError, CallContext, ConnectTimeoutLayer, Error, ObserveLayer, Outcome, Timeout,
};

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A stream that sends each piece after so long.
fn stream(pieces: &'static [(u64, &'static str)]) -> impl Body<Data = Bytes, Error = Infallible> + Unpin {
    let pieces = futures_util::stream::iter(pieces);
    let frames = futures_util::StreamExt::then(pieces, |(after, piece)| async move {
        sleep(seconds(*after)).await;
        Ok(Frame::data(Bytes::from_static(piece.as_bytes())))
    });
    StreamBody::new(Box::pin(frames))
}

async fn run(
    limits: AttemptTimeoutLayer,
    head: u64,
    pieces: &'static [(u64, &'static str)],
) -> (Duration, Result<(), Error>) {
    let service = service_fn(move |_: Request<Full<Bytes>>| async move {
        sleep(seconds(head)).await;
        let mut response = Response::new(stream(pieces));
        response.headers_mut().insert("content-type", "text/event-stream".parse().expect("a header"));
        Ok::<_, BoxError>(response)
    });
    let start = Instant::now();
    let call = async {
        let mut body = limits.layer(service).oneshot(Request::default()).await?.into_body();
        while let Some(frame) = body.frame().await {
            frame?;
        }
        Ok(())
    };
    let result = call.await;
    (Instant::now().saturating_duration_since(start), result)
}

fn expired(result: &Result<(), Error>) -> Option<Timeout> {
    match result {
        Err(Error::Timeout(timeout)) => Some(*timeout),
        _ => None,
    }
}

#[tokio::test(start_paused = true)]
async fn each_limit_ends_the_attempt_at_its_own_time() {
    let limits = AttemptTimeoutLayer::new().first_byte(seconds(5)).idle(seconds(3)).total(seconds(12));
    let cases: [(u64, &[(u64, &str)], u64, Option<Timeout>); 4] = [
        (6, &[], 5, Some(Timeout::FirstByte)),
        (4, &[(2, "a"), (2, "b")], 8, None),
        (1, &[(2, "a"), (4, "b")], 6, Some(Timeout::Idle)),
        (2, &[(2, "a"), (2, "b"), (2, "c"), (2, "d"), (2, "e"), (2, "f")], 12, Some(Timeout::Total)),
    ];
    for (head, pieces, ends, timeout) in cases {
        let (taken, result) = run(limits, head, pieces).await;
        assert_eq!((taken.as_secs(), expired(&result)), (ends, timeout), "{pieces:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_frame_is_the_first_token_where_nobody_observes() {
    let limits = AttemptTimeoutLayer::new().first_token(seconds(5));
    let (taken, result) = run(limits, 1, &[(5, "late")]).await;
    assert_eq!((taken.as_secs(), expired(&result)), (5, Some(Timeout::FirstToken)));
    let (taken, result) = run(limits, 1, &[(3, "in time"), (60, "anything")]).await;
    assert_eq!((taken.as_secs(), expired(&result)), (64, None));
}

const PREAMBLE: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
const CONTENT: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}]}\n\n";

#[tokio::test(start_paused = true)]
async fn below_an_observer_only_content_is_the_first_token_and_lateness_is_the_endpoints_fault() {
    let cases: [(&'static [(u64, &'static str)], Option<Timeout>); 2] = [
        (&[(1, PREAMBLE), (9, CONTENT)], Some(Timeout::FirstToken)),
        (&[(1, PREAMBLE), (2, CONTENT), (60, CONTENT), (0, "data: [DONE]\n\n")], None),
    ];
    for (pieces, timeout) in cases {
        let service = service_fn(move |_: Request<Full<Bytes>>| async move {
            let mut response = Response::new(stream(pieces));
            response.headers_mut().insert("content-type", "text/event-stream".parse().expect("a header"));
            Ok::<_, BoxError>(response)
        });
        let timed = AttemptTimeoutLayer::new().first_token(seconds(5)).layer(service);
        let mut request = Request::post("/openai/deployments/d/chat/completions").body(Full::default()).expect("valid");
        let context = CallContext::of(&mut request).clone();
        let result = async {
            let response = ObserveLayer::new().layer(timed).oneshot(request).await?;
            response.into_body().collect().await.map(drop)
        };
        let result = result.await;
        assert_eq!(expired(&result), timeout);
        let attempts = context.attempts();
        let outcome = attempts.last().and_then(|attempt| attempt.verdict()).map(|verdict| verdict.outcome);
        let expected = if timeout.is_some() { Outcome::Transient { hint: None } } else { Outcome::Success };
        assert_eq!(outcome, Some(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn without_limits_nothing_ever_expires() {
    let (taken, result) = run(AttemptTimeoutLayer::off(), 5000, &[(5000, "a")]).await;
    assert!(result.is_ok());
    assert_eq!(taken.as_secs(), 10_000);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_takes_too_long_is_given_up() {
    let connector = service_fn(|_: &'static str| pending::<Result<(), BoxError>>());
    let start = Instant::now();
    let result = ConnectTimeoutLayer::new(seconds(10)).layer(connector).oneshot("localhost:1").await;
    assert!(matches!(result, Err(Error::Timeout(Timeout::Connect))));
    assert_eq!(Instant::now().saturating_duration_since(start), seconds(10));
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_polled_before_the_clock_and_without_a_limit_waited_for() {
    let connector = || {
        service_fn(|_: &'static str| async {
            sleep(seconds(10)).await;
            Ok::<_, BoxError>("connected")
        })
    };
    for layer in [ConnectTimeoutLayer::new(seconds(10)), ConnectTimeoutLayer::off()] {
        assert!(layer.layer(connector()).oneshot("localhost:1").await.is_ok());
    }
}
