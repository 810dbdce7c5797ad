//! Turns: who goes along with whom, who waits, and how evenly.

use super::*;
use crate::vault::fetch::tests::named;

const INTERVAL: Duration = Duration::from_mins(5);

fn numbered(number: usize) -> SecretKey {
    named(&format!("shop/{number}"))
}

fn abroad(number: usize) -> SecretKey {
    let mut key = numbered(number);
    key.account.region = Some("us-east-1".into());
    key
}

fn in_role(number: usize) -> SecretKey {
    let mut key = numbered(number);
    let external_id = format!("shop/{number}");
    key.account.identity = Identity::Role { arn: "arn:aws:iam::123456789012:role/lent".into(), external_id };
    key
}

fn schedule(begin: Instant) -> Schedule {
    Schedule::new(INTERVAL, begin, 0.0)
}

/// Reads everything that is due until `end` without taking any time, and gives when each batch was read, and how many were in it.
fn play(schedule: &mut Schedule, now: &mut Instant, end: Instant) -> Vec<(Instant, usize)> {
    let mut batches = Vec::new();
    loop {
        while let Some(batch) = schedule.next_batch(*now) {
            batches.push((*now, batch.len()));
            for key in batch {
                schedule.done(key, Ended::Well, *now, 0.5);
            }
        }
        match schedule.next().filter(|next| *next < end) {
            Some(next) => *now = next.max(*now),
            None => return batches,
        }
    }
}

#[test]
fn what_is_asked_for_alone_is_read_at_once_and_what_follows_goes_together() {
    let start = Instant::now();
    let mut schedule = schedule(start);
    schedule.ask(numbered(0), start);
    assert_eq!(schedule.next_batch(start), Some(vec![numbered(0)]));
    for number in 1..=3 {
        schedule.ask(numbered(number), start);
    }
    assert_eq!(schedule.next_batch(start), None);
    assert_eq!(schedule.next(), Some(start + GATHER));
    assert_eq!(schedule.next_batch(start + GATHER).map(|batch| batch.len()), Some(3));
}

#[test]
fn secrets_in_roles_wait_for_no_company() {
    let start = Instant::now();
    let mut schedule = schedule(start);
    for number in 0..10 {
        schedule.ask(in_role(number), start);
    }
    let batches: Vec<usize> = std::iter::from_fn(|| schedule.next_batch(start)).map(|batch| batch.len()).collect();
    assert_eq!(batches, [1; 10]);
}

#[test]
fn a_full_batch_does_not_wait_and_only_so_many_are_read_at_once_in_a_region() {
    let start = Instant::now();
    let mut schedule = schedule(start);
    for number in 0..=MOST_READING {
        schedule.ask(numbered(number), start);
    }
    let sizes: Vec<usize> = std::iter::from_fn(|| schedule.next_batch(start)).map(|batch| batch.len()).collect();
    assert_eq!(sizes, [LARGEST_BATCH; MOST_READING / LARGEST_BATCH]);
    assert_eq!(schedule.next(), None, "only the end of a read makes room");
    schedule.ask(abroad(0), start);
    assert_eq!(schedule.next_batch(start), Some(vec![abroad(0)]), "another region has room of its own");
}

#[test]
fn no_batch_mixes_accounts() {
    let start = Instant::now();
    let mut schedule = schedule(start);
    for key in [numbered(0), abroad(1), numbered(2), in_role(3)] {
        schedule.ask(key, start);
    }
    let batches: Vec<Vec<SecretKey>> = std::iter::from_fn(|| schedule.next_batch(start)).collect();
    assert_eq!(batches.len(), 3);
    for batch in batches {
        assert!(batch.iter().all(|key| key.account == batch[0].account), "{batch:?}");
    }
}

#[test]
fn a_sweep_is_a_steady_trickle_and_misses_nobody() {
    for count in [1, 7, 100, 1000] {
        let start = Instant::now();
        let (mut schedule, mut now) = (schedule(start), start);
        for number in 0..count {
            schedule.ask(numbered(number), start);
        }
        // The first reads come all at once, whatever is done; from then on it is even.
        play(&mut schedule, &mut now, start + INTERVAL);
        let begin = start + INTERVAL;
        let batches = play(&mut schedule, &mut now, begin + 10 * INTERVAL);
        let window = INTERVAL / 5;
        let within = |from: Instant| batches.iter().filter(|(at, _)| *at >= from && *at < from + window).count();
        let peak = batches.iter().map(|(at, _)| within(*at)).max().unwrap_or_default();
        let mean = f64::from(u32::try_from(batches.len()).unwrap()) / 50.0;
        let peak = f64::from(u32::try_from(peak).unwrap());
        assert!(peak <= (2.0 * mean).max(1.0), "{count} secrets: {peak} calls at the peak, {mean} in the mean");
        let values: usize = batches.iter().map(|(_, size)| size).sum();
        assert!(
            (10 * count..=12 * count).contains(&values),
            "{count} secrets were read {values} times in ten intervals"
        );
    }
}

