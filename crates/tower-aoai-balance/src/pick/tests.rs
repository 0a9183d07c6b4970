//! The choice, over members of every kind.

use std::{collections::HashMap, time::Duration};

use proptest::{prelude::*, strategy::Strategy as _};

use super::{Strategy, *};

const STRATEGIES: [Strategy; 5] =
    [Strategy::ExpectedFinish, Strategy::RoundRobin, Strategy::Shuffle, Strategy::Weighted, Strategy::LeastInFlight];

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// An open member of which nothing is known.
fn open(slot: usize, now: Instant) -> Candidate {
    Candidate {
        index: slot,
        slot,
        tier: 0,
        weight: 1,
        admission: Admission::At(now),
        rotation: Rotation::In,
        past: Past::Untried,
        load: 0,
        takes: None,
        doubt: 0.0,
        silent: 0.0,
        risk: 0.0,
    }
}

fn ask(now: Instant) -> Ask {
    Ask { now, latest: None, deadline: None, is_retried: false, draw: 0.0 }
}

/// The choice among candidates that are known by their place.
fn choose(candidates: &[Candidate], ask: &Ask, strategy: Strategy, turns: &mut Turns) -> Choice {
    let numbered = candidates.iter().enumerate().map(|(index, candidate)| Candidate { index, ..*candidate });
    super::choose(&mut numbered.collect(), ask, strategy, turns)
}

fn enter(candidates: &[Candidate], ask: &Ask, strategy: Strategy) -> Option<usize> {
    match choose(candidates, ask, strategy, &mut Turns::default()) {
        Choice::Enter(index) => Some(index),
        Choice::Refuse { .. } => None,
    }
}

prop_compose! {
    fn any_candidate(now: Instant)(
        slot in 0usize..20,
        tier in 0usize..3,
        weight in 1u32..5,
        // Open, opening, or shut.
        shut in prop::option::of(prop::option::of(0u64..9_000)),
        wait in prop_oneof![Just(0), 0u64..9_000],
        rotation in prop_oneof![4 => Just(Rotation::In), 1 => Just(Rotation::Out), 1 => Just(Rotation::Due)],
        past in prop_oneof![
            4 => Just(Past::Untried), 1 => Just(Past::Stay), 1 => Just(Past::Failed), 1 => Just(Past::FailedLast),
            1 => Just(Past::Never),
        ],
        load in 0usize..9,
        takes in prop::option::of(0.0f64..9.0),
        doubt in 0.0f64..1.0,
        silent in prop_oneof![Just(0.0), 0.0f64..9.0],
        risk in prop_oneof![Just(0.0), 0.0f64..1.0],
    ) -> Candidate {
        let admission = match shut {
            Some(until) => Admission::Shut(until.map(|until| now + millis(until))),
            None => Admission::At(now + millis(wait)),
        };
        Candidate { index: 0, slot, tier, weight, admission, rotation, past, load, takes, doubt, silent, risk }
    }
}

fn candidates(now: Instant) -> impl proptest::strategy::Strategy<Value = Vec<Candidate>> {
    prop::collection::vec(any_candidate(now), 0..9)
}

