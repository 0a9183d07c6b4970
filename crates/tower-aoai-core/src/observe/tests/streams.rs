//! What streams mean, however they are cut into frames.

use proptest::{collection::vec, prelude::*, sample::Index};

use super::*;

async fn after(text: String, rest: Option<Part>) -> (Option<Outcome>, bool) {
    let parts = [Some(data(text)), rest].into_iter().flatten();
    let (answer, attempt) = send(&layer(), stream(parts)).await;
    let Ok(response) = answer else {
        return (outcome(&attempt), true);
    };
    let (_, failed) = read(response.into_body()).await;
    (outcome(&attempt), failed)
}

#[tokio::test(start_paused = true)]
async fn how_a_stream_ends_decides() {
    let begun = role() + &content("Hi");
    let finished = begun.clone() + &finish();
    let success = (Some(Outcome::Success), false);
    assert_eq!(after(begun.clone() + DONE, None).await, success);
    assert_eq!(after(finished.clone(), None).await, success);
    assert_eq!(after(finished.clone() + USAGE, None).await, success);
    assert_eq!(after(finished.clone() + DONE, Some(Part::Fail)).await, (Some(Outcome::Success), true));
    assert_eq!(after(finished + USAGE + "data: [DONE]", None).await, success);
    assert_eq!(after(begun.clone(), None).await, (Some(Outcome::Broken), false));
    assert_eq!(after(begun.clone(), Some(Part::Fail)).await, (Some(Outcome::Broken), true));
    let error = "data: {\"error\":{\"message\":\"m\"}}\n\n";
    assert_eq!(after(begun + error + DONE, None).await, (Some(Outcome::Broken), false));
}

#[tokio::test(start_paused = true)]
async fn a_failure_without_a_reason_is_one_also_where_a_done_follows_it() {
    assert_eq!(after(FAILED.to_owned() + DONE, None).await, (Some(TRANSIENT), false));
    assert_eq!(after(content("a") + FAILED + DONE, None).await, (Some(Outcome::Broken), false));
}

#[tokio::test(start_paused = true)]
async fn a_choice_that_goes_on_after_another_finished_is_not_complete() {
    let cut = content("a") + &finish() + &content("b");
    assert_eq!(after(cut, None).await, (Some(Outcome::Broken), false));
}

#[tokio::test(start_paused = true)]
async fn events_of_an_unknown_kind_may_end_as_they_like() {
    let text = "event: message_start\ndata: {\"type\":\"message_start\"}\n\n".to_owned();
    assert_eq!(after(text, None).await, (Some(Outcome::Success), false));
}

#[tokio::test(start_paused = true)]
async fn what_is_compressed_is_not_read() {
    let mut response = stream([data(THROTTLED)]);
    let gzip = http::HeaderValue::from_static("gzip");
    response.headers_mut().insert("content-encoding", gzip);
    let (answer, attempt) = send(&layer(), response).await;
    read(answer.unwrap().into_body()).await;
    assert_eq!(outcome(&attempt), Some(Outcome::Success));
}

#[tokio::test(start_paused = true)]
async fn trailers_pass() {
    let (answer, attempt) = send(&layer(), stream([data(content("a") + DONE), Part::Trailers])).await;
    let collected = answer.unwrap().into_body().collect().await.unwrap();
    assert!(collected.trailers().is_some_and(|trailers| trailers.contains_key("x-end")));
    assert_eq!(outcome(&attempt), Some(Outcome::Success));
}

#[tokio::test(start_paused = true)]
async fn a_frame_passes_as_it_came() {
    let frame = Bytes::from(content("a"));
    let (answer, _) = send(&layer(), stream([Part::Data(frame.clone())])).await;
    let passed = answer.unwrap().into_body().frame().await.unwrap().unwrap();
    assert_eq!(passed.into_data().unwrap().as_ptr(), frame.as_ptr());
}

/// What is to be known of a stream when it is over.
#[derive(Debug, PartialEq)]
struct Known {
    text: Vec<u8>,
    failed: bool,
    outcome: Option<Outcome>,
    usage: Option<Usage>,
    model: Option<Arc<str>>,
    content_events: u64,
}

fn observe(strips: bool, layer: &ObserveLayer, parts: Vec<Part>) -> Known {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let (answer, attempt) = send_as(layer, Operation::Chat, strips, stream(parts)).await;
        let (mut text, mut failed) = (Vec::new(), answer.is_err());
        if let Ok(response) = answer {
            let mut body = response.into_body();
            while let Some(frame) = body.frame().await {
                match frame.map(Frame::into_data) {
                    Ok(data) => text.extend_from_slice(&data.unwrap()),
                    Err(_) => failed = true,
                }
            }
            assert!(body.is_end_stream());
            assert_eq!(body.size_hint().exact(), Some(0));
        }
        Known {
            text,
            failed,
            outcome: outcome(&attempt),
            usage: attempt.usage(),
            model: attempt.model(),
            content_events: attempt.progress().content_events,
        }
    })
}

fn cut(stream: &[u8], cuts: &[Index]) -> Vec<Part> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
    cuts.extend([0, stream.len()]);
    cuts.sort_unstable();
    let frames = cuts.windows(2).map(|cut| &stream[cut[0]..cut[1]]);
    frames.map(|frame| Part::Data(Bytes::copy_from_slice(frame))).collect()
}

