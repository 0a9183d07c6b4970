//! When the next request may start.

use std::time::Duration;

use tokio::time::Instant;

/// How many at a time, in which groups, and until how many failures.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    /// Without one: the size of a group, or the default.
    pub(super) concurrency: Option<usize>,
    pub(super) groups: Option<Groups>,
    pub(super) stop_after: Option<usize>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Groups {
    pub(super) size: usize,
    pub(super) pause: Duration,
}

/// What was started and has ended, and what follows from it.
#[derive(Debug)]
pub(super) struct Pace {
    concurrency: usize,
    groups: Option<Groups>,
    stop_after: Option<usize>,
    in_flight: usize,
    failures: usize,
    started_in_group: usize,
    /// The group before has ended; the next one begins at this instant.
    resumes: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    Now,
    At(Instant),
    /// When one that is in flight has ended.
    Later,
    Never,
}

impl Pace {
    pub(super) fn new(settings: Settings, default_concurrency: usize) -> Self {
        let of_group = settings.groups.map(|groups| groups.size);
        Self {
            concurrency: settings.concurrency.or(of_group).unwrap_or(default_concurrency).max(1),
            groups: settings.groups,
            stop_after: settings.stop_after,
            in_flight: 0,
            failures: 0,
            started_in_group: 0,
            resumes: None,
        }
    }

    pub(super) const fn concurrency(&self) -> usize {
        self.concurrency
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop_after.is_some_and(|most| self.failures >= most)
    }

    pub(super) fn next(&self) -> Start {
        if self.is_stopped() {
            return Start::Never;
        }
        let group_is_full = self.groups.is_some_and(|groups| self.started_in_group >= groups.size.max(1));
        match self.resumes {
            Some(at) => Start::At(at),
            None if group_is_full || self.in_flight >= self.concurrency => Start::Later,
            None => Start::Now,
        }
    }

    pub(super) fn started(&mut self) {
        if self.resumes.take().is_some() {
            self.started_in_group = 0;
        }
        self.in_flight += 1;
        self.started_in_group += 1;
    }

    pub(super) fn ended(&mut self, now: Instant, is_failure: bool) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.failures += usize::from(is_failure);
        if let Some(groups) = self.groups
            && self.in_flight == 0
            && self.started_in_group >= groups.size.max(1)
        {
            // An instant that lies too far ahead to be told is one that nobody would live to see.
            self.resumes = now.checked_add(groups.pause).or(Some(now));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pace(concurrency: Option<usize>, group: Option<(usize, u64)>, stop_after: Option<usize>) -> Pace {
        let groups = group.map(|(size, pause)| Groups { size, pause: Duration::from_secs(pause) });
        Pace::new(Settings { concurrency, groups, stop_after }, 4)
    }

    #[tokio::test(start_paused = true)]
    async fn a_group_begins_its_pause_when_the_last_of_the_one_before_has_ended() {
        let start = Instant::now();
        let mut pace = pace(None, Some((2, 10)), None);
        for _ in 0..2 {
            assert_eq!(pace.next(), Start::Now);
            pace.started();
        }
        pace.ended(start, false);
        assert_eq!(pace.next(), Start::Later, "one of the group is in flight");
        let end = start + Duration::from_secs(3);
        pace.ended(end, false);
        assert_eq!(pace.next(), Start::At(end + Duration::from_secs(10)));
        pace.started();
        assert_eq!(pace.next(), Start::Now, "one of two is started");
    }

    #[tokio::test(start_paused = true)]
    async fn a_size_of_none_is_one() {
        let mut pace = pace(Some(0), Some((0, 0)), None);
        assert_eq!((pace.concurrency(), pace.next()), (1, Start::Now));
        pace.started();
        assert_eq!(pace.next(), Start::Later);
    }

    proptest! {
        #[test]
        fn never_more_in_flight_than_asked_and_none_after_the_last_failure_allowed(
            concurrency in 1_usize..6,
            group in proptest::option::of((1_usize..6, 0_u64..3)),
            stop_after in proptest::option::of(1_usize..8),
            ends in proptest::collection::vec((any::<bool>(), any::<bool>()), 0..80),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
            let _inside = runtime.as_ref().expect("a runtime").enter();
            let mut now = Instant::now();
            let mut pace = pace(Some(concurrency), group, stop_after);
            let (mut in_flight, mut failures) = (0_usize, 0_usize);
            for (wants_start, fails) in ends {
                if let Start::At(at) = pace.next() {
                    prop_assert_eq!(in_flight, 0, "a pause follows a whole group");
                    now = now.max(at);
                }
                if wants_start && matches!(pace.next(), Start::Now | Start::At(_)) {
                    prop_assert!(stop_after.is_none_or(|most| failures < most));
                    pace.started();
                    in_flight += 1;
                } else if in_flight > 0 {
                    pace.ended(now, fails);
                    in_flight -= 1;
                    failures += usize::from(fails);
                } else {
                    prop_assert!(!wants_start || pace.is_stopped(), "an idle pace lets one start");
                }
                prop_assert!(in_flight <= concurrency);
            }
        }
    }
}
