//! What a guard is told, and when it goes.

use std::{collections::VecDeque, convert::Infallible, sync::Arc};

use http_body_util::BodyExt;
use parking_lot::Mutex;
use proptest::prelude::*;
use tokio_test::{assert_pending, assert_ready, task};

use super::*;
use crate::{CallContext, ObserveLayer, Outcome};

/// What happened, in order.
type Journal = Arc<Mutex<Vec<&'static str>>>;

/// Writes down what it is told, and its end.
struct Scribe(Journal);

impl Guard for Scribe {
    fn head(&mut self, _: ResponseHead<'_>) {
        self.0.lock().push("head");
    }

    fn failed(&mut self, _: &Error) {
        self.0.lock().push("failed");
    }

    fn ended(&mut self) {
        self.0.lock().push("ended");
    }
}

impl Drop for Scribe {
    fn drop(&mut self) {
        self.0.lock().push("guard dropped");
    }
}

/// What a future or body below does when it is polled.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Step {
    Wait,
    Data,
    Fail,
    /// Data, after which the body knows that it is over.
    Last,
}

/// A body, and the future that answers with it, which write down their own end.
struct Guarded {
    steps: VecDeque<Step>,
    over: bool,
    name: &'static str,
    journal: Journal,
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.journal.lock().push(self.name);
    }
}

