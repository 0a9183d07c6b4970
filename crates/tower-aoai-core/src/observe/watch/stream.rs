//! A streamed answer.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use http_body::Frame;

use super::{CutShort, News, Passing, Witness};
use crate::{
    Error, Outcome, Verdict,
    sse::{Block, Event, SseScanner},
    stream_event::{self, Meaning, StreamEvent},
};

/// Reads the events of a stream as its frames pass and, if asked to, takes the extra usage event out.
#[derive(Debug)]
pub(in crate::observe) struct StreamWatch {
    scanner: SseScanner,
    reading: Reading,
    strips: bool,
    /// The block before was taken out, and with it goes what is left of its line end.
    stripped: bool,
    /// The beginning of an event that may have to be taken out.
    withheld: BytesMut,
}

/// What the events said so far.
#[derive(Debug, Default)]
struct Reading {
    /// More than preamble has come.
    begun: bool,
    /// Output has come.
    content: bool,
    /// A shape that is known has come: then the end will be known, too.
    known: bool,
    /// An event of the kind after which nothing comes.
    done: bool,
    /// The model was noted.
    model: bool,
    /// What it has meant if nothing more comes: a choice is complete, or the server failed without saying why.
    so_far: Option<Verdict>,
}

impl StreamWatch {
    pub(in crate::observe) fn new(event_limit: usize, strips: bool) -> Self {
        Self {
            scanner: SseScanner::new(event_limit),
            reading: Reading::default(),
            strips,
            stripped: false,
            withheld: BytesMut::new(),
        }
    }

    pub(super) fn content(&self) -> bool {
        self.reading.content
    }

    pub(super) fn is_preamble(&self) -> bool {
        !self.reading.begun
    }

    pub(super) fn strips(&self) -> bool {
        self.strips && !self.reading.done
    }

    pub(super) fn so_far(&self) -> Option<Verdict> {
        self.reading.so_far
    }

    pub(super) fn withheld(&self) -> usize {
        self.withheld.len()
    }

    /// Reads a frame that passes as it is.
    pub(super) fn scan(&mut self, frame: &[u8], witness: &Witness, news: &mut News) {
        let mut at = 0;
        while !self.reading.done
            && let Some(block) = self.scanner.next(frame, &mut at)
        {
            if let Block::Event(event) = block {
                self.reading.event(&event, witness, news);
            }
        }
        news.if_dropped = self.reading.so_far;
    }

    /// Reads a frame and puts what remains of it into `out`; the end of the frame is withheld until its event is
    /// complete, or too large to be what is looked for.
    pub(super) fn strip(&mut self, frame: &Bytes, witness: &Witness, out: &mut VecDeque<Passing>) {
        let mut news = News::default();
        let mut at = 0;
        // Of the frame: what may be handed on begins at `from`, and ends for certain at `to`.
        let (mut from, mut to) = (0, 0);
        while !self.reading.done
            && let Some(block) = self.scanner.next(frame, &mut at)
        {
            self.stripped = match block {
                Block::Event(event) => self.reading.event(&event, witness, &mut news),
                Block::Nothing => false,
                Block::Tail => self.stripped,
            };
            if self.stripped {
                self.withheld.clear();
                push(out, frame.slice(from..to));
                from = at;
            } else {
                push(out, self.withheld.split().freeze());
            }
            to = at;
        }
        if self.reading.done || self.scanner.is_oversized() {
            push(out, self.withheld.split().freeze());
            to = frame.len();
        }
        push(out, frame.slice(from..to));
        self.withheld.extend_from_slice(&frame[to..]);
        news.if_dropped = self.reading.so_far;
        if let Some(last) = out.back_mut() {
            last.news.add(news);
        }
    }

    /// No more data comes: reads the event that was under way, and lets go of what is withheld.
    pub(super) fn flush(&mut self, witness: &Witness, out: &mut VecDeque<Passing>) -> News {
        let mut news = News::default();
        if !self.reading.done
            && let Some(event) = self.scanner.finish()
            && self.reading.event(&event, witness, &mut news)
            && self.strips
        {
            self.withheld.clear();
        }
        push(out, self.withheld.split().freeze());
        news.if_dropped = self.reading.so_far;
        news
    }

    /// What the stream has meant, now that it ended.
    pub(super) fn verdict_at_end(&self, witness: &Witness) -> Verdict {
        if let Some(verdict) = self.reading.so_far {
            return verdict;
        }
        if self.reading.content && !self.reading.known {
            // Events of a kind that is not known here: nor is how they end.
            return Outcome::Success.into();
        }
        let error = Error::Transport(CutShort.into());
        witness.judge_failure(&error, self.reading.content)
    }
}

fn push(out: &mut VecDeque<Passing>, data: Bytes) {
    if !data.is_empty() {
        out.push_back(Passing { frame: Frame::data(data), news: News::default() });
    }
}

impl Reading {
    /// Takes an event; `true` if it is the extra one with the usage.
    fn event(&mut self, event: &Event<'_>, witness: &Witness, news: &mut News) -> bool {
        let StreamEvent { meaning, usage, model, service_tier, known } = stream_event::read(event, !self.content);
        self.known |= known;
        let attempt = witness.attempt();
        if let Some(usage) = usage {
            attempt.note_usage(usage);
        }
        if let Some(model) = model.filter(|_| !self.model) {
            self.model = true;
            attempt.note_model(model.into());
        }
        if let Some(tier) = service_tier.filter(|tier| attempt.service_tier().as_deref() != Some(tier)) {
            attempt.note_service_tier(tier.into());
        }
        self.begun |= match &meaning {
            Meaning::Preamble => false,
            Meaning::Error(error) => !error.is_silent(),
            _ => true,
        };
        let success = Some(Outcome::Success.into());
        match meaning {
            Meaning::Preamble | Meaning::Structure => {}
            Meaning::Usage => return true,
            Meaning::Content => {
                self.content(news);
                // Of another choice than the one that finished.
                self.so_far = self.so_far.filter(|so_far| Some(*so_far) != success);
            }
            Meaning::Finish { content } => {
                if content {
                    self.content(news);
                }
                self.so_far = self.so_far.or(success);
            }
            Meaning::Done => {
                self.done = true;
                news.end = news.end.or(self.so_far).or(success);
            }
            Meaning::Error(error) => {
                news.early |= !self.content;
                let verdict = witness.judge_stream_error(error.as_stream_error(), self.content);
                if error.is_silent() {
                    // The reason may follow in an event of its own.
                    self.so_far = Some(verdict);
                } else {
                    news.end = news.end.or(Some(verdict));
                }
            }
        }
        false
    }

    fn content(&mut self, news: &mut News) {
        self.content = true;
        news.content = true;
        news.events += 1;
    }
}
