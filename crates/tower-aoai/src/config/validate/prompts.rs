//! Prompts: parameters, windows, agents.

use super::Check;
use crate::{
    config::{Config, RequestDefaultsConfig, read::join},
    context_window::Models,
};

pub(super) fn judge(check: &mut Check, config: &Config) {
    defaults(check, "request_defaults", &config.request_defaults);
    for (index, endpoint) in config.endpoints.iter().enumerate() {
        defaults(check, &format!("endpoints[{index}].request_defaults"), &endpoint.request_defaults);
    }
    let window = &config.context_window;
    if let Some(name) = &window.agent_header {
        check.header("context_window.agent_header", name);
    }
    if let Some(path) = &window.models_file
        && let Err(error) = Models::built_in().with_file(path)
    {
        check.wrong("context_window.models_file", error.to_string());
    }
    check.above_zero("context_window.others".to_owned(), window.others.as_ref(), "no call would fit; write more");
    for (name, agent) in &config.agents {
        let path = join("agents", name);
        let none = "no call would fit; write more, or leave it out";
        check.above_zero(format!("{path}.max_tokens"), agent.max_tokens.as_ref(), none);
        check.above_zero(format!("{path}.context_tokens"), agent.context_tokens.as_ref(), none);
        if let (Some(output), Some(all)) = (agent.max_tokens, agent.context_tokens)
            && output >= all
        {
            let message = format!("{output} leaves nothing of context_tokens, {all}, for the prompt; write less");
            check.wrong(format!("{path}.max_tokens"), message);
        }
    }
}

fn defaults(check: &mut Check, path: &str, defaults: &RequestDefaultsConfig) {
    let key = |field: &str| format!("{path}.{field}");
    check.within(
        key("temperature"),
        defaults.temperature,
        |number| (0.0..=2.0).contains(&number),
        "a number from 0 to 2",
    );
    check.within(key("top_p"), defaults.top_p, |share| (0.0..=1.0).contains(&share), "a share from 0 to 1");
    let none = "no answer has none; write more, or leave it out";
    check.above_zero(key("max_tokens"), defaults.max_tokens.as_ref(), none);
    check.above_zero(key("max_completion_tokens"), defaults.max_completion_tokens.as_ref(), none);
    if defaults.max_tokens.is_some() && defaults.max_completion_tokens.is_some() {
        let message = "there is max_tokens, too; a model takes one of the two: models that reason take this";
        check.wrong(key("max_completion_tokens"), message);
    }
}
