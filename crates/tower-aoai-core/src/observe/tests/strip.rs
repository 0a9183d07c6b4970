//! Taking the extra usage event out.

use super::*;

async fn strip(parts: impl IntoIterator<Item = Part>) -> (String, Arc<Attempt>) {
    let (answer, attempt) = send_as(&layer(), Operation::Chat, true, stream(parts)).await;
    (read(answer.unwrap().into_body()).await.0, attempt)
}

#[tokio::test(start_paused = true)]
async fn the_extra_event_is_taken_out_and_known() {
    let kept = role() + &content("a") + &finish();
    let (text, attempt) = strip([data(kept.clone() + USAGE + DONE)]).await;
    assert_eq!(text, kept + DONE);
    assert_eq!(attempt.usage(), Some(Usage::new(9, 2)));
    assert_eq!(outcome(&attempt), Some(Outcome::Success));
}

#[tokio::test(start_paused = true)]
async fn usage_in_an_event_with_choices_stays() {
    let last = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1}}\n\n";
    let (text, attempt) = strip([data(content("a") + last + DONE)]).await;
    assert_eq!(text, content("a") + last + DONE);
    assert_eq!(attempt.usage(), Some(Usage::new(1, 0)));
}

#[tokio::test(start_paused = true)]
async fn without_being_added_it_stays() {
    let text = content("a") + &finish() + USAGE + DONE;
    let (answer, attempt) = send(&layer(), stream([data(text.clone())])).await;
    assert_eq!(read(answer.unwrap().into_body()).await.0, text);
    assert_eq!(attempt.usage(), Some(Usage::new(9, 2)));
}

#[tokio::test(start_paused = true)]
async fn a_whole_event_does_not_wait_for_the_next() {
    let (head, tail) = USAGE.split_at(20);
    let parts = [data(content("a") + head), Part::Wait(SECOND), data(tail), data(DONE)];
    let (answer, _) = send_as(&layer(), Operation::Chat, true, stream(parts)).await;
    let start = Instant::now();
    let mut body = answer.unwrap().into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!((first, Instant::now()), (Bytes::from(content("a")), start));
    let second = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!((second, Instant::now()), (Bytes::from(DONE), start + SECOND));
}

#[tokio::test(start_paused = true)]
async fn what_was_withheld_is_handed_on_before_an_error_or_trailers() {
    let cut = "data: {\"choices\":";
    for last in [Part::Fail, Part::Trailers] {
        let (text, _) = strip([data(content("a")), data(cut), last]).await;
        assert_eq!(text, content("a") + cut);
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_than_the_bound_is_withheld() {
    let layer = layer().event_limit(1000).hold(Duration::ZERO, 0);
    let parts = (0..30).map(|_| data("x".repeat(100))).chain([Part::Hang]);
    let parts = [data("data: ")].into_iter().chain(parts);
    let (answer, _) = send_as(&layer, Operation::Chat, true, stream(parts)).await;
    let mut body = answer.unwrap().into_body();
    let mut task = tokio_test::task::spawn(async {
        let mut length = 0;
        while length < 3006 {
            length += body.frame().await.unwrap().unwrap().into_data().unwrap().len();
        }
    });
    assert!(task.poll().is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_length_that_will_not_be_true_is_taken_back() {
    for (strips, kept) in [(true, false), (false, true)] {
        let mut response = stream([data(content("a") + DONE)]);
        let length = http::HeaderValue::from_static("120");
        response.headers_mut().insert("content-length", length);
        let (answer, _) = send_as(&layer(), Operation::Chat, strips, response).await;
        assert_eq!(answer.unwrap().headers().contains_key("content-length"), kept);
    }
}

/// Also between the CR and the LF that end it.
#[tokio::test(start_paused = true)]
async fn cut_at_any_byte_the_whole_event_goes_and_nothing_else() {
    for end in ["\n", "\r\n", "\r"] {
        let text = (content("a") + USAGE + DONE).replace('\n', end);
        let kept = (content("a") + DONE).replace('\n', end);
        for at in 0..text.len() {
            let (head, tail) = text.split_at(at);
            let (passed, _) = strip([data(head), data(tail)]).await;
            assert_eq!(passed, kept, "{end:?} {at}");
        }
        let bytes = text.bytes().map(|byte| data(char::from(byte)));
        assert_eq!(strip(bytes).await.0, kept);
    }
}
