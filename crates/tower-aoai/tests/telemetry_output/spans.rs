//! Names and fields of spans and events.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, combinators::BoxBody};
use parking_lot::Mutex;
use tower::{Layer, ServiceBuilder, ServiceExt, layer::layer_fn, service_fn, util::BoxCloneSyncServiceLayer};
use tower_aoai::{
    core::{DeadlineLayer, Error, IncludeUsageLayer, ObserveLayer, PrepareLayer, RequestBody},
    cost::CostLayer,
    fallback::{FallbackLayer, Leg},
    retry_after::{RetryAfterLayer, RetryPolicy},
    telemetry::{AttemptTelemetryLayer, CallTelemetryLayer},
};
use tower_aoai_simulator::{Scripted, Simulator};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
};

use crate::support::{Plain, call, chat, simulator};

type Fields = BTreeMap<&'static str, String>;

#[derive(Debug, Clone, Default)]
struct Written {
    name: &'static str,
    parent: Option<usize>,
    fields: Fields,
    entered: usize,
    is_closed: bool,
}

/// What was written, in its order.
#[derive(Debug, Clone, Default)]
struct Book(Arc<Mutex<Pages>>);

#[derive(Debug, Default)]
struct Pages {
    places: BTreeMap<u64, usize>,
    spans: Vec<Written>,
    /// Level, target, the span it stands in, fields.
    events: Vec<(Level, &'static str, Option<usize>, Fields)>,
}

struct Into<'a>(&'a mut Fields);

impl Visit for Into<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> tracing_subscriber::Layer<S> for Book {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut pages = self.0.lock();
        let parent =
            context.span(id).and_then(|span| span.parent()).map(|parent| pages.places[&parent.id().into_u64()]);
        let mut fields = Fields::new();
        attributes.record(&mut Into(&mut fields));
        let place = pages.spans.len();
        pages.places.insert(id.into_u64(), place);
        pages.spans.push(Written { name: attributes.metadata().name(), parent, fields, ..Written::default() });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let mut pages = self.0.lock();
        let place = pages.places[&id.into_u64()];
        values.record(&mut Into(&mut pages.spans[place].fields));
    }

    fn on_enter(&self, id: &Id, _: Context<'_, S>) {
        let mut pages = self.0.lock();
        let place = pages.places[&id.into_u64()];
        pages.spans[place].entered += 1;
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        let mut pages = self.0.lock();
        let place = pages.places[&id.into_u64()];
        pages.spans[place].is_closed = true;
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::new();
        event.record(&mut Into(&mut fields));
        let mut pages = self.0.lock();
        let span = context.event_span(event).map(|span| pages.places[&span.id().into_u64()]);
        pages.events.push((*event.metadata().level(), event.metadata().target(), span, fields));
    }
}

impl Book {
    fn open() -> (Self, tracing::subscriber::DefaultGuard) {
        let book = Self::default();
        let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(book.clone()));
        (book, guard)
    }

    fn spans(&self) -> Vec<Written> {
        self.0.lock().spans.clone()
    }

    /// The events of this target: level, span, fields.
    fn events(&self, target: &str) -> Vec<(Level, Option<usize>, Fields)> {
        let pages = self.0.lock();
        let of_target = pages.events.iter().filter(|(_, of, ..)| *of == target);
        of_target.map(|(level, _, span, fields)| (*level, *span, fields.clone())).collect()
    }
}

