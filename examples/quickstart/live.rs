//! A handful of calls to a real endpoint.

use std::{env, error::Error as _, fmt, future::ready, process::ExitCode, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, Uri};
use http_body_util::{BodyExt, Full};
use tokio::time::Instant;
use tower::ServiceExt;
use tower_aoai::{
    core::{BoxError, Error, Served},
    retry_after::{RetryAfterLayer, RetryPolicy},
    transport::Transport,
};

use crate::stack::{Stack, stack};

const CALLS: u32 = 5;
const DEFAULT_API_VERSION: &str = "2024-10-21";

/// Where the calls go.
pub(crate) struct Endpoint {
    url: Uri,
    key: HeaderValue,
    deployment: String,
}

/// What is wrong with the variables.
#[derive(Debug)]
pub(crate) enum Misconfigured {
    Missing(&'static str),
    NoUrl(String),
    NoDeployment(String),
    NoKey,
}

impl Endpoint {
    /// `None` if no endpoint is named.
    pub(crate) fn from_environment() -> Result<Option<Self>, Misconfigured> {
        let read = |name: &'static str| env::var(name).ok().filter(|value| !value.trim().is_empty());
        let Some(endpoint) = read("AZURE_OPENAI_ENDPOINT") else {
            if read("AZURE_OPENAI_API_KEY").is_some() {
                eprintln!("AZURE_OPENAI_ENDPOINT is not set: the traffic is simulated\n");
            }
            return Ok(None);
        };
        let key = read("AZURE_OPENAI_API_KEY").ok_or(Misconfigured::Missing("AZURE_OPENAI_API_KEY"))?;
        let key = HeaderValue::try_from(key.trim()).map_err(|_| Misconfigured::NoKey)?;
        let deployment = read("AZURE_OPENAI_DEPLOYMENT").ok_or(Misconfigured::Missing("AZURE_OPENAI_DEPLOYMENT"))?;
        let version = read("AZURE_OPENAI_API_VERSION").unwrap_or_else(|| DEFAULT_API_VERSION.to_owned());
        let base = endpoint.trim().trim_end_matches('/');
        let base = base.strip_suffix("/openai/v1").unwrap_or(base);
        let is_base = base.parse::<Uri>().is_ok_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")));
        if !is_base {
            return Err(Misconfigured::NoUrl(endpoint));
        }
        let url = format!("{base}/openai/deployments/{deployment}/chat/completions?api-version={version}");
        let url = url.parse::<Uri>().map_err(|_| Misconfigured::NoDeployment(deployment.clone()))?;
        Ok(Some(Self { url, key, deployment }))
    }

    fn request(&self, number: u32) -> Result<Request<Full<Bytes>>, BoxError> {
        let body = serde_json::json!({
            "messages": [{ "role": "user", "content": format!("Name {number} uses of a teapot, in one line.") }],
            "max_completion_tokens": 60,
        });
        let request = Request::post(self.url.clone())
            .header("content-type", "application/json")
            .header("api-key", self.key.clone())
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
            Self::NoUrl(value) => write!(
                f,
                "AZURE_OPENAI_ENDPOINT={value:?} is no http:// or https:// address: something like \
                 https://NAME.openai.azure.com is wanted"
            ),
            Self::NoDeployment(name) => {
                write!(f, "AZURE_OPENAI_DEPLOYMENT={name:?} cannot stand in a path: a deployment's name is wanted")
            }
            Self::NoKey => f.write_str("AZURE_OPENAI_API_KEY has a line break or another sign no header can hold"),
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
    let policy = RetryPolicy::new().max_attempts(6).elapsed_limit(Duration::from_secs(60));
    let retry = RetryAfterLayer::new(policy).on_retry(|event| {
        println!("   again in {:.2} s ({:?})", event.delay.as_secs_f64(), event.reason);
        ready(())
    });
    let service = stack(Transport::new()?, retry);
    let (scheme, authority) = (endpoint.url.scheme_str().unwrap_or(""), endpoint.url.authority());
    let authority = authority.map_or("", |authority| authority.as_str());
    println!("{CALLS} calls to deployment {:?} at {scheme}://{authority}\n", endpoint.deployment);
    let mut failed = 0;
    for number in 1..=CALLS {
        match call(service.clone(), endpoint.request(number)?).await {
            Ok(line) => println!("{number}: {line}"),
            Err(Failure { why, is_lasting }) => {
                failed += 1;
                println!("{number}: failed: {why}");
                if is_lasting {
                    println!("the other calls would fare no better and are not made");
                    break;
                }
            }
        }
    }
    Ok(failed)
}

/// Why a call has no answer, and whether the next one would end the same way.
struct Failure {
    why: String,
    is_lasting: bool,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let mut why = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            why = format!("{why}: {error}");
            cause = error.source();
        }
        Self { why, is_lasting: matches!(error, Error::Transport(_)) }
    }
}

async fn call(service: Stack, request: Request<Full<Bytes>>) -> Result<String, Failure> {
    let start = Instant::now();
    let response = service.oneshot(request).await?;
    let status = response.status();
    let served = response.extensions().get::<Served>().cloned().unwrap_or_default();
    let body = response.into_body().collect().await?.to_bytes();
    let taken = Instant::now().saturating_duration_since(start);
    let json: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    if !status.is_success() {
        let message = json["error"]["message"].as_str().unwrap_or("the body has no message");
        let why = format!("{status} after {} attempts: {message}", served.attempts);
        return Err(Failure { why, is_lasting: matches!(status.as_u16(), 401 | 403 | 404) });
    }
    let tokens = &json["usage"]["total_tokens"];
    let answer = json["choices"][0]["message"]["content"].as_str().unwrap_or("").lines().next().unwrap_or("");
    Ok(format!("{status} in {:.2} s, {} attempts, {tokens} tokens: {answer}", taken.as_secs_f64(), served.attempts))
}
