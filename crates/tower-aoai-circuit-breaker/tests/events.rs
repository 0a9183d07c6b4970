//! What is logged. A process of its own: which events are wanted is known to a process, not to a thread.

use std::{fmt, sync::Arc};

use parking_lot::Mutex;
use tower::{Layer, ServiceExt};
use tracing::{
    Event, Level,
    field::{Field, Visit},
};
use tracing_subscriber::{
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
};

mod support;

use support::{answers, chat, exact, half_open, layer};

/// The events' fields, as text.
#[derive(Clone, Default)]
struct Book(Arc<Mutex<Vec<(Level, String)>>>);

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        use fmt::Write;
        write!(self.0, "{}={value:?} ", field.name()).expect("a string takes everything");
    }
}

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> tracing_subscriber::Layer<S> for Book {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "tower_aoai::circuit" {
            let mut fields = Fields(String::new());
            event.record(&mut fields);
            self.0.lock().push((*event.metadata().level(), fields.0.trim_end().to_owned()));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_change_is_one_event_with_stable_fields() {
    let book = Book::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(book.clone()));
    let layer = layer(exact()).name("eastus");
    half_open(&layer.handle(), &layer.layer(answers(500))).await;
    let response = layer.layer(answers(200)).oneshot(chat(false)).await.expect("an answer");
    drop(response);
    let told = std::mem::take(&mut *book.0.lock());
    let expected = [
        (
            Level::WARN,
            "message=5 failures without a success circuit=\"eastus\" sequence=1 from=\"closed\" to=\"open\" \
             reason=\"consecutive_failures\" wait_ms=5000",
        ),
        (
            Level::INFO,
            "message=the break is over circuit=\"eastus\" sequence=2 from=\"open\" to=\"half_open\" \
             reason=\"break_over\"",
        ),
        (
            Level::INFO,
            "message=the endpoint answers again circuit=\"eastus\" sequence=3 from=\"half_open\" to=\"closed\" \
             reason=\"probes_succeeded\"",
        ),
    ];
    assert_eq!(told, expected.map(|(level, fields)| (level, fields.to_owned())));
}