proptest! {
    /// What stands in the lines of the test's body, for every strategy.
    #[test]
    fn f1_f2_f3_b9_whoever_is_chosen_nobody_better_was_passed_over(
        (now, candidates) in Just(Instant::now()).prop_flat_map(|now| (Just(now), candidates(now))),
        latest in prop::option::of(0u64..9_000),
        deadline in prop::option::of(0u64..9_000),
        is_retried: bool,
        draw in 0.0f64..1.0,
        strategy in prop::sample::select(&STRATEGIES[..]),
    ) {
        let deadline = deadline.map(|deadline| now + millis(deadline));
        let latest = deadline.into_iter().chain(latest.map(|latest| now + millis(latest))).min();
        let ask = Ask { now, latest, deadline, is_retried, draw };
        let all_out = candidates.iter().all(|candidate| candidate.rotation == Rotation::Out);
        let in_rotation = |candidate: &&Candidate| all_out || candidate.rotation != Rotation::Out;
        let hopeless = candidates.iter().filter(in_rotation).all(|candidate| candidate.past == Past::Never);
        let in_rotation =
            |candidate: &&Candidate| in_rotation(candidate) && (hopeless || candidate.past != Past::Never);
        let in_time = |candidate: &&Candidate| {
            candidate.start().is_some_and(|start| latest.is_none_or(|latest| start < latest))
        };
        let able: Vec<_> = candidates.iter().filter(in_rotation).filter(in_time).collect();
        match choose(&candidates, &ask, strategy, &mut Turns::default()) {
            Choice::Enter(chosen) => {
                let chosen = &candidates[chosen];
                prop_assert!(in_rotation(&chosen) && in_time(&chosen), "F1, B9: it is not shut, late or out of rotation");
                for other in able {
                    prop_assert!(chosen.past <= other.past, "F2: one where the call has not failed could serve it");
                    if other.past == chosen.past && chosen.meets_deadline(&ask) >= other.meets_deadline(&ask) {
                        let both = chosen.meets_deadline(&ask) == other.meets_deadline(&ask);
                        prop_assert!(!both || chosen.tier <= other.tier, "F3: a better tier could serve it");
                        let same = both && chosen.tier == other.tier;
                        let probes = chosen.rotation == Rotation::Due;
                        if same && strategy != Strategy::ExpectedFinish && !probes {
                            prop_assert!(chosen.start() <= other.start().max(Some(now)), "F1: one has no wait");
                        }
                    }
                }
            }
            Choice::Refuse { until, .. } => {
                let eligible = || candidates.iter().filter(in_rotation);
                if able.is_empty() {
                    prop_assert_eq!(until, eligible().filter_map(Candidate::opens).min(), "the earliest of all");
                } else {
                    prop_assert!(is_retried, "nobody would come back");
                    let until = until.expect("an instant");
                    prop_assert!(eligible().any(|other| other.start().is_none() && other.opens() == Some(until)));
                }
            }
        }
    }

    #[test]
    fn turns_are_even_to_one_whoever_is_away_for_a_while(
        weights in prop::collection::vec(1u32..6, 1..7),
        rounds in 1usize..30,
    ) {
        let mut turns = Turns::default();
        let total: usize = weights.iter().map(|weight| *weight as usize).sum();
        let mut had = vec![0usize; weights.len()];
        for _ in 0..rounds * total {
            let all = weights.iter().enumerate().map(|(slot, weight)| (slot, slot, *weight));
            had[turns.next(all).expect("somebody")] += 1;
        }
        for (had, weight) in had.iter().zip(&weights) {
            prop_assert!(had.abs_diff(rounds * *weight as usize) <= 1, "{had:?} of {weights:?}");
        }
        // The first is away; when it is back it has its share, and not what it missed.
        for _ in 0..3 * total {
            turns.next(weights.iter().enumerate().skip(1).map(|(slot, weight)| (slot, slot, *weight)));
        }
        let mut back = 0;
        for _ in 0..total {
            let all = weights.iter().enumerate().map(|(slot, weight)| (slot, slot, *weight));
            back += usize::from(turns.next(all) == Some(0));
        }
        prop_assert!(back <= weights[0] as usize + 1, "{back} of {weights:?}");
    }
}

#[test]
fn f3_the_next_tier_serves_what_the_first_cannot_serve_in_time() {
    let now = Instant::now();
    let tier = |tier, wait, takes| Candidate {
        tier,
        admission: Admission::At(now + millis(wait)),
        takes: Some(takes),
        ..open(tier, now)
    };
    for strategy in STRATEGIES {
        let start_by = |latest| Ask { latest: Some(now + millis(latest)), ..ask(now) };
        let queued = [tier(0, 900, 9.0), tier(1, 0, 0.1)];
        assert_eq!(enter(&queued, &ask(now), strategy), Some(0), "it is slower, and preferred");
        assert_eq!(enter(&queued, &start_by(901), strategy), Some(0));
        assert_eq!(enter(&queued, &start_by(900), strategy), Some(1), "a start at start-by is too late");
        let due = |deadline| Ask { deadline: Some(now + millis(deadline)), ..start_by(deadline) };
        assert_eq!(enter(&queued, &due(9_900), strategy), Some(0));
        assert_eq!(enter(&queued, &due(9_899), strategy), Some(1), "it would not end in time");
        let slow = [tier(0, 0, 9.0), tier(1, 0, 8.0)];
        assert_eq!(
            enter(&slow, &due(5_000), strategy),
            Some(0),
            "what was learned may be wrong: nobody is refused for it"
        );
    }
}

