//! Nobody's credential reaches anybody else.

mod support;

use http::{HeaderName, HeaderValue, Request, Version, header};
use proptest::prelude::*;
use support::{Leaf, request, sent};
use tower::{Layer, ServiceExt};
use tower_aoai_core::RequestBody;
use tower_aoai_endpoint::{BaseUrl, EndpointLayer, Token, TokenCache};

/// What no credential of a caller's contains, and every one of them does.
const THEIRS: &str = "theirs0secret";
const OURS: &str = "ours0secret";

const HEADERS: [&str; 14] = [
    "authorization",
    "Authorization",
    "proxy-authorization",
    "api-key",
    "Api-Key",
    "x-api-key",
    "ocp-apim-subscription-key",
    "cookie",
    "openai-organization",
    "openai-project",
    "x-goog-api-key",
    "x-auth-token",
    "x-functions-key",
    "x-ms-authorization-auxiliary",
];
const PARAMETERS: [&str; 12] = [
    "api-key",
    "API-KEY",
    "api_key",
    "apikey",
    "key",
    "%6bey",
    "subscription-key",
    "Ocp-Apim-Subscription-Key",
    "access_token",
    "token",
    "sig",
    "code",
];
const PATHS: [&str; 6] = [
    "/openai/deployments/gpt/chat/completions",
    "/openai/v1/responses",
    "/v1/embeddings",
    "/models/chat/completions",
    "/openai/files",
    "/gw/chat/completions",
];

fn base(text: &str) -> BaseUrl {
    text.parse().expect("a base URL")
}

fn layers() -> Vec<(EndpointLayer, &'static str)> {
    let azure = || EndpointLayer::new(base("https://ours.openai.azure.com"));
    let apim = HeaderName::from_static("ocp-apim-subscription-key");
    vec![
        (azure().credential(Token::api_key(OURS).expect("a key")), "api-key"),
        (azure().credential(Token::bearer(OURS).expect("a token")), "authorization"),
        (azure().credential(Token::in_header(apim, OURS).expect("a key")), "ocp-apim-subscription-key"),
        (azure(), ""),
    ]
}

proptest! {
    #[test]
    fn exactly_one_credential_reaches_the_endpoint_and_it_is_ours(
        headers in prop::collection::vec((prop::sample::select(&HEADERS[..]), any::<bool>()), 0..6),
        parameters in prop::collection::vec((prop::sample::select(&PARAMETERS[..]), any::<bool>()), 0..4),
        path in prop::sample::select(&PATHS[..]),
        host in prop::option::of(prop::sample::select(&["http://me:theirs0secret@theirs", "https://theirs:8443"][..])),
        connection in prop::option::of(prop::sample::select(&["close, x-private", "keep-alive", "x-private,te"][..])),
    ) {
        let query: String = parameters
            .iter()
            .map(|(name, alone)| if *alone { format!("&{name}") } else { format!("&{name}={THEIRS}") })
            .collect();
        let uri = format!("{}{path}?a=b{query}&limit=3", host.unwrap_or_default());
        let mut request = request("POST", &uri, r#"{"model":"gpt","input":"x"}"#);
        for (name, twice) in headers {
            let name: HeaderName = name.parse().unwrap();
            for _ in 0..=usize::from(twice) {
                request.headers_mut().append(name.clone(), HeaderValue::from_static("Bearer theirs0secret"));
            }
        }
        if let Some(connection) = connection {
            request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static(connection));
            request.headers_mut().insert("x-private", HeaderValue::from_static(THEIRS));
        }
        let is_private = connection.is_some_and(|connection| connection.contains("x-private"));
        if !is_private {
            request.headers_mut().remove("x-private");
        }
        request.headers_mut().insert(header::HOST, HeaderValue::from_static("theirs"));
        request.headers_mut().insert("x-ms-client-request-id", HeaderValue::from_static("kept"));
        for (layer, ours) in layers() {
            let arrived = futures_util::FutureExt::now_or_never(sent(&layer, request.clone())).expect("at once");
            let arrived = arrived.expect("it can be said");
            let all = format!("{} {:?}", arrived.uri(), arrived.headers().iter().map(|(name, value)| {
                format!("{name}: {}", value.to_str().unwrap())
            }).collect::<Vec<_>>());
            prop_assert!(!all.contains(THEIRS), "{}", all);
            prop_assert_eq!(arrived.uri().host(), Some("ours.openai.azure.com"));
            prop_assert_eq!(arrived.uri().query(), Some("a=b&limit=3"));
            prop_assert_eq!(&arrived.headers()[header::HOST], "ours.openai.azure.com");
            prop_assert_eq!(&arrived.headers()["x-ms-client-request-id"], "kept");
            let credentials: Vec<_> = arrived
                .headers()
                .iter()
                .filter(|(name, _)| HEADERS.iter().any(|known| known.eq_ignore_ascii_case(name.as_str())))
                .collect();
            if ours.is_empty() {
                prop_assert!(credentials.is_empty());
            } else {
                prop_assert_eq!(credentials.len(), 1);
                prop_assert_eq!(credentials[0].0.as_str(), ours);
                prop_assert!(credentials[0].1.to_str().unwrap().ends_with(OURS) && credentials[0].1.is_sensitive());
            }
        }
    }
}