#[test]
fn no_secret_is_read_more_seldom_than_the_interval_says() {
    let start = Instant::now();
    let (mut schedule, mut now) = (schedule(start), start);
    let mut last: HashMap<SecretKey, Instant> = HashMap::new();
    for number in 0..137 {
        schedule.ask(numbered(number), start);
    }
    while now < start + 5 * INTERVAL {
        while let Some(batch) = schedule.next_batch(now) {
            for key in batch {
                let gap = last.insert(key.clone(), now).map(|before| now - before).unwrap_or_default();
                assert!(gap <= INTERVAL + GATHER, "{key} was left alone for {gap:?}");
                schedule.done(key, Ended::Well, now, 0.5);
            }
        }
        now = schedule.next().unwrap().max(now);
    }
    assert_eq!(last.len(), 137);
}

#[test]
fn waits_after_faults_grow_and_are_bounded_and_those_after_throttling_begin_longer() {
    let mut now = Instant::now();
    let mut schedule = schedule(now);
    let mut waits = |key: SecretKey, ended: Ended| -> Vec<u64> {
        schedule.ask(key.clone(), now);
        let mut waits = Vec::new();
        for _ in 0..7 {
            now = schedule.next().unwrap().max(now);
            assert!(schedule.next_batch(now).unwrap().contains(&key));
            schedule.done(key.clone(), ended, now, 1.0);
            waits.push((schedule.turns[&key].due.unwrap() - now).as_secs());
        }
        schedule.turns.clear();
        schedule.lanes.clear();
        waits
    };
    assert_eq!(waits(numbered(1), Ended::Badly), [2, 4, 8, 16, 32, 45, 45]);
    assert_eq!(waits(numbered(2), Ended::Throttled), [5, 10, 20, 40, 45, 45, 45]);
}

#[test]
fn a_change_that_comes_while_the_secret_is_being_read_leads_to_another_read() {
    let now = Instant::now();
    let mut schedule = schedule(now);
    schedule.ask(numbered(0), now);
    assert_eq!(schedule.next_batch(now).unwrap().len(), 1);
    schedule.ask(numbered(0), now);
    schedule.hurry(numbered(0), now);
    assert_eq!(schedule.next(), None, "one read of a secret at a time");
    schedule.done(numbered(0), Ended::Well, now, 0.5);
    assert_eq!(schedule.next_batch(now + GATHER), Some(vec![numbered(0)]));
    schedule.done(numbered(0), Ended::Well, now + GATHER, 0.5);
    assert_eq!(schedule.next_batch(now + 2 * GATHER), None, "and to no third");
}

#[test]
fn a_change_brings_a_secret_forward_but_not_one_that_is_throttled() {
    let now = Instant::now();
    let mut schedule = schedule(now);
    for ended in [Ended::Well, Ended::Badly, Ended::Throttled] {
        let key = named(&format!("shop/{ended:?}"));
        schedule.ask(key.clone(), now);
        schedule.next_batch(now + GATHER).unwrap();
        schedule.done(key.clone(), ended, now + GATHER, 0.5);
        schedule.hurry(key.clone(), now + GATHER);
        let due = schedule.turns[&key].due.unwrap();
        assert_eq!(due == now + GATHER, ended != Ended::Throttled, "{ended:?}");
        schedule.turns.clear();
        schedule.lanes.clear();
    }
}

#[test]
fn a_secret_that_is_forgotten_leaves_nothing_behind() {
    let now = Instant::now();
    let mut schedule = schedule(now);
    schedule.ask(in_role(0), now);
    schedule.next_batch(now).unwrap();
    schedule.forget(&in_role(0));
    assert!(schedule.turns.is_empty() && schedule.lanes.is_empty() && schedule.reading.is_empty());
}
