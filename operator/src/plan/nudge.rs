//! When a pod is annotated so that its kubelet refreshes mounted files at once. A kubelet that has not heard of the new content
//! yet misses a nudge, so it is repeated a few times; after that the kubelet's own round, within about a minute, must do.

use jiff::{SignedDuration, Timestamp};

/// Waits after each nudge before the next, in seconds. When they are used up, no more follow.
const WAITS: [i64; 5] = [2, 4, 8, 16, 30];

/// What to do about one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nudge {
    /// The annotation's new value, if it is time for one.
    pub value: Option<String>,
    /// When to look again, if it is worth it.
    pub again: Option<Timestamp>,
}

/// Decides about a pod that does not show what `hash` stands for, from the annotation it has.
pub fn decide(annotation: Option<&str>, hash: &str, now: Timestamp) -> Nudge {
    let done = annotation.and_then(parse).filter(|done| done.hash == hash);
    let (count, due) = match &done {
        None => (0, now),
        Some(done) => match WAITS.get(done.count.saturating_sub(1)) {
            Some(&wait) => (done.count, done.at + SignedDuration::from_secs(wait)),
            None => return Nudge { value: None, again: None },
        },
    };
    if now < due {
        return Nudge { value: None, again: Some(due) };
    }
    let Some(&wait) = WAITS.get(count) else { return Nudge { value: None, again: None } };
    let value = format!("{hash} {} {}", count + 1, now.as_second());
    Nudge { value: Some(value), again: Some(now + SignedDuration::from_secs(wait)) }
}

struct Done<'a> {
    hash: &'a str,
    count: usize,
    at: Timestamp,
}

fn parse(annotation: &str) -> Option<Done<'_>> {
    let mut words = annotation.split(' ');
    let (hash, count, at) = (words.next()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    Some(Done { hash, count, at: Timestamp::from_second(at).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn new_content_is_nudged_at_once() {
        let nudge = decide(None, "h2", at(100));
        assert_eq!(nudge, Nudge { value: Some("h2 1 100".into()), again: Some(at(102)) });
        assert_eq!(decide(Some("h1 4 99"), "h2", at(100)).value.as_deref(), Some("h2 1 100"));
        assert_eq!(decide(Some("by hand"), "h2", at(100)).value.as_deref(), Some("h2 1 100"));
    }

    #[test]
    fn a_nudge_is_repeated_with_growing_waits_and_not_for_ever() {
        let (mut annotation, mut now, mut times) = (None::<String>, at(0), Vec::new());
        loop {
            let nudge = decide(annotation.as_deref(), "h", now);
            if let Some(value) = nudge.value {
                times.push(now.as_second());
                annotation = Some(value);
            }
            let Some(again) = nudge.again else { break };
            now = again;
        }
        assert_eq!(times, [0, 2, 6, 14, 30]);
    }

    #[test]
    fn before_its_time_nothing_is_done() {
        let nudge = decide(Some("h 1 100"), "h", at(101));
        assert_eq!(nudge, Nudge { value: None, again: Some(at(102)) });
    }
}
