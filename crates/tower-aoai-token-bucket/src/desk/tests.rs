use std::mem::size_of;

use proptest::prelude::*;
use tower_aoai_core::Tenant;

use super::*;
use crate::{Order, Priority, Quota, Risk, WindowModel, queue::Waiter, window::MINUTE};

fn ask(tokens: u64) -> Ask {
    Ask {
        charge: Charge::tokens(tokens),
        latest: None,
        is_deadline: false,
        spill_cost: None,
        priority: Priority::default(),
        tenant: None,
    }
}

/// Of 1,000 tokens a minute, all spent at `now`.
fn spent(quota: &Quota, now: Instant) -> Desk {
    let mut desk = quota.clone().guard(Duration::ZERO).desk(now);
    assert!(matches!(desk.arrive(now, &ask(1_000), &mut Vec::new()), Arrival::Granted(_)));
    desk.send(now, now, Charge::tokens(1_000), &mut Vec::new());
    desk
}

fn wait(desk: &mut Desk, now: Instant, ask: &Ask) -> Place {
    match desk.arrive(now, ask, &mut Vec::new()) {
        Arrival::Waits(place) => place,
        other => panic!("{other:?}"),
    }
}

fn refusal(arrival: Arrival) -> (Reason, Option<Instant>) {
    match arrival {
        Arrival::Refused(refused) => (refused.reason(), refused.opens_at()),
        other => panic!("{other:?}"),
    }
}

fn told(desk: &mut Desk, now: Instant, place: Place) -> Told {
    desk.poll(now, place, Waker::noop(), &mut Vec::new())
}

