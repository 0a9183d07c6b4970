//! A user's own test with `tower-test`: every request is looked at, and every answer given by hand.

mod summariser;

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio::time::Instant;
use tower::BoxError;
use tower_aoai::core::RequestBody;
use tower_test::mock;

use crate::summariser::summary;

fn answer(status: u16, body: &'static str) -> Response<Full<Bytes>> {
    let response = Response::builder().status(status).header("content-type", "application/json");
    response.header("retry-after-ms", "1500").body(Full::from(body)).expect("a valid response")
}

#[tokio::test(start_paused = true)]
async fn a_429_is_waited_out_and_the_same_request_sent_again() -> Result<(), BoxError> {
    // [mocked]
    let (transport, mut azure) = mock::pair::<Request<RequestBody>, Response<Full<Bytes>>>();
    let start = Instant::now();
    let summary = tokio::spawn(async move { summary(transport, "Teapots are round.").await });

    let (first, refuse) = azure.next_request().await.ok_or("a request")?;
    refuse.send_response(answer(429, r#"{"error":{"code":"429","message":"Please retry after 2 seconds"}}"#));
    let (again, reply) = azure.next_request().await.ok_or("another one")?;
    assert_eq!(Instant::now() - start, Duration::from_millis(1500));
    assert_eq!(again.body().to_bytes(), first.body().to_bytes());
    reply.send_response(answer(200, r#"{"choices":[{"message":{"content":"Round."}}]}"#));

    assert_eq!(summary.await??, "Round.");
    // [end]
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_refused_prompt_is_not_sent_again() -> Result<(), BoxError> {
    let (transport, mut azure) = mock::pair::<Request<RequestBody>, Response<Full<Bytes>>>();
    let summary = tokio::spawn(async move { summary(transport, "Teapots are round.").await });
    let (_, refuse) = azure.next_request().await.ok_or("a request")?;
    refuse.send_response(answer(400, r#"{"error":{"code":"content_filter","message":"…"}}"#));
    let error = summary.await?.err().ok_or("it was refused")?;
    assert_eq!(error.to_string(), "no summary: 400 Bad Request");
    assert!(azure.next_request().await.is_none());
    Ok(())
}
