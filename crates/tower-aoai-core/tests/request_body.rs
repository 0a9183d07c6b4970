//! A rewritten body is the source with its edits spliced in, and nothing else.

mod support;

use std::{
    ops::Range,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{HeaderMap, Uri};
use http_body::Body;
use http_body_util::{Empty, Full};
use proptest::{collection::vec, prelude::*, sample::Index};
use serde_json::Value;
use support::{object, parsed};
use tower_aoai_core::{Call, EditError, Replay, RequestBody, replay_with};

fn frame(body: &mut RequestBody) -> Option<Bytes> {
    match Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(frame) => frame.map(|frame| match frame {
            Ok(frame) => frame.into_data().expect("data only"),
            Err(never) => match never {},
        }),
        Poll::Pending => panic!("a body in memory is never pending"),
    }
}

/// All frames; each is something, and the size is exact before each.
fn sent(body: &mut RequestBody) -> Vec<u8> {
    let mut sent = Vec::new();
    let mut left = body.len();
    loop {
        assert_eq!(body.size_hint().exact(), Some(left as u64));
        assert_eq!(body.is_end_stream(), left == 0);
        let Some(frame) = frame(body) else { break };
        assert!(!frame.is_empty());
        left -= frame.len();
        sent.extend_from_slice(&frame);
    }
    assert_eq!(left, 0);
    assert!(frame(body).is_none());
    sent
}

/// The same rules, said naively.
#[derive(Default)]
struct Model(Vec<(Range<usize>, Vec<u8>)>);

impl Model {
    fn put(&mut self, span: Range<usize>, with: Vec<u8>) -> bool {
        if let Some(same) = self.0.iter_mut().find(|(old, _)| *old == span && !span.is_empty()) {
            same.1 = with;
            return true;
        }
        let touches = |old: &Range<usize>| old.start < span.end && span.start < old.end;
        let free = !self.0.iter().any(|(old, _)| touches(old));
        if free {
            self.0.push((span, with));
        }
        free
    }

    fn spliced(&self, source: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut skipped = 0;
        for at in 0..=source.len() {
            let here = |empty| move |(span, _): &&(Range<usize>, _)| span.start == at && span.is_empty() == empty;
            for (_, with) in self.0.iter().filter(here(true)) {
                out.extend_from_slice(with);
            }
            if let Some((span, with)) = self.0.iter().find(here(false)) {
                out.extend_from_slice(with);
                skipped = span.end;
            }
            if at >= skipped {
                out.extend(source.get(at));
            }
        }
        out
    }
}

