//! Windows: where they begin and end, and what pages do to them.

use super::*;
use crate::plan::{CursorFormat, CursorPages};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn value(second: i64) -> CursorValue {
    CursorValue::Time(at(second))
}

fn cursor() -> Cursor {
    Cursor { field: "/updated_at".into(), param: Some("min".into()), lookback_seconds: 300, ..Cursor::default() }
}

fn stream(pagination: Pagination) -> Stream {
    Stream { cursor: Some(cursor()), pagination, ..Stream::default() }
}

fn state(begins: Option<CursorValue>, cursor: Option<CursorValue>) -> PollState {
    PollState { begins, cursor, ..PollState::default() }
}

fn page(hashes: &[String], next: Option<Position>) -> PageSeen<'_> {
    PageSeen { hashes, next, values: &[], delta: None }
}

fn hashes(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|key| key.to_string()).collect()
}

fn taken(turn: Turn) -> PollState {
    match turn {
        Turn::Take(state) => state,
        Turn::StepBack(state) | Turn::Repeats(state) => panic!("went back to {state:?}"),
        Turn::Stuck(stuck) => panic!("{stuck}"),
    }
}

#[test]
fn the_cursor_moves_to_the_upper_bound_when_the_window_is_exhausted_and_not_before() {
    let stream = stream(Pagination::LinkHeader);
    let open = PollState::default().opened(&stream, StartFrom::Beginning, at(1000));
    let hashes = hashes(0..2);
    let next = Some(Position::Url("https://x/2".into()));
    let half = taken(open.turned(&stream, &page(&hashes, next)));
    assert_eq!(half.cursor, None);
    let done = taken(half.turned(&stream, &page(&hashes, None)));
    assert_eq!((done.cursor, done.open), (Some(value(1000)), None));
}

#[test]
fn the_next_window_reaches_back_by_the_lookback_but_never_before_where_the_flow_began() {
    let stream = stream(Pagination::None);
    let state = state(Some(value(900)), Some(value(1000)));
    let bounds = state.opened(&stream, StartFrom::Now, at(2000)).open.unwrap().bounds;
    assert_eq!(bounds, Bounds { from: Some(value(900)), until: Some(value(2000)) });
    let state = PollState { begins: Some(value(0)), ..state };
    assert_eq!(state.opened(&stream, StartFrom::Now, at(2000)).open.unwrap().bounds.from, Some(value(700)));
}

#[test]
fn a_flow_that_begins_now_reads_nothing_older() {
    let begun = PollState::default().opened(&stream(Pagination::None), StartFrom::Now, at(50));
    assert_eq!(begun, state(Some(value(50)), Some(value(50))));
}

#[test]
fn a_source_clock_that_was_set_back_does_not_move_the_cursor_back() {
    let state = state(None, Some(value(1000)));
    let open = state.opened(&stream(Pagination::None), StartFrom::Beginning, at(10));
    assert_eq!(open.open.unwrap().bounds.until, Some(value(1000)));
}

#[test]
fn an_open_window_keeps_its_bounds_however_often_it_is_resumed() {
    let stream = stream(Pagination::LinkHeader);
    let open = PollState::default().opened(&stream, StartFrom::Beginning, at(1000));
    assert_eq!(open.opened(&stream, StartFrom::Beginning, at(5000)), open);
}

#[test]
fn pages_by_position_overlap_by_one_record_and_step_back_when_records_moved() {
    let pagination = Pagination::Offset { param: "offset".into(), limit_param: "limit".into(), limit: 3 };
    let stream = stream(pagination);
    let open = PollState::default().opened(&stream, StartFrom::Beginning, at(1000));
    let first = taken(open.turned(&stream, &page(&hashes(0..3), Some(Position::Offset(3)))));
    assert_eq!(first.open.as_ref().unwrap().next, Position::Offset(2));
    // Record 0 was deleted meanwhile: what was at position 2 moved to 1, so position 2 now holds record 3 and 2 would be overlooked.
    let turn = first.turned(&stream, &page(&hashes(3..6), Some(Position::Offset(5))));
    let Turn::StepBack(back) = turn else { panic!("taken: {turn:?}") };
    assert_eq!(back.open.as_ref().unwrap().next, Position::First);
    let again = taken(back.turned(&stream, &page(&hashes(1..4), Some(Position::Offset(3)))));
    assert_eq!(again.open.unwrap().anchor.as_deref(), Some("3"));
}

fn counting() -> Stream {
    let cursor = Cursor { format: CursorFormat::Counter, lookback_count: 10, ..cursor() };
    Stream { cursor: Some(cursor), pagination: Pagination::LinkHeader, ..Stream::default() }
}

