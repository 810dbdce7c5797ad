//! Two systems that change what they are given, two maps that lose some of it, and people at both ends: writes end, and no change is lost.

use std::cell::Cell;

use proptest::{prelude::*, sample::select};
use serde_json::json;

use super::*;

mod world;

use world::*;

/// A map that keeps everything.
fn faithful(other: bool) -> Mapping {
    let fields = if other {
        [("first", "record.?left"), ("last", "record.?right")]
    } else {
        [("left", "record.?first"), ("right", "record.?last")]
    };
    mapping(&fields)
}

/// Maps that lose something, each of a record with `first` and `last` to one with `left` and `right`.
fn forward_maps() -> Vec<Vec<(&'static str, &'static str)>> {
    vec![
        vec![("left", "record.?first"), ("right", "record.?last")],
        vec![("left", "upper(record.first)"), ("right", "record.?last")],
        vec![("left", "record.first + ' ' + record.last")],
        vec![("left", "record.first"), ("right", "record.first + '/' + record.last")],
    ]
}

/// The same, back.
fn reverse_maps() -> Vec<Vec<(&'static str, &'static str)>> {
    vec![
        vec![("first", "record.?left"), ("last", "record.?right")],
        vec![("first", "lower(record.left)")],
        vec![("first", "split(record.left, ' ')[0]"), ("last", "record.?right")],
        vec![("last", "record.left + record.?right.orValue('')")],
    ]
}

fn exact(record: Value) -> World {
    World::linked(record, [faithful(false), faithful(true)], [keeps, keeps])
}

#[test]
fn a_change_at_either_end_is_written_once_to_the_other_and_not_back() {
    let mut world = exact(json!({"first": "Ann", "last": "Lee"}));
    assert_eq!(world.settle(), [0, 0], "what was made is no change");
    world.edit(FORWARD, "last", "Ray");
    assert_eq!(world.settle(), [0, 1]);
    world.edit(REVERSE, "left", "Anne");
    assert_eq!(world.settle(), [1, 0]);
    assert_eq!(world.records[0], json!({"first": "Anne", "last": "Ray"}));
}

#[test]
fn what_a_map_loses_on_the_way_does_not_come_back() {
    let maps = [
        mapping(&[("left", "split(record.first, ' ')[0]"), ("right", "record.?last")]),
        mapping(&[("first", "record.left"), ("last", "record.?right")]),
    ];
    let mut world = World::linked(json!({"first": "Ann Marie", "last": "Lee"}), maps, [keeps, keeps]);
    assert_eq!(world.settle(), [0, 0]);
    world.edit(FORWARD, "first", "Beth Marie");
    assert_eq!(world.settle(), [0, 1]);
    world.edit(REVERSE, "right", "Ray");
    assert_eq!(world.settle(), [1, 0]);
    assert_eq!(world.records[0], json!({"first": "Beth Marie", "last": "Ray"}), "only what changed is written");
}

#[test]
fn where_both_ends_changed_the_same_forward_wins_and_other_fields_are_merged() {
    for reverse_first in [false, true] {
        let mut world = exact(json!({"first": "Ann", "last": "Lee"}));
        world.edit(FORWARD, "first", "Forward");
        world.edit(REVERSE, "left", "Reverse");
        world.edit(REVERSE, "right", "Ray");
        if reverse_first {
            world.carry(REVERSE);
        }
        assert_eq!(world.settle()[1], 1);
        assert_eq!(world.records[0], json!({"first": "Forward", "last": "Ray"}), "reverse first: {reverse_first}");
        assert_eq!(world.records[1], json!({"left": "Forward", "right": "Ray"}));
        assert_eq!(world.settle(), [0, 0]);
    }
}

#[test]
fn a_change_between_a_write_and_the_next_look_is_carried() {
    let mut world = exact(json!({"first": "Ann", "last": "Lee"}));
    world.edit(FORWARD, "first", "Beth");
    assert!(world.carry(FORWARD));
    world.edit(REVERSE, "left", "Cleo");
    assert_eq!(world.settle(), [1, 0]);
    assert_eq!(world.records[0]["first"], "Cleo");
}

#[test]
fn a_change_that_won_and_was_taken_back_unseen_is_carried_all_the_same() {
    let mut world = exact(json!({"first": "Ann", "last": "Lee"}));
    world.settle();
    world.edit(FORWARD, "first", "Beth");
    world.edit(REVERSE, "left", "Cleo");
    assert!(!world.carry(REVERSE), "it yields");
    world.edit(FORWARD, "first", "Ann");
    world.settle();
    assert_eq!((&world.records[0]["first"], &world.records[1]["left"]), (&json!("Ann"), &json!("Ann")));
}

