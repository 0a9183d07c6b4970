//! What observers and the log are told.

use std::fmt::{self, Write};

use parking_lot::Mutex;
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use super::*;

#[derive(Debug, Default)]
pub(super) struct Recorder(pub(super) Mutex<Vec<&'static str>>);

impl Observer for Recorder {
    fn sent(&self, _: &CallContext, attempt: &Attempt) {
        assert!(attempt.is_sent());
        self.0.lock().push("sent");
    }

    fn first_byte(&self, _: &CallContext, attempt: &Attempt) {
        assert!(attempt.progress().first_byte.is_some());
        self.0.lock().push("first byte");
    }

    fn first_content(&self, _: &CallContext, attempt: &Attempt) {
        assert!(attempt.progress().first_content.is_some());
        self.0.lock().push("first content");
    }

    fn ended(&self, _: &CallContext, attempt: &Attempt) {
        self.0.lock().push(attempt.verdict().unwrap().outcome.name());
    }
}

#[tokio::test(start_paused = true)]
async fn observers_are_told_each_step_once() {
    let recorder = Arc::new(Recorder::default());
    let layer = layer().subscribe(recorder.clone());
    let parts = [role(), content("a"), content("b"), finish(), DONE.into()].map(data);
    let (answer, attempt) = send(&layer, stream(parts)).await;
    read(answer.unwrap().into_body()).await;
    let told = ["sent", "first byte", "first content", "success"];
    assert_eq!(*recorder.0.lock(), told);
    assert_eq!(attempt.progress().content_events, 2);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_another_hand_ended_is_still_told() {
    let recorder = Arc::new(Recorder::default());
    let layer = layer().subscribe(recorder.clone());
    let (answer, attempt) = send(&layer, stream([data(content("a")), Part::Hang])).await;
    attempt.end(Instant::now(), TRANSIENT.into());
    drop(answer);
    assert_eq!(*recorder.0.lock(), ["sent", "first byte", "transient"]);
}

/// Writes the fields of each event down.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Visit for Log {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0.lock(), "{field}={value:?} ").unwrap();
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "tower_aoai::attempt"
    }

    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

#[tokio::test(start_paused = true)]
async fn the_log_has_one_event_for_each_attempt_and_no_text_of_it() {
    // With a single subscriber tracing asks the thread that comes first, which may be that of a test without one.
    let _second = tracing::Dispatch::new(Log::default());
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let parts = [data(content("secret")), Part::Wait(SECOND), data(USAGE.to_owned() + DONE)];
    let (answer, _) = send(&layer(), stream(parts)).await;
    read(answer.unwrap().into_body()).await;
    let fields = "message=attempt ended operation=Chat deployment=\"gpt\" model=\"gpt-4o\" status=200 \
        outcome=\"success\" input_tokens=9 output_tokens=2 content_events=1 millis=1000 ";
    assert_eq!(*log.0.lock(), fields);
}
