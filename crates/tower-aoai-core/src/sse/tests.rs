use proptest::{collection::vec, prelude::*, sample::select};

use super::*;

type Owned = (Option<Vec<u8>>, Vec<u8>, bool);

fn owned(event: Event<'_>) -> Owned {
    let name = event.name.map(<[u8]>::to_vec);
    (name, event.data.to_vec(), event.whole)
}

/// The events of a stream that comes in these frames, and where in the stream each block ended.
fn scan_to(limit: usize, frames: &[&[u8]]) -> (Vec<Owned>, Vec<usize>) {
    let mut scanner = SseScanner::new(limit);
    let (mut events, mut ends, mut before) = (Vec::new(), Vec::new(), 0);
    for frame in frames {
        let mut at = 0;
        while let Some(block) = scanner.next(frame, &mut at) {
            match block {
                Block::Event(event) => events.push(owned(event)),
                Block::Nothing => {}
                Block::Tail => {
                    ends.pop();
                }
            }
            ends.push(before + at);
        }
        assert_eq!(at, frame.len());
        before += frame.len();
    }
    events.extend(scanner.finish().map(owned));
    (events, ends)
}

fn scan(frames: &[&[u8]]) -> Vec<Owned> {
    scan_to(EVENT_LIMIT, frames).0
}

fn unnamed(data: &str) -> Owned {
    (None, data.as_bytes().to_vec(), true)
}

fn named(name: &str, data: &str) -> Owned {
    (Some(name.as_bytes().to_vec()), data.as_bytes().to_vec(), true)
}

#[test]
fn lines_end_with_lf_cr_lf_or_cr() {
    for end in ["\n", "\r\n", "\r"] {
        let stream = format!("data: a{end}{end}event: x{end}data: b{end}{end}");
        let events = [unnamed("a"), named("x", "b")];
        assert_eq!(scan(&[stream.as_bytes()]), events, "{end:?}");
    }
}

#[test]
fn comments_other_fields_and_empty_lines_are_no_events() {
    let stream = b": hello\n\n\n\nid: 7\nretry: 10\n\ndata: a\n: between\n\n";
    assert_eq!(scan(&[stream]), [unnamed("a")]);
}

#[test]
fn data_lines_are_joined_and_one_space_is_removed() {
    let stream = b"data:a\ndata:  b\ndata\ndata: c\n\n";
    assert_eq!(scan(&[stream]), [unnamed("a\n b\n\nc")]);
}

#[test]
fn a_byte_order_mark_is_ignored_only_at_the_start() {
    let stream = b"\xEF\xBB\xBFdata: a\n\n\xEF\xBB\xBFdata: b\n\ndata: c\n\n";
    assert_eq!(scan(&[stream]), [unnamed("a"), unnamed("c")]);
}

#[test]
fn a_name_without_data_is_no_event_and_does_not_stick() {
    assert_eq!(scan(&[b"event: x\n\ndata: a\n\n"]), [unnamed("a")]);
}

#[test]
fn an_event_cut_off_by_the_end_is_still_told() {
    assert_eq!(scan(&[b"data: a\n\nda", b"ta: [DONE]\n"]), [unnamed("a"), unnamed("[DONE]")]);
}

#[test]
fn an_event_inside_a_frame_is_lent_from_it() {
    let frame = b"event: x\ndata: abc\n\n";
    let mut scanner = SseScanner::new(EVENT_LIMIT);
    let Some(Block::Event(event)) = scanner.next(frame, &mut 0) else { unreachable!("the event is complete") };
    assert!(frame.as_ptr_range().contains(&event.data.as_ptr()));
}

#[test]
fn the_lf_of_a_cr_lf_may_come_in_the_next_frame() {
    let mut scanner = SseScanner::new(EVENT_LIMIT);
    let mut at = 0;
    let first = scanner.next(b"data: a\r\n\r", &mut at);
    assert!(matches!(first, Some(Block::Event(_))), "it is not waited for");
    let mut at = 0;
    assert_eq!(scanner.next(b"\ndata: b\n\n", &mut at), Some(Block::Tail));
    assert_eq!(at, 1);
}

#[test]
fn of_an_event_above_the_bound_the_beginning_is_told_however_it_comes() {
    let stream = format!("event: x\ndata: {}\n\ndata: b\n\n", "y".repeat(2000));
    let whole = scan_to(1000, &[stream.as_bytes()]).0;
    let bytes: Vec<&[u8]> = stream.as_bytes().chunks(1).collect();
    assert_eq!(scan_to(1000, &bytes).0, whole);
    let (name, data, is_whole) = &whole[0];
    assert_eq!(name.as_deref(), Some(&b"x"[..]));
    assert!(data.starts_with(b"yyy") && data.len() <= HEAD && !is_whole);
    assert_eq!(whole[1], unnamed("b"));
}

/// Pieces that streams are made of, and some that they should not be.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = select(vec![
        "data: {\"a\":1}",
        "data:",
        "data",
        "event: error",
        "event:x",
        ": ping",
        "id: 1",
        "\u{feff}",
        "\n",
        "\r\n",
        "\r",
        "\n\n",
        "\r\n\r\n",
        "\r\r",
        "data: [DONE]",
        "data: \u{1f980}ü",
        "data: \n\r",
        "  ",
        ":",
    ]);
    vec(piece, 0..60).prop_map(|pieces| pieces.concat().into_bytes())
}

fn split<'a>(stream: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
    cuts.extend([0, stream.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect()
}

proptest! {
    #[test]
    fn any_split_gives_the_same_events(
        stream in prop_oneof![pieces(), vec(any::<u8>(), 0..300)],
        cuts in vec(any::<prop::sample::Index>(), 0..40),
        limit in select(vec![HEAD, EVENT_LIMIT]),
    ) {
        let whole = scan_to(limit, &[&stream]);
        prop_assert_eq!(scan_to(limit, &split(&stream, &cuts)), whole);
    }
}