#[test]
fn a_window_of_counters_is_open_at_its_end_and_the_cursor_moves_to_the_highest_seen_and_never_back() {
    let (stream, hashes, number) = (counting(), hashes(0..1), CursorValue::Counter);
    let open = PollState::default().opened(&stream, StartFrom::Beginning, at(0));
    assert_eq!(open.open.as_ref().unwrap().bounds, Bounds { from: None, until: None });
    let next = Some(Position::Url("https://x/2".into()));
    let half = taken(open.turned(&stream, &PageSeen { values: &[number(70), number(5)], ..page(&hashes, next) }));
    assert_eq!(half.cursor, None);
    let done = taken(half.turned(&stream, &PageSeen { values: &[number(50)], ..page(&[], None) }));
    assert_eq!(done.cursor, Some(number(70)));
    let again = done.opened(&stream, StartFrom::Beginning, at(0));
    assert_eq!(again.open.as_ref().unwrap().bounds.from, Some(number(60)));
    let lower = taken(again.turned(&stream, &PageSeen { values: &[number(61)], ..page(&hashes, None) }));
    assert_eq!(lower.cursor, Some(number(70)));
    let nothing = taken(again.turned(&stream, &page(&[], None)));
    assert_eq!(nothing.cursor, Some(number(70)));
}

#[test]
fn a_cursor_that_changed_its_kind_reads_everything_again() {
    let (counted, timed) = (state(None, Some(CursorValue::Counter(7))), state(Some(value(5)), Some(value(9))));
    let open = counted.opened(&stream(Pagination::None), StartFrom::Now, at(100));
    assert_eq!(open.open.unwrap().bounds, Bounds { from: None, until: Some(value(100)) });
    let open = timed.opened(&counting(), StartFrom::Beginning, at(100));
    assert_eq!((open.begins, open.open.unwrap().bounds), (None, Bounds { from: None, until: None }));
}

#[test]
fn a_long_past_is_read_window_by_window_none_of_which_is_longer_than_asked_for() {
    let mut stream = stream(Pagination::None);
    stream.cursor.as_mut().unwrap().window_seconds = Some(1000);
    let mut state = PollState::default();
    let mut windows = Vec::new();
    loop {
        state = state.opened(&stream, StartFrom::Time(at(0)), at(2000));
        let bounds = state.open.as_ref().unwrap().bounds;
        windows.push((bounds.from.unwrap(), bounds.until.unwrap()));
        state = taken(state.turned(&stream, &page(&[], None)));
        if !state.behind {
            break;
        }
    }
    let expected = [(0, 1000), (700, 1700), (1400, 2000)];
    assert_eq!(windows, expected.map(|(from, until)| (value(from), value(until))));
    assert_eq!(state.cursor, Some(value(2000)));
}

#[test]
fn a_state_that_an_earlier_version_stored_is_read_on() {
    let stored = r#"{"begins":null,"cursor":"2027-01-15T08:00:00Z","open":{"bounds":{"from":null,"until":"2027-01-15T09:00:00Z"},
        "next":{"offset":3},"anchor":"h"}}"#;
    let state: PollState = serde_json::from_str(stored).unwrap();
    assert_eq!(state.cursor, Some(value(0)));
    let window = state.open.as_ref().unwrap();
    assert_eq!((&window.next, window.bounds.until), (&Position::Offset(3), Some(value(3600))));
    let again: PollState = serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
    assert_eq!(again, state);
}

#[test]
fn a_numbered_page_has_the_record_it_is_asked_for_and_others_behind_it() {
    for size in [20, 50, 100] {
        for position in (0..20_000).chain([2_519, 999_999_999]) {
            let (number, length) = numbered_page(position, size);
            let (first, behind) = (number * u64::from(length), (number + 1) * u64::from(length));
            assert!(
                length <= size && first <= position && position + 1 < behind,
                "{position} of {size}: {number} of {length}"
            );
        }
    }
    assert_eq!(numbered_page(0, 100), (0, 100));
    assert_eq!(numbered_page(99, 100), (1, 99));
}