impl Body for Guarded {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let step = self.steps.pop_front();
        self.over |= step == Some(Step::Last);
        match step {
            None => Poll::Ready(None),
            Some(Step::Wait) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Some(Step::Data | Step::Last) => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x"))))),
            Some(Step::Fail) => Poll::Ready(Some(Err("reset".into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.over
    }
}

/// Waits once, then answers with the body, or fails.
struct Answer {
    waited: bool,
    body: Result<Option<Guarded>, ()>,
    journal: Journal,
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.journal.lock().push("future dropped");
    }
}

impl Future for Answer {
    type Output = Result<Response<Guarded>, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if !std::mem::replace(&mut self.waited, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(match &mut self.body {
            Ok(body) => Ok(Response::new(body.take().expect("polled once"))),
            Err(()) => Err("refused".into()),
        })
    }
}

fn body(journal: &Journal, steps: &[Step]) -> Guarded {
    Guarded { steps: steps.iter().copied().collect(), over: false, name: "body dropped", journal: journal.clone() }
}

fn call(journal: &Journal, body: Result<Guarded, ()>) -> GuardedFuture<Answer, Scribe> {
    let answer = Answer { waited: false, body: body.map(Some), journal: journal.clone() };
    GuardedFuture::new(answer, Some(Scribe(journal.clone())))
}

/// Polls the whole call so often, as hyper would, then drops it.
fn run(steps: Option<&[Step]>, polls: usize) -> Vec<&'static str> {
    let journal = Journal::default();
    let inner = steps.map(|steps| body(&journal, steps)).ok_or(());
    let future = call(&journal, inner);
    let whole = async {
        let Ok(response) = future.await else { return };
        let mut body = std::pin::pin!(response.into_body());
        while !body.is_end_stream()
            && let Some(Ok(_)) = body.frame().await
        {}
    };
    let mut task = task::spawn(whole);
    for _ in 0..polls {
        if task.poll().is_ready() {
            break;
        }
    }
    drop(task);
    std::mem::take(&mut *journal.lock())
}

#[test]
fn the_end_is_told_once_after_the_body_is_gone() {
    let told = ["future dropped", "head", "body dropped", "ended", "guard dropped"];
    assert_eq!(run(Some(&[Step::Data, Step::Data]), 9), told);
    assert_eq!(run(Some(&[Step::Data, Step::Last]), 9), told, "its end known with the last frame");
}

#[test]
fn a_body_that_is_over_from_the_start_is_let_go_of_first() {
    let journal = Journal::default();
    let mut empty = body(&journal, &[]);
    empty.over = true;
    let guarded = GuardedBody::new(empty, Some(Scribe(journal.clone())));
    assert_eq!(*journal.lock(), ["body dropped", "ended", "guard dropped"]);
    assert!(guarded.is_end_stream());
    assert_eq!(guarded.size_hint().exact(), Some(0));
}

#[test]
fn a_failure_is_told_before_the_head_and_behind_it() {
    assert_eq!(run(None, 9), ["future dropped", "failed", "guard dropped"]);
    let told = ["future dropped", "head", "body dropped", "failed", "guard dropped"];
    assert_eq!(run(Some(&[Step::Data, Step::Fail, Step::Data]), 9), told);
}

#[test]
fn the_end_is_told_where_the_body_learns_of_it_between_two_polls() {
    let journal = Journal::default();
    let mut guarded = task::spawn(GuardedBody::new(body(&journal, &[Step::Data]), Some(Scribe(journal.clone()))));
    let frame = guarded.enter(|cx, body| body.poll_frame(cx));
    assert!(matches!(assert_ready!(frame), Some(Ok(_))));
    // As h2 does when the end comes as an empty frame.
    guarded.enter(|_, body| {
        if let Some(inner) = body.project().inner.get_mut() {
            inner.over = true;
        }
    });
    assert!(!guarded.is_end_stream(), "or nobody would poll, and the guard would take it for a drop");
    assert!(assert_ready!(guarded.enter(|cx, body| body.poll_frame(cx))).is_none());
    assert!(guarded.is_end_stream());
    assert_eq!(*journal.lock(), ["body dropped", "ended", "guard dropped"]);
}

#[test]
fn without_a_guard_all_passes() {
    let journal = Journal::default();
    let mut future = task::spawn(GuardedFuture::new(
        Answer { waited: true, body: Ok(Some(body(&journal, &[Step::Last]))), journal: journal.clone() },
        None::<Scribe>,
    ));
    let guarded = assert_ready!(future.poll()).expect("an answer").into_body();
    let mut guarded = task::spawn(guarded);
    assert!(!guarded.is_end_stream());
    let frame = guarded.enter(|cx, body| body.poll_frame(cx));
    assert!(matches!(assert_ready!(frame), Some(Ok(_))));
    assert!(guarded.is_end_stream());
}

#[tokio::test(start_paused = true)]
async fn a_guard_reads_the_observers_verdict_when_it_is_dropped() {
    /// Reads the verdict in its `Drop`, as a breaker's permit does.
    struct Reader(Arc<crate::Attempt>, Arc<Mutex<Option<Outcome>>>);
    impl Guard for Reader {}
    impl Drop for Reader {
        fn drop(&mut self) {
            *self.1.lock() = self.0.verdict().map(|verdict| verdict.outcome);
        }
    }
    for (polls, expected) in [(0, None), (1, Some(Outcome::Cancelled)), (3, Some(Outcome::Cancelled))] {
        let transport = tower::service_fn(|_: http::Request<()>| async {
            tokio::task::yield_now().await;
            let steps = [Step::Wait, Step::Data, Step::Wait, Step::Data];
            Ok::<_, Infallible>(Response::new(body(&Journal::default(), &steps)))
        });
        let mut request = http::Request::new(());
        let attempt = CallContext::of(&mut request).attempt();
        let seen = Arc::default();
        let inner = tower::ServiceExt::oneshot(tower::Layer::layer(&ObserveLayer::new(), transport), request);
        let guarded = GuardedFuture::new(inner, Some(Reader(attempt, Arc::clone(&seen))));
        let mut task = task::spawn(async { guarded.await.expect("an answer").into_body().collect().await });
        for _ in 0..polls {
            assert_pending!(task.poll());
        }
        drop(task);
        assert_eq!(*seen.lock(), expected, "after {polls} polls");
    }
}

proptest! {
    /// Wherever a call is dropped, its guard is dropped once, last, and told of at most one end.
    #[test]
    fn l4_a_guard_is_dropped_once_and_last(
        steps in prop::collection::vec(
            prop::sample::select(vec![Step::Wait, Step::Data, Step::Fail, Step::Last]), 0..8),
        fails in any::<bool>(),
        polls in 0usize..14,
    ) {
        let journal = run((!fails).then_some(&steps), polls);
        prop_assert_eq!(journal.last(), Some(&"guard dropped"), "{:?}", journal);
        let count = |names: &[&str]| journal.iter().filter(|entry| names.contains(entry)).count();
        prop_assert_eq!(count(&["guard dropped"]), 1);
        prop_assert!(count(&["ended", "failed"]) <= 1);
        prop_assert_eq!(count(&["future dropped"]), 1);
        if let Some(told) = journal.iter().position(|entry| ["ended", "failed"].contains(entry)) {
            let gone = journal.iter().position(|entry| *entry == "body dropped");
            prop_assert!(gone.is_none_or(|gone| gone < told), "{:?}", journal);
        }
    }
}
