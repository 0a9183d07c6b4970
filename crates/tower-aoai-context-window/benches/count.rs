//! What a call costs here: let through by its bytes, counted, refused early; and what its count costs, beside the
//! reference tokenizer's, also for texts that were made to be slow.

use std::{convert::Infallible, future::ready, hint::black_box, sync::Arc};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use http::{Request, Response};
use tiktoken_rs::o200k_base_singleton;
use tokio::runtime::Builder;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_aoai_context_window::{
    BytePairs, Chunker, ContextWindowLayer, Model, Models, Policy, TokenCounter, Tokenizer,
};
use tower_aoai_core::{Call, CallContext, RequestBody};

const SENTENCE: &str =
    "The quota is the truth, and whatever a client believes of it is only a guess (see `retry-after-ms: 1250`). ";
const SIZES: [(&str, usize); 4] = [("1 KiB", 1 << 10), ("16 KiB", 1 << 14), ("128 KiB", 1 << 17), ("1 MiB", 1 << 20)];

fn text(bytes: usize) -> String {
    SENTENCE.repeat(bytes / SENTENCE.len() + 1)[..bytes].to_owned()
}

/// A chat of messages of some 4 KiB, or one, as the door leaves it.
fn request(bytes: usize) -> Request<RequestBody> {
    let text = text(bytes);
    let messages: Vec<_> = text.as_bytes().chunks(4_096).map(|part| String::from_utf8_lossy(part)).collect();
    let messages: Vec<_> = messages.iter().map(|text| format!(r#"{{"role":"user","content":"{text}"}}"#)).collect();
    let body = format!(r#"{{"messages":[{}]}}"#, messages.join(","));
    let mut request = Request::post("/openai/deployments/chat/chat/completions?api-version=2024-10-21")
        .body(RequestBody::from(body))
        .expect("a valid request");
    let call = Call::read(request.uri(), request.headers(), request.body().source());
    let context = CallContext::new(call, tokio::time::Instant::now());
    request.extensions_mut().insert(context);
    request
}

fn layer(window: u64) -> ContextWindowLayer {
    ContextWindowLayer::new().models(Models::empty().insert("chat", Model::new(window))).inline_up_to(usize::MAX).warm()
}

fn layers(criterion: &mut Criterion) {
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    for (name, bytes) in SIZES {
        let mut group = criterion.benchmark_group(format!("call/{name}"));
        group.throughput(Throughput::Bytes(bytes as u64));
        let half = bytes as u64 / 2;
        let truncate = Policy::truncate();
        for (what, layer) in [
            ("off", ContextWindowLayer::off()),
            ("by bytes", layer(1 << 22)),
            ("counted", layer(half)),
            ("refused early", layer(100)),
            ("truncated", layer(bytes as u64 / 8).policy(truncate)),
        ] {
            let leaf = service_fn(|_: Request<RequestBody>| ready(Ok::<_, Infallible>(Response::new(()))));
            let mut service = layer.layer(leaf);
            let request = request(bytes);
            group.bench_function(what, |bencher| {
                bencher.iter(|| {
                    runtime.block_on(async {
                        let ready = service.ready().await.expect("always ready");
                        black_box(ready.call(request.clone()).await.is_ok())
                    })
                });
            });
        }
        group.finish();
    }
}

fn counts(criterion: &mut Criterion) {
    let reference = o200k_base_singleton();
    let mut group = criterion.benchmark_group("count");
    group.sample_size(20);
    for (name, bytes) in SIZES {
        let text = text(bytes);
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_with_input(BenchmarkId::new("here", name), &text, |bencher, text| {
            bencher.iter(|| BytePairs.count(Tokenizer::O200kBase, black_box(text)));
        });
        group.bench_with_input(BenchmarkId::new("tiktoken-rs", name), &text, |bencher, text| {
            bencher.iter(|| reference.count_ordinary(black_box(text)));
        });
    }
    group.finish();

    // The reference overflows its stack at a million spaces: it gets half.
    let mut group = criterion.benchmark_group("made to be slow");
    group.sample_size(10);
    for (name, piece) in [("spaces", " "), ("one word", "a"), ("ideographs", "東")] {
        for (size, times) in [("250k", 250_000), ("500k", 500_000), ("1M", 1_000_000)] {
            let text = format!("{}x", piece.repeat(times));
            group.throughput(Throughput::Bytes(text.len() as u64));
            group.bench_with_input(BenchmarkId::new(format!("{name}/here"), size), &text, |bencher, text| {
                bencher.iter(|| BytePairs.count(Tokenizer::O200kBase, black_box(text)));
            });
            if times <= 500_000 {
                group.bench_with_input(
                    BenchmarkId::new(format!("{name}/tiktoken-rs"), size),
                    &text,
                    |bencher, text| {
                        bencher.iter(|| reference.count_ordinary(black_box(text)));
                    },
                );
            }
        }
    }
    group.finish();
}

fn chunks(criterion: &mut Criterion) {
    let chunker = Chunker::new(Arc::new(BytePairs), Tokenizer::O200kBase, 512).expect("large enough");
    let mut group = criterion.benchmark_group("chunks of 512");
    group.sample_size(10);
    for (name, text) in [
        ("text/128 KiB", text(1 << 17)),
        ("text/256 KiB", text(1 << 18)),
        ("one word/128 KiB", "a".repeat(1 << 17)),
        ("one word/256 KiB", "a".repeat(1 << 18)),
        ("spaces/128 KiB", " ".repeat(1 << 17)),
        ("spaces/256 KiB", " ".repeat(1 << 18)),
    ] {
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(name, |bencher| bencher.iter(|| chunker.pieces(black_box(&text)).count()));
    }
    group.finish();
}

criterion_group!(all, layers, counts, chunks);
criterion_main!(all);