#[track_caller]
fn assert_fields(span: &Written, expected: &[(&'static str, &str)]) {
    let told: Vec<_> = span.fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(told, expected);
}

type Place = BoxCloneSyncServiceLayer<(), Request<RequestBody>, Response<BoxBody<Bytes, Error>>, Error>;

fn endpoint(name: &str, server: &Simulator) -> Place {
    let server = server.clone();
    let layers = ServiceBuilder::new()
        .map_response(|response: Response<_>| response.map(BodyExt::boxed))
        .layer(RetryAfterLayer::new(RetryPolicy::new().max_retries(2)).seed(1))
        .layer(AttemptTelemetryLayer::new(name))
        .layer(IncludeUsageLayer::new())
        .layer(ObserveLayer::new());
    BoxCloneSyncServiceLayer::new(layer_fn(move |()| layers.service(server.clone())))
}

#[tokio::test(start_paused = true)]
async fn a_call_and_its_attempts_are_spans_with_documented_fields() {
    let (book, _guard) = Book::open();
    let server = simulator();
    server.script("gpt-4o").then(Scripted::rate_limited(Duration::from_secs(2)));
    let service = ServiceBuilder::new()
        .layer(PrepareLayer::new())
        .layer(CallTelemetryLayer::new())
        .layer(CostLayer::new())
        .layer(RetryAfterLayer::new(RetryPolicy::new().max_retries(2)).seed(1))
        .layer(AttemptTelemetryLayer::new("eastus"))
        .layer(IncludeUsageLayer::new())
        .layer(ObserveLayer::new())
        .service(server);
    let mut request = chat(true);
    *request.uri_mut() =
        "https://r.openai.azure.com:8443/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21&key=hidden"
            .parse()
            .expect("an address");
    call(&service, request).await.expect("an answer");

    let spans = book.spans();
    let [of_call, first, second] = &spans[..] else { panic!("{spans:#?}") };
    assert_eq!((of_call.name, first.name, second.name), ("call", "attempt", "attempt"));
    assert_eq!((of_call.parent, first.parent, second.parent), (None, Some(0), Some(0)));
    assert!(spans.iter().all(|span| span.is_closed && span.entered > 1), "polled inside: {spans:#?}");

    let answer = &of_call.fields;
    let told = |span: &Written, name: &str| span.fields.get(name).cloned().unwrap_or_default();
    let (input, output) = (told(of_call, "gen_ai.usage.input_tokens"), told(of_call, "gen_ai.usage.output_tokens"));
    let (first_chunk, spend) =
        (told(of_call, "gen_ai.response.time_to_first_chunk"), told(of_call, "tower_aoai.spend_nano_dollars"));
    let waited = told(of_call, "tower_aoai.waited_ms");
    assert!(waited.parse::<u64>().is_ok_and(|waited| (2_000..3_000).contains(&waited)), "{waited}");
    assert!(first_chunk.parse::<f64>().is_ok_and(|seconds| (2.0..4.0).contains(&seconds)), "{answer:#?}");
    assert!(spend.parse::<u64>().is_ok_and(|spend| spend > 0), "{answer:#?}");
    assert_fields(
        of_call,
        &[
            ("otel.name", "chat gpt-4o"),
            ("otel.kind", "client"),
            ("gen_ai.operation.name", "chat"),
            ("gen_ai.provider.name", "azure.ai.openai"),
            ("openai.api.type", "chat_completions"),
            ("gen_ai.request.model", "gpt-4o"),
            ("gen_ai.request.max_tokens", "20"),
            ("gen_ai.request.stream", "true"),
            ("gen_ai.response.model", "gpt-4o-2024-11-20"),
            ("gen_ai.response.time_to_first_chunk", &first_chunk),
            ("gen_ai.usage.input_tokens", &input),
            ("gen_ai.usage.output_tokens", &output),
            ("gen_ai.usage.cache_read.input_tokens", "0"),
            ("gen_ai.usage.cache_creation.input_tokens", "0"),
            ("gen_ai.usage.reasoning.output_tokens", "0"),
            ("http.response.status_code", "200"),
            ("tower_aoai.ending", "answered"),
            ("tower_aoai.attempts", "2"),
            ("tower_aoai.retries", "1"),
            ("tower_aoai.waited_ms", &waited),
            ("tower_aoai.spend_nano_dollars", &spend),
        ],
    );
    let first_byte = told(first, "tower_aoai.first_byte_ms");
    assert_fields(
        first,
        &[
            ("otel.name", "attempt eastus"),
            ("otel.kind", "client"),
            ("tower_aoai.endpoint", "eastus"),
            ("gen_ai.request.model", "gpt-4o"),
            ("server.address", "r.openai.azure.com"),
            ("server.port", "8443"),
            ("http.response.status_code", "429"),
            ("error.type", "throttled"),
            ("otel.status_code", "ERROR"),
            ("tower_aoai.outcome", "throttled"),
            ("tower_aoai.is_sent", "true"),
            ("tower_aoai.hint_ms", "2000"),
            ("tower_aoai.first_byte_ms", &first_byte),
        ],
    );
    for (name, value) in [
        ("http.request.resend_count", "1"),
        ("gen_ai.response.model", "gpt-4o-2024-11-20"),
        ("http.response.status_code", "200"),
        ("tower_aoai.outcome", "success"),
        ("tower_aoai.input_tokens", &input),
        ("tower_aoai.output_tokens", &output),
    ] {
        assert_eq!(told(second, name), value, "{name}");
    }
    assert!(!second.fields.contains_key("error.type") && second.fields.contains_key("tower_aoai.first_content_ms"));

    let attempts = book.events("tower_aoai::attempt");
    let spans: Vec<_> = attempts.iter().map(|(level, span, _)| (*level, *span)).collect();
    assert_eq!(spans, [(Level::DEBUG, Some(1)), (Level::DEBUG, Some(2))], "each once, in its own span");
}

#[tokio::test(start_paused = true)]
async fn the_line_of_a_call_says_who_served_it_and_what_stood_in_its_way() {
    let (book, _guard) = Book::open();
    let [ptu, standard] = [simulator(), simulator()];
    let layer = FallbackLayer::new([
        Leg::new("ptu", endpoint("reserved", &ptu)).provisioned().max_wait(Duration::from_secs(2)),
        Leg::new("standard", endpoint("eastus", &standard)),
    ])
    .expect("legs");
    let service = ServiceBuilder::new()
        .layer(PrepareLayer::new())
        .layer(CallTelemetryLayer::new().long_wait(Duration::from_secs(3)))
        .layer(DeadlineLayer::new(Duration::from_secs(60)))
        .layer(layer)
        .service(());
    let throttled = Scripted::rate_limited(Duration::from_secs(20));
    let short = Scripted::rate_limited(Duration::from_millis(500));

    let lines = |from: usize| {
        let lines = book.events("tower_aoai::call").split_off(from);
        assert!(lines.iter().all(|(_, span, _)| span.is_some()), "inside the call's span");
        lines.into_iter().map(|(level, _, fields)| (level, fields)).collect::<Vec<_>>()
    };
    call(&service, chat(false)).await.expect("an answer");
    let (level, line) = lines(0).remove(0);
    assert_eq!(
        (level, &*line["message"], &*line["leg"], &*line["why"]),
        (Level::DEBUG, "the call was answered", "ptu", "")
    );

    ptu.script("gpt-4o").times(2, &short);
    call(&service, chat(false)).await.expect("an answer");
    let (level, line) = lines(1).remove(0);
    assert_eq!((level, &*line["retries"], &*line["why"]), (Level::DEBUG, "2", "throttled, throttled"), "a short wait");

    ptu.script("gpt-4o").then(throttled.clone());
    call(&service, chat(false)).await.expect("an answer");
    let (level, line) = lines(2).remove(0);
    assert_eq!((level, &*line["message"]), (Level::INFO, "the call was served elsewhere than asked"));
    assert_eq!((&*line["leg"], &*line["why"], &*line["ending"]), ("standard", "ptu: throttled", "answered"));

    tokio::time::sleep(Duration::from_secs(30)).await;
    ptu.script("gpt-4o").then(Scripted::content_filter());
    call(&service, chat(false)).await.expect("a refusal");
    let (level, line) = lines(3).remove(0);
    assert_eq!((level, &*line["error"], &*line["status"]), (Level::INFO, "refused", "400"), "{line:#?}");

    for server in [&ptu, &standard] {
        server.script("gpt-4o").times(3, &Scripted::status(503));
    }
    call(&service, chat(false)).await.expect("a failure");
    let (level, line) = lines(4).remove(0);
    assert_eq!((level, &*line["message"], &*line["error"]), (Level::WARN, "the call failed", "transient"));
    assert_eq!((&*line["attempts"], &*line["why"]), ("6", "ptu: transient, standard: transient"));

    drop(service.clone().oneshot(chat(false)).await.expect("an answer that nobody reads"));
    let (level, line) = lines(5).remove(0);
    assert_eq!((level, &*line["message"]), (Level::DEBUG, "the caller went away"));
    let spans = book.spans();
    assert!(spans.iter().all(|span| span.is_closed));
    let attempts = book.events("tower_aoai::attempt");
    assert!(attempts.iter().any(|(_, _, line)| line["outcome"] == "cancelled"));
    let is_in_an_attempt = |span: Option<usize>| span.is_some_and(|span| spans[span].name == "attempt");
    assert!(attempts.iter().all(|(_, span, _)| is_in_an_attempt(*span)), "what is dropped, too: {attempts:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_long_wait_is_told_of() {
    let (book, _guard) = Book::open();
    let server = simulator();
    server.script("gpt-4o").then(Scripted::rate_limited(Duration::from_secs(7)));
    let service = ServiceBuilder::new()
        .layer(PrepareLayer::new())
        .layer(CallTelemetryLayer::new())
        .layer(endpoint("eastus", &server))
        .service(());
    call(&service, chat(false)).await.expect("an answer");
    let (level, _, line) = book.events("tower_aoai::call").remove(0);
    assert_eq!((level, &*line["message"]), (Level::INFO, "the call had to wait for its answer"));
    assert_eq!(&*line["why"], "throttled");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_knows_its_call_also_in_another_task() {
    let (book, _guard) = Book::open();
    let attempts = AttemptTelemetryLayer::new("eastus").layer(ObserveLayer::new().layer(simulator()));
    let elsewhere = service_fn(move |request: Request<Plain>| {
        let sent = tokio::spawn(attempts.clone().oneshot(request));
        async move { sent.await.map_err(Error::flatten)? }
    });
    let service = CallTelemetryLayer::new().layer(elsewhere);
    call(&service, chat(false)).await.expect("an answer");
    let spans = book.spans();
    assert_eq!((spans[1].name, spans[1].parent), ("attempt", Some(0)));

    let alone = ServiceBuilder::new().layer(AttemptTelemetryLayer::new("eastus")).service(simulator());
    let theirs = tracing::info_span!("theirs");
    let _inside = theirs.enter();
    drop(ServiceExt::<Request<Plain>>::oneshot(alone, chat(false)).await.expect("an answer"));
    let spans = book.spans();
    assert_eq!(
        (spans[2].name, spans[3].name, spans[3].parent),
        ("theirs", "attempt", Some(2)),
        "alone, the current one's"
    );
}
