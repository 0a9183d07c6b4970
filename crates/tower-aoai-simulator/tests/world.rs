//! Several resources in one process, and who is meant by what.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::HELLO;
use http::Request;
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tokio::time::Instant;
use tower::ServiceExt;
use tower_aoai_simulator::{Deployment, Scripted, Simulator, TokenIssuer, World};

const PATH: &str = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21";

fn resource(region: &str) -> Simulator {
    Simulator::builder().region(region).deployment(Deployment::standard("gpt-4o")).build()
}

fn world() -> World {
    World::builder()
        .resource("Contoso-Sweden", resource("Sweden Central"))
        .resource("contoso-east", resource("East US"))
        .build()
}

/// Status and region of who answers.
async fn ask(world: &World, uri: &str, host: Option<&str>) -> (u16, Option<String>) {
    let mut request = Request::post(uri);
    if let Some(host) = host {
        request = request.header("host", host);
    }
    let response = world.clone().oneshot(request.body(Full::<Bytes>::from(HELLO)).unwrap()).await.unwrap();
    let region = response.headers().get("x-ms-region").map(|region| region.to_str().unwrap().to_owned());
    (response.status().as_u16(), region)
}

#[tokio::test(start_paused = true)]
async fn a_resource_is_found_by_host_path_or_default() {
    let world = world();
    let (sweden, east) = (Some("Sweden Central".to_owned()), Some("East US".to_owned()));
    for (uri, host, region) in [
        (PATH.to_owned(), None, &sweden),
        (PATH.to_owned(), Some("127.0.0.1:8080"), &sweden),
        (PATH.to_owned(), Some("localhost"), &sweden),
        (PATH.to_owned(), Some("contoso-east.openai.azure.com"), &east),
        (PATH.to_owned(), Some("CONTOSO-EAST.Services.AI.Azure.com:443"), &east),
        (PATH.to_owned(), Some("contoso-east.cognitiveservices.azure.com"), &east),
        (PATH.to_owned(), Some("contoso-east.openai.azure.us"), &east),
        (PATH.to_owned(), Some("contoso-east.localhost:80"), &east),
        (format!("https://contoso-east.openai.azure.com{PATH}"), None, &east),
        (format!("/contoso-east{PATH}"), None, &east),
        (format!("/CONTOSO-SWEDEN{PATH}"), Some("localhost:1"), &sweden),
        (format!("http://127.0.0.1:80/contoso-east{PATH}"), None, &east),
    ] {
        assert_eq!(ask(&world, &uri, host).await, (200, region.clone()), "{uri} {host:?}");
    }
    for (uri, host) in [
        (PATH.to_owned(), Some("nobody.openai.azure.com")),
        (format!("/nobody{PATH}"), None),
        ("/contoso-east".to_owned(), None),
        ("/contoso-east?x".to_owned(), None),
        (format!("/contoso-east/contoso-east{PATH}"), None),
    ] {
        assert_eq!(ask(&world, &uri, host).await, (404, None), "{uri} {host:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_resource_has_a_quota_and_a_journal_of_its_own() {
    let world = world();
    ask(&world, PATH, None).await;
    ask(&world, &format!("/contoso-east{PATH}"), None).await;
    ask(&world, PATH, None).await;
    let served = |name: &str| world.resource(name).unwrap().journal().len();
    assert_eq!((served("contoso-sweden"), served("contoso-east")), (2, 1));
    assert_eq!(world.default_name(), Some("Contoso-Sweden"));
    world.reset();
    assert_eq!((served("contoso-sweden"), served("contoso-east")), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_region_goes_down_everywhere() {
    let world = world();
    let now = Instant::now();
    let until = now + Duration::from_secs(30);
    world.region_down("East US", now, until, &Scripted::plain_text_503());
    assert_eq!(ask(&world, PATH, None).await.0, 200);
    let east = format!("/contoso-east{PATH}");
    assert_eq!(ask(&world, &east, None).await.0, 503);
    tokio::time::advance(Duration::from_secs(30)).await;
    assert_eq!(ask(&world, &east, None).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn an_empty_world_and_a_world_of_one() {
    let empty = World::builder().build();
    assert_eq!(ask(&empty, PATH, None).await.0, 404);
    let one = World::from(resource("Sweden Central"));
    assert_eq!(ask(&one, PATH, None).await.0, 200);
    assert_eq!(ask(&one, "/openai/v1/models", None).await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn one_issuer_serves_all_that_listen_to_it() {
    let issuer = TokenIssuer::new();
    let listens = Simulator::builder().token_issuer(issuer.clone()).deployment(Deployment::standard("gpt-4o")).build();
    let deaf = Simulator::builder().api_key("key").deployment(Deployment::standard("gpt-4o")).build();
    let world = World::builder().resource("deaf", deaf).resource("listens", listens).build();
    let token = world.issuer().issue(Duration::from_secs(10));
    assert!(issuer.accepts(&token, Instant::now()));
    let status = async |path: &str| {
        let request = Request::post(path).header("authorization", format!("Bearer {token}"));
        let response = world.clone().oneshot(request.body(Full::<Bytes>::from(HELLO)).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let _: Value = serde_json::from_slice(&body).unwrap();
        status
    };
    assert_eq!(status(&format!("/listens{PATH}")).await, 200);
    assert_eq!(status(&format!("/deaf{PATH}")).await, 401);
    world.reset();
    assert_eq!(status(&format!("/listens{PATH}")).await, 401);
}

#[test]
fn secrets_are_in_no_debug() {
    let issuer = TokenIssuer::new().client("app", "s3cret");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let (token, world) = runtime.block_on(async {
        let simulator = Simulator::builder().api_key("s3cret").token_issuer(issuer.clone());
        assert!(!format!("{simulator:?}").contains("s3cret"));
        (issuer.issue(Duration::from_secs(1)), World::from(simulator.build()))
    });
    let shown = format!("{world:?} {:?} {issuer:?}", world.default_resource());
    assert!(!shown.contains("s3cret") && !shown.contains(&token), "{shown}");
}