proptest! {
    #[test]
    fn edits_are_splices(
        source in vec(any::<u8>(), 0..40),
        edits in vec((any::<Index>(), 0..6_usize, vec(any::<u8>(), 0..5)), 0..12),
    ) {
        let mut body = RequestBody::from(source.clone());
        let mut model = Model::default();
        for (start, length, with) in edits {
            let start = start.index(source.len() + 1);
            let span = start..start + length;
            if span.end > source.len() {
                prop_assert_eq!(body.replace(span, with), Err(EditError::OutOfRange));
                continue;
            }
            let before = body.clone();
            let done = body.replace(span.clone(), with.clone());
            prop_assert_eq!(done.is_ok(), model.put(span, with));
            if done.is_err() {
                prop_assert_eq!(done, Err(EditError::Overlap));
                prop_assert_eq!(body.to_bytes(), before.to_bytes());
            }
            prop_assert_eq!(&body.to_bytes()[..], &model.spliced(&source)[..]);
        }
        let expected = model.spliced(&source);
        prop_assert_eq!(body.len(), expected.len());
        prop_assert_eq!(body.source(), &source);
        prop_assert_eq!(&sent(&mut body.clone()), &expected);
        prop_assert_eq!(sent(&mut body), expected);
    }

    #[test]
    fn a_clone_starts_at_the_beginning(at in 0..4_usize, polls in 0..6_usize) {
        let mut body = RequestBody::from("abcd");
        body.replace(at..at + 1, "xyz").unwrap();
        let whole = body.to_bytes();
        for _ in 0..polls {
            frame(&mut body);
        }
        prop_assert_eq!(&body.to_bytes(), &whole);
        prop_assert_eq!(&sent(&mut body.try_clone().unwrap()), &whole);
        prop_assert_eq!(sent(&mut body.clone()), whole);
    }

    #[test]
    fn a_rewritten_object_is_one_and_otherwise_the_same(text in object()) {
        let call = Call::read(&Uri::from_static("/v1/chat/completions"), &HeaderMap::new(), text.as_bytes());
        let spans = &call.spans;
        let mut body = RequestBody::from(text.clone());
        let mut server = parsed(text.as_bytes());
        let mut model = Model::default();
        for (key, span, with) in [
            ("model", &spans.model, r#""other""#),
            ("stream_options", &spans.stream_options, r#"{"include_usage":true}"#),
        ] {
            server[key] = serde_json::from_str(with).unwrap();
            if let Some(span) = span.clone() {
                body.replace(span.clone(), with).unwrap();
                model.put(span, with.into());
            } else {
                body.add_member(spans, key, with).unwrap();
            }
        }
        body.add_member(spans, "\"new\"\n", " [1] ").unwrap();
        server["\"new\"\n"] = Value::from(vec![1]);
        prop_assert_eq!(parsed(&body.to_bytes()), server);

        let edited = body.to_bytes();
        let rest = model.spliced(text.as_bytes()).split_off(spans.first_member.unwrap());
        prop_assert!(edited.ends_with(&rest));
    }
}

#[test]
fn two_members_may_be_added_to_an_empty_object() {
    for (source, expected) in [
        ("{}", r#"{"a":1,"b":2,"c":3}"#),
        (" { } ", r#" {"a":1,"b":2,"c":3 } "#),
        (r#"{"x":0}"#, r#"{"a":1,"b":2,"c":3,"x":0}"#),
    ] {
        let call = Call::read(&Uri::from_static("/"), &HeaderMap::new(), source.as_bytes());
        let mut body = RequestBody::from(source);
        for (key, value) in [("a", "1"), ("b", "2"), ("c", "3")] {
            body.add_member(&call.spans, key, value).unwrap();
        }
        assert_eq!(body.to_bytes(), expected);
    }
}

#[test]
fn a_member_that_cannot_be_added_changes_nothing() {
    let call = Call::read(&Uri::from_static("/"), &HeaderMap::new(), b"{}");
    let mut body = RequestBody::from("{}");
    assert_eq!(body.add_member(&call.spans, "a", "1,"), Err(EditError::NotJson));
    assert_eq!(body.add_member(&Call::default().spans, "a", "1"), Err(EditError::NoObject));
    let elsewhere = Call::read(&Uri::from_static("/"), &HeaderMap::new(), b"    {}");
    assert_eq!(body.add_member(&elsewhere.spans, "a", "1"), Err(EditError::OutOfRange));
    assert_eq!(body.to_bytes(), "{}");
}

#[test]
fn a_body_that_is_being_sent_stays_as_it_is() {
    let mut body = RequestBody::from("abc");
    frame(&mut body);
    assert_eq!(body.replace(0..1, "x"), Err(EditError::Started));
    assert!(body.clone().replace(0..1, "x").is_ok());
}

#[test]
fn nothing_is_copied_that_is_not_replaced() {
    let source = Bytes::from(vec![b'x'; 1000]);
    let mut body = RequestBody::from(source.clone());
    assert_eq!(body.to_bytes().as_ptr(), source.as_ptr());
    body.replace(10..20, "y").unwrap();
    let mut frames = std::iter::from_fn(|| frame(&mut body));
    assert_eq!(frames.next().unwrap().as_ptr(), source.as_ptr());
    assert_eq!(frames.nth(1).unwrap().as_ptr(), source[20..].as_ptr());
}

#[test]
fn no_text_of_the_body_is_in_its_debug() {
    let mut body = RequestBody::from("a secret");
    body.replace(0..1, "another").unwrap();
    let shown = format!("{body:?}");
    assert!(!shown.contains("secret") && !shown.contains("another"), "{shown}");
}

#[test]
fn bodies_become_one_another() {
    let bytes = Bytes::from_static(b"abc");
    assert_eq!(RequestBody::from(Full::new(bytes.clone())).to_bytes().as_ptr(), bytes.as_ptr());
    assert_eq!(RequestBody::from("abc".to_owned()).to_bytes(), "abc");
    assert_eq!(RequestBody::from(&b"abc"[..]).len(), 3);
    assert!(RequestBody::from(Empty::new()).is_empty());
    assert!(RequestBody::from(Full::default()).is_end_stream());
}

#[test]
fn a_body_is_replayed_by_a_function_until_it_is_polled() {
    let once = replay_with(RequestBody::from("abc"), |_| None);
    assert!(once.try_clone().is_none());

    let mut body = replay_with(RequestBody::from("abc"), Replay::try_clone);
    let again = body.try_clone().unwrap();
    assert_eq!(again.size_hint().exact(), Some(3));
    assert!(!again.is_end_stream());
    let polled = Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(polled, Poll::Ready(Some(Ok(_)))));
    assert!(body.try_clone().is_none());
    assert!(again.try_clone().is_some());
}