/// The events of a chat stream, as text with LF line ends.
fn events() -> impl Strategy<Value = Vec<String>> {
    let filter = r#"data: {"id":"","model":"","prompt_filter_results":[{"prompt_index":0}],"choices":[],"usage":null}"#;
    let annotation = r#"data: {"id":"","model":"","choices":[{"index":0,"finish_reason":null,"content_filter_results":{"hate":{"filtered":false}},"content_filter_offsets":{"check_offset":44}}],"usage":null}"#;
    let filter = filter.to_owned() + "\n\n";
    let annotation = annotation.to_owned() + "\n\n";
    let middle = prop_oneof![
        4 => "[a-zü\u{1f980} ]{1,8}".prop_map(|text| content(&text)),
        1 => Just(annotation.clone()),
        1 => Just(": ping\n\n".to_owned()),
        1 => Just("data: {\"choices\":\ndata: [{\"delta\":{\"content\":\"x\"}}]}\n\n".to_owned()),
    ];
    let end = prop_oneof![
        Just(vec![finish(), USAGE.to_owned(), DONE.to_owned()]),
        Just(vec![finish(), annotation, DONE.to_owned()]),
        Just(vec![finish(), USAGE.to_owned()]),
        Just(vec!["data: {\"error\":{\"code\":\"rate_limit_exceeded\"}}\n\n".to_owned()]),
        Just(vec![]),
        Just(vec![USAGE.trim_end().to_owned()]),
    ];
    (prop::bool::ANY, vec(middle, 0..8), end).prop_map(move |(filtered, middle, end)| {
        let mut events = vec![role()];
        if filtered {
            events.insert(0, filter.clone());
        }
        events.extend(middle);
        events.extend(end);
        events
    })
}

fn line_ends() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["\n", "\r\n", "\r"])
}

fn responses() -> impl Strategy<Value = Vec<String>> {
    let delta =
        "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"a\"}\n\n";
    let end = "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"error\":null,\
        \"usage\":{\"input_tokens\":3,\"output_tokens\":4,\"output_tokens_details\":{\"reasoning_tokens\":1}}}}\n\n";
    let end =
        prop::sample::select(vec![vec![end], vec![FAILED, THROTTLED], vec![THROTTLED, FAILED], vec![FAILED], vec![]]);
    (0..4_usize, end).prop_map(move |(deltas, end)| {
        let mut events = vec![CREATED];
        events.extend((0..deltas).map(|_| delta));
        events.extend(end);
        events.into_iter().map(str::to_owned).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn any_split_means_the_same_and_passes_unchanged(
        events in prop_oneof![2 => events(), 1 => responses()],
        bom in prop::bool::ANY,
        end in line_ends(),
        cuts in vec(any::<Index>(), 0..30),
        held in prop::bool::ANY,
    ) {
        let text = if bom { "\u{feff}" } else { "" }.to_owned() + &events.concat();
        let text = text.replace('\n', end);
        let layer = if held { layer() } else { layer().hold(Duration::ZERO, 0) };
        let whole = observe(false, &layer, cut(text.as_bytes(), &[]));
        prop_assert_eq!(&whole.text, text.as_bytes());
        prop_assert!(whole.outcome.is_some());
        prop_assert_eq!(observe(false, &layer, cut(text.as_bytes(), &cuts)), whole);
    }

    #[test]
    fn any_split_with_the_usage_taken_out_lacks_just_that_event(
        events in events(),
        end in line_ends(),
        cuts in vec(any::<Index>(), 0..30),
    ) {
        let text = events.concat().replace('\n', end);
        let kept: Vec<String> =
            events.into_iter().filter(|event| event.trim_end() != USAGE.trim_end()).collect();
        let kept = kept.concat().replace('\n', end);
        let whole = observe(true, &layer(), cut(text.as_bytes(), &[]));
        prop_assert_eq!(&whole.text, kept.as_bytes());
        let frames = cut(text.as_bytes(), &cuts);
        prop_assert_eq!(observe(true, &layer(), frames), whole);
    }

    #[test]
    fn garbage_passes_unchanged(
        bytes in prop_oneof![
            vec(any::<u8>(), 0..300),
            "(data|event|: |\\{|\\}|\"error\"|\"usage\":|\\[DONE\\]|\"choices\":\\[|\r|\n){0,60}".prop_map(String::into_bytes),
        ],
        cuts in vec(any::<Index>(), 0..20),
        strips in prop::bool::ANY,
    ) {
        let known = observe(strips, &layer().event_limit(600), cut(&bytes, &cuts));
        prop_assert_eq!(known.text, bytes);
        prop_assert!(known.outcome.is_some());
    }

    #[test]
    fn a_stream_cut_off_anywhere_gets_a_verdict_and_all_its_bytes(
        events in events(),
        at in any::<Index>(),
        cuts in vec(any::<Index>(), 0..10),
    ) {
        let text = events.concat();
        let text = &text.as_bytes()[..at.index(text.len())];
        let mut parts = cut(text, &cuts);
        parts.push(Part::Fail);
        let known = observe(false, &layer().hold(Duration::ZERO, 0), parts);
        prop_assert_eq!(known.text, text);
        prop_assert!(known.failed && known.outcome.is_some());
    }
}
