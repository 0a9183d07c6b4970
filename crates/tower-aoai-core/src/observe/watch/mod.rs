//! What a body is watched for as it passes.

mod json;
mod stream;

use std::{collections::VecDeque, fmt};

use bytes::Bytes;
use http_body::Frame;

pub(super) use self::{json::JsonWatch, stream::StreamWatch};
use super::witness::{News, Witness};
use crate::{Error, Outcome};

/// A frame to hand on, and what handing it on makes known.
#[derive(Debug)]
pub(super) struct Passing {
    pub(super) frame: Frame<Bytes>,
    pub(super) news: News,
}

/// How a body is watched.
#[derive(Debug)]
pub(super) enum Watch {
    /// Not at all: the verdict stands, or nobody wants one.
    Off,
    /// For its end.
    End {
        /// Data was handed on.
        content: bool,
    },
    /// As JSON.
    Json(Box<JsonWatch>),
    /// As a stream of events.
    Stream(Box<StreamWatch>),
}

impl Watch {
    /// A frame came. Returned if it can be handed on at once; else what can be is put into `out`.
    pub(super) fn frame(
        &mut self,
        frame: Frame<Bytes>,
        witness: &Witness,
        out: &mut VecDeque<Passing>,
    ) -> Option<Passing> {
        let mut news = News::default();
        let frame = match frame.into_data() {
            Err(other) => {
                if let Self::Stream(watch) = self {
                    news = watch.flush(witness, out);
                }
                other
            }
            Ok(data) => {
                match self {
                    Self::Off => {}
                    Self::End { content } => {
                        news.content = !data.is_empty();
                        *content |= news.content;
                    }
                    Self::Json(watch) => watch.scan(&data, witness, &mut news),
                    Self::Stream(watch) if watch.strips() => {
                        watch.strip(&data, witness, out);
                        return None;
                    }
                    Self::Stream(watch) => watch.scan(&data, witness, &mut news),
                }
                Frame::data(data)
            }
        };
        let passing = Passing { frame, news };
        if out.is_empty() {
            return Some(passing);
        }
        out.push_back(passing);
        None
    }

    /// The body ended as HTTP sees it: what has it meant? What was withheld is put into `out`.
    pub(super) fn end(&mut self, witness: &Witness, out: &mut VecDeque<Passing>) -> News {
        let mut news = News::default();
        let verdict = match self {
            Self::Off => return news,
            Self::End { .. } => Outcome::Success.into(),
            Self::Json(watch) => watch.verdict().unwrap_or(Outcome::Success.into()),
            Self::Stream(watch) => {
                news = watch.flush(witness, out);
                news.early |= !watch.content();
                watch.verdict_at_end(witness)
            }
        };
        news.early &= verdict.outcome != Outcome::Success;
        news.end = news.end.or(Some(verdict));
        news
    }

    /// The body failed: what has it meant? What was withheld is put into `out`.
    pub(super) fn failed(&mut self, error: &Error, witness: &Witness, out: &mut VecDeque<Passing>) -> News {
        let mut news = News::default();
        let (content, said) = match self {
            Self::Off => return news,
            Self::End { content } => (*content, None),
            Self::Json(watch) => (watch.content(), watch.verdict()),
            Self::Stream(watch) => {
                news = watch.flush(witness, out);
                (watch.content(), watch.so_far())
            }
        };
        let verdict = said
            .filter(|verdict| verdict.outcome != Outcome::Success)
            .unwrap_or_else(|| witness.judge_failure(error, content));
        news.early |= !content;
        news.end = news.end.or(Some(verdict));
        news
    }

    /// Whether nothing but preamble has come: the head may still be held.
    pub(super) fn is_preamble(&self) -> bool {
        matches!(self, Self::Stream(watch) if watch.is_preamble())
    }

    /// Bytes that came and are not handed on yet, because their event is not complete.
    pub(super) fn withheld(&self) -> usize {
        match self {
            Self::Stream(watch) => watch.withheld(),
            _ => 0,
        }
    }

    /// Whether bytes may be taken out.
    pub(super) fn strips(&self) -> bool {
        matches!(self, Self::Stream(watch) if watch.strips())
    }
}

/// A stream ended, properly as HTTP sees it, in the middle of its answer.
#[derive(Debug)]
struct CutShort;

impl fmt::Display for CutShort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the stream ended before its answer was complete")
    }
}

impl std::error::Error for CutShort {}
