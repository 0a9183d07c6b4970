//! What calls cost, by task and by DAG, with an alert at four fifths of a budget and a no at its end.
//!
//! ```sh
//! cargo run --example budget_alert
//! ```
#![expect(clippy::print_stdout, reason = "that is what an example is for")]

#[path = "../chat.rs"]
mod chat;

use std::sync::Arc;

use http_body_util::BodyExt;
use parking_lot::Mutex;
use tower::{ServiceBuilder, ServiceExt};
use tower_aoai::{
    core::{BoxError, IncludeUsageLayer, ObserveLayer, PrepareLayer},
    cost::{Budget, CallCost, CostLayer, Money, Period, Query, Tag, Tags},
    retry_after::RetryAfterLayer,
};
use tower_aoai_simulator::{Deployment, Simulator};

use crate::chat::chat;

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), BoxError> {
    let azure = Simulator::builder().deployment(Deployment::unlimited("gpt-4o")).build();
    let alerts = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&alerts);
    let transport = azure.clone();
    // [budget-alert]
    let budget = Budget::new("each DAG", Money::cents(1), Period::Day).each(Tag::Workflow).enforce();
    let cost = CostLayer::new().budget(budget).on_alert(move |alert| {
        heard.lock().push(alert.to_string());
    });
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

    let mut refused = 0;
    for (dag, task, calls) in [("nightly", "extract", 12), ("nightly", "summarise", 8), ("hourly", "extract", 80)] {
        for number in 0..calls {
            let mut request = chat(&format!("Text number {number}"));
            // [tags]
            request.extensions_mut().insert(Tags::new().workflow(dag).task(task));
            // [end]
            match service.clone().oneshot(request).await {
                Ok(response) => {
                    let cost = response.extensions().get::<CallCost>().cloned();
                    response.into_body().collect().await?;
                    if number == 0 {
                        // Known when the body has ended; streams included.
                        let spend = cost.and_then(|cost| cost.get()).ok_or("a call that has ended has a cost")?;
                        println!("one call of {dag}/{task}: {}", spend.cost());
                    }
                }
                Err(_) => refused += 1,
            }
        }
    }
    // [report]
    for line in books.by(&[Tag::Workflow, Tag::Task], &Query::total()) {
        println!(
            "{:<8} {:<10} {:>3} calls {:>11}",
            line.values[0],
            line.values[1],
            line.spend.calls,
            line.spend.cost()
        );
    }
    // [end]
    let alerts = alerts.lock().clone();
    for alert in &alerts {
        println!("! {alert}");
    }
    println!("{refused} calls of the hourly DAG were refused, with nothing sent");
    assert!(alerts.iter().any(|alert| alert.contains("80 %")) && refused > 0);
    assert!(books.sum(&Query::total().tag(Tag::Workflow, "hourly")).cost() <= Money::cents(1));
    Ok(())
}
