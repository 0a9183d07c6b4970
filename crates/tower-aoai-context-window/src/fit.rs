//! Which parts of a conversation stay: the plan, made of weights alone.

/// What a message, or an item of a response's input, is for the plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) kind: Kind,
    /// In tokens.
    pub(crate) weight: u64,
    /// The calls of tools that it makes or answers, as numbers: whoever shares one stays or goes together.
    pub(crate) calls: Vec<usize>,
    /// It is nothing without the one before, such as a tool's result.
    pub(crate) follows: bool,
    /// It is nothing without the one behind, such as the reasoning that led to it.
    pub(crate) leads: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The system's or the developer's: always stays.
    Pinned,
    /// The user's: begins a turn.
    User,
    #[default]
    Other,
}

/// What goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// For each slot whether it goes.
    pub(crate) dropped: Vec<bool>,
    /// What the slots that stay weigh together.
    pub(crate) weight: u64,
}

/// Drops the oldest until what stays weighs no more than `room`, or nothing more may go.
///
/// What belongs together by its calls goes together. First go whole turns before the last one: a user's message with
/// everything up to the next. Then, within the last turn, what lies between the user's message and the end, oldest
/// first: the rounds of tools of an agent at work. The user's message and the last round always stay.
pub(crate) fn fit(slots: &[Slot], room: u64) -> Plan {
    let mut weight = slots.iter().fold(0_u64, |sum, slot| sum.saturating_add(slot.weight));
    let mut dropped = vec![false; slots.len()];
    for unit in units(slots) {
        if weight <= room {
            break;
        }
        for index in unit {
            dropped[index] = true;
            weight = weight.saturating_sub(slots[index].weight);
        }
    }
    Plan { dropped, weight }
}

/// What may go, in the order in which it goes.
fn units(slots: &[Slot]) -> Vec<Vec<usize>> {
    let rounds = rounds(slots);
    let begins_turn = |round: &Vec<usize>| round.iter().any(|index| slots[*index].kind == Kind::User);
    let last_turn = rounds.iter().rposition(begins_turn).unwrap_or(0);
    let mut units: Vec<Vec<usize>> = Vec::new();
    for (number, round) in rounds.iter().enumerate() {
        let is_last = number + 1 == rounds.len();
        if is_last || (number == last_turn && begins_turn(round)) {
            continue;
        }
        match units.last_mut() {
            Some(turn) if number < last_turn && !begins_turn(round) => turn.extend(round),
            _ => units.push(round.clone()),
        }
    }
    units
}

