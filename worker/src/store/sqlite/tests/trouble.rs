//! Full disks, damage, two processes, and many at once.

use std::sync::Arc;

use super::*;

#[tokio::test]
async fn a_full_disk_is_said_and_nothing_acknowledged_is_lost() {
    let bench = Bench::new().await;
    bench.take(&[("a", 1, "x")], at(1)).await;
    let limit = |pages: i64| {
        move |session: &mut Session| Ok(session.connection.pragma_update(None, "max_page_count", pages)?)
    };
    let pages: i64 = bench
        .store
        .writer
        .look(|session| Ok(session.connection.pragma_query_value(None, "page_count", |row| row.get(0))?))
        .await
        .unwrap();
    bench.store.writer.look(limit(pages)).await.unwrap();
    let large = "x".repeat(100_000);
    let error = bench.take_with(&[("b", 1, &large)], PollState::default(), at(2)).await.unwrap_err();
    assert!(matches!(error, StoreError::Full(_)), "{error:?}");
    assert_eq!(bench.backlog(at(2)).await.depth, 1);
    bench.store.writer.look(limit(1_000_000)).await.unwrap();
    assert_eq!(bench.take(&[("b", 1, &large)], at(3)).await.kept, 1, "it goes on once there is space");
}

#[tokio::test]
async fn a_change_that_fails_undoes_itself_alone_and_not_those_it_shares_a_transaction_with() {
    let bench = Bench::new().await;
    let nowhere = TakenPage {
        scope: ScopeId(99),
        records: vec![incoming("lost", 1, "x")],
        poll: PollState::default(),
        again: false,
        round: None,
        run: at(1),
        synced: None,
        now: at(1),
    };
    let (first, failed, last) = futures::join!(
        bench.take_with(&[("a", 1, "x")], PollState::default(), at(1)),
        bench.store.take_page(nowhere),
        bench.take_with(&[("b", 1, "x")], PollState::default(), at(1))
    );
    assert!(first.is_ok() && failed.is_err() && last.is_ok());
    let bench = bench.crash(at(2)).await;
    assert_eq!(bench.claim(5, at(2)).await.len(), 2);
}

#[tokio::test]
async fn a_second_store_in_the_same_folder_is_refused() {
    let bench = Bench::new().await;
    let second = SqliteStore::open(bench.folder.path(), Uuid::new_v4(), at(1));
    assert!(matches!(second.map(|_| ()), Err(StoreError::Locked { .. })));
    bench.store.close().await.unwrap();
    let again = SqliteStore::open(bench.folder.path(), Uuid::new_v4(), at(2)).unwrap();
    assert_eq!(again.id(), bench.store.id(), "the id is made once");
    assert!(matches!(bench.store.backlog(bench.scope, at(1)).await, Err(StoreError::Closed)));
}

/// A store that holds so many records, more than SQLite keeps in memory, open, and damaged from this page on after it was opened.
async fn damaged_while_open(first_page: usize) -> (Bench, SqliteStore) {
    let bench = Bench::new().await;
    let many: Vec<(String, i64)> = (0..6000).map(|key| (format!("k{key}"), 1)).collect();
    let content = "x".repeat(1000);
    let many: Vec<_> = many.iter().map(|(key, version)| (key.as_str(), *version, content.as_str())).collect();
    bench.take(&many, at(1)).await;
    bench.store.close().await.unwrap();
    let store = SqliteStore::open(bench.folder.path(), Uuid::new_v4(), at(2)).unwrap();
    let path = bench.folder.path().join(DATABASE_FILE);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[first_page * 4096..].fill(0xAA);
    std::fs::write(&path, bytes).unwrap();
    (bench, store)
}

#[tokio::test]
async fn damage_that_is_met_while_running_is_said_as_damage_and_nothing_is_asked_of_the_store_or_written_to_it_any_more()
 {
    let (bench, store) = damaged_while_open(20).await;
    let mut met = Ok(());
    for _ in 0..100 {
        met = met.and(store.claim(bench.scope, 64, at(2)).await.map(|_| ()));
    }
    let met = met.unwrap_err();
    assert!(matches!(met, StoreError::Corrupt(_)), "{met:?}");
    let files = || {
        let read = |name: &str| std::fs::read(bench.folder.path().join(name)).ok();
        (read(DATABASE_FILE), read(&format!("{DATABASE_FILE}-wal")))
    };
    let left = files();
    let alive = store.writer.look(|_| Ok(())).await.unwrap_err();
    assert!(matches!(alive, StoreError::Corrupt(_)), "{alive:?}");
    let scope = Scope { flow: "another".into(), ..names() };
    let changed = store.open_scope(scope, at(3)).await.map(|_| ()).unwrap_err();
    assert!(matches!(changed, StoreError::Corrupt(_)), "{changed:?}");
    store.close().await.unwrap();
    assert!(files() == left, "what is damaged is evidence");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_changes_at_the_same_moment_share_syncs() {
    const CHANGES: usize = 2000;
    let bench = Arc::new(Bench::new().await);
    let commits = |session: &mut Session| Ok(session.commits);
    let before = bench.store.writer.look(commits).await.unwrap();
    let tasks: Vec<_> = (0..CHANGES)
        .map(|number| {
            let bench = Arc::clone(&bench);
            tokio::spawn(async move { bench.take(&[(&number.to_string(), 1, "x")], at(1)).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let after = bench.store.writer.look(commits).await.unwrap();
    assert_eq!(bench.backlog(at(1)).await.depth, CHANGES as u64);
    assert!(after - before < CHANGES as u64 / 4, "{} commits", after - before);
}
