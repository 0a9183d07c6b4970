//! An index built by many workers, whose texts repeat: each text embedded by itself, out of a cache, and merged.
//!
//! ```sh
//! cargo run --example cached_embeddings
//! ```

#[macro_use]
#[path = "../println.rs"]
mod println;

use std::time::Duration;

use bytes::Bytes;
use clap::Parser;
use futures_util::future::join_all;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tokio::time::{Instant, sleep};
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_aoai::{
    cache::CacheLayer,
    core::{BoxError, ObserveLayer, PrepareLayer},
    merge::MergeEmbeddingsLayer,
};
use tower_aoai_simulator::{Deployment, Latency, Simulator};

/// Embeddings by themselves, out of a cache, and merged into few requests
///
/// Against a simulated deployment, in simulated time: it takes no key and ends at once.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many workers embed at the same time
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    workers: u16,
    /// How many texts each of them embeds, one after the other
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    texts: u16,
    /// How many different texts there are
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..))]
    different: u16,
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), BoxError> {
    let arguments = Arguments::parse();
    let calls = usize::from(arguments.workers) * usize::from(arguments.texts);
    println!("{} workers embed {calls} texts, {} of them different\n", arguments.workers, arguments.different);

    let alone = measure("by themselves", CacheLayer::off(), MergeEmbeddingsLayer::off(), &arguments).await?;
    let cached = measure("cached", CacheLayer::new(), MergeEmbeddingsLayer::off(), &arguments).await?;
    let merged = measure("merged", CacheLayer::off(), MergeEmbeddingsLayer::new(), &arguments).await?;
    // [cached]
    let cache = CacheLayer::new().max_bytes(64 << 20).ttl(Duration::from_secs(3600));
    let merge = MergeEmbeddingsLayer::new().window(Duration::from_millis(5));
    let kept = cache.handle();
    // [end]
    let both = measure("both", cache, merge, &arguments).await?;

    let counts = kept.snapshot();
    println!("\nWith both, {} calls found an answer kept, and {} shared one under way.", counts.hits, counts.shared);
    assert_eq!(alone, calls);
    assert_eq!(cached, calls.min(arguments.different.into()), "each text is sent once");
    assert!(merged < alone || arguments.workers == 1, "what several workers ask at once goes together");
    assert!(both <= cached);
    Ok(())
}

/// Embeds all texts, and says how many requests that took.
async fn measure(
    name: &str,
    cache: CacheLayer,
    merge: MergeEmbeddingsLayer,
    arguments: &Arguments,
) -> Result<usize, BoxError> {
    let deployment = deployment();
    let transport = deployment.clone();
    // [stack]
    let service = ServiceBuilder::new()
        .layer(PrepareLayer::new())
        .layer(cache)
        .layer(merge)
        .layer(ObserveLayer::new())
        .service(transport);
    // [end]
    let start = Instant::now();
    for worker in join_all((0..arguments.workers).map(|worker| work(service.clone(), worker, arguments))).await {
        worker?;
    }
    let seconds = (Instant::now() - start).as_secs_f64();
    let journal = deployment.journal();
    let tokens: u64 = journal.iter().map(|served| served.prompt_tokens).sum();
    println!("{name:<14} {:>4} requests, {tokens:>5} tokens, {seconds:.2} s", journal.len());
    Ok(journal.len())
}

fn deployment() -> Simulator {
    let latency = Latency::instant().first_token(Duration::from_millis(60)).per_prompt_token(Duration::from_micros(5));
    let deployment = Deployment::unlimited("small").model("text-embedding-3-small").latency(latency);
    Simulator::builder().seed(7).deployment(deployment).build()
}

/// One worker's texts, which others have too.
async fn work<S, RB>(service: S, worker: u16, arguments: &Arguments) -> Result<(), BoxError>
where
    S: Service<Request<Full<Bytes>>, Response = Response<RB>> + Clone,
    S::Error: Into<BoxError>,
    RB: http_body::Body<Data = Bytes, Error: Into<BoxError>>,
{
    // They do not begin all at once.
    sleep(Duration::from_millis(3) * worker.into()).await;
    for number in 0..arguments.texts {
        let text =
            (u32::from(worker) * u32::from(arguments.texts) + u32::from(number)) % u32::from(arguments.different);
        let body =
            format!(r#"{{"model":"small","dimensions":8,"input":"Text number {text} of an index that is built."}}"#);
        let request = Request::post("/openai/v1/embeddings").body(Full::from(body))?;
        let response = service.clone().oneshot(request).await.map_err(Into::into)?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(Into::into)?.to_bytes();
        let answer: serde_json::Value = serde_json::from_slice(&body)?;
        if !status.is_success() || answer["data"].as_array().is_none_or(|data| data.len() != 1) {
            return Err(format!("{status}: not one vector for one text").into());
        }
    }
    Ok(())
}
