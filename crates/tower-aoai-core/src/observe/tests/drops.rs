//! Law 2: what is dropped, wherever it waits, leaves an exact record.

use super::{reported::Recorder, *};

/// A call whose transport and body wait between any two steps, and its reading to the end.
async fn whole_call(layer: ObserveLayer, request: Request<()>, parts: Vec<Part>, status: u16) {
    let parts = parts.into_iter().flat_map(|part| [Part::Wait(SECOND / 4), part]);
    let content_type = if status == 200 { "text/event-stream" } else { "application/json" };
    let mut response = Some(response(status, content_type, Script::new(parts)));
    let service = service_fn(move |_: Request<()>| {
        let response = response.take().ok_or("called twice");
        async move {
            sleep(SECOND / 4).await;
            response
        }
    });
    if let Ok(response) = layer.layer(service).oneshot(request).await {
        read(response.into_body()).await;
    }
}

/// Polls the call so often, then drops it.
async fn dropped_after(polls: usize, parts: Vec<Part>, status: u16) -> (bool, Arc<Attempt>) {
    let recorder = Arc::new(Recorder::default());
    let (request, attempt) = request(Call::default(), false);
    let layer = layer().subscribe(recorder.clone());
    let mut task = tokio_test::task::spawn(whole_call(layer, request, parts, status));
    let mut ready = false;
    for _ in 0..polls {
        ready = ready || task.poll().is_ready();
        tokio::time::advance(SECOND / 4).await;
    }
    drop(task);
    let told = recorder.0.lock();
    assert_eq!(told.iter().filter(|step| **step == "sent").count(), usize::from(polls > 0));
    let last = outcome(&attempt).map(|outcome| outcome.name());
    assert_eq!(told.last().copied(), last, "the end is told last");
    (ready, attempt)
}

#[tokio::test(start_paused = true)]
async fn t5_l4_dropped_at_any_await_point_it_is_cancelled_or_nothing() {
    let parts = || vec![data(role()), data(content("a")), data(content("b")), data(finish()), data(DONE)];
    let mut outcomes = Vec::new();
    for polls in 0..9 {
        let (ready, attempt) = dropped_after(polls, parts(), 200).await;
        assert_eq!(attempt.is_sent(), polls > 0);
        assert_eq!(ready, polls >= 7);
        outcomes.push(outcome(&attempt).map(|outcome| outcome.name()));
    }
    let cancelled = Some("cancelled");
    let success = Some("success");
    // Not polled; waits for the head, the role, both contents, the finish; finished; done.
    let expected = [None, cancelled, cancelled, cancelled, cancelled, cancelled, success, success, success];
    assert_eq!(outcomes, expected);
}

#[tokio::test(start_paused = true)]
async fn t5_l4_an_error_that_is_read_is_cancelled_until_it_is_judged() {
    let mut outcomes = Vec::new();
    for polls in 0..5 {
        let (_, attempt) = dropped_after(polls, vec![data("{"), data("}")], 429).await;
        outcomes.push(outcome(&attempt).map(|outcome| outcome.name()));
    }
    let cancelled = Some("cancelled");
    assert_eq!(outcomes, [None, cancelled, cancelled, cancelled, Some("throttled")]);
}

#[tokio::test(start_paused = true)]
async fn a_body_dropped_behind_done_is_a_success_and_before_it_cancelled() {
    for (text, expected) in [
        (content("a") + DONE, Outcome::Success),
        (content("a") + &finish(), Outcome::Success),
        (content("a"), Outcome::Cancelled),
        (CREATED.to_owned() + FAILED, TRANSIENT),
    ] {
        let layer = layer().hold(Duration::ZERO, 0);
        let (answer, attempt) = send(&layer, stream([data(text), Part::Hang])).await;
        let mut body = answer.unwrap().into_body();
        body.frame().await;
        drop(body);
        assert_eq!(outcome(&attempt), Some(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn what_came_before_a_drop_is_counted() {
    let parts = [data(content("a") + &content("b")), data(content("c")), Part::Hang];
    let (answer, attempt) = send(&layer(), stream(parts)).await;
    let mut body = answer.unwrap().into_body();
    body.frame().await;
    drop(body);
    let progress = attempt.progress();
    assert_eq!((progress.content_events, outcome(&attempt)), (2, Some(Outcome::Cancelled)));
}
