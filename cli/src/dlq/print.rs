//! How letters are printed.

use anyhow::Result;
use crosstie_crds::letters::{Fate, Letter};

/// Longest cause in a line of the table, in characters.
const LONGEST: usize = 100;

/// A line a letter.
pub(crate) fn table(letters: &[Letter]) {
    if letters.is_empty() {
        println!("no dead letters");
        return;
    }
    let width = |of: fn(&Letter) -> &str, name: &str| {
        letters.iter().map(|letter| of(letter).chars().count()).max().unwrap_or_default().max(name.len())
    };
    let (flow, key) = (width(|letter| &letter.flow, "FLOW"), width(|letter| &letter.key, "KEY"));
    println!(
        "{:<8} {:<flow$}  {:<key$}  {:<20}  {:>8}  {:>6}  CAUSE",
        "ID", "FLOW", "KEY", "SET ASIDE", "ATTEMPTS", "STATUS"
    );
    for letter in letters {
        let Letter { id, cause, attempts, .. } = letter;
        let status = letter.status.map_or_else(|| "-".to_owned(), |status| status.to_string());
        let aside = format!("{:.0}", letter.last_failed_at);
        let key_shown = if letter.key.is_empty() { "-" } else { &letter.key };
        let cause = shortened(cause);
        println!("{id:<8} {:<flow$}  {key_shown:<key$}  {aside:<20}  {attempts:>8}  {status:>6}  {cause}", letter.flow);
    }
    println!("{} dead letter{}", letters.len(), if letters.len() == 1 { "" } else { "s" });
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST).chain("…".chars()).collect()
}

/// Everything about one letter.
pub(crate) fn whole(letter: &Letter) -> Result<()> {
    let line = |name: &str, text: &str| println!("{name:<14} {text}");
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    line("id", &letter.id.to_string());
    line("flow", &format!("{} ({} to {})", letter.flow, letter.source, letter.destination));
    line("key", if letter.key.is_empty() { "-" } else { &letter.key });
    line("version", &or_none(letter.version.clone()));
    line("cause", &letter.cause);
    line("status", &or_none(letter.status.map(|status| status.to_string())));
    line("attempts", &letter.attempts.to_string());
    line("first failed", &format!("{:.0}", letter.first_failed_at));
    line("set aside", &format!("{:.0}", letter.last_failed_at));
    line("request ids", &if letter.request_ids.is_empty() { "-".to_owned() } else { letter.request_ids.join(", ") });
    line("plan", if letter.plan_hash.is_empty() { "-" } else { &letter.plan_hash });
    if let Some(excerpt) = &letter.excerpt {
        println!("\nstart of the vendor's last answer:\n{excerpt}");
    }
    if let Some(payload) = &letter.payload {
        println!("\nrecord:\n{}", serde_json::to_string_pretty(payload)?);
    }
    Ok(())
}

/// What became of letters: a line for each that stays, and a sum. `verb` says what was asked for.
pub(crate) fn fates(letters: &[Letter], fates: &[Fate], verb: &str) {
    for (letter, fate) in letters.iter().zip(fates) {
        let why = match fate {
            Fate::Replayed | Fate::Dropped => continue,
            Fate::Gone => "is gone: it was replayed, dropped or overtaken meanwhile",
            Fate::Overtaken => "stays: a newer state of its record waits or was set aside later; that one counts",
            Fate::Unreadable => {
                "stays: the Connector finds no key or no version in it; correct `key` or `version` of the stream first"
            }
            Fate::NoFlow => "stays: the Integration has no such flow between these Connectors any more",
        };
        println!("{} {why}", letter.id);
    }
    let count = |wanted: Fate| fates.iter().filter(|fate| **fate == wanted).count();
    let done = count(Fate::Replayed) + count(Fate::Dropped);
    let stay = fates.len() - done - count(Fate::Gone);
    println!("{done} {verb}, {stay} left");
}