/// Reads a list by position while records leave it, each time so many at random, and gives the pages it took; none when pages repeated.
fn read_moving(pagination: &Pagination, records: u32, leaving: u32) -> Option<(u32, Vec<String>, Vec<String>)> {
    let stream = stream(pagination.clone());
    let mut list: Vec<String> = hashes(0..records);
    let (mut seen, mut pages, mut chance) = (Vec::new(), 0_u32, 7_u64);
    let mut state = PollState::default().opened(&stream, StartFrom::Beginning, at(1000));
    while let Some(window) = &state.open {
        let position = match window.next {
            Position::Offset(offset) => offset,
            _ => 0,
        };
        let (start, length) = match *pagination {
            Pagination::Page { size, .. } => {
                let (number, length) = numbered_page(position, size);
                (number * u64::from(length), length as usize)
            }
            Pagination::Offset { limit, .. } => (position, limit as usize),
            _ => unreachable!(),
        };
        let hashes: Vec<String> = list.iter().skip(usize::try_from(start).unwrap()).take(length).cloned().collect();
        let end = start + hashes.len() as u64;
        let next = (end > position + 1).then_some(Position::Offset(end));
        pages += 1;
        match state.turned(&stream, &page(&hashes, next)) {
            Turn::Take(next) => {
                seen.extend(hashes);
                state = next;
            }
            Turn::StepBack(next) => state = next,
            Turn::Repeats(_) | Turn::Stuck(_) => return None,
        }
        for _ in 0..leaving {
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            if !list.is_empty() {
                list.remove(usize::try_from(chance >> 33).unwrap() % list.len());
            }
        }
    }
    Some((pages, seen, list))
}

#[test]
fn no_record_slips_between_pages_when_others_leave_the_list() {
    for pagination in [numbered(20), Pagination::Offset { param: "o".into(), limit_param: "l".into(), limit: 20 }] {
        for leaving in [0, 1, 3] {
            let (pages, seen, list) = read_moving(&pagination, 1_000, leaving).unwrap();
            let missed: Vec<_> = list.iter().filter(|record| !seen.contains(record)).collect();
            assert!(missed.is_empty(), "{leaving} leave after each page of {pagination:?}: {missed:?}");
            assert!(leaving > 0 || pages < 70, "{pages} pages of 20 for 1000 records");
        }
    }
}

fn numbered(size: u32) -> Pagination {
    Pagination::Page { param: "page".into(), first: 1, size_param: "size".into(), size, in_records: false }
}

#[test]
fn a_vendor_that_ignores_what_leads_to_the_next_page_is_noticed_and_the_window_never_ends() {
    for pagination in [numbered(20), Pagination::LinkHeader, Pagination::Cursor(CursorPages::of("/next", "after"))] {
        let (stream, hashes) = (stream(pagination), hashes(0..20));
        let mut state = PollState::default().opened(&stream, StartFrom::Beginning, at(1000));
        let (mut restarts, mut repeats) = (0, 0);
        for number in 0..40 {
            let next = match stream.pagination {
                Pagination::Page { .. } => Position::Offset(20 + 19 * number),
                _ => Position::Cursor(number.to_string()),
            };
            state = match state.turned(&stream, &page(&hashes, Some(next))) {
                Turn::Take(state) => state,
                Turn::StepBack(state) => {
                    restarts += 1;
                    state
                }
                Turn::Repeats(state) => {
                    repeats += 1;
                    state
                }
                Turn::Stuck(stuck) => panic!("{stuck}"),
            };
            assert!(state.open.is_some() && state.cursor.is_none());
        }
        assert_eq!((restarts, repeats), (3, 17), "{:?}", stream.pagination);
    }
}

/// Reads a list of times in ascending order from a vendor that gives so many records of a search, in pages of ten.
fn read_capped(times: &[i64], cap: u32) -> Result<(Vec<i64>, u32), Stuck> {
    let stream = Stream { depth_cap: Some(cap), ..stream(Pagination::Cursor(CursorPages::of("/next", "after"))) };
    let mut state = PollState::default().opened(&stream, StartFrom::Beginning, at(100_000));
    let (mut read, mut searches) = (Vec::new(), 1);
    while let Some(window) = &state.open {
        let from = window.bounds.from.map_or(i64::MIN, |from| from.time().unwrap().as_second() - 1_800_000_000);
        let position: usize = match &window.next {
            Position::Cursor(cursor) => cursor.parse().unwrap(),
            _ => 0,
        };
        assert!(position + 10 <= cap as usize, "the vendor refuses this page");
        let found: Vec<i64> = times.iter().copied().filter(|time| *time >= from).collect();
        let records: Vec<i64> = found.iter().copied().skip(position).take(10).collect();
        let hashes: Vec<String> =
            records.iter().enumerate().map(|(number, time)| format!("{time} {}", position + number)).collect();
        let values: Vec<CursorValue> = records.iter().map(|time| value(*time)).collect();
        let next = (found.len() > position + 10).then(|| Position::Cursor((position + 10).to_string()));
        let bounds = window.bounds;
        state = match state.turned(&stream, &PageSeen { values: &values, ..page(&hashes, next) }) {
            Turn::Stuck(stuck) => return Err(stuck),
            turn => taken(turn),
        };
        searches += u32::from(state.open.as_ref().is_some_and(|window| window.bounds != bounds));
        read.extend(records);
    }
    assert_eq!(state.cursor, Some(value(100_000)));
    Ok((read, searches))
}

