//! Who sends for others, and who follows.

use std::{
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use parking_lot::Mutex;
use tokio::sync::oneshot::Receiver;
use tower_aoai_core::Error;

use super::{
    key::Key,
    store::{Answer, Store},
};

/// What those who follow are told.
#[derive(Debug)]
pub(super) enum News {
    Answered(Answer),
    /// The call failed, and theirs with it.
    Failed(Arc<Error>),
    /// The call failed, or its answer cannot be shared: each sends for itself.
    Send,
    /// Who led went away: lead.
    Lead(Lead),
}

/// The duty to tell those who follow. Dropped undone, it passes to the eldest of them.
#[derive(Debug)]
pub(super) struct Lead {
    store: Arc<Mutex<Store>>,
    key: Arc<Key>,
    is_done: bool,
}

/// The wait for the news. Dropped, it is forgotten.
#[derive(Debug)]
pub(super) struct Follower {
    store: Arc<Mutex<Store>>,
    key: Arc<Key>,
    news: Receiver<News>,
}

impl Lead {
    pub(super) const fn new(store: Arc<Mutex<Store>>, key: Arc<Key>) -> Self {
        Self { store, key, is_done: false }
    }

    /// Hands an answer to those who follow.
    pub(super) fn share(self, answer: &Answer) {
        self.tell(|| News::Answered(answer.clone()));
    }

    /// Fails those who follow.
    pub(super) fn fail(self, error: &Arc<Error>) {
        self.tell(|| News::Failed(Arc::clone(error)));
    }

    /// Lets each of those who follow send for itself.
    pub(super) fn release(self) {
        self.tell(|| News::Send);
    }

    fn tell(mut self, news: impl Fn() -> News) {
        self.is_done = true;
        let followers = self.store.lock().land(&self.key);
        for follower in followers {
            // Who went away need not be told.
            let _ = follower.send(news());
        }
    }

    /// The eldest of those who follow, no longer among them.
    fn heir(&self) -> Option<tokio::sync::oneshot::Sender<News>> {
        self.store.lock().heir(&self.key)
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        if mem::replace(&mut self.is_done, true) {
            return;
        }
        while let Some(heir) = self.heir() {
            let lead = Self::new(Arc::clone(&self.store), Arc::clone(&self.key));
            match heir.send(News::Lead(lead)) {
                // They have just gone away: the next one.
                Err(News::Lead(mut unsent)) => unsent.is_done = true,
                Ok(()) | Err(_) => return,
            }
        }
    }
}

impl Follower {
    pub(super) const fn new(store: Arc<Mutex<Store>>, key: Arc<Key>, news: Receiver<News>) -> Self {
        Self { store, key, news }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<News>> {
        Pin::new(&mut self.news).poll(cx).map(Result::ok)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // A lead that has come already goes on to the next when `news` is dropped, after this, and not under the lock.
        self.news.close();
        self.store.lock().forget_closed(&self.key);
    }
}