/// The slots that may go, in runs between which nothing is torn apart.
fn rounds(slots: &[Slot]) -> Vec<Vec<usize>> {
    let calls = slots.iter().flat_map(|slot| &slot.calls).max().map_or(0, |most| most + 1);
    let mut last_use = vec![0; calls];
    for (index, slot) in slots.iter().enumerate() {
        for call in &slot.calls {
            last_use[*call] = index;
        }
    }
    let mut rounds: Vec<Vec<usize>> = Vec::new();
    let mut bound_until = 0;
    let mut led = false;
    for (index, slot) in slots.iter().enumerate() {
        if slot.kind == Kind::Pinned {
            continue;
        }
        match rounds.last_mut() {
            Some(round) if slot.follows || led || index <= bound_until => round.push(index),
            _ => rounds.push(vec![index]),
        }
        led = slot.leads;
        bound_until = slot.calls.iter().map(|call| last_use[*call]).fold(bound_until, usize::max);
    }
    rounds
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn slots(text: &str) -> Vec<Slot> {
        text.chars()
            .map(|letter| {
                let slot = Slot { weight: 1, ..Slot::default() };
                match letter {
                    's' => Slot { kind: Kind::Pinned, ..slot },
                    'u' => Slot { kind: Kind::User, ..slot },
                    't' => Slot { follows: true, ..slot },
                    'r' => Slot { leads: true, ..slot },
                    digit if digit.is_ascii_digit() => Slot { calls: vec![digit as usize - '0' as usize], ..slot },
                    _ => slot,
                }
            })
            .collect()
    }

    /// What stays, of one letter each.
    fn kept(text: &str, room: u64) -> String {
        let plan = fit(&slots(text), room);
        let kept: String =
            text.chars().zip(&plan.dropped).filter(|(_, dropped)| !**dropped).map(|(letter, _)| letter).collect();
        assert_eq!(plan.weight, kept.len() as u64);
        kept
    }

    #[test]
    fn the_oldest_turns_go_first_and_whole() {
        assert_eq!(kept("suauaua", 7), "suauaua");
        assert_eq!(kept("suauaua", 6), "suaua");
        assert_eq!(kept("suauau", 2), "su");
        assert_eq!(kept("suauau", 0), "su", "these always stay");
        assert_eq!(kept("ausu", 3), "usu", "what came before the first user is a turn, too");
    }

    #[test]
    fn in_the_last_turn_the_oldest_rounds_go() {
        assert_eq!(kept("sua1t2t3t", 7), "su2t3t");
        assert_eq!(kept("sua1t2t3t", 0), "su3t", "the user's message and the last round stay");
        assert_eq!(kept("uaua1t2t", 5), "u1t2t");
        assert_eq!(kept("sata", 0), "sa", "there is no user's message");
    }

    #[test]
    fn a_call_and_its_results_stay_or_go_together() {
        assert_eq!(kept("u12s12au", 4), "su", "a pinned one in between stays");
        assert_eq!(kept("au1r2a12u1", 3), "1r2a12u1", "as far as one reaches into the last turn");
        assert_eq!(kept("u1u1u", 1), "u");
        assert_eq!(kept("ur1ua1u", 4), "u");
    }

    #[test]
    fn nothing_of_nothing() {
        assert_eq!(fit(&[], 0), Plan { dropped: Vec::new(), weight: 0 });
        assert_eq!(kept("s", 0), "s");
    }

    fn any_slots() -> impl Strategy<Value = Vec<Slot>> {
        let kind = prop_oneof![1 => Just(Kind::Pinned), 1 => Just(Kind::User), 3 => Just(Kind::Other)];
        let slot = (
            kind,
            0_u64..100,
            prop::collection::vec(0_usize..6, 0..3),
            prop::bool::weighted(0.2),
            prop::bool::weighted(0.2),
        );
        let slot = slot.prop_map(|(kind, weight, calls, follows, leads)| Slot { kind, weight, calls, follows, leads });
        prop::collection::vec(slot, 0..30)
    }

    proptest! {
        #[test]
        fn what_stays_is_what_must_and_nothing_is_torn_apart(slots in any_slots(), room in 0_u64..2_000) {
            let plan = fit(&slots, room);
            let total: u64 = slots.iter().map(|slot| slot.weight).sum();
            let stays = |index: usize| !plan.dropped[index];
            let left: u64 = slots.iter().zip(&plan.dropped).filter(|(_, gone)| !**gone).map(|(slot, _)| slot.weight).sum();
            prop_assert_eq!(plan.weight, left);
            prop_assert!(total > room || plan.dropped.iter().all(|gone| !gone), "nothing goes without need");

            let droppable: Vec<usize> = (0..slots.len()).filter(|index| slots[*index].kind != Kind::Pinned).collect();
            prop_assert!((0..slots.len()).all(|index| slots[index].kind != Kind::Pinned || stays(index)));
            if let Some(user) = slots.iter().rposition(|slot| slot.kind == Kind::User) {
                prop_assert!(stays(user));
            }
            if let Some(last) = droppable.last() {
                prop_assert!(stays(*last));
            }
            for pair in droppable.windows(2) {
                if slots[pair[0]].leads || slots[pair[1]].follows {
                    prop_assert_eq!(stays(pair[0]), stays(pair[1]));
                }
            }
            for one in &droppable {
                for other in &droppable {
                    if slots[*one].calls.iter().any(|call| slots[*other].calls.contains(call)) {
                        prop_assert_eq!(stays(*one), stays(*other));
                    }
                }
            }
        }

        #[test]
        fn what_was_fitted_once_fits(slots in any_slots(), room in 0_u64..2_000) {
            let first = fit(&slots, room);
            let rest: Vec<_> = slots.iter().zip(&first.dropped).filter(|(_, gone)| !**gone).map(|(slot, _)| slot.clone()).collect();
            let again = fit(&rest, room);
            prop_assert!(again.dropped.iter().all(|gone| !gone));
        }
    }
}
