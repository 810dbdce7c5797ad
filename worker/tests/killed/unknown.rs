//! Where nothing can tell whether a write took effect: what is in doubt is held, or sent again where a person chose that.

use std::{collections::BTreeSet, time::Duration};

use crosstie_engine::plan::{OnUnknownOutcome, Outcome};
use rusqlite::{Connection, OpenFlags};

use crate::{
    common::{Bench, process::random},
    rest::{bench, failures},
    trial::{End, Trial, sized, strike},
};

/// Few, so that little is in doubt at a kill.
const CALLS: u32 = 16;

async fn run(on_unknown: OnUnknownOutcome, excused: fn(&Bench) -> BTreeSet<u32>) -> End {
    let (size, (seed, random)) = (sized(600, 5), random());
    let mut bench = bench(size.0, Outcome::default(), 1, CALLS).await;
    bench.plan.flows[0].on_unknown_outcome = on_unknown;
    bench.write_plan();
    strike(&bench, "PUT", &failures(), seed).await;
    let end = Trial::of(bench, size, random).hurrying().run(excused).await;
    end.assert_struck(&failures());
    end
}

/// Records that the worker holds because nothing can tell what became of them.
fn held(bench: &Bench) -> BTreeSet<u32> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let store = Connection::open_with_flags(bench.state().join("store.db"), flags).unwrap();
    store.busy_timeout(Duration::from_secs(20)).unwrap();
    let sql = "SELECT key FROM queue WHERE id IN (SELECT record FROM outgoing WHERE held = 1)";
    let mut statement = store.prepare(sql).unwrap();
    let keys = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
    keys.map(|key| key.unwrap().parse().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_kills_what_nothing_can_tell_is_held_and_all_else_arrives_once_and_in_order() {
    let end = run(OnUnknownOutcome::Hold, held).await;
    end.assert_once_and_in_order();
    let held = held(&end.bench).len() as u64;
    println!("{held} records are held");
    // What was answered is not among them.
    assert!(held > 0 && held < end.stats.writes.distinct / 2, "{held} are held");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_kills_what_is_sent_again_by_choice_arrives_in_order_and_some_of_it_twice() {
    let end = run(OnUnknownOutcome::Resend, |_| BTreeSet::new()).await;
    end.assert_all_was_seen();
    let (twice, backwards) = end.history.faults();
    assert_eq!(
        (twice.is_empty(), backwards),
        (false, Vec::new()),
        "a resend is a second write, and comes before the next"
    );
}