#[test]
fn a_member_that_soon_opens_is_waited_for_only_if_somebody_comes_back() {
    let now = Instant::now();
    let wait = Candidate { admission: Admission::At(now + millis(500)), ..open(0, now) };
    let opens = |tier, at| Candidate { tier, admission: Admission::Shut(Some(now + millis(at))), ..open(1, now) };
    let retried = Ask { is_retried: true, ..ask(now) };
    for strategy in STRATEGIES {
        let choose = |candidates: &[_], ask: &Ask| choose(candidates, ask, strategy, &mut Turns::default());
        let refusal = Choice::Refuse { is_late: false, until: Some(now + millis(400)) };
        assert_eq!(choose(&[wait, opens(0, 400)], &retried), refusal);
        assert_eq!(choose(&[wait, opens(0, 400)], &ask(now)), Choice::Enter(0));
        assert_eq!(choose(&[wait, opens(0, 600)], &retried), Choice::Enter(0));
        assert_eq!(choose(&[wait, opens(1, 400)], &retried), Choice::Enter(0), "a worse tier is not waited for");
        let failed = Candidate { past: Past::Failed, ..opens(0, 400) };
        assert_eq!(choose(&[wait, failed], &retried), Choice::Enter(0), "nor is one where it has failed");
    }
}

#[test]
fn f2_where_the_answer_was_final_the_call_does_not_go_again_as_long_as_another_may_open() {
    let now = Instant::now();
    let never = Candidate { past: Past::Never, ..open(0, now) };
    let until = now + millis(9_000);
    let failed = Candidate { past: Past::FailedLast, admission: Admission::Shut(Some(until)), ..open(1, now) };
    for strategy in STRATEGIES {
        let choose = |candidates: &[_]| choose(candidates, &ask(now), strategy, &mut Turns::default());
        assert_eq!(choose(&[never, failed]), Choice::Refuse { is_late: false, until: Some(until) });
        assert_eq!(choose(&[never]), Choice::Enter(0), "who sends it all the same gets the answer once more");
    }
}

#[test]
fn f6_failures_only_ever_make_a_member_less_likely() {
    let now = Instant::now();
    let share = |strategy: Strategy, risk: f64| {
        let mut turns = Turns::default();
        let failing = Candidate { risk, ..open(0, now) };
        // It fails fast, so that nothing is under way there.
        let busy = |slot| Candidate { load: 3, takes: Some(1.0), ..open(slot, now) };
        let members = [failing, busy(1), busy(2)];
        let draws = (0..300).map(|draw| Ask { draw: f64::from(draw) / 300.0, ..ask(now) });
        draws.filter(|ask| choose(&members, ask, strategy, &mut turns) == Choice::Enter(0)).count()
    };
    for strategy in STRATEGIES {
        assert!(share(strategy, 0.5) <= share(strategy, 0.0), "{strategy:?}");
    }
    for strategy in [Strategy::ExpectedFinish, Strategy::LeastInFlight] {
        assert_eq!(share(strategy, 0.5), 0, "{strategy:?}");
        assert!(share(strategy, 0.0) >= 100, "{strategy:?}: a member of which nothing is known is tried");
    }
}

#[test]
fn ties_are_drawn_by_weight_and_what_is_slower_by_more_is_not_drawn() {
    let now = Instant::now();
    let member = |slot, weight, takes| Candidate { weight, takes: Some(takes), ..open(slot, now) };
    let members = [member(0, 1, 1.0), member(1, 3, 1.04), member(2, 9, 1.06)];
    let mut drawn = HashMap::new();
    for draw in 0..400 {
        let ask = Ask { draw: f64::from(draw) / 400.0, ..ask(now) };
        *drawn.entry(enter(&members, &ask, Strategy::ExpectedFinish)).or_insert(0) += 1;
    }
    assert_eq!(drawn, HashMap::from([(Some(0), 100), (Some(1), 300)]));
}

