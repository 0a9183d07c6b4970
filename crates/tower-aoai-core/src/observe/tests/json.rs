//! Answers that are not streamed.

use super::*;

const CHAT: &str = r#"{"model":"gpt-4o","service_tier":"default","choices":[{"message":{"content":"Hi"}}],"usage":{"prompt_tokens":3,"completion_tokens":1}}"#;

fn json(parts: impl IntoIterator<Item = Part>) -> Response<Script> {
    response(200, "application/json; charset=utf-8", Script::new(parts))
}

#[tokio::test(start_paused = true)]
async fn usage_and_model_are_read_as_the_body_passes() {
    let parts = CHAT.bytes().map(|byte| data(char::from(byte)));
    let (answer, attempt) = send(&layer(), json(parts)).await;
    assert_eq!(attempt.verdict(), None);
    let (text, failed) = read(answer.unwrap().into_body()).await;
    assert_eq!((text.as_str(), failed), (CHAT, false));
    assert_eq!(outcome(&attempt), Some(Outcome::Success));
    assert_eq!(attempt.usage(), Some(Usage::new(3, 1)));
    assert_eq!(attempt.model().as_deref(), Some("gpt-4o"));
    assert_eq!(attempt.service_tier().as_deref(), Some("default"));
    assert_eq!(attempt.progress().content_events, 0);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_stops_behind_the_object_has_its_answer() {
    let (answer, attempt) = send(&layer(), json([data(CHAT), Part::Hang])).await;
    let mut body = answer.unwrap().into_body();
    body.frame().await;
    drop(body);
    assert_eq!(outcome(&attempt), Some(Outcome::Success));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_fails_is_transient_before_its_first_byte_and_broken_after() {
    for (parts, expected) in [
        (vec![Part::Fail], TRANSIENT),
        (vec![data("{"), Part::Fail], Outcome::Broken),
        (vec![data(CHAT), Part::Fail], Outcome::Broken),
    ] {
        let (answer, attempt) = send(&layer(), json(parts)).await;
        assert!(read(answer.unwrap().into_body()).await.1);
        assert_eq!(outcome(&attempt), Some(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn a_responses_object_may_say_that_it_failed() {
    let text = r#"{"status":"failed","error":{"code":"rate_limit_exceeded","message":"m"},"usage":null}"#;
    let (answer, attempt) = send_as(&layer(), Operation::Responses, false, json([data(text)])).await;
    read(answer.unwrap().into_body()).await;
    assert_eq!(outcome(&attempt), Some(throttled(7)));
    let (answer, attempt) = send_as(&layer(), Operation::Other, false, json([data(text)])).await;
    read(answer.unwrap().into_body()).await;
    assert_eq!(outcome(&attempt), Some(Outcome::Success), "that of a batch is another matter");
}

#[tokio::test(start_paused = true)]
async fn other_bodies_are_a_success_at_their_end() {
    let audio = response(200, "audio/mpeg", Script::new([data("abc")]));
    let (answer, attempt) = send(&layer(), audio).await;
    read(answer.unwrap().into_body()).await;
    assert_eq!(outcome(&attempt), Some(Outcome::Success));
}

/// Who asks whether a body is over need not poll it to the end.
#[tokio::test(start_paused = true)]
async fn the_last_frame_ends_the_attempt_where_the_body_says_that_it_is_the_last() {
    for (content_type, text) in [("application/json", CHAT), ("audio/mpeg", "abc"), ("text/event-stream", DONE)] {
        for text in [text, ""] {
            let (request, attempt) = request(Call::default(), false);
            let service = service_fn(move |_: Request<()>| async move {
                let body = http_body_util::Full::new(Bytes::from(text));
                let response = Response::builder().header("content-type", content_type);
                Ok::<_, BoxError>(response.body(body).unwrap())
            });
            let response = layer().layer(service).oneshot(request).await.unwrap();
            let mut body = response.into_body();
            if !text.is_empty() {
                assert!(!body.is_end_stream());
                body.frame().await;
            }
            assert!(body.is_end_stream());
            let empty_stream = text.is_empty() && content_type == "text/event-stream";
            let expected = if empty_stream { TRANSIENT } else { Outcome::Success };
            assert_eq!(outcome(&attempt), Some(expected), "{content_type} {text}");
        }
    }
}
