//! Streams of server-sent events, written event by event as their time comes.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    Answer,
    chunks::{self, DONE},
    renderer::{Events, Renderer},
    responses,
};
use crate::{
    latency::{Times, later},
    request::Operation,
    script::StreamFault,
};

/// A stream being played: what comes next, and when.
#[derive(Debug)]
pub(crate) struct Playback {
    start: Instant,
    times: Times,
    opening: VecDeque<Bytes>,
    renderer: Renderer,
    content: u64,
    next: u64,
    /// Events without content, each with the number of the content event before which it comes.
    interludes: VecDeque<(u64, Bytes)>,
    closing: VecDeque<Bytes>,
    fault: Option<(u64, StreamFault)>,
    /// How many events have been handed over: those of Responses are numbered.
    sent: u64,
    /// Whether it is a stream of the Responses operation, whose errors are events of their own.
    responses: bool,
}

/// What a stream does next.
#[derive(Debug)]
pub(crate) enum Step {
    /// These bytes; the flag says whether they carry content.
    Event(Bytes, bool),
    /// The connection breaks.
    Cut,
    /// Nothing, ever.
    Stall,
    /// It is over.
    End,
}

impl Playback {
    pub(crate) fn new(
        answer: &Answer,
        include_usage: bool,
        start: Instant,
        times: Times,
        fault: Option<(u64, StreamFault)>,
    ) -> Self {
        let Events { opening, renderer, mut interludes, mut closing } = match answer.operation {
            Operation::Responses => responses::events(answer),
            _ => chunks::events(answer, include_usage),
        };
        if matches!(fault, Some((_, StreamFault::NoDone))) {
            closing.retain(|event| &event[..] != DONE);
        }
        if let Some((after, StreamFault::Malformed)) = fault {
            let at = interludes.partition_point(|(before, _)| *before <= after);
            let after = after.min(answer.completion_tokens());
            interludes.insert(at, (after, Bytes::from_static(MALFORMED)));
        }
        let fault = fault.filter(|(_, fault)| *fault != StreamFault::Malformed);
        let content = answer.completion_tokens();
        let responses = answer.operation == Operation::Responses;
        Self { start, times, opening, renderer, content, next: 0, interludes, closing, fault, sent: 0, responses }
    }

    /// A stream of exactly these frames, all there at once.
    pub(crate) fn raw(frames: impl IntoIterator<Item = Bytes>, start: Instant) -> Self {
        let times = Times { head: Duration::ZERO, first: Duration::ZERO, gap: Duration::ZERO };
        Self {
            start,
            times,
            opening: frames.into_iter().collect(),
            renderer: Renderer::Given(Vec::new()),
            content: 0,
            next: 0,
            interludes: VecDeque::new(),
            closing: VecDeque::new(),
            fault: None,
            sent: 0,
            responses: false,
        }
    }

    /// A stream that begins and never goes on.
    pub(crate) fn stalled(start: Instant) -> Self {
        Self { fault: Some((0, StreamFault::Stall)), ..Self::raw([], start) }
    }

    /// How many events with content have been handed over.
    pub(crate) fn delivered(&self) -> u64 {
        self.next
    }

    /// When the next step is due; asking does not take it.
    pub(crate) fn due(&self) -> Instant {
        let after = if !self.opening.is_empty() {
            self.times.head
        } else if let Some(before) = self.interlude() {
            // With what came before it.
            self.times.last(before / self.renderer.choices())
        } else if self.next < self.content {
            self.times.token(self.next / self.renderer.choices())
        } else {
            self.times.last(self.content / self.renderer.choices())
        };
        later(self.start, after)
    }

    /// The number of the content event before which an interlude comes now, if one does.
    fn interlude(&self) -> Option<u64> {
        let (before, _) = self.interludes.front()?;
        (*before <= self.next).then_some(*before)
    }

    /// What an error inside this stream looks like.
    fn error(&self) -> Bytes {
        if self.responses {
            let number = self.sent;
            return format!("{RESPONSES_ERROR}{number}}}\n\n").into();
        }
        Bytes::from_static(ERROR)
    }

    /// Takes the next step.
    pub(crate) fn step(&mut self) -> Step {
        let step = self.next_step();
        self.sent += u64::from(matches!(step, Step::Event(..)));
        step
    }

    fn next_step(&mut self) -> Step {
        if let Some(event) = self.opening.pop_front() {
            return Step::Event(event, false);
        }
        if let Some((after, fault)) = self.fault
            && (self.next >= after || (self.next == self.content && fault != StreamFault::NoDone))
        {
            return match fault {
                StreamFault::Cut => Step::Cut,
                StreamFault::Stall => Step::Stall,
                // A malformed event is an interlude, and no end.
                StreamFault::End | StreamFault::NoDone | StreamFault::Malformed => self.finish(),
                StreamFault::Error => {
                    // One event, then as if it were complete.
                    self.fault = Some((0, StreamFault::End));
                    Step::Event(self.error(), false)
                }
            };
        }
        if self.interlude().is_some()
            && let Some((_, event)) = self.interludes.pop_front()
        {
            return Step::Event(event, false);
        }
        if self.next < self.content {
            let event = self.renderer.event(self.next);
            self.next += 1;
            return Step::Event(event, true);
        }
        self.closing.pop_front().map_or(Step::End, |event| Step::Event(event, false))
    }

    /// Whether nothing is left, without taking a step.
    pub(crate) fn is_over(&self) -> bool {
        let played = self.opening.is_empty() && self.next >= self.content;
        played
            && self.interludes.is_empty()
            && self.closing.is_empty()
            && self.fault.is_none_or(|(_, fault)| fault == StreamFault::NoDone)
    }

    fn finish(&mut self) -> Step {
        self.closing.clear();
        self.interludes.clear();
        self.content = self.next;
        self.fault = None;
        Step::End
    }
}

/// An event that is no JSON, in either kind of stream.
const MALFORMED: &[u8] = b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\n\n";
/// An error inside a stream of chat chunks: no event name, an `error` member.
const ERROR: &[u8] = b"data: {\"error\":{\"message\":\"The server had an error while processing your request. Sorry about that!\",\"type\":\"server_error\",\"param\":null,\"code\":null}}\n\n";
/// The same in a stream of the Responses operation.
const RESPONSES_ERROR: &str = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"server_error\",\"code\":\"server_error\",\"message\":\"The server had an error while processing your request. Sorry about that!\",\"param\":null},\"sequence_number\":";