#[test]
fn what_is_hardly_known_is_tried_and_who_is_silent_is_left_alone() {
    let now = Instant::now();
    let fast = Candidate { takes: Some(1.0), ..open(0, now) };
    let slow = |doubt| Candidate { takes: Some(4.0), doubt, ..open(1, now) };
    let last = Ask { draw: 0.999, ..ask(now) };
    assert_eq!(enter(&[fast, slow(0.73)], &last, Strategy::ExpectedFinish), Some(0));
    assert_eq!(enter(&[fast, slow(0.74)], &last, Strategy::ExpectedFinish), Some(1));
    assert_eq!(enter(&[fast, slow(1.0)], &ask(now), Strategy::ExpectedFinish), Some(0), "a try, and no rush");
    let silent = Candidate { silent: 2.0, ..open(1, now) };
    assert_eq!(enter(&[fast, silent], &last, Strategy::ExpectedFinish), Some(0));
    assert_eq!(enter(&[silent, fast], &ask(now), Strategy::ExpectedFinish), Some(1));
}

#[test]
fn doubt_shrinks_with_every_answer_and_grows_with_time_but_not_while_one_is_tried() {
    let now = Instant::now();
    let at = |seconds: u64| now + millis(1_000 * seconds);
    let mut pace = Pace::default();
    let size = Size { prompt: 0.0, output: 0.0 };
    let mut learn = |times: usize| {
        (0..times).for_each(|_| pace.streamed(at(0), size, millis(500), None));
        pace
    };
    let (one, hundred) = (learn(1), learn(99));
    assert!(one.doubt(None, at(0)) > 0.2 && hundred.doubt(None, at(0)) < 0.03);
    assert!(hundred.doubt(None, at(30)) > 0.06);
    assert!(hundred.doubt(Some(at(30)), at(30)) < 0.03);
}

#[test]
fn b9_members_are_out_of_rotation_only_as_long_as_one_is_not() {
    let now = Instant::now();
    let out = |slot| Candidate { rotation: Rotation::Out, ..open(slot, now) };
    let shut = Candidate { admission: Admission::Shut(None), ..open(2, now) };
    for strategy in STRATEGIES {
        assert_eq!(enter(&[out(0), open(1, now)], &ask(now), strategy), Some(1));
        assert_eq!(enter(&[out(0), out(1)], &ask(now), strategy), Some(0));
        assert_eq!(enter(&[out(0), shut], &ask(now), strategy), None, "one that is shut is still a member");
        let due = Candidate { rotation: Rotation::Due, takes: Some(60.0), ..open(0, now) };
        assert_eq!(enter(&[open(1, now), due], &ask(now), strategy), Some(1), "somebody has to try it");
    }
}

#[test]
fn a_pace_is_learned_from_streams_and_from_whole_answers() {
    let now = Instant::now();
    let size = |prompt, output| Size { prompt, output };
    let mut pace = Pace::default();
    assert_eq!(pace.expected(size(0.0, 100.0)), None);
    // 0.25 s and 0.15 ms for each token of prompt.
    pace.streamed(now, size(4_000.0, 0.0), millis(850), Some(0.02));
    let expected = pace.expected(size(1_000.0, 100.0)).expect("it has answered");
    assert!((expected - (0.4 + 2.0)).abs() < 0.001, "{expected}");
    for second in 1..60 {
        pace.whole(now + millis(1_000 * second), size(1_000.0, 100.0), millis(4_800));
    }
    let expected = pace.expected(size(1_000.0, 100.0)).expect("it has answered");
    assert!((4.6..=4.9).contains(&expected), "{expected}");

    let (before, later) = (pace.first_token(), now + millis(60_000));
    pace.left_after(later, size(0.0, 0.0), millis(1));
    assert_eq!(pace.first_token(), before, "who left early says nothing");
    pace.left_after(later, size(0.0, 0.0), millis(30_000));
    assert!(pace.first_token() > before);
}

#[test]
fn b5_a_later_hint_that_ends_earlier_does_not_shorten_the_wait() {
    let now = Instant::now();
    let mut standing = Standing::default();
    standing.hold(now + millis(9_000));
    standing.hold(now + millis(2_000));
    assert_eq!(standing.held_until(now + millis(3_000)), Some(now + millis(9_000)));
    standing.hold(now + millis(12_000));
    assert_eq!(standing.held_until(now + millis(9_500)), Some(now + millis(12_000)));
    assert_eq!(standing.held_until(now + millis(12_000)), None);
}

