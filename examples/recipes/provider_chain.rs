//! A chain of providers: the model that is wanted, a smaller one, another provider's.
//!
//! ```sh
//! cargo run --example provider_chain
//! ```
#![expect(clippy::print_stdout, reason = "that is what an example is for")]

#[path = "../chat.rs"]
mod chat;

use std::time::Duration;

use http_body_util::BodyExt;
use tower::{ServiceBuilder, ServiceExt};
use tower_aoai::{
    core::{BoxError, DeadlineLayer, ObserveLayer, PrepareLayer, Served},
    endpoint::{BaseUrl, EndpointLayer, Token},
    fallback::{ErrorShapeLayer, FallbackLayer, Leg, ModelLayer},
    retry_after::{RetryAfterLayer, RetryPolicy},
};
use tower_aoai_simulator::{Deployment, Scripted, Simulator, World};

use crate::chat::chat;

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), BoxError> {
    // Whoever is asked at a host that is not Azure's is asked here, too.
    let other = Simulator::builder().api_key("other").deployment(Deployment::unlimited("llama-70b")).build();
    let azure = Simulator::builder().api_key("azure").deployment(Deployment::unlimited("gpt-4o"));
    let azure = azure.deployment(Deployment::unlimited("gpt-4o-mini")).build();
    let world = World::builder().resource("llm", other.clone()).resource("contoso", azure.clone()).build();

    let transport = world.clone();
    // [provider-chain]
    let contoso: BaseUrl = "https://contoso.openai.azure.com".parse()?;
    let elsewhere: BaseUrl = "https://llm.example".parse()?;
    // A leg has retries of its own, and layers of the same types as its neighbours; those not needed are off.
    let leg = |model: ModelLayer, shape: ErrorShapeLayer, base: &BaseUrl, key: Token| {
        ServiceBuilder::new()
            .layer(model)
            .layer(shape)
            .layer(RetryAfterLayer::new(RetryPolicy::new().max_retries(1)))
            .layer(EndpointLayer::new(base.clone()).credential(key))
            .into_inner()
    };
    let azure_key = Token::api_key("azure")?;
    let chain = FallbackLayer::new([
        Leg::new("gpt-4o", leg(ModelLayer::off(), ErrorShapeLayer::off(), &contoso, azure_key.clone())),
        Leg::new("gpt-4o-mini", leg(ModelLayer::new("gpt-4o-mini"), ErrorShapeLayer::off(), &contoso, azure_key)),
        Leg::new(
            "llama",
            leg(ModelLayer::new("llama-70b"), ErrorShapeLayer::new(), &elsewhere, Token::api_key("other")?),
        ),
    ])?;

    let service = ServiceBuilder::new()
        .layer(PrepareLayer::new())
        .layer(DeadlineLayer::new(Duration::from_secs(120)))
        .layer(chain)
        .layer(ObserveLayer::new())
        .service(transport);
    // [end]

    let call = || async {
        let response = service.clone().oneshot(chat("Hello")).await?;
        let served = response.extensions().get::<Served>().cloned().unwrap_or_default();
        let failed = served.failed_legs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let (leg, model) = (served.leg.unwrap_or_default(), served.model.unwrap_or_default());
        println!("{}: leg {leg}, model {model:?}; failed: {failed:?}", response.status());
        let (status, body) = (response.status(), response.into_body().collect().await?.to_bytes());
        Ok::<_, BoxError>((status, leg.to_string(), String::from_utf8_lossy(&body).into_owned()))
    };
    assert_eq!(call().await?.1, "gpt-4o");

    azure.script("gpt-4o").times(2, &Scripted::plain_text_503());
    assert_eq!(call().await?.1, "gpt-4o-mini");

    azure.script_any().times(4, &Scripted::plain_text_503());
    assert_eq!(call().await?.1, "llama");

    // Everybody is down: the last answer comes back, in the shape that callers know.
    azure.script_any().times(4, &Scripted::plain_text_503());
    other.script_any().times(2, &Scripted::response(503, r#"{"detail":"overloaded"}"#));
    let (status, _, body) = call().await?;
    println!("{body}");
    assert!(status == 503 && body.contains(r#""message":"overloaded""#));

    // What is the caller's own mistake goes nowhere.
    azure.script("gpt-4o").then(Scripted::content_filter());
    let (status, leg, _) = call().await?;
    assert_eq!((status.as_u16(), leg.as_str()), (400, "gpt-4o"));
    Ok(())
}
