//! Chat and legacy completions that are not streamed.

use serde_json::{Value, json};

use super::{Answer, filter_results, prompt_filter_results, text};
use crate::request::Operation;

pub(super) fn whole(answer: &Answer) -> Value {
    let text = text(answer.tokens);
    let choices: Vec<Value> = (0..answer.choices)
        .map(|index| choice(answer, index, &text))
        .collect();
    let chat = answer.operation == Operation::ChatCompletions;
    let mut body = json!({
        "id": answer.id,
        "object": if chat { "chat.completion" } else { "text_completion" },
        "created": answer.created,
        "model": answer.model,
        "system_fingerprint": answer.fingerprint,
        "choices": choices,
        "usage": answer.usage(),
    });
    if answer.annotations {
        body["prompt_filter_results"] = prompt_filter_results();
    }
    body
}

fn choice(answer: &Answer, index: u64, text: &str) -> Value {
    let mut choice = json!({
        "index": index,
        "finish_reason": answer.finish_reason(),
        "logprobs": null,
    });
    if answer.operation == Operation::ChatCompletions {
        choice["message"] =
            json!({"role": "assistant", "content": text, "refusal": null, "annotations": []});
    } else {
        choice["text"] = text.into();
    }
    if answer.annotations {
        choice["content_filter_results"] = filter_results();
    }
    choice
}