#[tokio::test]
async fn headers_of_the_callers_connection_end_here_and_others_go_on() {
    let mut call = request("POST", "/v1/chat/completions", r#"{"model":"gpt"}"#);
    *call.version_mut() = Version::HTTP_2;
    for name in [
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authenticate",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "http2-settings",
        "expect",
        "content-length",
    ] {
        call.headers_mut().insert(name, HeaderValue::from_static("x-named, 1"));
    }
    for name in
        ["x-named", "accept", "content-type", "traceparent", "user-agent", "x-ms-spillover-deployment", "aoai-evals"]
    {
        call.headers_mut().insert(name, HeaderValue::from_static("v"));
    }
    let arrived = sent(&layers()[0].0, call).await.expect("sent");
    let mut names: Vec<_> = arrived.headers().keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    let kept = [
        "accept",
        "aoai-evals",
        "api-key",
        "content-type",
        "host",
        "traceparent",
        "user-agent",
        "x-ms-spillover-deployment",
    ];
    assert_eq!(names, kept);
    assert_eq!(arrived.version(), Version::HTTP_11);
}

/// The transport makes the length from the body; what a caller said is of another body.
#[tokio::test]
async fn no_length_is_said_but_the_bodys_own() {
    use http_body::Body;

    let mut call = request("POST", "/v1/chat/completions", r#"{"model":"a"}"#);
    call.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("13"));
    let layer = EndpointLayer::new(base("https://ours.openai.azure.com")).deployment("longer-than-that");
    let arrived = sent(&layer, call).await.expect("sent");
    assert!(!arrived.headers().contains_key(header::CONTENT_LENGTH));
    let length = arrived.body().to_bytes().len() as u64;
    assert_eq!((arrived.body().size_hint().exact(), length), (Some(length), 28));
}

#[tokio::test]
async fn a_redirect_is_handed_up_and_not_followed() {
    let leaf = tower::service_fn(|_: Request<RequestBody>| async {
        let response = http::Response::builder().status(307).header("location", "https://elsewhere.example/");
        Ok::<_, std::convert::Infallible>(response.body(support::Plain::default()).unwrap())
    });
    let call = request("POST", "/v1/chat/completions", r#"{"model":"gpt"}"#);
    let response = layers()[0].0.layer(leaf).oneshot(call).await.expect("an answer");
    assert_eq!(response.status(), 307);
}

#[tokio::test]
async fn no_debug_shows_a_secret() {
    let key = Token::api_key(OURS).expect("a key");
    let layer = EndpointLayer::new(base("https://ours.openai.azure.com")).token_cache(TokenCache::new(key.clone()));
    let service = layer.layer(Leaf::default());
    let future = service.clone().oneshot(request("POST", "/v1/chat/completions", r#"{"model":"gpt"}"#));
    future.await.expect("an answer");
    let mut call = request("POST", "/v1/chat/completions", r#"{"model":"gpt"}"#);
    call.headers_mut().insert("api-key", HeaderValue::from_static(THEIRS));
    let future = tower::Service::call(&mut layer.layer(Leaf::default()), call);
    let arrived = sent(&layer, request("GET", "/v1/models", "")).await.expect("sent");
    for shown in [
        format!("{key:?}"),
        format!("{layer:?}"),
        format!("{future:?}"),
        format!("{:?}", layer.handle()),
        format!("{:?}", layer.handle().snapshot()),
        format!("{:?}", arrived.headers()),
        format!("{arrived:?}"),
    ] {
        assert!(!shown.contains("secret"), "{shown}");
    }
}
