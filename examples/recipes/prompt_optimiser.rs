//! Prompts made to fit, as plain functions: a chat by whole turns, a text to so many tokens, a document in pieces.
//!
//! ```sh
//! cargo run --example prompt_optimiser
//! cargo run --example prompt_optimiser -- --window 80
//! ```

#[macro_use]
#[path = "../println.rs"]
mod println;

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use clap::Parser;
use http::{Request, Response};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};
use tower_aoai::{
    context_window::{
        Chunker, ContextUse, ContextWindowLayer, FourBytes, Keep, Model, Models, Policy, PromptTokens, Tokenizer,
        count_prompt, cut_text,
    },
    core::{BoxError, Operation, RequestBody},
};

/// Prompts made to fit a model, without a stack and without a call
///
/// Tokens are counted as one for four bytes here; with the feature `bpe` and `BytePairs` they are the service's own.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many tokens the model's context window has; system, last question and answer take some 50
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u64).range(50..))]
    window: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let Arguments { window } = Arguments::parse();

    let chat = conversation();
    let (fitted, used) = fit(&chat, window).await?;
    println!("A chat of {} tokens for a window of {window}:", tokens(&chat, window));
    println!("  {} messages were dropped, {} tokens are left\n", used.dropped, tokens(&fitted, window));
    for message in serde_json::from_slice::<Value>(&fitted)?["messages"].as_array().into_iter().flatten() {
        let text = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
        println!("  {:<10} {}", text("role"), text("content"));
    }
    assert!(tokens(&fitted, window) <= window);

    let log = "Connecting. Connected. Reading the index. Reading row 17. Row 17 is broken. Giving up.";
    // [text]
    let tail = cut_text(&FourBytes, Tokenizer::O200kBase, log, 10, "… ", Keep::End);
    // [end]
    println!("\nThe last 10 tokens of a log: {}", tail.as_deref().unwrap_or_default());
    assert_eq!(tail.as_deref(), Some("… row 17. Row 17 is broken. Giving up."));

    let document = "The report is long. It has paragraphs.\n\nThis is the second of them. It has two sentences.\n\n\
        The last one is short.";
    println!("\nA document of {} bytes in pieces of at most 12 tokens:", document.len());
    // [pieces]
    let chunker = Chunker::new(Arc::new(FourBytes), Tokenizer::O200kBase, 12)?;
    let pieces: Vec<&str> = chunker.pieces(document).collect();
    // [end]
    for piece in &pieces {
        println!("  {piece:?}");
    }
    assert_eq!(pieces.concat(), document, "nothing is lost");
    Ok(())
}

/// How many tokens a chat has, counted roughly.
fn tokens(chat: &Bytes, window: u64) -> u64 {
    let counted = count_prompt(Operation::Chat, chat, &Model::new(window), &FourBytes);
    counted.map_or(0, PromptTokens::text)
}

// [fit]
/// The optimiser as a function: the layer around a service that hands the request's body back.
async fn fit(chat: &Bytes, window: u64) -> Result<(Bytes, ContextUse), BoxError> {
    let layer =
        ContextWindowLayer::new().models(Models::empty().insert("chat", Model::new(window))).policy(Policy::truncate());
    let back = service_fn(|request: Request<RequestBody>| async {
        Ok::<_, Infallible>(Response::new(request.into_body().to_bytes()))
    });
    let request = Request::post("/openai/deployments/chat/chat/completions").body(RequestBody::from(chat.clone()))?;
    let response = layer.layer(back).oneshot(request).await?;
    let used = response.extensions().get().copied().ok_or("every chat with a known model is counted")?;
    Ok((response.into_body(), used))
}
// [end]

fn conversation() -> Bytes {
    let turns = [
        ("system", "You are a careful assistant. Answer in one sentence."),
        ("user", "Read this to me: it was a dark and stormy night, and the rain fell in torrents, except at times."),
        ("assistant", "It was a dark and stormy night; the rain fell in torrents, except at occasional intervals."),
        ("user", "And what did the wind do, and where was all of that?"),
        ("assistant", "It swept up the streets, for it is in London that our scene lies."),
        ("user", "Then summarise it."),
    ];
    let messages: Vec<Value> = turns.iter().map(|(role, content)| json!({"role": role, "content": content})).collect();
    json!({"messages": messages, "max_tokens": 20}).to_string().into()
}
