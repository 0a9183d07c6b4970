//! A call from the request that makes it.

use std::{borrow::Cow, sync::Arc};

use http::{HeaderMap, Request, Uri};
use serde_json::value::RawValue;

use super::{Call, Operation, Spans, path::Address};
use crate::{
    CallContext, RequestBody,
    json_object::{self, Object},
};

impl Call {
    /// What the head of a request alone tells: operation, style, deployment and api-version.
    ///
    /// The headers matter only for their `host`, which stands in for the authority of a relative address. What the
    /// method is does not matter. Never fails: an address that is not known is [`Operation::Other`].
    #[must_use]
    pub fn from_head(uri: &Uri, headers: &HeaderMap) -> Self {
        let address = Address::read(uri, headers);
        Self {
            operation: address.operation,
            style: address.style,
            deployment: address.deployment.as_deref().map(Arc::from),
            api_version: address.api_version.as_deref().map(Arc::from),
            ..Self::default()
        }
    }

    /// What a whole request tells: the facts of its head, and those few of its body that decide something.
    ///
    /// The body is passed over once, and nothing of the prompt is copied or kept. It is not judged either: a member
    /// of the wrong type is simply not known ([`Spans`] still say where it stands), and a body that is not one whole
    /// JSON object, in UTF-8 and not compressed, leaves the facts of the head, with
    /// [`first_member`](Spans::first_member) being `None`. Of a key that stands there twice the last one counts.
    ///
    /// ```
    /// use tower_aoai_core::{Call, Operation};
    ///
    /// let uri = "https://r.openai.azure.com/openai/deployments/fast/chat/completions?api-version=2024-10-21"
    ///     .parse()?;
    /// let body = br#"{"messages":[{"role":"user","content":"Hello"}],"max_tokens":100,"stream":true}"#;
    /// let call = Call::read(&uri, &http::HeaderMap::new(), body);
    ///
    /// assert_eq!(call.operation, Operation::Chat);
    /// assert_eq!(call.target(), Some("fast"));
    /// assert_eq!(call.max_output_tokens, Some(100));
    /// assert!(call.stream && !call.include_usage);
    /// assert_eq!(call.spans.max_output_tokens.map(|span| &body[span]), Some(&b"100"[..]));
    /// # Ok::<(), http::uri::InvalidUri>(())
    /// ```
    #[must_use]
    pub fn read(uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Self {
        let mut call = Self::from_head(uri, headers);
        call.body_bytes = body.len();
        if let Some(object) = json_object::read(body, &KEYS) {
            call.take(body, &object);
        }
        call
    }

    /// What this request tells: what its context says, or, where that knows another body or none, what is read now.
    #[must_use]
    pub fn of(request: &Request<RequestBody>) -> Cow<'_, Self> {
        let source = request.body().source();
        match request.extensions().get::<CallContext>().map(CallContext::call) {
            Some(call) if call.body_bytes == source.len() => Cow::Borrowed(call),
            _ => Cow::Owned(Self::read(request.uri(), request.headers(), source)),
        }
    }

    fn take(&mut self, body: &[u8], object: &Object<'_, { KEYS.len() }>) {
        let [
            model,
            stream,
            stream_options,
            n,
            best_of,
            max_tokens,
            max_completion_tokens,
            max_output_tokens,
            messages,
            prompt,
            input,
            tools,
            functions,
            instructions,
            temperature,
            top_p,
            service_tier,
        ] = object.values;
        let (prompt, limit) = match self.operation {
            Operation::Chat => (messages, either([max_completion_tokens, max_tokens])),
            Operation::Completions => (prompt, max_tokens),
            Operation::Embeddings => (input, None),
            Operation::Responses => (input, max_output_tokens),
            Operation::Other => {
                (either([messages, prompt, input]), either([max_completion_tokens, max_output_tokens, max_tokens]))
            }
        };

        self.model = model.and_then(|model| json_object::text(model.get()));
        self.stream = stream.is_some_and(truth);
        self.include_usage = stream_options.is_some_and(asks_for_usage);
        self.max_output_tokens = limit.and_then(count);
        self.choices = [n, best_of].into_iter().flatten().filter_map(count).fold(1, u64::max);
        self.service_tier = service_tier.and_then(|tier| json_object::text(tier.get()));
        self.prompt_bytes = [prompt, tools, functions, instructions]
            .into_iter()
            .flatten()
            .filter(given)
            .map(|value| value.get().len())
            .sum();

        let span = |value: Option<&RawValue>| json_object::span(body, value?);
        self.spans = Spans {
            model: span(model),
            max_output_tokens: span(limit),
            stream_options: span(stream_options),
            prompt: span(prompt),
            temperature: span(temperature),
            top_p: span(top_p),
            first_member: Some(object.first_member),
            is_empty_object: object.is_empty,
        };
    }
}

/// The members that are kept, in the order in which [`Call::take`] takes them.
const KEYS: [&str; 17] = [
    "model",
    "stream",
    "stream_options",
    "n",
    "best_of",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "messages",
    "prompt",
    "input",
    "tools",
    "functions",
    "instructions",
    "temperature",
    "top_p",
    "service_tier",
];

/// Of several members that mean the same, the first that is given; if all are null, the first that stands there.
fn either<const N: usize>(values: [Option<&RawValue>; N]) -> Option<&RawValue> {
    let mut present = values.into_iter().flatten();
    let first = present.clone().next();
    present.find(given).or(first)
}

fn given(value: &&RawValue) -> bool {
    value.get() != "null"
}

fn truth(value: &RawValue) -> bool {
    value.get() == "true"
}

/// A whole number that is not negative, written as one.
fn count(value: &RawValue) -> Option<u64> {
    value.get().parse().ok()
}

fn asks_for_usage(stream_options: &RawValue) -> bool {
    json_object::read(stream_options.get().as_bytes(), &["include_usage"])
        .and_then(|options| options.values[0])
        .is_some_and(truth)
}
