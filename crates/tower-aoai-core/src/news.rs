//! What is told to whoever listens.

use std::fmt;

use tokio::sync::broadcast::{
    self,
    error::{RecvError, TryRecvError},
};

/// Tells each listener each message. Never waits for any of them: who is too slow misses the oldest, and is told how many.
///
/// ```
/// use tower_aoai_core::News;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let news = News::new(2);
/// let mut listener = news.listen();
/// (1..=5).for_each(|number| news.tell(number));
/// assert_eq!((listener.next().await, listener.try_next()), (Some(4), Some(5)));
/// assert_eq!(listener.missed(), 3);
///
/// drop(news);
/// assert_eq!(listener.next().await, None);
/// # }
/// ```
#[derive(Clone)]
pub struct News<T> {
    channel: broadcast::Sender<T>,
}

/// What is told from when this was made, as it comes. See [`News`].
pub struct Listener<T> {
    channel: broadcast::Receiver<T>,
    missed: u64,
}

impl<T: Clone> News<T> {
    /// So many messages, rounded up to a power of two and at least one, wait for a slow listener.
    #[must_use]
    pub fn new(kept: usize) -> Self {
        Self { channel: broadcast::Sender::new(kept.clamp(1, usize::MAX / 2)) }
    }

    /// Tells all who listen now; nobody may.
    pub fn tell(&self, message: T) {
        let _ = self.channel.send(message);
    }

    /// Listens from now on.
    #[must_use]
    pub fn listen(&self) -> Listener<T> {
        Listener { channel: self.channel.subscribe(), missed: 0 }
    }
}

impl<T: Clone> Listener<T> {
    /// Waits for the next one; `None` when all who could tell any are gone.
    ///
    /// # Cancellation
    ///
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<T> {
        loop {
            match self.channel.recv().await {
                Ok(message) => return Some(message),
                Err(RecvError::Lagged(missed)) => self.missed = self.missed.saturating_add(missed),
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// The next one, if there is one now.
    pub fn try_next(&mut self) -> Option<T> {
        loop {
            match self.channel.try_recv() {
                Ok(message) => return Some(message),
                Err(TryRecvError::Lagged(missed)) => self.missed = self.missed.saturating_add(missed),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return None,
            }
        }
    }
}

impl<T> Listener<T> {
    /// How many went by before they were taken.
    #[must_use]
    pub const fn missed(&self) -> u64 {
        self.missed
    }
}

impl<T> fmt::Debug for News<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("News").field("listeners", &self.channel.receiver_count()).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Listener<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("missed", &self.missed).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_listener_has_all_from_when_it_came_and_who_is_slow_knows_what_it_missed() {
        let news = News::new(4);
        news.tell(0);
        let (mut quick, mut slow) = (news.listen(), news.listen());
        assert_eq!(quick.try_next(), None, "it came later");
        for number in 1..=10 {
            news.tell(number);
            assert_eq!(quick.next().await, Some(number));
        }
        let late = news.listen();
        drop(news);
        for number in 7..=10 {
            assert_eq!(slow.try_next(), Some(number));
        }
        assert_eq!((slow.next().await, slow.try_next()), (None, None));
        assert_eq!([quick.missed(), slow.missed(), late.missed()], [0, 6, 0]);
    }

    #[test]
    fn none_kept_is_one_kept() {
        let news = News::new(0);
        let mut listener = news.listen();
        news.tell("a");
        news.tell("b");
        assert_eq!((listener.try_next(), listener.missed()), (Some("b"), 1));
    }
}
