//! A chat that grows beyond its model's window, and what of it is sent.
//!
//! `cargo run -p tower-aoai-context-window --features bpe --example growing_chat`

use std::{
    convert::Infallible,
    error::Error,
    io::{self, ErrorKind, Write},
};

use http::{Request, Response};
use serde_json::{Value, json};
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_aoai_context_window::{ContextUse, ContextWindowLayer, Counted, Models, Policy};
use tower_aoai_core::{PrepareLayer, RequestBody};

const WINDOW: u64 = 400;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    match tell(&mut io::stdout()).await {
        // Whoever reads this may go away at any time, as `head` does: that is no error.
        Err(error) if error.downcast_ref().is_some_and(|error: &io::Error| error.kind() == ErrorKind::BrokenPipe) => {
            Ok(())
        }
        ended => ended,
    }
}

async fn tell(out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let table = format!("[[model]]\nname = 'chat'\nlike = 'gpt-4o'\nwindow = {WINDOW}");
    let layer = ContextWindowLayer::new()
        .models(Models::built_in().with_toml(&table)?)
        .policy(Policy::truncate().clamp_output())
        .warm();
    let handle = layer.handle();
    let echo = service_fn(|request: Request<RequestBody>| async {
        Ok::<_, Infallible>(Response::new(request.into_body().to_bytes()))
    });
    let service = ServiceBuilder::new().layer(PrepareLayer::new()).layer(layer).service(echo);

    writeln!(out, "A chat with {WINDOW} tokens for prompt and answer; the answer wants 100.")?;
    writeln!(out, "What it sees is told in letters: s(ystem), u(ser), a(nswer).\n")?;
    writeln!(out, "turn  messages  tokens   sent  dropped  cut  what the model still sees of it")?;
    let mut messages = vec![json!({"role": "system", "content": "You are a patient guide to the moons of Jupiter."})];
    for turn in 1..=12 {
        let question = match turn {
            // As an agent does.
            5 => {
                let call = json!({"id": "call_1", "type": "function", "function": {"name": "orbit", "arguments": "{\"moon\":\"Io\"}"}});
                messages.push(json!({"role": "user", "content": "How long is Io's year?"}));
                messages.push(json!({"role": "assistant", "content": null, "tool_calls": [call]}));
                messages.push(json!({"role": "tool", "tool_call_id": "call_1", "content": "1.769 days"}));
                None
            }
            9 => Some(format!("What does this log say? {}", "12:00:01 INFO probe is well; ".repeat(60))),
            _ => Some(format!(
                "Question {turn}: what is worth knowing about moon number {turn}, and who found it, and when?"
            )),
        };
        messages.extend(question.map(|question| json!({"role": "user", "content": question})));
        let body = json!({"messages": messages, "max_tokens": 100}).to_string();
        let request = Request::post("http://localhost/openai/deployments/chat/chat/completions?api-version=2024-10-21")
            .body(RequestBody::from(body))?;
        let response = service.clone().oneshot(request).await?;
        let used = response.extensions().get::<ContextUse>().copied().unwrap_or_default();
        let sent: Value = serde_json::from_slice(response.body())?;
        let seen: Vec<_> = sent["messages"].as_array().into_iter().flatten().map(sketch).collect();
        // What fits by its bytes is not counted at all: it has so many tokens at the most.
        let tokens = |tokens: u64| match used.counted {
            Counted::ByBytes => format!("<={tokens}"),
            _ => tokens.to_string(),
        };
        writeln!(
            out,
            "{turn:>4} {:>9} {:>7} {:>6} {:>8} {:>4}  {}",
            messages.len(),
            tokens(used.prompt),
            tokens(used.sent),
            used.dropped,
            used.cut,
            seen.join(" ")
        )?;
        messages.push(json!({"role": "assistant", "content": format!("Answer {turn}: it is round, cold, and far away from here.")}));
    }
    let snapshot = handle.snapshot();
    writeln!(
        out,
        "\n{:.0} % of the calls were cut; the longest prompt was {} tokens, {} % of the window.",
        snapshot.truncated_share() * 100.0,
        snapshot.peak_prompt,
        snapshot.peak_per_mille / 10
    )?;
    Ok(())
}

/// A message in a word.
fn sketch(message: &Value) -> String {
    let text = message["content"].as_str().unwrap_or_default();
    let number = text.split([' ', ':']).nth(1).filter(|word| word.parse::<u32>().is_ok()).unwrap_or_default();
    match message["role"].as_str() {
        Some("system") => "s".to_owned(),
        Some("user") if text.contains("[…]") => "u(cut)".to_owned(),
        Some("user") => format!("u{number}"),
        Some("tool") => "result".to_owned(),
        _ if message.get("tool_calls").is_some() => "call".to_owned(),
        _ => format!("a{number}"),
    }
}
