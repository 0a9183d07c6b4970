//! A chain of providers: the model that is wanted, a smaller one, another provider's.
//!
//! ```sh
//! cargo run --example provider_chain
//! ```

#[macro_use]
#[path = "../println.rs"]
mod println;
#[path = "../chat.rs"]
mod chat;

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tokio::time::sleep;
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_aoai::{
    Stack,
    config::Config,
    core::{BoxError, DeadlineLayer, ObserveLayer, PrepareLayer, Served},
    endpoint::{BaseUrl, EndpointLayer, Token},
    fallback::{ErrorShapeLayer, FallbackLayer, Leg, ModelLayer},
    retry_after::{RetryAfterLayer, RetryPolicy},
};
use tower_aoai_simulator::{Deployment, Scripted, Simulator, World};

use crate::chat::chat;

/// Azure OpenAI, and another provider, who is asked at every other host.
fn world() -> World {
    let other = Simulator::builder().api_key("the-key-of-llm").deployment(Deployment::unlimited("llama-70b")).build();
    let azure = Simulator::builder().api_key("the-key-of-azure").deployment(Deployment::unlimited("gpt-4o"));
    let azure = azure.deployment(Deployment::unlimited("gpt-4o-mini")).build();
    World::builder().resource("llm", other).resource("contoso", azure).build()
}

const CONFIG: &str = r#"
# [preset]
retry = { max_retries = 1 }

[[resources]]
name = "azure"
base_url = "https://contoso.openai.azure.com"
api_key = "${AZURE_KEY:-the-key-of-azure}"

[[resources]]
name = "llm"
base_url = "https://llm.example"
api_key = "${LLM_KEY:-the-key-of-llm}"

[[endpoints]]
name = "azure"
resource = "azure"

[[endpoints]]
name = "llm"
resource = "llm"

[[models.gpt-4o.legs]]
name = "gpt-4o"
endpoints = ["azure"]

[[models.gpt-4o.legs]]
name = "gpt-4o-mini"
endpoints = ["azure"]
model = "gpt-4o-mini"

[[models.gpt-4o.legs]]
name = "llama"
endpoints = ["llm"]
model = "llama-70b"
reshape_errors = true
# [end]
"#;

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), BoxError> {
    let world_of_stack = world();
    let stack = Stack::builder(Config::from_toml_str(CONFIG)?).transport(world_of_stack.clone()).build()?;
    check("the preset", &stack, &world_of_stack).await?;

    let world_of_layers = world();
    let transport = world_of_layers.clone();
    // [layers]
    let contoso: BaseUrl = "https://contoso.openai.azure.com".parse()?;
    let llm: BaseUrl = "https://llm.example".parse()?;
    // A leg has retries of its own, and layers of the same types as its neighbours; those not needed are off.
    let leg = |model: ModelLayer, shape: ErrorShapeLayer, base: &BaseUrl, key: Token| {
        ServiceBuilder::new()
            .layer(model)
            .layer(shape)
            .layer(RetryAfterLayer::new(RetryPolicy::new().max_retries(1)))
            .layer(EndpointLayer::new(base.clone()).credential(key))
            .into_inner()
    };
    let (azure_key, llm_key) = (Token::api_key("the-key-of-azure")?, Token::api_key("the-key-of-llm")?);
    let chain = FallbackLayer::new([
        Leg::new("gpt-4o", leg(ModelLayer::off(), ErrorShapeLayer::off(), &contoso, azure_key.clone())),
        Leg::new("gpt-4o-mini", leg(ModelLayer::new("gpt-4o-mini"), ErrorShapeLayer::off(), &contoso, azure_key)),
        Leg::new("llama", leg(ModelLayer::new("llama-70b"), ErrorShapeLayer::new(), &llm, llm_key)),
    ])?;

    let service = ServiceBuilder::new()
        .layer(PrepareLayer::new())
        .layer(DeadlineLayer::new(Duration::from_secs(120)))
        .layer(chain)
        .layer(ObserveLayer::new())
        .service(transport);
    // [end]
    check("the layers", &service, &world_of_layers).await
}

/// Who serves, as one after the other is down.
async fn check<S, B>(what: &str, service: &S, world: &World) -> Result<(), BoxError>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error: Into<BoxError>> + Clone,
    B: Body<Error: Into<BoxError>>,
{
    println!("{what}:");
    // So that no circuit is still open from the last time.
    let later = || sleep(Duration::from_secs(120));
    let (azure, other) = (world.resource("contoso").ok_or("Azure")?, world.resource("llm").ok_or("the other")?);
    assert_eq!(call(service).await?.1, "gpt-4o");

    azure.script("gpt-4o").times(2, &Scripted::plain_text_503());
    assert_eq!(call(service).await?.1, "gpt-4o-mini");

    azure.script_any().times(4, &Scripted::plain_text_503());
    assert_eq!(call(service).await?.1, "llama");
    later().await;

    // Everybody is down: the last answer comes back, in the shape that callers know.
    azure.script_any().times(4, &Scripted::plain_text_503());
    other.script_any().times(2, &Scripted::response(503, r#"{"detail":"overloaded"}"#));
    let (status, _, body) = call(service).await?;
    println!("  {body}");
    assert!(status == 503 && body.contains(r#""message":"overloaded""#));
    azure.clear_scripts();
    later().await;

    // What is the caller's own mistake goes nowhere.
    azure.script("gpt-4o").then(Scripted::content_filter());
    let (status, leg, _) = call(service).await?;
    assert_eq!((status.as_u16(), leg.as_str()), (400, "gpt-4o"));
    Ok(())
}

async fn call<S, B>(service: &S) -> Result<(StatusCode, String, String), BoxError>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error: Into<BoxError>> + Clone,
    B: Body<Error: Into<BoxError>>,
{
    let response = service.clone().oneshot(chat("Hello")).await.map_err(Into::into)?;
    let served = response.extensions().get::<Served>().cloned().unwrap_or_default();
    let failed = served.failed_legs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let leg = served.leg.unwrap_or_default().to_string();
    println!("  {} by {leg}; failed before: {failed:?}", response.status());
    let (status, body) = (response.status(), response.into_body().collect().await.map_err(Into::into)?.to_bytes());
    Ok((status, leg, String::from_utf8_lossy(&body).into_owned()))
}
