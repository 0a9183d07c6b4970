//! A handful of calls to a real endpoint.

use std::{env, fmt, process::ExitCode, sync::Arc};

use bytes::Bytes;
use http::{Request, Uri, uri::InvalidUri};
use http_body_util::{BodyExt, Full};
use tokio::time::Instant;
use tower::ServiceExt;
use tower_aoai::core::{BoxError, Served};

use crate::{
    stack::{Stack, stack},
    transport::transport,
};

const CALLS: u32 = 5;
const DEFAULT_API_VERSION: &str = "2024-10-21";

/// Where the calls go.
pub(crate) struct Endpoint {
    url: Uri,
    key: String,
    deployment: String,
}

/// What is wrong with the variables.
#[derive(Debug)]
pub(crate) enum Misconfigured {
    Missing(&'static str),
    NoUrl(String, InvalidUri),
}

impl Endpoint {
    /// `None` if no endpoint is named.
    pub(crate) fn from_environment() -> Result<Option<Self>, Misconfigured> {
        let read = |name: &'static str| env::var(name).ok().filter(|value| !value.trim().is_empty());
        let Some(endpoint) = read("AZURE_OPENAI_ENDPOINT") else {
            return Ok(None);
        };
        let key = read("AZURE_OPENAI_API_KEY").ok_or(Misconfigured::Missing("AZURE_OPENAI_API_KEY"))?;
        let deployment = read("AZURE_OPENAI_DEPLOYMENT").ok_or(Misconfigured::Missing("AZURE_OPENAI_DEPLOYMENT"))?;
        let version = read("AZURE_OPENAI_API_VERSION").unwrap_or_else(|| DEFAULT_API_VERSION.to_owned());
        let base = endpoint.trim_end_matches('/');
        let url = format!("{base}/openai/deployments/{deployment}/chat/completions?api-version={version}");
        let url = url.parse::<Uri>().map_err(|error| Misconfigured::NoUrl(endpoint.clone(), error))?;
        Ok(Some(Self { url, key, deployment }))
    }

    fn request(&self, number: u32) -> Result<Request<Full<Bytes>>, BoxError> {
        let body = serde_json::json!({
            "messages": [{ "role": "user", "content": format!("Name {number} uses of a teapot, in one line.") }],
            "max_completion_tokens": 60,
        });
        let request = Request::post(self.url.clone())
            .header("content-type", "application/json")
            .header("api-key", &self.key)
            .body(Full::from(body.to_string()))?;
        Ok(request)
    }
}

impl fmt::Display for Misconfigured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(name) => write!(
                f,
                "AZURE_OPENAI_ENDPOINT is set, but {name} is not: set it too, or give --simulate to do without a key"
            ),
            Self::NoUrl(value, why) => write!(
                f,
                "AZURE_OPENAI_ENDPOINT={value:?} makes no URL ({why}): something like https://NAME.openai.azure.com is \
                 wanted"
            ),
        }
    }
}

/// Sends the calls one after the other and says what became of each.
pub(crate) fn run(endpoint: &Endpoint) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = runtime.map_err(BoxError::from).and_then(|runtime| runtime.block_on(calls(endpoint)));
    match result {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn calls(endpoint: &Endpoint) -> Result<u32, BoxError> {
    let retries = Arc::default();
    let service = stack(transport(), 0, &retries);
    println!("{CALLS} calls to deployment {:?} at {}\n", endpoint.deployment, endpoint.url.host().unwrap_or("?"));
    let mut failed = 0;
    for number in 1..=CALLS {
        match call(service.clone(), endpoint.request(number)?).await {
            Ok(line) => println!("{number}: {line}"),
            Err(why) => {
                failed += 1;
                println!("{number}: failed: {why}");
            }
        }
        for event in retries.lock().drain(..) {
            println!("   retried after {:.2} s ({:?})", event.delay.as_secs_f64(), event.reason);
        }
    }
    Ok(failed)
}

async fn call(service: Stack, request: Request<Full<Bytes>>) -> Result<String, BoxError> {
    let start = Instant::now();
    let response = service.oneshot(request).await?;
    let status = response.status();
    let served = response.extensions().get::<Served>().cloned().unwrap_or_default();
    let body = response.into_body().collect().await?.to_bytes();
    let taken = Instant::now().saturating_duration_since(start);
    let json: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    if !status.is_success() {
        let message = json["error"]["message"].as_str().unwrap_or("the body has no message");
        return Err(format!("{status} after {} attempts: {message}", served.attempts).into());
    }
    let tokens = &json["usage"]["total_tokens"];
    let answer = json["choices"][0]["message"]["content"].as_str().unwrap_or("").lines().next().unwrap_or("");
    Ok(format!("{status} in {:.2} s, {} attempts, {tokens} tokens: {answer}", taken.as_secs_f64(), served.attempts))
}
