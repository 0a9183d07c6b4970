//! Counting, here or on a thread of its own.

use std::sync::{Arc, atomic::AtomicBool};

use tower_aoai_core::{Call, RequestBody};

use crate::{
    judge::{Judgement, Question},
    layer::{Measure, Shared},
};

/// A call that has to be counted, with all that it takes.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) body: RequestBody,
    pub(crate) call: Call,
    pub(crate) measure: Measure,
    pub(crate) shared: Arc<Shared>,
}

impl Job {
    pub(crate) fn run(&self, cancelled: &AtomicBool) -> Judgement {
        let Measure { model, policy, .. } = &self.measure;
        let question = Question { body: &self.body, call: &self.call, model, policy };
        question.by_count(&*self.shared.counter, cancelled)
    }

    fn is_large(&self) -> bool {
        self.body.source().len() > self.shared.inline_up_to
    }
}

#[cfg(feature = "rt")]
mod apart {
    use std::{
        future::Future,
        pin::Pin,
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering::Relaxed},
        },
        task::{Context, Poll, ready},
    };

    use tokio::{runtime::Handle, task::JoinHandle};

    use super::Job;
    use crate::judge::Judgement;

    /// A count on one of tokio's threads for blocking work. Dropped, it stops at the next text.
    #[derive(Debug)]
    pub(crate) struct Counting {
        task: JoinHandle<Judgement>,
        cancelled: Arc<AtomicBool>,
    }

    impl Counting {
        /// `Err` if it is small, or there is no runtime: to be counted here.
        pub(crate) fn start(job: Box<Job>) -> Result<Self, Box<Job>> {
            let Some(runtime) = Handle::try_current().ok().filter(|_| job.is_large()) else {
                return Err(job);
            };
            let cancelled = Arc::new(AtomicBool::new(false));
            let seen = Arc::clone(&cancelled);
            Ok(Self { task: runtime.spawn_blocking(move || job.run(&seen)), cancelled })
        }
    }

    impl Future for Counting {
        type Output = Judgement;

        /// A count that was lost, to a runtime that ends or to a counter's panic, says nothing.
        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Judgement> {
            Poll::Ready(ready!(Pin::new(&mut self.task).poll(cx)).unwrap_or(Judgement::Unread))
        }
    }

    impl Drop for Counting {
        fn drop(&mut self) {
            self.cancelled.store(true, Relaxed);
            self.task.abort();
        }
    }
}

#[cfg(not(feature = "rt"))]
mod apart {
    use std::{
        convert::Infallible,
        future::Future,
        pin::Pin,
        task::{Context, Poll},
    };

    use super::Job;
    use crate::judge::Judgement;

    /// There is no runtime to count on.
    #[derive(Debug)]
    pub(crate) struct Counting(Infallible);

    impl Counting {
        pub(crate) fn start(job: Box<Job>) -> Result<Self, Box<Job>> {
            let _ = job.is_large();
            Err(job)
        }
    }

    impl Future for Counting {
        type Output = Judgement;

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Judgement> {
            match self.0 {}
        }
    }
}

pub(crate) use apart::Counting;
