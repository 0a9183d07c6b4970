//! The part of a call in what is kept and shared.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, response::Parts};
use parking_lot::Mutex;
use tokio::time::Instant;
use tower_aoai_core::{Error, Timeout};

use super::{
    OnFailure,
    key::Key,
    layer::Settings,
    lead::{Lead, News},
    store::{Answer, Store},
};
use crate::answer::again;

/// Of an answer that is kept only what describes its body is told again: quota and identity were another call's.
const KEPT_HEADERS: [HeaderName; 3] = [header::CONTENT_TYPE, header::CONTENT_ENCODING, header::CONTENT_LANGUAGE];

/// A call whose answer may be kept.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) settings: Arc<Settings>,
    store: Arc<Mutex<Store>>,
    key: Arc<Key>,
    generation: u64,
    lead: Option<Lead>,
}

/// Whether an answer is one that may be kept, by its head.
pub(super) fn is_kept(head: &Parts) -> bool {
    let kind = head.headers.get(header::CONTENT_TYPE).map_or(&b""[..], |kind| kind.as_bytes());
    let stream = b"text/event-stream";
    head.status == StatusCode::OK && !kind.get(..stream.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(stream))
}

impl Part {
    pub(super) const fn new(
        store: Arc<Mutex<Store>>,
        key: Arc<Key>,
        settings: Arc<Settings>,
        generation: u64,
        lead: Option<Lead>,
    ) -> Self {
        Self { settings, store, key, generation, lead }
    }

    /// The answer of the call that this one followed, or `None` if this one is to be sent; no news is that its
    /// patience, or its time, has run out.
    pub(super) fn hear(
        &mut self,
        news: Option<News>,
        now: Instant,
        deadline: Option<Instant>,
    ) -> Result<Option<Answer>, Error> {
        let result = match news {
            Some(News::Answered(answer)) => Ok(Some(answer)),
            Some(News::Failed(error)) => Err(again(&error)),
            None if deadline.is_some_and(|deadline| deadline <= now) => return Err(Timeout::Deadline.into()),
            Some(News::Lead(lead)) => {
                self.lead = Some(lead);
                Ok(None)
            }
            Some(News::Send) | None => Ok(None),
        };
        let mut store = self.store.lock();
        match result {
            Ok(None) => store.counts.misses += 1,
            Ok(Some(_)) | Err(_) => store.counts.shared += 1,
        }
        result
    }

    /// Keeps a whole answer, if it is one to be kept, and hands it to those who follow.
    pub(super) fn answered(&mut self, head: &Parts, body: &Bytes) {
        let (status, body) = (head.status, body.clone());
        let lead = self.lead.take();
        if !is_kept(head) {
            self.store.lock().counts.unfit += 1;
            if let Some(lead) = lead {
                // What it says of waiting is for those who follow, too.
                lead.share(&Answer { status, headers: head.headers.clone(), body });
            }
            return;
        }
        // Copied, as the body is below.
        let described = |name: &HeaderName| {
            let value = HeaderValue::from_bytes(head.headers.get(name)?.as_bytes()).ok()?;
            Some((name.clone(), value))
        };
        let headers: HeaderMap = KEPT_HEADERS.iter().filter_map(described).collect();
        let answer = Answer { status, headers, body };
        // Copied before the lock: a slice would keep all of the buffer that it was read into.
        let own = Answer { body: Bytes::copy_from_slice(&answer.body), ..answer.clone() };
        let key = Arc::new(self.key.detached());
        self.store.lock().keep(key, own, self.generation, Instant::now());
        if let Some(lead) = lead {
            lead.share(&answer);
        }
    }

    /// There is an answer that is neither kept nor shared.
    pub(super) fn unfit(&mut self) {
        self.store.lock().counts.unfit += 1;
        if let Some(lead) = self.lead.take() {
            lead.release();
        }
    }

    /// Whether an answer that is not kept is one for others, too.
    pub(super) fn shares_failures(&self) -> bool {
        self.settings.on_failure == OnFailure::Share && self.lead.is_some()
    }

    /// The error, told to those who follow if they are to have it.
    pub(super) fn failed(&mut self, error: Error) -> Error {
        let Some(lead) = self.lead.take() else {
            return error;
        };
        if self.settings.on_failure != OnFailure::Share {
            lead.release();
            return error;
        }
        let error = Arc::new(error);
        lead.fail(&error);
        Arc::try_unwrap(error).unwrap_or_else(|shared| again(&shared))
    }
}