#[test]
fn a_failure_fades_in_eight_seconds_and_old_news_is_no_news() {
    let now = Instant::now();
    let at = |seconds: u64| now + millis(1_000 * seconds);
    let mut standing = Standing::default();
    standing.failed(at(0), at(0), FAILURE_LASTS);
    let once = standing.risk(at(0));
    standing.failed(at(0), at(0), FAILURE_LASTS);
    assert!(standing.risk(at(0)) > once);
    assert!(standing.risk(at(4)) < standing.risk(at(0)) && standing.risk(at(7)) > 0.0);
    assert!(standing.risk(at(8)) <= 0.0);

    standing.succeeded(at(9));
    standing.failed(at(60), at(8), FAILURE_LASTS);
    assert!(standing.risk(at(60)) <= 0.0, "it began before a call that went well");
    standing.failed(at(60), at(59), FAILURE_LASTS);
    standing.failed(at(61), at(60), THROTTLE_LASTS);
    assert!(standing.risk(at(66)) > 0.0, "a shorter trouble does not end a longer one");
    let before = standing.risk(at(62));
    standing.succeeded(at(60));
    assert!((standing.risk(at(62)) - before).abs() < 1e-9, "it began before the failure");
    standing.succeeded(at(62));
    assert!(standing.risk(at(62)) < before);
}

#[test]
fn a_misconfigured_member_rests_for_a_minute_then_for_longer_and_one_call_at_a_time_tries_it() {
    let now = Instant::now();
    let at = |seconds: u64| now + millis(1_000 * seconds);
    let (gpt, other): (std::sync::Arc<str>, _) = ("gpt-4o".into(), Some("mini"));
    let name = Some(&*gpt);
    let mut standing = Standing::default();
    assert!(standing.misconfigured(at(0), at(0), Some(&gpt), None), "it is news");
    assert!(!standing.misconfigured(at(1), at(0), Some(&gpt), None), "a call that was under way");
    assert_eq!((standing.rotation(name, at(59)), standing.rotation(other, at(1))), (Rotation::Out, Rotation::In));
    let mut due = 60;
    for rest in [120, 240, 480, 600, 600] {
        assert_eq!(standing.rotation(name, at(due)), Rotation::Due);
        let probe = standing.begin_probe(at(due), name);
        assert!(probe.is_some() && standing.begin_probe(at(due), name).is_none());
        assert_eq!(standing.rotation(name, at(due)), Rotation::Out);
        assert!(!standing.misconfigured(at(due), at(due), Some(&gpt), probe));
        assert_eq!(standing.rotation(name, at(due + rest - 1)), Rotation::Out);
        due += rest;
    }
    let probe = standing.begin_probe(at(due), name).expect("it is due");
    standing.give_back(at(due), probe);
    assert_eq!(standing.rotation(name, at(due)), Rotation::Due, "who left decided nothing");
    assert!(!standing.configured(at(0) - millis(1), Some(&gpt)), "it began before the member was found misconfigured");
    assert!(standing.configured(at(due), Some(&gpt)));
    assert_eq!(standing.rotation(name, at(due)), Rotation::In);
    assert!(!standing.misconfigured(at(due + 9), at(due - 1), Some(&gpt), None), "old news");
    assert!(standing.misconfigured(at(due + 9), at(due), Some(&gpt), None), "news");
}

#[test]
fn a_member_is_out_of_rotation_for_so_many_deployments_at_most() {
    let now = Instant::now();
    let mut standing = Standing::default();
    for number in 0..1_000u64 {
        let name: std::sync::Arc<str> = number.to_string().into();
        standing.misconfigured(now + millis(number), now, Some(&name), None);
        let well: std::sync::Arc<str> = format!("well {number}").into();
        standing.configured(now + millis(number), Some(&well));
    }
    let well = |number: u64| Some(std::sync::Arc::from(format!("well {number}")));
    assert!(!standing.misconfigured(now, now, well(999).as_ref(), None), "the last are remembered");
    assert!(standing.misconfigured(now, now, well(9).as_ref(), None), "the first are not");
    assert_eq!(standing.out_of_rotation().count(), 32);
    assert_eq!(standing.rotation(Some("999"), now), Rotation::Out);
}
