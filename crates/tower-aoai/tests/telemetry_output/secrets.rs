//! That nobody's secrets are written.

use std::{fmt::Debug, io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderName, Request};
use http_body_util::{BodyExt, Full};
use parking_lot::Mutex;
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_aoai::{
    balance::{BalanceLayer, Member},
    circuit_breaker::CircuitBreakerLayer,
    context_window::{ContextWindowLayer, Policy},
    core::{
        AttemptTimeoutLayer, CallContext, DeadlineLayer, Error, IncludeUsageLayer, ObserveLayer, PrepareLayer,
        RequestBody,
    },
    cost::{CostLayer, Tag, Tags},
    endpoint::{EndpointLayer, Token},
    fallback::{FallbackLayer, Leg},
    retry_after::{RetryAfterLayer, RetryPolicy},
    telemetry::{AttemptTelemetryLayer, CallTelemetryLayer},
    token_bucket::{Quota, TokenBucketLayer},
};
use tower_aoai_simulator::{Deployment, Scripted, Simulator};
use tracing_subscriber::fmt::format::FmtSpan;

use crate::support::{Kept, Plain};

/// It stands in every secret, and in nothing else.
const MARK: &str = "ZEBRA";

#[derive(Debug, Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock()).into_owned()
    }
}

/// Whether the mark stands in what somebody would see of this.
#[track_caller]
fn assert_shows_nothing(what: &str, shown: &impl Debug) {
    let text = format!("{shown:?} {shown:#?}");
    assert!(!text.contains(MARK) && !text.contains("90, 69, 66, 82, 65"), "{what}: {text}");
}

fn chat(prompt: &str, stream: bool) -> Request<Plain> {
    let body = format!(
        r#"{{"messages":[{{"role":"system","content":"{MARK} of the system"}},{{"role":"user","content":"{prompt}"}}],"max_tokens":20,"user":"{MARK}","stream":{stream}}}"#
    );
    Request::post("https://gateway.example/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21&sig=ZEBRA")
        .header("api-key", "ZEBRA-of-the-caller")
        .header("authorization", "Bearer ZEBRA.of.the.caller")
        .header("x-tenant-secret", "ZEBRA-of-the-tenant")
        .extension(Tags::new().task("summarise"))
        .body(Full::from(body))
        .expect("a valid request")
}

