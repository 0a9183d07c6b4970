//! What calls cost, by task and by DAG, with an alert at four fifths of a budget and a no at its end.
//!
//! ```sh
//! cargo run --example budget_alert
//! ```

#[macro_use]
#[path = "../println.rs"]
mod println;
#[path = "../chat.rs"]
mod chat;

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use parking_lot::Mutex;
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_aoai::{
    Stack,
    config::{BudgetConfig, Config, EndpointConfig, ResourceConfig},
    core::{BoxError, IncludeUsageLayer, ObserveLayer, PrepareLayer},
    cost::{Budget, CostHandle, CostLayer, Money, Period, Query, Tag, Tags},
    retry_after::RetryAfterLayer,
};
use tower_aoai_simulator::{Deployment, Simulator};

use crate::chat::chat;

/// What was told of.
type Heard = Arc<Mutex<Vec<String>>>;

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), BoxError> {
    let transport = Simulator::builder().deployment(Deployment::unlimited("gpt-4o")).build();
    let config = Config::new()
        .resource(ResourceConfig::new("contoso", "https://contoso.openai.azure.com"))
        .endpoint(EndpointConfig::new("chat", "contoso"));
    let alerts = Heard::default();
    let heard = Arc::clone(&alerts);
    // [preset]
    let mut budget = BudgetConfig::new("each DAG", Money::cents(1), Period::Day);
    budget.each = Some(Tag::Workflow);
    budget.enforce = Some(true);
    let stack = Stack::builder(config.budget(budget))
        .map_cost(move |cost| {
            let heard = Arc::clone(&heard);
            cost.on_alert(move |alert| heard.lock().push(alert.to_string()))
        })
        .transport(transport)
        .build()?;
    // [end]
    check("the preset", &stack, &stack.cost(), &alerts).await?;

    let transport = Simulator::builder().deployment(Deployment::unlimited("gpt-4o")).build();
    let alerts = Heard::default();
    let heard = Arc::clone(&alerts);
    // [layers]
    let budget = Budget::new("each DAG", Money::cents(1), Period::Day).each(Tag::Workflow).enforce();
    let cost = CostLayer::new().budget(budget).on_alert(move |alert| heard.lock().push(alert.to_string()));
    let (books, gate) = (cost.handle(), cost.gate());

    let service = ServiceBuilder::new()
        .layer(PrepareLayer::new())
        .layer(cost)
        .layer(RetryAfterLayer::default())
        .layer(gate)
        .layer(IncludeUsageLayer::new())
        .layer(ObserveLayer::new())
        .service(transport);
    // [end]
    check("the layers", &service, &books, &alerts).await
}

/// A hundred calls of two DAGs, one of which asks for too much.
async fn check<S, B>(what: &str, service: &S, books: &CostHandle, alerts: &Heard) -> Result<(), BoxError>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error: Into<BoxError>> + Clone,
    B: Body<Error: Into<BoxError>>,
{
    println!("{what}:");
    let mut refused = 0;
    for (dag, task, calls) in [("nightly", "extract", 12), ("nightly", "summarise", 8), ("hourly", "extract", 80)] {
        for number in 0..calls {
            let mut request = chat(&format!("Text number {number}"));
            // [tags]
            request.extensions_mut().insert(Tags::new().workflow(dag).task(task));
            // [end]
            match service.clone().oneshot(request).await {
                Ok(response) => drop(response.into_body().collect().await.map_err(Into::into)?),
                Err(_) => refused += 1,
            }
        }
    }
    // [report]
    for line in books.by(&[Tag::Workflow, Tag::Task], &Query::total()) {
        println!("  {:<8} {:<10} {:>3} calls {}", line.values[0], line.values[1], line.spend.calls, line.spend.cost());
    }
    // [end]
    for alert in alerts.lock().iter() {
        println!("  ! {alert}");
    }
    println!("  {refused} calls of the hourly DAG were refused, with nothing sent");
    assert!(alerts.lock().iter().any(|alert| alert.contains("80 %")) && refused > 0);
    assert!(books.sum(&Query::total().tag(Tag::Workflow, "hourly")).cost() <= Money::cents(1));
    Ok(())
}