#[test]
fn what_both_ends_changed_to_the_same_is_settled() {
    let mut world = exact(json!({"first": "Ann", "last": "Lee"}));
    world.settle();
    world.edit(FORWARD, "first", "Beth");
    world.edit(REVERSE, "left", "Beth");
    world.carry(REVERSE);
    world.edit(FORWARD, "first", "Ann");
    world.settle();
    assert_eq!((&world.records[0]["first"], &world.records[1]["left"]), (&json!("Ann"), &json!("Ann")));
}

#[test]
fn a_look_that_lags_behind_a_write_is_no_change() {
    let mut world = exact(json!({"first": "Ann", "last": "Lee"}));
    world.settle();
    let late = (world.records[1].clone(), world.versions[1]);
    world.edit(FORWARD, "first", "Beth");
    assert!(world.carry(FORWARD));
    let now = (world.records[1].clone(), world.versions[1]);
    (world.records[1], world.versions[1]) = late;
    assert!(!world.carry(REVERSE), "as it was before the write");
    (world.records[1], world.versions[1]) = now;
    assert_eq!(world.settle(), [0, 0], "as it was written");
}

#[test]
fn who_takes_a_write_back_changed_the_record() {
    let mut world = exact(json!({"first": "Ann", "last": "Lee"}));
    world.edit(FORWARD, "first", "Beth");
    assert!(world.carry(FORWARD));
    world.edit(REVERSE, "left", "Ann");
    assert_eq!(world.settle(), [1, 0]);
    assert_eq!(world.records[0]["first"], "Ann");
}

#[test]
fn what_a_system_makes_of_a_write_goes_back_once() {
    let mut world =
        World::linked(json!({"first": "Ann", "last": "Lee"}), [faithful(false), faithful(true)], [keeps, lowers]);
    assert_eq!(world.settle(), [1, 0]);
    assert_eq!(world.records[0], json!({"first": "ann", "last": "lee"}), "the pair ends equal");
    world.edit(FORWARD, "first", "BETH");
    assert_eq!(world.settle(), [1, 1]);
}

#[test]
fn people_who_edit_in_turn_lose_nothing() {
    let mut world = exact(json!({"first": "Ann", "last": "Lee"}));
    world.settle();
    for turn in 0..40 {
        let end = if turn % 2 == 0 { FORWARD } else { REVERSE };
        world.edit(end, ["first", "left"][index(end)], &format!("turn {turn}"));
        world.carry(end);
    }
    world.rest();
    assert_eq!((&world.records[0]["first"], &world.records[1]["left"]), (&json!("turn 39"), &json!("turn 39")));
    world.edit(FORWARD, "last", "Ray");
    assert_eq!(world.settle(), [0, 1], "what comes after a rest waits for nothing");
}

#[test]
fn systems_that_answer_each_other_for_ever_do_so_ever_more_rarely() {
    let mut world =
        World::linked(json!({"first": "Ann", "last": "Lee"}), [faithful(false), faithful(true)], [grows, grows]);
    let mut minute = || {
        let writes: u32 = world.settle().iter().sum();
        world.now += SignedDuration::from_mins(1);
        writes
    };
    let hours: Vec<u32> = (0..24).map(|_| (0..60).map(|_| minute()).sum()).collect();
    assert!(hours[0] <= 2 * MOST_ROUNDS + 2, "{hours:?}");
    assert!(hours[2..].iter().all(|writes| (1..=2).contains(writes)), "they end never: {hours:?}");
}

#[test]
fn a_clock_that_was_set_back_holds_nothing_up() {
    let mut world =
        World::linked(json!({"first": "Ann", "last": "Lee"}), [faithful(false), faithful(true)], [grows, grows]);
    world.now += SignedDuration::from_hours(24);
    world.settle();
    assert_eq!(world.settle(), [0, 0], "they wait");
    world.now -= SignedDuration::from_hours(24);
    assert_ne!(world.settle(), [0, 0]);
}

#[test]
fn numbers_and_truths_are_compared_as_systems_keep_them() {
    let image = |value: Value| Image::each(&[("a".to_owned(), Some(value))].into());
    assert_eq!(image(json!(10)), image(json!("10")));
    assert_eq!(image(json!({"b": [10.0, true]})), image(json!({"b": ["10", "true"]})));
    assert_ne!(image(json!(10)), image(json!(100)));
    assert_eq!(image(json!(null)), Image::each(&[("a".to_owned(), None)].into()));
}

#[test]
fn a_body_is_laid_where_records_have_it() {
    let record = json!({"id": 1, "properties": {"a": 1, "b": {"c": 2}}});
    let laid = overlaid(&record, "/properties", &json!({"b": {"d": 3}, "e": null}));
    assert_eq!(laid, json!({"id": 1, "properties": {"a": 1, "b": {"c": 2, "d": 3}, "e": null}}));
    assert_eq!(overlaid(&json!({}), "/a~1b", &json!({"c": 1})), json!({"a/b": {"c": 1}}));
    let map = mapping(&[("x", "record.properties.a")]);
    assert_eq!((place(&map, "/properties").as_str(), place(&map, "/ticket").as_str()), ("/properties", ""));
}

