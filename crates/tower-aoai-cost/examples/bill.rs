//! An afternoon of two agents on three tasks, their bill, and a budget that trips.
//!
//! ```sh
//! cargo run -p tower-aoai-cost --example bill
//! ```

use std::{
    io::{self, ErrorKind, Write},
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use tokio::time::Instant;
use tower::{ServiceBuilder, ServiceExt};
use tower_aoai_core::{BoxError, IncludeUsageLayer, ObserveLayer, PrepareLayer};
use tower_aoai_cost::{Budget, CostLayer, DeploymentType, Money, Period, Prices, Query, Tag, Tags};
use tower_aoai_retry_after::RetryAfterLayer;
use tower_aoai_simulator::{CompletionLength, Deployment, Latency, Scripted, Simulator};

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), BoxError> {
    match tell(&mut io::stdout()).await {
        // Whoever reads this may go away at any time, as `head` does: that is no error.
        Err(error) if error.downcast_ref().is_some_and(|error: &io::Error| error.kind() == ErrorKind::BrokenPipe) => {
            Ok(())
        }
        ended => ended,
    }
}

async fn tell(out: &mut impl Write) -> Result<(), BoxError> {
    let simulator = Simulator::builder()
        .seed(1)
        .latency(Latency::typical())
        .completion_length(CompletionLength::LogNormal { median: 300.0, sigma: 0.5 })
        .deployment(Deployment::unlimited("gpt-4o"))
        .deployment(Deployment::unlimited("small").model("gpt-4.1-mini"))
        .build();
    simulator.script("gpt-4o").sometimes(0.05, Scripted::status(500)).sometimes(0.05, Scripted::cut_after(40));

    let prices = Prices::built_in().deployment("small", "gpt-4.1-mini", DeploymentType::Global);
    let layer = CostLayer::new()
        .prices(prices)
        .budget(Budget::new("the writer", Money::cents(50), Period::Day).tag(Tag::Agent, "writer").enforce())
        .on_alert(|alert| drop(writeln!(io::stdout(), "! {alert}")));
    let books = layer.handle();
    let gate = layer.gate();
    let service = ServiceBuilder::new()
        .layer(PrepareLayer::new())
        .layer(layer)
        .layer(RetryAfterLayer::default().seed(1))
        .layer(gate)
        .layer(IncludeUsageLayer::new())
        .layer(ObserveLayer::new())
        .service(simulator);

    let start = Instant::now();
    let mut refusal = None;
    for call in 0..400_u64 {
        let (task, agent, deployment) = match call % 4 {
            0 => ("plan", "planner", "gpt-4o"),
            1 => ("draft", "writer", "gpt-4o"),
            2 => ("review", "writer", "gpt-4o"),
            _ => ("label", "planner", "small"),
        };
        let prompt = "A line of what is to be read. ".repeat(20 + (call % 60) as usize);
        let stream = call % 3 == 0;
        let body =
            format!(r#"{{"messages":[{{"role":"user","content":"{prompt}"}}],"max_tokens":800,"stream":{stream}}}"#);
        let path = format!("/openai/deployments/{deployment}/chat/completions?api-version=2024-10-21");
        let request =
            Request::post(path).extension(Tags::new().task(task).agent(agent)).body(Full::<Bytes>::from(body))?;
        match service.clone().oneshot(request).await {
            // A stream that was cut is booked, too.
            Ok(response) => drop(response.into_body().collect().await),
            Err(error) => refusal = refusal.or(Some(error)),
        }
    }

    writeln!(
        out,
        "\n{:<10} {:<10} {:>6} {:>9} {:>14} {:>14}",
        "task", "agent", "calls", "tokens", "exact", "estimated"
    )?;
    for line in books.by(&[Tag::Task, Tag::Agent], &Query::total()) {
        let spend = line.spend;
        let tokens = spend.exact.tokens.input + spend.exact.tokens.output;
        let (exact, estimated) = (spend.exact.cost, spend.estimated.cost);
        writeln!(
            out,
            "{:<10} {:<10} {:>6} {tokens:>9} {exact:>14} {estimated:>14}",
            line.values[0], line.values[1], spend.calls
        )?;
    }
    let snapshot = books.snapshot();
    writeln!(
        out,
        "{:<21} {:>6} {:>24} {:>14}",
        "all", snapshot.total.calls, snapshot.total.exact.cost, snapshot.total.estimated.cost
    )?;
    writeln!(out, "\n{} calls of the writer's were refused, the first of them with:", snapshot.refused)?;
    if let Some(refusal) = refusal {
        writeln!(out, "{refusal}")?;
    }
    let took = Instant::now() - start;
    writeln!(out, "(after {} minutes, simulated)", took.as_secs() / 60)?;
    assert!(took > Duration::ZERO && snapshot.refused > 0, "the budget trips");
    Ok(())
}
