//! The protocol as a whole, against a destination that fails in every way there is and a process that dies anywhere: random scripts run through
//! the real store and the real `carry`, and what must never happen is checked at every write. The world they run in is in `world`.

mod world;

use proptest::prelude::*;

use self::world::{Fate, Means, World};

#[derive(Clone, Debug)]
enum Step {
    /// The source changes a record: key, content.
    Change(u8, u8),
    /// The source is read; everything it shows comes in, also what is known.
    Poll,
    /// One record is handed out and carried; the destination treats each call so. A fate that kills, kills the process.
    Carry(Fate),
    /// The same, but a fate that kills only ends the carrying: the process lives on.
    Abandon(Fate),
    /// Time passes, in seconds.
    Pass(i64),
    /// The process dies and starts again.
    Crash,
    /// Dead letters are replayed.
    Replay,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        4 => Just(Fate::Applied),
        2 => Just(Fate::AppliedSilently),
        2 => (1_i64..4).prop_map(Fate::AppliedLate),
        1 => Just(Fate::Lost),
        1 => Just(Fate::NeverLeft),
        1 => Just(Fate::Refused),
        2 => Just(Fate::KilledBefore),
        2 => Just(Fate::KilledAfter),
        1 => (1_i64..4).prop_map(Fate::KilledWhile),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_u8..2, 0_u8..2).prop_map(|(key, content)| Step::Change(key, content)),
        4 => Just(Step::Poll),
        10 => fate().prop_map(Step::Carry),
        3 => fate().prop_map(Step::Abandon),
        4 => prop_oneof![Just(1_i64), Just(6), Just(70), Just(400), Just(700)].prop_map(Step::Pass),
        1 => Just(Step::Crash),
        1 => Just(Step::Replay),
    ]
}

fn means() -> impl Strategy<Value = Means> {
    (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(key, look_up, versioned)| Means {
        key,
        look_up,
        versioned,
    })
}

async fn run(means: Means, steps: Vec<Step>) {
    let mut world = World::new(means).await;
    for step in steps {
        match step {
            Step::Change(key, content) => world.change(key, content),
            Step::Poll => world.poll().await,
            Step::Carry(fate) => {
                if world.carry(fate).await {
                    world = world.crash().await;
                }
            }
            Step::Abandon(fate) => {
                world.carry(fate).await;
            }
            Step::Pass(seconds) => world.pass(seconds),
            Step::Crash => world = world.crash().await,
            Step::Replay => world.replay().await,
        }
    }
    world.heal().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_and_nothing_is_applied_twice_whatever_fails(means in means(), steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(means, steps));
    }
}