#[tokio::test(start_paused = true)]
async fn a_whole_run_writes_no_prompt_no_answer_and_no_key() {
    let output = Output::default();
    let writer = output.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(FmtSpan::FULL)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let kept = Arc::new(Kept::default());
    let server = Simulator::builder()
        .api_key("ZEBRA-the-right-key")
        .deployment(Deployment::standard("gpt-4o").tokens_per_minute(100_000_000).requests_per_minute(1_000_000))
        .build();
    let member = |name: &'static str, key: &'static str| {
        let server = server.clone();
        let endpoint = EndpointLayer::new("https://r.openai.azure.com".parse().expect("an address"))
            .classic("2024-10-21")
            .expect("a version")
            .credential(Token::api_key(key).expect("a key"));
        Member::new(name)
            .asked(CircuitBreakerLayer::new().name(name).seed(1))
            .asked(TokenBucketLayer::of(Quota::standard(10_000_000)))
            .layer(endpoint)
            .layer(AttemptTelemetryLayer::new(name).recorder(kept.clone()))
            .layer(IncludeUsageLayer::new())
            .layer(ObserveLayer::new())
            .layer(AttemptTimeoutLayer::new().first_byte(Duration::from_secs(90)))
            .layer(tower::layer::layer_fn(move |_: ()| {
                ServiceExt::<Request<RequestBody>>::map_err(server.clone(), Error::flatten)
            }))
    };
    let leg = |name, members: Vec<_>| {
        let retry = RetryAfterLayer::new(RetryPolicy::new().max_retries(2)).seed(1);
        Leg::new(name, (retry, BalanceLayer::new(members).expect("members").seed(1)))
    };
    let window = ContextWindowLayer::new().policy(Policy::truncate());
    let truncated = window.handle();
    let layers = ServiceBuilder::new()
        .layer(PrepareLayer::new())
        .layer(CallTelemetryLayer::new().recorder(kept.clone()))
        .layer(window)
        .layer(CostLayer::new().tag_header(Tag::Agent, HeaderName::from_static("x-agent")))
        .layer(DeadlineLayer::new(Duration::from_secs(60)))
        .layer(
            FallbackLayer::new([
                leg(
                    "first",
                    vec![member("misconfigured", "ZEBRA-a-wrong-key"), member("eastus", "ZEBRA-the-right-key")],
                ),
                leg("second", vec![member("westus", "ZEBRA-the-right-key")]),
            ])
            .expect("legs"),
        );
    assert_shows_nothing("layers", &layers);
    let mut service = layers.service(());

    let long = "ZEBRA and more. ".repeat(100_000);
    let says = || Scripted::text("ZEBRA is the answer, and ZEBRA again, for as long as it takes.");
    let error = format!(r#"{{"error":{{"code":"invalid_value","type":"{MARK}","message":"{MARK} is too striped"}}}}"#);
    let in_stream = format!("data: {{\"error\":{{\"code\":\"{MARK}\",\"message\":\"{MARK}\"}}}}\n\n");
    let tools = || Scripted::tool_calls([("look_up", r#"{"animal":"ZEBRA"}"#)]);
    let runs: Vec<(&str, Vec<Scripted>, String, bool)> = vec![
        ("answered", vec![says()], "ZEBRA?".into(), false),
        ("streamed", vec![says()], "ZEBRA?".into(), true),
        ("tools", vec![tools()], "ZEBRA?".into(), true),
        ("throttled", vec![Scripted::rate_limited(Duration::from_secs(1)), says()], "ZEBRA?".into(), false),
        (
            "throttled in the stream",
            vec![Scripted::refused_stream(Duration::from_secs(1)), says()],
            "ZEBRA?".into(),
            true,
        ),
        ("cut", vec![Scripted::cut_after(2)], "ZEBRA?".into(), true),
        ("error in the stream", vec![Scripted::events([in_stream]); 12], "ZEBRA?".into(), true),
        ("down", vec![Scripted::status(503); 12], "ZEBRA?".into(), false),
        ("reset", vec![Scripted::reset(); 12], "ZEBRA?".into(), false),
        ("content filter", vec![Scripted::content_filter()], "ZEBRA?".into(), false),
        ("filtered answer", vec![Scripted::filtered_after(2)], "ZEBRA?".into(), true),
        ("refused", vec![Scripted::response(400, error)], "ZEBRA?".into(), false),
        ("hangs", vec![Scripted::hang()], "ZEBRA?".into(), false),
        ("too long", vec![says()], long, false),
    ];
    for (name, scripted, prompt, stream) in runs {
        server.clear_scripts();
        for scripted in scripted {
            server.script("gpt-4o").then(scripted);
        }
        let mut request = chat(&prompt, stream);
        let context = CallContext::of(&mut request).clone();
        ServiceExt::<Request<Plain>>::ready(&mut service).await.expect("ready");
        let future = service.call(request);
        assert_shows_nothing(name, &future);
        match future.await {
            Ok(response) => {
                let mut body = response.into_body();
                assert_shows_nothing(name, &body);
                let mut frames = 0;
                while let Some(frame) = body.frame().await {
                    frames += 1;
                    if let Err(error) = frame {
                        assert_shows_nothing(name, &error);
                    }
                    if frames == 2 {
                        assert_shows_nothing(name, &body);
                    }
                }
            }
            Err(error) => {
                assert_shows_nothing(name, &error);
                assert!(!error.to_string().contains(MARK), "{name}");
            }
        }
        assert_shows_nothing(name, &context);
        // What a circuit or a gate remembers is not for the next.
        tokio::time::sleep(Duration::from_secs(200)).await;
    }
    assert_shows_nothing("records", &kept);
    assert_shows_nothing("service", &service);

    let endings: Vec<_> = kept.calls().iter().map(|call| call.ending.name()).collect();
    let expected = [
        "answered",
        "answered",
        "answered",
        "answered",
        "answered",
        "broken_off",
        "failed",
        "failed",
        "refused",
        "failed",
        "answered",
        "failed",
        "timed_out",
        "answered",
    ];
    assert_eq!(endings, expected, "it was what it was meant to be");
    assert_eq!(truncated.snapshot().truncated, 1);
    let text = output.text();
    for written in
        ["the call failed", "attempt ended", "otel.name=chat gpt-4o", "tower_aoai.endpoint", "error.type", "TRACE"]
    {
        assert!(text.contains(written), "{written} was written");
    }
    assert!(kept.attempts().iter().any(|attempt| attempt.outcome.name() == "misconfigured"), "the wrong key was tried");
    for line in text.lines() {
        assert!(!line.contains(MARK), "{line}");
    }
}

/// What is asked of the test above: a mark that is written is seen.
#[test]
#[should_panic(expected = "seen")]
fn a_mark_that_is_shown_is_seen() {
    assert_shows_nothing("seen", &Bytes::from_static(b"a ZEBRA"));
}
