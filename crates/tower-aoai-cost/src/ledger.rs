//! What was spent, by tags and by hour, day and month: a pure state machine in bounded memory.

use std::collections::BTreeMap;

use foldhash::{HashMap, HashMapExt};

use crate::{
    Period, Span, Spend, Tag, Tags,
    query::Query,
    tags::{Key, Names, OTHERS, TAGS},
};

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Values of each tag.
    pub(crate) values: usize,
    /// Rows in all: one for each combination of values in each hour, day, month, and in all.
    pub(crate) rows: usize,
    /// Hours, days and months.
    pub(crate) spans: [usize; 3],
}

impl Default for Bounds {
    fn default() -> Self {
        Self { values: 1_000, rows: 100_000, spans: [48, 62, 24] }
    }
}

/// What one booking adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: Key,
    pub(crate) spend: Spend,
}

type Rows = HashMap<Key, Spend>;

/// The books.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    names: Names,
    /// By period, then by the span's start in seconds.
    grains: [BTreeMap<u64, Rows>; 4],
    rows: usize,
    bounds: Bounds,
    /// Bookings whose values found no row of their own.
    pub(crate) folded: u64,
}

impl Ledger {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self { names: Names::new(bounds.values), grains: Default::default(), rows: 0, bounds, folded: 0 }
    }

    pub(crate) fn set_bounds(&mut self, bounds: Bounds) {
        self.bounds = bounds;
        self.names.set_most(bounds.values);
        for (place, most) in bounds.spans.into_iter().enumerate() {
            while self.grains[place].len() > most.max(1) {
                self.forget_oldest(place);
            }
        }
    }

    /// Of whatever was kept elsewhere: nothing is turned away.
    pub(crate) fn unbounded() -> Self {
        Self::new(Bounds { values: usize::MAX, rows: usize::MAX, spans: [usize::MAX; 3] })
    }

    pub(crate) const fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Forgets the sums. Values keep their numbers, by which calls under way know them.
    pub(crate) fn clear(&mut self) {
        let names = self.names.clone();
        *self = Self { names, ..Self::new(self.bounds) };
        self.names.forgive();
    }

    pub(crate) fn names(&self) -> &Names {
        &self.names
    }

    pub(crate) fn key(&mut self, tags: &Tags) -> Key {
        self.names.key(tags)
    }

    pub(crate) const fn rows(&self) -> usize {
        self.rows
    }

    /// Books what was spent at that second.
    pub(crate) fn book(&mut self, seconds: u64, entry: &Entry) {
        for period in Period::ALL {
            self.add(period.of(seconds), entry);
        }
    }

    /// Adds to the sum of one span alone.
    pub(crate) fn add(&mut self, span: Span, entry: &Entry) {
        let place = span.period() as usize;
        let start = span.start_seconds();
        let grain = &mut self.grains[place];
        if let Some(spend) = grain.get_mut(&start).and_then(|rows| rows.get_mut(&entry.key)) {
            *spend += entry.spend;
            return;
        }
        if !self.make_span(span) {
            // So old that its sums have gone into those of longer spans.
            return;
        }
        let mut key = entry.key;
        if !self.make_room(span) {
            self.folded += 1;
            let callers = self.find_folded(place, start, key);
            key = callers;
        }
        let rows = self.grains[place].entry(start).or_default();
        let before = rows.len();
        *rows.entry(key).or_default() += entry.spend;
        self.rows += rows.len() - before;
    }

    /// Where a row has no room: with the values that callers say as others, and if there is no such row either, all.
    fn find_folded(&self, place: usize, start: u64, mut key: Key) -> Key {
        for tag in Tag::ALL.into_iter().filter(|tag| tag.is_callers()) {
            key[tag.place()] = OTHERS;
        }
        let is_there = self.grains[place].get(&start).is_some_and(|rows| rows.contains_key(&key));
        if is_there { key } else { [OTHERS; TAGS] }
    }

    /// Makes sure that the span is kept, and lets go of the oldest of its kind; `false` if it is itself too old.
    fn make_span(&mut self, span: Span) -> bool {
        let place = span.period() as usize;
        let most = self.bounds.spans.get(place).copied().unwrap_or(usize::MAX).max(1);
        let start = span.start_seconds();
        if self.grains[place].contains_key(&start) || self.grains[place].len() < most {
            return true;
        }
        if self.grains[place].first_key_value().is_some_and(|(oldest, _)| *oldest > start) {
            return false;
        }
        self.forget_oldest(place);
        true
    }

    fn forget_oldest(&mut self, place: usize) {
        if let Some((_, rows)) = self.grains[place].pop_first() {
            self.rows -= rows.len();
        }
    }

    /// Makes room for one more row by letting go of old hours, then days, then months; what they held stands in the
    /// longer spans. `false` if nothing old is left.
    fn make_room(&mut self, span: Span) -> bool {
        while self.rows >= self.bounds.rows {
            let old = (0..3).find(|place| {
                let grain = &self.grains[*place];
                let oldest = grain.first_key_value().map(|(start, _)| *start);
                grain.len() > 1 && (*place != span.period() as usize || oldest != Some(span.start_seconds()))
            });
            match old {
                Some(place) => self.forget_oldest(place),
                None => return false,
            }
        }
        true
    }

    /// The sum of all rows that fit.
    pub(crate) fn sum(&self, query: &Query) -> Spend {
        let mut sum = Spend::default();
        self.each(query, |_, spend| sum += *spend);
        sum
    }

    /// The sums by the values of some tags.
    pub(crate) fn by(&self, tags: &[Tag], query: &Query) -> HashMap<Vec<u32>, Spend> {
        let mut sums: HashMap<Vec<u32>, Spend> = HashMap::new();
        self.each(query, |key, spend| {
            let values = tags.iter().map(|tag| key[tag.place()]).collect();
            *sums.entry(values).or_default() += *spend;
        });
        sums
    }

    fn each(&self, query: &Query, mut take: impl FnMut(&Key, &Spend)) {
        let mut wanted = Vec::with_capacity(query.values().len());
        for (tag, value) in query.values() {
            match self.names.find(*tag, value) {
                Some(number) => wanted.push((tag.place(), number)),
                None => return,
            }
        }
        let span = query.span();
        let rows = self.grains[span.period() as usize].get(&span.start_seconds());
        for (key, spend) in rows.into_iter().flatten() {
            if wanted.iter().all(|(place, number)| key[*place] == *number) {
                take(key, spend);
            }
        }
    }

    /// The spans of which there are sums, oldest first.
    pub(crate) fn spans(&self, period: Period) -> Vec<Span> {
        self.grains[period as usize].keys().map(|start| period.of(*start)).collect()
    }

    /// Every row.
    pub(crate) fn all(&self) -> impl Iterator<Item = (Span, Entry)> {
        Period::ALL.into_iter().zip(&self.grains).flat_map(|(period, grain)| {
            grain.iter().flat_map(move |(start, rows)| {
                let span = period.of(*start);
                rows.iter().map(move |(key, spend)| (span, Entry { key: *key, spend: *spend }))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use proptest::prelude::*;

    use super::*;
    use crate::Money;

    const HOUR: u64 = 3_600;

    fn spend(nano_dollars: u64) -> Spend {
        let mut spend = Spend { calls: 1, ..Spend::default() };
        spend.exact.attempts = 1;
        spend.exact.cost = Money::nano_dollars(nano_dollars);
        spend
    }

    fn book(ledger: &mut Ledger, seconds: u64, tags: &Tags, nano_dollars: u64) {
        let key = ledger.key(tags);
        ledger.book(seconds, &Entry { key, spend: spend(nano_dollars) });
    }

    fn nano_dollars(ledger: &Ledger, query: &Query) -> u64 {
        ledger.sum(query).cost().as_nano_dollars()
    }

    #[test]
    fn sums_are_read_by_any_combination_of_tags_and_any_span() {
        let mut ledger = Ledger::new(Bounds::default());
        let planner = Tags::new().agent("planner");
        book(&mut ledger, 0, &planner.clone().task("a"), 1);
        book(&mut ledger, HOUR, &planner.task("b"), 2);
        book(&mut ledger, 25 * HOUR, &Tags::new().agent("writer").task("a"), 4);
        book(&mut ledger, 40 * 24 * HOUR, &Tags::new(), 8);
        let at = |hours| UNIX_EPOCH + Duration::from_secs(hours * HOUR);
        let all = Query::total();
        assert_eq!(nano_dollars(&ledger, &all), 15);
        assert_eq!(nano_dollars(&ledger, &all.clone().tag(Tag::Agent, "planner")), 3);
        assert_eq!(nano_dollars(&ledger, &all.clone().tag(Tag::Agent, "planner").tag(Tag::Task, "b")), 2);
        assert_eq!(nano_dollars(&ledger, &all.clone().tag(Tag::Agent, "")), 8);
        assert_eq!(nano_dollars(&ledger, &all.clone().tag(Tag::Agent, "nobody")), 0);
        assert_eq!(nano_dollars(&ledger, &Query::of(Period::Hour.at(at(1)))), 2);
        assert_eq!(nano_dollars(&ledger, &Query::of(Period::Day.at(at(1)))), 3);
        assert_eq!(nano_dollars(&ledger, &Query::of(Period::Month.at(at(1)))), 7);
        let by_task = ledger.by(&[Tag::Task], &all);
        let mut sums: Vec<_> = by_task.values().map(|spend| spend.cost().as_nano_dollars()).collect();
        sums.sort_unstable();
        assert_eq!(sums, [2, 5, 8]);
        assert_eq!(ledger.spans(Period::Day).len(), 3);
    }

    #[test]
    fn old_hours_go_and_what_they_held_stays_in_days_months_and_the_total() {
        let bounds = Bounds { spans: [2, 2, 2], ..Bounds::default() };
        let mut ledger = Ledger::new(bounds);
        for hour in 0..72 {
            book(&mut ledger, hour * HOUR, &Tags::new(), 1);
        }
        assert_eq!((ledger.spans(Period::Hour).len(), ledger.spans(Period::Day).len()), (2, 2));
        assert_eq!(nano_dollars(&ledger, &Query::of(Period::Day.of(24 * HOUR))), 24);
        assert_eq!(nano_dollars(&ledger, &Query::of(Period::Month.of(0))), 72);
        book(&mut ledger, 0, &Tags::new(), 1);
        assert_eq!(ledger.spans(Period::Hour).len(), 2, "what is booked late brings no old hour back");
        assert_eq!(nano_dollars(&ledger, &Query::total()), 73);
    }

    #[test]
    fn where_every_row_is_taken_the_rest_is_booked_as_others() {
        let mut ledger = Ledger::new(Bounds { rows: 20, ..Bounds::default() });
        for task in 0..100 {
            book(&mut ledger, 0, &Tags::new().task(task.to_string()).with(Tag::Model, "m"), 1);
        }
        assert!(ledger.rows() <= 24, "one more a grain, for the others: {}", ledger.rows());
        assert_eq!(nano_dollars(&ledger, &Query::total()), 100);
        assert!(nano_dollars(&ledger, &Query::total().tag(Tag::Task, crate::OTHER)) > 80);
        assert!(ledger.folded > 80);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_memory_is_bounded_whatever_is_booked(
            bookings in prop::collection::vec((0_u64..10_000 * HOUR, 0_u8..30, 0_u8..30, 0_u64..1_000), 1..200),
            rows in 4_usize..60, values in 0_usize..20, spans in 1_usize..5,
        ) {
            let mut ledger = Ledger::new(Bounds { values, rows, spans: [spans; 3] });
            let mut total = 0;
            for (seconds, task, agent, cost) in bookings {
                book(&mut ledger, seconds, &Tags::new().task(task.to_string()).agent(agent.to_string()), cost);
                total += cost;
                prop_assert!(ledger.rows() <= rows + 3 * spans + 1);
                prop_assert_eq!(ledger.rows(), ledger.all().count());
            }
            prop_assert_eq!(nano_dollars(&ledger, &Query::total()), total);
            for period in [Period::Hour, Period::Day, Period::Month] {
                prop_assert!(ledger.spans(period).len() <= spans);
            }
        }
    }
}