fn ends() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(FORWARD), Just(REVERSE)]
}

/// An edit, or a run of one flow alone.
fn steps() -> impl Strategy<Value = Vec<(Direction, Option<(usize, &'static str)>)>> {
    let edit = (0_usize..2, select(vec!["Ann", "Beth Marie", "C", "dora", "EVE EVE"]));
    prop::collection::vec((ends(), prop::option::weighted(0.6, edit)), 1..60)
}

fn take(world: &mut World, steps: &[(Direction, Option<(usize, &'static str)>)]) -> u32 {
    let names = [["first", "last"], ["left", "right"]];
    let mut edits = 0;
    for (end, edit) in steps {
        match edit {
            Some((field, text)) => {
                world.edit(*end, names[index(*end)][*field], text);
                edits += 1;
            }
            None => drop(world.carry(*end)),
        }
    }
    edits
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn writes_end_whatever_maps_lose_and_systems_make_of_them(
        forward in select(forward_maps()),
        reverse in select(reverse_maps()),
        habits in (select(HABITS.to_vec()), select(HABITS.to_vec())),
        steps in steps(),
    ) {
        let maps = [mapping(&forward), mapping(&reverse)];
        let mut world = World::linked(json!({"first": "Zoe", "last": "Zed"}), maps, [habits.0, habits.1]);
        let edits = take(&mut world, &steps);
        world.settle();
        let writes: u32 = world.writes.iter().map(Cell::get).sum();
        // Of each edit and of the first write, both fields may go to and fro as often as answers are carried.
        prop_assert!(writes <= (edits + 1) * 2 * (MOST_ROUNDS + 2), "{writes} writes of {edits} edits");
        prop_assert_eq!(world.settle(), [0, 0], "and it stays so");
    }

    #[test]
    fn pairs_that_keep_everything_end_equal_with_one_write_an_edit_at_most(steps in steps()) {
        let mut world = exact(json!({"first": "Zoe", "last": "Zed"}));
        let edits = take(&mut world, &steps);
        world.rest();
        prop_assert_eq!(&world.records[0]["first"], &world.records[1]["left"]);
        prop_assert_eq!(&world.records[0]["last"], &world.records[1]["right"]);
        let writes: u32 = world.writes.iter().map(Cell::get).sum();
        prop_assert!(writes <= edits + 1, "{writes} writes of {edits} edits");
    }

    #[test]
    fn pairs_that_join_and_split_fields_end_equal(
        steps in prop::collection::vec((ends(), prop::option::weighted(0.6, (0_usize..2, select(vec!["Ann", "Beth", "C", "dora"])))), 1..60)
    ) {
        let join = mapping(&[("left", "record.first + ' ' + record.last")]);
        let split = mapping(&[("first", "split(record.left, ' ')[0]"), ("last", "split(record.left, ' ')[1]")]);
        let mut world = World::linked(json!({"first": "Zoe", "last": "Zed"}), [join, split], [keeps, keeps]);
        for (end, edit) in steps {
            match (end, edit) {
                (end, None) => drop(world.carry(end)),
                (Direction::Forward, Some((field, text))) => world.edit(end, ["first", "last"][field], text),
                (Direction::Reverse, Some((field, text))) => {
                    let left = world.records[1]["left"].as_str().unwrap().to_owned();
                    let mut parts: Vec<&str> = left.split(' ').collect();
                    parts[field] = text;
                    world.edit(end, "left", &parts.join(" "));
                }
            }
        }
        world.rest();
        let joined = ["first", "last"].map(|name| world.records[0][name].as_str().unwrap().to_owned()).join(" ");
        prop_assert_eq!(&world.records[1]["left"], &json!(joined));
    }

    #[test]
    fn an_edit_of_a_quiet_pair_arrives_and_nothing_comes_back(
        forward in select(forward_maps()),
        reverse in select(reverse_maps()),
        steps in steps(),
        end in ends(),
        text in select(vec!["Fay", "Gus Gus", "H"]),
    ) {
        let mut world = World::linked(json!({"first": "Zoe", "last": "Zed"}), [mapping(&forward), mapping(&reverse)], [keeps, keeps]);
        take(&mut world, &steps);
        world.rest();
        let before = world.body(end).1;
        world.edit(end, ["first", "left"][index(end)], text);
        let (image, seen) = (world.body(end).1, world.seen(end));
        let changes = world.memory.of(end).news(world.memory.of(end).look(&image, &seen, world.now)).fields.len();
        let writes = world.settle();
        prop_assert_eq!(writes[index(end)], 0, "an echo was written back");
        prop_assert_eq!(writes[index(end.back())], u32::from(changes > 0));
        prop_assert!(changes > 0 || world.body(end).1 == before, "a change that its map shows is carried");
    }
}
