//! Renewals: what the server, the safe and the books are asked, and what is left when the operator dies in between.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, Ordering},
};

use crosstie_engine::grant::GrantKind;
use futures::future::join;
use tokio::time::{sleep, timeout};

use super::{
    world::{Death, World, errand, seat},
    *,
};

#[tokio::test(start_paused = true)]
async fn a_token_is_got_once_handed_out_without_what_it_was_got_with_and_renewed_at_half_its_life() {
    let world = World::new(false);
    let client = errand(GrantKind::ClientCredentials, None);
    let outcome = world.operator().attend(&client, seat().await, &|_| true).await;
    let token = outcome.kept.unwrap().0.current.unwrap();
    assert_eq!(token.version.values.keys().collect::<Vec<_>>(), ["clientId", "token", "webhookSecret"]);
    assert_eq!(world.writes.load(Ordering::Relaxed), 2, "a claim and what came of it");
    world.pass(299);
    world.operator().attend(&client, seat().await, &|_| true).await;
    assert_eq!(world.used(), ["client"], "nothing is due");
    assert_eq!(world.writes.load(Ordering::Relaxed), 2);
    world.pass(1);
    world.operator().attend(&client, seat().await, &|_| true).await;
    let ledger = world.ledger();
    assert_eq!(ledger.previous.unwrap().version.version_id, token.version.version_id);
    assert_ne!(ledger.current.unwrap().version.version_id, token.version.version_id);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_token_that_rotates_is_stored_in_its_own_secret_and_each_is_used_once() {
    let world = World::new(true);
    for round in 1..=3 {
        assert_eq!(world.run().await.unwrap().trouble, None);
        let ledger = world.ledger();
        assert_eq!((ledger.claim, ledger.rotates), (None, Some(true)));
        assert_eq!(ledger.current.unwrap().source.refresh, Some(world.current()), "round {round}");
        world.pass(300);
    }
    assert_eq!(world.used(), ["rt-0", "rt-1", "rt-2"]);
}

#[tokio::test(start_paused = true)]
async fn two_operators_at_the_same_time_ask_once() {
    let world = World::new(true);
    let errand = world.errand();
    let (one, other) = (world.operator(), world.operator());
    join(one.attend(&errand, seat().await, &|_| true), other.attend(&errand, seat().await, &|_| true)).await;
    assert_eq!(world.used(), ["rt-0"]);
    assert!(world.ledger().claim.is_none());
}

/// What is found after a crash, by where the operator died. Each row is one of docs/adr/0014.
#[tokio::test(start_paused = true)]
async fn whoever_comes_after_a_crash_knows_how_far_it_came() {
    let cases = [
        // It is not known whether it was used; it never is a second time.
        (Death::BeforeAsking, vec![], true),
        (Death::AfterAsking, vec!["rt-0"], true),
        // It was stored, and the next one is got with what was stored.
        (Death::AfterStoring, vec!["rt-0", "rt-1"], false),
        (Death::AfterPromoting, vec!["rt-0", "rt-1"], false),
    ];
    for (death, used, reauth) in cases {
        let world = World::new(true);
        *world.death.lock().unwrap() = death;
        assert_eq!(world.run().await, None, "{death:?}");
        *world.death.lock().unwrap() = Death::Never;
        // While the claim counts nobody does anything.
        assert_eq!(world.run().await.unwrap().trouble, None);
        assert!(world.used().len() < 2 && world.ledger().claim.is_some(), "{death:?}");
        world.pass(60);
        world.run().await.unwrap();
        let ledger = world.ledger();
        assert_eq!(
            (world.used(), ledger.spent.is_some()),
            (used.into_iter().map(Into::into).collect(), reauth),
            "{death:?}"
        );
        assert_eq!(ledger.current.is_some(), !reauth, "{death:?}");
        assert!(ledger.claim.is_none());
        // A person ends it, whatever it was.
        world.edit("by-hand", "rt-by-hand");
        world.run().await.unwrap();
        let ledger = world.ledger();
        assert_eq!((ledger.spent, world.used().last().unwrap().as_str()), (None, "rt-by-hand"), "{death:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_token_that_does_not_rotate_is_used_again_after_a_crash() {
    let world = World::new(false);
    world.run().await.unwrap();
    world.pass(300);
    *world.death.lock().unwrap() = Death::BeforeAsking;
    assert_eq!(world.run().await, None);
    *world.death.lock().unwrap() = Death::Never;
    world.pass(60);
    world.run().await.unwrap();
    assert_eq!(world.used(), ["rt-0", "rt-0"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_person_stores_during_a_renewal_stays_and_is_used_next() {
    let world = World::new(true);
    *world.death.lock().unwrap() = Death::AfterStoring;
    let errand = world.errand();
    let operator = world.operator();
    let edit = async {
        while world.versions.lock().unwrap().0.len() < 2 {
            tokio::task::yield_now().await;
        }
        world.edit("by-hand", "rt-by-hand");
    };
    // The operator is at the point where it stored its own and has not promoted it.
    let attending = timeout(Duration::from_secs(1), operator.attend(&errand, seat().await, &|_| true));
    assert!(join(attending, edit).await.0.is_err());
    *world.death.lock().unwrap() = Death::Never;
    world.pass(60);
    assert_eq!(world.current(), "by-hand");
    world.run().await.unwrap();
    assert_eq!(world.used(), ["rt-0", "rt-by-hand"]);
}

#[tokio::test(start_paused = true)]
async fn a_new_refresh_token_is_stored_as_often_as_it_takes_and_the_access_token_is_handed_out_meanwhile() {
    let world = World::new(true);
    world.denied.store(3, Ordering::Relaxed);
    let told: Mutex<Vec<Outcome>> = Mutex::default();
    let errand = world.errand();
    let tell = |outcome| {
        told.lock().unwrap().push(outcome);
        true
    };
    let outcome = world.operator().attend(&errand, seat().await, &tell).await;
    assert_eq!((outcome.trouble, world.ledger().claim), (None, None));
    assert_eq!(world.used(), ["rt-0"]);
    let told = told.lock().unwrap();
    assert_eq!(told.len(), 3);
    let (ledger, _) = told[0].kept.as_ref().unwrap();
    assert!(ledger.current.is_some() && ledger.claim.is_some());
    assert_eq!(told[0].trouble.as_ref().unwrap().fault.reason, Reason::AccessDenied);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_token_that_cannot_be_stored_is_given_up_once_somebody_else_said_what_became_of_it() {
    let world = World::new(true);
    world.denied.store(u32::MAX, Ordering::Relaxed);
    let (errand, other) = (world.errand(), world.errand());
    // At the third denial its claim is older than claims count, as after a long pause, and another operator finds it.
    let told = AtomicU32::default();
    let tell = |_| {
        told.fetch_add(1, Ordering::Relaxed);
        true
    };
    let operator = world.operator();
    let takes_over = async {
        while told.load(Ordering::Relaxed) < 3 {
            sleep(Duration::from_millis(10)).await;
        }
        world.pass(61);
        world.operator().attend(&other, seat().await, &|_| true).await
    };
    let attending = timeout(Duration::from_hours(1), operator.attend(&errand, seat().await, &tell));
    let (outcome, _) = join(attending, takes_over).await;
    let (ledger, _) = outcome.unwrap().kept.unwrap();
    assert_eq!(told.load(Ordering::Relaxed), 3);
    assert_eq!(ledger.spent.as_ref().unwrap().refresh, "r0", "a person is asked for another one");
    assert_eq!((ledger, world.used()), (world.ledger(), vec!["rt-0".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn only_a_token_that_the_server_calls_invalid_is_given_up() {
    let cases = [
        (FailureKind::Unreachable, Remains::Intact, Some(Reason::TokenUnavailable)),
        (FailureKind::ServerError, Remains::PerhapsUsedUp, Some(Reason::TokenUnavailable)),
        (FailureKind::RateLimited, Remains::Intact, Some(Reason::TokenUnavailable)),
        (FailureKind::CredentialsRejected, Remains::Intact, Some(Reason::ReauthRequired)),
        (FailureKind::CredentialsRejected, Remains::Invalid, None),
    ];
    for (kind, remains, reason) in cases {
        let world = World::new(true);
        world.run().await.unwrap();
        world.pass(300);
        *world.fails.lock().unwrap() = Some((kind, remains));
        let outcome = world.run().await.unwrap();
        assert_eq!(outcome.trouble.map(|trouble| trouble.fault.reason), reason, "{kind:?}");
        let ledger = world.ledger();
        assert!(ledger.current.is_some() && ledger.claim.is_none(), "the last good token stays");
        assert_eq!(ledger.spent.is_some(), reason.is_none(), "{kind:?}");
        if let Some(spent) = ledger.spent {
            assert!(spent.message.contains("shop/refresh"), "{}", spent.message);
        }
        *world.fails.lock().unwrap() = None;
        world.run().await.unwrap();
        let tried_again = world.used().len() == 2;
        assert_eq!(tried_again, reason.is_some(), "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_token_that_the_wrong_server_called_invalid_is_good_once_the_right_one_is_asked() {
    let world = World::new(true);
    let with = |grant: &str| {
        let mut errand = world.errand();
        errand.source.grant = grant.into();
        errand
    };
    *world.fails.lock().unwrap() = Some((FailureKind::CredentialsRejected, Remains::Invalid));
    for grant in ["wrong", "wrong", "as wrong"] {
        world.operator().attend(&with(grant), seat().await, &|_| true).await;
        let refused = world.ledger().spent.unwrap().refused.unwrap();
        assert_eq!((refused.grant.as_str(), refused.refresh.as_deref()), (grant, Some("r0")));
    }
    *world.fails.lock().unwrap() = None;
    world.operator().attend(&with("as wrong"), seat().await, &|_| true).await;
    assert!(world.used().is_empty(), "what was called invalid is tried once with the same");
    world.operator().attend(&with("right"), seat().await, &|_| true).await;
    let ledger = world.ledger();
    assert_eq!((ledger.spent, world.used()), (None, vec!["rt-0".to_owned()]));
    assert_eq!(ledger.current.unwrap().source.refresh, Some(world.current()));
}

#[tokio::test(start_paused = true)]
async fn what_lacks_a_key_or_may_not_go_there_claims_nothing() {
    let world = World::new(true);
    let with = |key: &str, value: Option<&str>| {
        let mut errand = world.errand();
        let mut client = (*errand.client).clone();
        match value {
            None => drop(client.values.remove(key)),
            Some(value) => drop(client.values.insert(key.into(), value.into())),
        }
        errand.client = Arc::new(client);
        errand
    };
    for (errand, reason) in [
        (with("clientSecret", None), Reason::KeyMissing),
        (with("clientId", None), Reason::KeyMissing),
        (with("allowedHosts", Some("other.example.com")), Reason::HostNotAllowed),
    ] {
        let trouble = world.operator().attend(&errand, seat().await, &|_| true).await.trouble.unwrap();
        assert_eq!(trouble.fault.reason, reason);
        assert!(!trouble.fault.message.contains("hush"), "{}", trouble.fault);
    }
    assert_eq!((world.writes.load(Ordering::Relaxed), world.used().len()), (0, 0));
}