#[test]
fn past_the_depth_that_a_vendor_allows_reading_begins_again_from_the_last_value_seen() {
    let times: Vec<i64> = (0..1_000).map(|number| number / 3).collect();
    let (read, searches) = read_capped(&times, 100).unwrap();
    assert!(times.iter().all(|time| read.contains(time)));
    assert!((10..=12).contains(&searches), "{searches}");
    // As many records of one value as the vendor gives, and not one more.
    let ties: Vec<i64> = std::iter::repeat_n(5, 90).chain([6, 7]).collect();
    assert!(read_capped(&ties, 100).is_ok());
}

#[test]
fn a_depth_that_cannot_be_passed_stops_reading_and_nothing_is_passed_over() {
    assert_eq!(read_capped(&[5; 400], 100), Err(Stuck::NoProgress));
    let falling: Vec<i64> = (0..400).rev().collect();
    assert_eq!(read_capped(&falling, 100), Err(Stuck::NotAscending));
    let stream = Stream { depth_cap: Some(1), ..stream(Pagination::LinkHeader) };
    let open = PollState::default().opened(&stream, StartFrom::Beginning, at(0));
    let next = Some(Position::Url("https://x/2".into()));
    assert_eq!(open.turned(&stream, &page(&hashes(0..3), next)), Turn::Stuck(Stuck::NoValue));
}

#[test]
fn the_next_window_begins_where_the_last_page_says_until_the_vendor_forgets_it() {
    let links = Pagination::DeltaLink { next: "/next".into(), delta: "/delta".into() };
    let stream = Stream { cursor: None, ..stream(links) };
    let open = PollState::default().opened(&stream, StartFrom::Beginning, at(0));
    assert_eq!(open.open.as_ref().unwrap().next, Position::First);
    let url = "https://x/delta?token=1".to_owned();
    let done = taken(open.turned(&stream, &PageSeen { delta: Some(url.clone()), ..page(&hashes(0..1), None) }));
    assert_eq!(done.delta.as_deref(), Some(url.as_str()));
    let stored: PollState = serde_json::from_str(&serde_json::to_string(&done).unwrap()).unwrap();
    let again = stored.opened(&stream, StartFrom::Beginning, at(100));
    assert_eq!(again.open.as_ref().unwrap().next, Position::Url(url.clone()));
    let forgotten = again.restarted();
    assert_eq!((forgotten.open.as_ref().unwrap().next.clone(), &forgotten.delta), (Position::First, &None));
    let without = taken(again.turned(&stream, &page(&hashes(0..1), None)));
    assert_eq!(without.delta, None, "a last page without one leads nowhere: the list is read again");
    let changed = Stream { pagination: Pagination::LinkHeader, ..stream };
    assert_eq!(done.opened(&changed, StartFrom::Beginning, at(100)).open.unwrap().next, Position::First);
}

#[test]
fn children_are_read_parent_by_parent_and_reading_goes_on_where_it_was() {
    let parents = stream(Pagination::LinkHeader);
    let children = Stream { cursor: None, ..stream(Pagination::LinkHeader) };
    let open = PollState::default().opened(&parents, StartFrom::Beginning, at(0));
    let next = || Some(Position::Url("https://x/1/children?page=2".into()));
    let (turn, last) = open.turned_child(&children, "1", Some("2"), &page(&hashes(0..2), next()));
    let half = taken(turn);
    assert!(!last && half.open == open.open, "the parents' page is read again after a restart");
    let stored: PollState = serde_json::from_str(&serde_json::to_string(&half).unwrap()).unwrap();
    assert_eq!(stored.children("1").next, next().unwrap());
    assert_eq!(stored.children("2").next, Position::First, "another parent's children are read from their beginning");
    let (turn, last) = stored.turned_child(&children, "1", Some("2"), &page(&hashes(2..3), None));
    let one = taken(turn);
    assert!(last);
    assert_eq!(one.child.as_ref().unwrap().parent, "2");
    let (turn, last) = one.turned_child(&children, "2", None, &page(&[], None));
    assert_eq!((taken(turn).child, last), (None, true));
    assert_eq!(half.restarted().child, None);
    // A vendor that repeats one parent's children is noticed as well.
    let mut state = open;
    let mut repeats = 0;
    for _ in 0..10 {
        state = match state.turned_child(&children, "1", None, &page(&hashes(0..2), next())).0 {
            Turn::Take(state) | Turn::StepBack(state) => state,
            Turn::Repeats(state) => {
                repeats += 1;
                state
            }
            Turn::Stuck(stuck) => panic!("{stuck}"),
        };
    }
    assert!(repeats > 0);
}