fn is_granted(desk: &mut Desk, now: Instant, place: Place) -> bool {
    matches!(told(desk, now, place), Told::Granted(_))
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn l6_nobody_passes_the_queue_and_it_is_first_come_first_served() {
    let now = Instant::now();
    let mut desk = spent(&Quota::standard(1_000), now);
    let first = wait(&mut desk, now, &ask(600));
    let second = wait(&mut desk, now, &ask(600));
    let third = wait(&mut desk, now, &ask(600));
    let minute = now + seconds(60);
    assert!(!is_granted(&mut desk, minute, third));
    assert!(is_granted(&mut desk, minute, first));
    assert!(!is_granted(&mut desk, minute, second));
    // Not even one who comes when there would be room for it.
    desk.leave(minute, third, &mut Vec::new());
    wait(&mut desk, minute, &ask(401));
}

#[test]
fn l6_small_ones_pass_a_large_head_only_where_they_do_not_delay_it() {
    let now = Instant::now();
    let mut desk = Quota::standard(1_000).guard(Duration::ZERO).desk(now);
    for (at, tokens) in [(0, 300), (10, 400)] {
        let at = now + seconds(at);
        assert!(matches!(desk.arrive(at, &ask(tokens), &mut Vec::new()), Arrival::Granted(_)));
        desk.send(at, at, Charge::tokens(tokens), &mut Vec::new());
    }
    let at = now + seconds(20);
    // At 60 s 300 of the 700 are free again, so the head leaves 50 for others.
    let head = wait(&mut desk, at, &ask(550));
    let too_large = wait(&mut desk, at, &ask(51));
    assert!(matches!(desk.arrive(at, &ask(50), &mut Vec::new()), Arrival::Granted(_)));
    desk.send(at, at, Charge::tokens(50), &mut Vec::new());
    assert!(!is_granted(&mut desk, at, too_large));
    assert!(!is_granted(&mut desk, now + seconds(60) - Duration::from_nanos(1), head));
    assert!(is_granted(&mut desk, now + seconds(60), head));
}

#[test]
fn l7_what_is_granted_and_not_yet_sent_does_not_stay_for_ever_in_what_is_foretold() {
    let models =
        [WindowModel::Sliding, WindowModel::Bucket { capacity: 1_000 }, WindowModel::Utilisation { window: MINUTE }];
    for model in models {
        let now = Instant::now();
        let quota = Quota::standard(1_000).model(model).guard(Duration::ZERO);
        let (mut granted, mut sent) = (quota.desk(now), quota.desk(now));
        for desk in [&mut granted, &mut sent] {
            assert!(matches!(desk.arrive(now, &ask(999), &mut Vec::new()), Arrival::Granted(_)));
        }
        sent.send(now, now, Charge::tokens(999), &mut Vec::new());
        for tokens in [700, 500, 300, 900, 200] {
            assert_eq!(granted.start(now, &ask(tokens), None), sent.start(now, &ask(tokens), None), "{model:?}");
            for desk in [&mut granted, &mut sent] {
                let _ = desk.arrive(now, &ask(tokens), &mut Vec::new());
            }
        }
    }
}

#[test]
fn l10_what_can_never_start_or_not_in_time_is_refused_at_once() {
    let now = Instant::now();
    let mut desk = spent(&Quota::standard(1_000).queue_limit(2), now);
    let minute = now + seconds(60);
    assert_eq!(refusal(desk.arrive(now, &ask(1_001), &mut Vec::new())), (Reason::TooLarge, None));
    let by = |latest, is_deadline| Ask { latest: Some(latest), is_deadline, ..ask(600) };
    let early = by(now + seconds(59), false);
    assert_eq!(refusal(desk.arrive(now, &early, &mut Vec::new())), (Reason::StartBy, Some(minute)));
    let early = by(now + seconds(59), true);
    assert_eq!(refusal(desk.arrive(now, &early, &mut Vec::new())), (Reason::Deadline, Some(minute)));
    assert_eq!(refusal(desk.arrive(now, &by(now, true), &mut Vec::new())), (Reason::Deadline, None));
    wait(&mut desk, now, &by(now + seconds(61), false));
    // Behind that one it is another minute.
    let behind = by(now + seconds(61), false);
    assert_eq!(refusal(desk.arrive(now, &behind, &mut Vec::new())), (Reason::StartBy, Some(now + seconds(120))));
    wait(&mut desk, now, &ask(1));
    assert_eq!(refusal(desk.arrive(now, &ask(1), &mut Vec::new())), (Reason::QueueFull, Some(minute)));
    assert_eq!(desk.counts.denied, 6);
}

#[test]
fn what_can_no_longer_start_in_time_is_shed_and_those_behind_it_go_on() {
    let now = Instant::now();
    let mut desk = spent(&Quota::standard(1_000), now);
    let late = wait(&mut desk, now, &Ask { latest: Some(now + seconds(65)), ..ask(1_000) });
    let next = wait(&mut desk, now, &ask(10));
    desk.shut_until(now, now + seconds(70), Cause::Quota, &mut Vec::new());
    assert!(matches!(told(&mut desk, now, late), Told::Refused(refused) if refused.reason() == Reason::StartBy));
    assert!(!is_granted(&mut desk, now, next));
    assert!(is_granted(&mut desk, now + seconds(70), next));
    assert_eq!(desk.counts.shed, 1);
}

#[test]
fn the_cheapest_to_serve_elsewhere_is_shed_first() {
    let now = Instant::now();
    let mut desk = spent(&Quota::standard(1_000), now);
    let spills = |cost| Ask { spill_cost: cost, ..ask(600) };
    let dear = wait(&mut desk, now, &spills(Some(9)));
    let cheap = wait(&mut desk, now, &spills(Some(1)));
    let never = wait(&mut desk, now, &spills(None));
    let urgent = |seconds_left| Ask { latest: Some(now + seconds(seconds_left)), spill_cost: Some(5), ..ask(600) };
    let first = wait(&mut desk, now, &urgent(241));
    for place in [dear, never, first, cheap] {
        assert!(matches!(told(&mut desk, now, place), Told::Wait(_)), "there was room for all");
    }
    // Four minutes are taken; with the cheap one gone there is room in the fourth.
    let last = wait(&mut desk, now, &urgent(250));
    assert!(matches!(told(&mut desk, now, cheap), Told::Refused(_)));
    for place in [dear, never, first, last] {
        assert!(matches!(told(&mut desk, now, place), Told::Wait(_)));
    }
    assert_eq!(refusal(desk.arrive(now, &urgent(230), &mut Vec::new())), (Reason::StartBy, Some(now + seconds(300))));
}

#[test]
fn p1_p2_classes_go_first_but_only_for_so_long() {
    let now = Instant::now();
    let mut desk = spent(&Quota::standard(1_000).order(Order::Priority { ageing: seconds(10) }), now);
    let class = |class| Ask { priority: Priority(class), ..ask(1_000) };
    let low = wait(&mut desk, now, &class(2));
    let urgent = wait(&mut desk, now + seconds(19), &class(0));
    let too_late = wait(&mut desk, now + seconds(21), &class(0));
    assert!(is_granted(&mut desk, now + seconds(60), urgent));
    desk.send(now + seconds(60), now + seconds(60), Charge::tokens(1_000), &mut Vec::new());
    assert!(is_granted(&mut desk, now + seconds(120), low));
    assert!(!is_granted(&mut desk, now + seconds(120), too_late));
}

#[test]
fn p3_the_one_who_floods_waits_behind_those_who_do_not() {
    let now = Instant::now();
    let mut desk = spent(&Quota::standard(1_000).order(Order::Fair { tenants: 8 }), now);
    let of = |tenant: &str| Ask { tenant: Some(Tenant::named(tenant)), ..ask(500) };
    let flood: Vec<_> = (0..6).map(|_| wait(&mut desk, now, &of("many"))).collect();
    let few = [wait(&mut desk, now, &of("few")), wait(&mut desk, now, &of("few"))];
    // Four go in the first two minutes, two of each.
    let start = desk.start(now, &of("few"), None);
    assert_eq!(start, Some(now + seconds(180)), "the third of few is the fifth or sixth of all");
    for (minute, first, second) in [(1, flood[0], few[0]), (2, flood[1], few[1])] {
        let at = now + seconds(60 * minute);
        for place in [first, second] {
            assert!(is_granted(&mut desk, at, place));
            desk.send(at, at, Charge::tokens(500), &mut Vec::new());
        }
    }
}

#[test]
fn the_earliest_deadline_goes_first() {
    let now = Instant::now();
    let mut desk = spent(&Quota::standard(1_000).order(Order::EarliestDeadline { patience: seconds(300) }), now);
    let by = |latest| Ask { latest, ..ask(1_000) };
    let patient = wait(&mut desk, now, &by(None));
    let late = wait(&mut desk, now, &by(Some(now + seconds(250))));
    let early = wait(&mut desk, now, &by(Some(now + seconds(90))));
    for (minute, place) in [(1, early), (2, late), (3, patient)] {
        let at = now + seconds(60 * minute);
        assert!(is_granted(&mut desk, at, place));
        desk.send(at, at, Charge::tokens(1_000), &mut Vec::new());
    }
}

#[test]
fn l5_the_timer_is_handed_over_when_the_head_goes() {
    let now = Instant::now();
    let mut desk = spent(&Quota::standard(1_000), now);
    let head = wait(&mut desk, now, &ask(900));
    let next = wait(&mut desk, now, &ask(800));
    assert!(matches!(told(&mut desk, now, next), Told::Wait(None)), "one timer, and it is the head's");
    assert!(matches!(told(&mut desk, now, head), Told::Wait(Some(at)) if at == now + seconds(60)));
    let mut wakes = Vec::new();
    desk.leave(now, head, &mut wakes);
    assert_eq!(wakes.len(), 1);
    assert!(matches!(told(&mut desk, now, next), Told::Wait(Some(at)) if at == now + seconds(60)));
}

#[test]
fn l4_a_grant_that_nobody_came_to_hear_of_goes_back() {
    let now = Instant::now();
    let mut desk = spent(&Quota::standard(1_000), now);
    let place = wait(&mut desk, now, &ask(900));
    desk.pump(now + seconds(60), &mut Vec::new());
    assert_eq!(desk.ledger.outstanding(), 1_900);
    desk.counts = Counts::default();
    desk.leave(now + seconds(60), place, &mut Vec::new());
    assert_eq!(desk.ledger.outstanding(), 1_000);
    assert!(matches!(desk.arrive(now + seconds(60), &ask(1_000), &mut Vec::new()), Arrival::Granted(_)));
}

#[test]
fn l9_who_read_the_clock_earlier_and_came_later_does_not_wait() {
    let now = Instant::now();
    let mut desk = Quota::standard(1_000).requests_per_minute(600).desk(now);
    for at in [now + seconds(5), now, now + seconds(1)] {
        assert!(matches!(desk.arrive(at, &ask(10), &mut Vec::new()), Arrival::Granted(_)));
        desk.send(at, at, Charge::tokens(10), &mut Vec::new());
        assert_eq!(desk.risk(now, &ask(10)), Risk::Now);
    }
}

#[test]
fn a_limit_that_is_lowered_refuses_what_can_no_longer_fit() {
    let now = Instant::now();
    let mut desk = spent(&Quota::standard(1_000), now);
    let small = wait(&mut desk, now, &ask(100));
    let large = wait(&mut desk, now, &ask(900));
    desk.set_limits(now, Limits::new().tokens_per_minute(500), &mut Vec::new());
    assert!(matches!(told(&mut desk, now, large), Told::Refused(refused) if refused.reason() == Reason::TooLarge));
    assert!(is_granted(&mut desk, now + seconds(60), small));
}

#[test]
fn a_waiter_costs_at_most_256_bytes() {
    // A node of a BTreeMap is at least five elevenths full, and more where places are taken in order.
    let node = |bytes: usize| bytes * 11 / 6 + 16;
    let with_deadline = node(size_of::<(Place, Waiter)>()) + node(size_of::<(u64, Place)>());
    assert!(with_deadline <= 256, "{with_deadline}");
}

proptest! {
    /// Whatever comes and goes: those who wait are served in order as soon as the head fits, and the alarm is set.
    #[test]
    fn l5_l6_l11_no_wake_up_is_lost(steps in prop::collection::vec((0u64..8_000, 1u64..700, 0u8..8), 1..200)) {
        let mut now = Instant::now();
        let quota = Quota::new(Limits::new().tokens_per_minute(1_000).max_in_flight(4)).guard(Duration::ZERO);
        let mut desk = quota.desk(now);
        let (mut waiting, mut running) = (Vec::<(Place, Charge)>::new(), Vec::new());
        for (time, tokens, what) in steps {
            now += Duration::from_millis(time);
            let mut wakes = Vec::new();
            match what {
                0..=2 => {
                    match desk.arrive(now, &ask(tokens), &mut wakes) {
                        Arrival::Granted(grant) => running.push((grant.charge, desk.send(now, now, grant.charge, &mut wakes))),
                        Arrival::Waits(place) => waiting.push((place, Charge::tokens(tokens))),
                        Arrival::Refused(refused) => prop_assert!(false, "{refused:?}"),
                    }
                }
                3 if !running.is_empty() => {
                    let (charge, booking) = running.remove(0);
                    desk.settle(|| now, booking, charge, 0, Settlement::default(), &mut wakes);
                }
                4 if !waiting.is_empty() => {
                    let (place, _) = waiting.remove(tokens as usize % waiting.len());
                    desk.leave(now, place, &mut wakes);
                }
                5 => {
                    let limits = Limits::new().tokens_per_minute(700 + tokens).max_in_flight(1 + tokens as usize % 5);
                    desk.set_limits(now, limits, &mut wakes);
                }
                6 => {
                    let cause = if tokens % 2 == 0 { Cause::Tokens } else { Cause::Quota };
                    desk.shut_until(now, now + Duration::from_millis(tokens * 10), cause, &mut wakes);
                }
                _ => desk.pump(now, &mut wakes),
            }
            let mut still = Vec::new();
            for (place, charge) in waiting.drain(..) {
                match told(&mut desk, now, place) {
                    Told::Granted(grant) => running.push((charge, desk.send(now, now, grant.charge, &mut wakes))),
                    Told::Refused(refused) => prop_assert!(false, "{refused:?}"),
                    Told::Wait(_) => still.push((place, charge)),
                }
            }
            waiting = still;
            if let Some((head, charge)) = waiting.first() {
                prop_assert!(!desk.ledger.fits(now, *charge), "the head fits and was not let through");
                let Told::Wait(alarm) = told(&mut desk, now, *head) else { unreachable!() };
                if desk.ledger.has_place() {
                    prop_assert_eq!(alarm, desk.ledger.earliest(now, *charge));
                    prop_assert!(alarm > Some(now));
                }
            }
        }
        for (place, _) in waiting {
            desk.leave(now, place, &mut Vec::new());
        }
        for (charge, booking) in running {
            desk.settle(|| now, booking, charge, 0, Settlement::default(), &mut Vec::new());
        }
        prop_assert_eq!((desk.ledger.outstanding(), desk.queued(), desk.decided.len()), (0, 0, 0));
    }

    /// Everybody starts when that was computed as they came, or before, whoever comes later and passes; the head at the
    /// instant that its timer is set to.
    /// Whoever comes, goes and passes: while two tenants both wait, what they are served differs by two charges at most.
    #[test]
    fn p3_tenants_who_wait_are_served_alike(
        steps in prop::collection::vec((0u64..6_000, 1u64..600, 0usize..4, 0u8..8), 1..150),
    ) {
        const LARGEST: i64 = 600;
        let mut now = Instant::now();
        let mut desk = Quota::standard(1_000).order(Order::Fair { tenants: 8 }).guard(Duration::ZERO).desk(now);
        let mut waiting: Vec<(Place, usize)> = Vec::new();
        let mut served = [0i64; 4];
        // For each pair: the least and the greatest difference since both wait.
        let mut spread = [[None::<(i64, i64)>; 4]; 4];
        for (time, tokens, tenant, what) in steps {
            now += Duration::from_millis(time);
            if what == 0 && !waiting.is_empty() {
                let (place, _) = waiting.remove(tokens as usize % waiting.len());
                desk.leave(now, place, &mut Vec::new());
            } else if what < 7 {
                let ask = Ask { tenant: Some(Tenant::named(&tenant)), ..ask(tokens) };
                match desk.arrive(now, &ask, &mut Vec::new()) {
                    Arrival::Granted(grant) => drop(desk.send(now, now, grant.charge, &mut Vec::new())),
                    Arrival::Waits(place) => waiting.push((place, tenant)),
                    Arrival::Refused(refused) => prop_assert!(false, "{refused:?}"),
                }
            }
            let waited = |tenant, waiting: &[(Place, usize)]| waiting.iter().any(|(_, of)| *of == tenant);
            let before: Vec<bool> = (0..4).map(|tenant| waited(tenant, &waiting)).collect();
            desk.pump(now, &mut Vec::new());
            while let Some(index) = waiting.iter().position(|(place, _)| desk.decided.contains_key(&place.number())) {
                let (place, tenant) = waiting.remove(index);
                let Told::Granted(grant) = told(&mut desk, now, place) else { unreachable!() };
                desk.send(now, now, grant.charge, &mut Vec::new());
                served[tenant] += grant.charge.tokens as i64;
            }
            for (one, other) in (0..4).flat_map(|one| (0..one).map(move |other| (one, other))) {
                let difference = served[one] - served[other];
                let both = before[one] && before[other] && waited(one, &waiting) && waited(other, &waiting);
                spread[one][other] = both.then(|| {
                    let (least, most) = spread[one][other].unwrap_or((difference, difference));
                    (least.min(difference), most.max(difference))
                });
                if let Some((least, most)) = spread[one][other] {
                    prop_assert!(most - least <= 2 * LARGEST, "{one} and {other}: {least} to {most}");
                }
            }
        }
    }

    #[test]
    fn l6_l7_everybody_starts_when_they_were_told_and_the_head_at_its_instant(
        calls in prop::collection::vec((0u64..3_000, 1u64..900), 1..80), requests in prop::option::of(20u64..60),
    ) {
        let mut now = Instant::now();
        let limits = Limits { requests_per_minute: requests, ..Limits::new().tokens_per_minute(1_000) };
        let mut desk = Quota::new(limits).desk(now);
        let mut waiting: Vec<Place> = Vec::new();
        let mut calls = calls.into_iter().map(|(after, tokens)| (Duration::from_millis(after), tokens));
        let mut next = calls.next().map(|(after, tokens)| (now + after, tokens));
        let mut promise: Option<(Place, Instant)> = None;
        // Of everybody, when they came.
        let mut promises = std::collections::BTreeMap::new();
        while next.is_some() || !waiting.is_empty() {
            let alarm = desk.next_alarm(now);
            now = match (alarm, next) {
                (Some(alarm), Some((at, _))) => alarm.min(at),
                (alarm, next) => alarm.or(next.map(|(at, _)| at)).expect("somebody waits for something"),
            };
            let mut granted = Vec::new();
            waiting.retain(|place| match told(&mut desk, now, *place) {
                Told::Granted(grant) => {
                    desk.send(now, now, grant.charge, &mut Vec::new());
                    granted.push(*place);
                    false
                }
                _ => true,
            });
            if let Some((head, at)) = promise {
                prop_assert!(granted.contains(&head) == (now >= at), "{now:?} {at:?}");
            }
            for place in &granted {
                prop_assert!(now <= promises[place], "later than it was told: {now:?} {:?}", promises[place]);
            }
            if let Some((at, tokens)) = next.filter(|(at, _)| *at <= now) {
                let start = desk.start(now, &ask(tokens), None).expect("it fits in time");
                match desk.arrive(now, &ask(tokens), &mut Vec::new()) {
                    Arrival::Granted(grant) => {
                        desk.send(now, now, grant.charge, &mut Vec::new());
                    }
                    Arrival::Waits(place) => {
                        promises.insert(place, start);
                        waiting.push(place);
                    }
                    Arrival::Refused(refused) => prop_assert!(false, "{refused:?}"),
                }
                next = calls.next().map(|(after, tokens)| (at + after, tokens));
                // Who was let through by that arrival hears of it, and sends, now.
                while let Some(index) = waiting.iter().position(|place| desk.decided.contains_key(&place.number())) {
                    let place = waiting.remove(index);
                    let Told::Granted(grant) = told(&mut desk, now, place) else { unreachable!() };
                    desk.send(now, now, grant.charge, &mut Vec::new());
                    prop_assert!(now <= promises[&place], "later than it was told: {now:?} {:?}", promises[&place]);
                }
            }
            let head = desk.queue.head().map(|(place, waiter)| (place, waiter.charge));
            let kept = promise.filter(|(place, _)| head.is_some_and(|(head, _)| head == *place));
            promise = kept.or_else(|| head.and_then(|(place, charge)| Some((place, desk.ledger.earliest(now, charge)?))));
        }
    }
}
