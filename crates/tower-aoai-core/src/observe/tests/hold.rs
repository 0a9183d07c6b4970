//! How long a stream's head is held, and what is known when it is let go.

use super::*;

#[tokio::test(start_paused = true)]
async fn content_releases_the_head_and_is_marked_when_its_frame_is_handed_on() {
    let start = Instant::now();
    let parts = [data(role()), Part::Wait(SECOND), data(content("Hi")), Part::Hang];
    let (answer, attempt) = send(&layer(), stream(parts)).await;
    assert_eq!(start + SECOND, Instant::now());
    let mut body = answer.unwrap().into_body();
    let first = body.frame().await.unwrap().unwrap();
    assert_eq!(first.into_data().unwrap(), role());
    tokio::time::advance(SECOND).await;
    assert_eq!(attempt.progress().first_content, None);
    let second = body.frame().await.unwrap().unwrap();
    assert_eq!(second.into_data().unwrap(), content("Hi"));
    let progress = attempt.progress();
    assert_eq!(progress.first_byte, Some(start));
    assert_eq!(progress.first_content, Some(start + 2 * SECOND));
    assert_eq!(progress.verdict, None);
}

#[tokio::test(start_paused = true)]
async fn time_releases_the_head() {
    let start = Instant::now();
    let parts = [data(role()), Part::Wait(5 * SECOND), data(content("Hi")), data(DONE)];
    let (answer, attempt) = send(&layer(), stream(parts)).await;
    assert_eq!(start + 2 * SECOND, Instant::now());
    assert_eq!(attempt.verdict(), None);
    let (text, failed) = read(answer.unwrap().into_body()).await;
    assert_eq!((text, failed), (role() + &content("Hi") + DONE, false));
    assert_eq!(outcome(&attempt), Some(Outcome::Success));
}

#[tokio::test(start_paused = true)]
async fn bytes_release_the_head() {
    let start = Instant::now();
    let comments = (0..).map(|_| data(": ".to_owned() + &"x".repeat(998) + "\n\n"));
    let parts = comments.take(300).chain([Part::Hang]);
    let (answer, _) = send(&layer().hold(SECOND, 10 << 10), stream(parts)).await;
    assert_eq!(start, Instant::now());
    let body = answer.unwrap().into_body();
    assert_eq!(body.read().count(), 11);
    assert_eq!(body.size_hint().exact(), Some(300 * 1002));
}

#[tokio::test(start_paused = true)]
async fn empty_frames_count_too() {
    let start = Instant::now();
    let parts = (0..100_000).map(|_| data("")).chain([Part::Hang]);
    let (answer, _) = send(&layer(), stream(parts)).await;
    assert_eq!(start, Instant::now());
    assert!(answer.is_ok());
}

#[tokio::test(start_paused = true)]
async fn holding_can_be_switched_off() {
    for layer in [layer().hold(Duration::ZERO, 1), layer().hold(SECOND, 0)] {
        let start = Instant::now();
        let (answer, attempt) = send(&layer, stream([Part::Wait(SECOND), data(THROTTLED)])).await;
        assert_eq!(start, Instant::now());
        assert_eq!(attempt.verdict(), None);
        let (text, _) = read(answer.unwrap().into_body()).await;
        assert_eq!(text, THROTTLED);
        assert_eq!(outcome(&attempt), Some(throttled(7)), "the head's hint is still known");
    }
}

#[tokio::test(start_paused = true)]
async fn a_200_that_is_a_429_is_known_with_the_response_in_either_order() {
    for parts in [[CREATED, THROTTLED, FAILED], [CREATED, FAILED, THROTTLED]] {
        let whole = parts.concat();
        let ways: [Vec<Part>; 3] = [
            vec![data(whole.clone())],
            parts.into_iter().map(data).collect(),
            whole.bytes().map(|byte| data(char::from(byte))).collect(),
        ];
        for way in ways {
            let (answer, attempt) = send_as(&layer(), Operation::Responses, false, stream(way)).await;
            assert_eq!(outcome(&attempt), Some(throttled(7)));
            assert_eq!(attempt.progress().first_content, None);
            assert_eq!(read(answer.unwrap().into_body()).await, (whole.clone(), false));
            assert_eq!(outcome(&attempt), Some(throttled(7)));
            assert_eq!(attempt.model().as_deref(), Some("gpt-5"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_never_says_why_is_judged_when_the_hold_is_over() {
    for rest in [vec![], vec![Part::Hang]] {
        let parts = [data(CREATED), data(FAILED)].into_iter().chain(rest);
        let (answer, attempt) = send_as(&layer(), Operation::Responses, false, stream(parts)).await;
        assert!(answer.is_ok());
        assert_eq!(outcome(&attempt), Some(TRANSIENT));
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_fails_before_content_is_an_error_and_transient() {
    let (answer, attempt) = send(&layer(), stream([data(role()), Part::Fail])).await;
    assert!(matches!(answer, Err(Error::Transport(_))));
    assert_eq!(outcome(&attempt), Some(TRANSIENT));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_before_content_is_transient_and_handed_on() {
    for parts in [vec![], vec![data(role())], vec![data(CREATED)]] {
        let (answer, attempt) = send(&layer(), stream(parts)).await;
        assert_eq!(outcome(&attempt), Some(TRANSIENT));
        assert!(!read(answer.unwrap().into_body()).await.1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_behind_content_in_one_frame_is_broken_and_told_with_the_frame() {
    let frame = content("Hi") + "data: {\"error\":{\"code\":\"rate_limit_exceeded\"}}\n\n";
    let (answer, attempt) = send(&layer(), stream([data(frame)])).await;
    assert_eq!(attempt.verdict(), None, "nobody above is to try again");
    read(answer.unwrap().into_body()).await;
    assert_eq!(outcome(&attempt), Some(Outcome::Broken));
}

#[tokio::test(start_paused = true)]
async fn a_held_answer_that_nobody_reads_is_cancelled() {
    let (answer, attempt) = send(&layer(), stream([data(content("Hi") + DONE)])).await;
    drop(answer);
    assert_eq!(outcome(&attempt), Some(Outcome::Cancelled));
}

#[tokio::test(start_paused = true)]
async fn an_item_that_begins_releases_the_head_but_is_no_content() {
    let added = "event: response.output_item.added\ndata: {\"type\":\"response.output_item.added\"}\n\n";
    let parts = [data(CREATED), data(added), Part::Hang];
    let start = Instant::now();
    let (answer, attempt) = send_as(&layer(), Operation::Responses, false, stream(parts)).await;
    assert_eq!(start, Instant::now());
    let mut body = answer.unwrap().into_body();
    body.frame().await;
    body.frame().await;
    assert_eq!(attempt.progress().first_content, None);
}
