//! A credential is ready before quota is stamped.

mod support;

use std::time::Duration;

use http::Request;
use http_body_util::BodyExt;
use support::{Plain, Scripted, token};
use tokio::time::{Instant, sleep};
use tower::{ServiceBuilder, ServiceExt};
use tower_aoai_core::{CallContext, ObserveLayer, PrepareLayer};
use tower_aoai_endpoint::{BaseUrl, CredentialError, EndpointLayer, TokenCache};
use tower_aoai_simulator::{Deployment, Simulator, TokenIssuer};
use tower_aoai_token_bucket::{Quota, TokenBucketLayer};

const SECOND: Duration = Duration::from_secs(1);

fn endpoint(tokens: TokenCache) -> EndpointLayer {
    EndpointLayer::new("https://ours.openai.azure.com".parse::<BaseUrl>().expect("a base URL")).token_cache(tokens)
}

fn chat() -> Request<Plain> {
    let body = r#"{"model":"gpt","messages":[{"role":"user","content":"Hi"}],"max_tokens":100}"#;
    Request::post("/v1/chat/completions").body(Plain::from(body)).expect("a request")
}

fn azure() -> Simulator {
    Simulator::builder().deployment(Deployment::standard("gpt").model("gpt-4o")).build()
}

#[tokio::test(start_paused = true)]
async fn l1_a_charge_ages_from_the_send_however_long_the_token_took() {
    let bucket = TokenBucketLayer::of(Quota::standard(1_000));
    let handle = bucket.handle();
    let credential = Scripted::living(3_600 * SECOND, 20 * SECOND);
    let service = ServiceBuilder::new()
        .layer(PrepareLayer::new())
        .layer(bucket)
        .layer(endpoint(TokenCache::new(credential).seed(3)))
        .layer(ObserveLayer::new())
        .service(azure());
    let start = Instant::now();
    let mut call = chat();
    let context = CallContext::of(&mut call).clone();
    let response = service.oneshot(call).await.expect("an answer");
    assert_eq!(Instant::now() - start, 20 * SECOND);
    assert_eq!(context.attempts()[0].progress().sent, Some(start + 20 * SECOND));
    response.into_body().collect().await.expect("a whole answer");
    let used = handle.snapshot().tokens_used;
    assert!(used >= 100);
    sleep(Duration::from_millis(59_900)).await;
    assert_eq!(handle.snapshot().tokens_used, used, "a minute counts from the send");
    sleep(Duration::from_millis(500)).await;
    assert_eq!(handle.snapshot().tokens_used, 0);
}

#[tokio::test(start_paused = true)]
async fn l3_without_a_token_the_charge_comes_back_whole() {
    let bucket = TokenBucketLayer::of(Quota::standard(1_000));
    let handle = bucket.handle();
    let credential = Scripted::new(20 * SECOND, |_| Err(CredentialError::new("no")));
    let service = ServiceBuilder::new()
        .layer(PrepareLayer::new())
        .layer(bucket)
        .layer(endpoint(TokenCache::new(credential).seed(3)))
        .layer(ObserveLayer::new())
        .service(azure());
    service.oneshot(chat()).await.expect_err("no token");
    let snapshot = handle.snapshot();
    assert_eq!((snapshot.tokens_used, snapshot.in_flight), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_second_send_settles_the_one_reservation_by_its_own_usage() {
    let issuer = TokenIssuer::new();
    let simulator = Simulator::builder()
        .token_issuer(issuer.clone())
        .deployment(Deployment::standard("gpt").model("gpt-4o"))
        .build();
    let credential = Scripted::new(Duration::ZERO, {
        let issuer = issuer.clone();
        move |n| match n {
            0 => Ok(token(0)),
            _ => tower_aoai_endpoint::Token::bearer(&issuer.issue(3_600 * SECOND)).map_err(CredentialError::new),
        }
    });
    let bucket = TokenBucketLayer::of(Quota::standard(1_000));
    let handle = bucket.handle();
    let service = ServiceBuilder::new()
        .layer(PrepareLayer::new())
        .layer(bucket)
        .layer(endpoint(TokenCache::new(credential).seed(3)))
        .layer(ObserveLayer::new())
        .service(simulator);
    let mut call = chat();
    let context = CallContext::of(&mut call).clone();
    let response = service.oneshot(call).await.expect("an answer");
    assert_eq!((response.status().as_u16(), context.attempt_count()), (200, 2));
    response.into_body().collect().await.expect("a whole answer");
    let snapshot = handle.snapshot();
    assert_eq!(snapshot.in_flight, 0);
    assert!((100..110).contains(&snapshot.tokens_used), "charged once: {}", snapshot.tokens_used);
}
