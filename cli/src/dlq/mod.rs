//! `dlq`: the dead letters of an Integration, over the Kubernetes API with the person's own rights.

mod choice;
mod print;

use std::process::ExitCode;

use anyhow::{Result, bail};
use crosstie_crds::letters::{Fate, Letter};

use self::choice::Choice;
pub(crate) use self::choice::duration;
use crate::{
    cluster::{Of, Output},
    worker::Worker,
};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List dead letters: which records, since when, and why
    List(List),
    /// Show one dead letter whole, with its record and what the vendor answered; this can print personal data
    Show(Show),
    /// Deliver dead letters again, under the plan at work; what the destination has already is not written twice
    Replay(Change),
    /// Remove dead letters for good; their records come back only when they change in the source
    Drop(Change),
}

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    #[command(flatten)]
    of: Of,
    #[command(flatten)]
    choice: Choice,
    /// How they are printed
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    #[command(flatten)]
    of: Of,
    /// Its number, as `list` shows it
    id: i64,
    /// How it is printed
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Change {
    #[command(flatten)]
    of: Of,
    /// Numbers of letters, as `list` shows them
    ids: Vec<i64>,
    #[command(flatten)]
    choice: Choice,
    /// All of them
    #[arg(long)]
    all: bool,
    /// Only say which ones it would be
    #[arg(long)]
    dry_run: bool,
}

impl Change {
    /// Which letters are meant. Nothing is ever changed for the lack of a word.
    fn chosen(&self, letters: Vec<Letter>) -> Result<Vec<Letter>> {
        if self.ids.is_empty() && !self.all && self.choice.is_open() {
            bail!("say which ones: by number, by --flow, --cause, --newer-than or --older-than, or --all");
        }
        if let Some(id) = self.ids.iter().find(|id| !letters.iter().any(|letter| letter.id == **id)) {
            bail!("there is no dead letter {id} any more; nothing was changed");
        }
        let now = jiff::Timestamp::now();
        let meant = |letter: &Letter| self.ids.is_empty() || self.ids.contains(&letter.id);
        Ok(letters.into_iter().filter(|letter| meant(letter) && self.choice.takes(letter, now)).collect())
    }
}

pub(crate) fn run(command: &Command) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match command {
            Command::List(list) => listed(list).await,
            Command::Show(show) => shown(show).await,
            Command::Replay(change) => changed(change, true).await,
            Command::Drop(change) => changed(change, false).await,
        }
    })
}

async fn listed(list: &List) -> Result<ExitCode> {
    let now = jiff::Timestamp::now();
    let mut letters = Worker::reach(&list.of).await?.letters().await?;
    letters.retain(|letter| list.choice.takes(letter, now));
    match list.output {
        Output::Table => print::table(&letters),
        Output::Json => println!("{}", serde_json::to_string_pretty(&letters)?),
    }
    Ok(ExitCode::SUCCESS)
}

async fn shown(show: &Show) -> Result<ExitCode> {
    let letter = Worker::reach(&show.of).await?.letter(show.id).await?;
    match show.output {
        Output::Table => print::whole(&letter)?,
        Output::Json => println!("{}", serde_json::to_string_pretty(&letter)?),
    }
    Ok(ExitCode::SUCCESS)
}

async fn changed(change: &Change, replays: bool) -> Result<ExitCode> {
    let mut worker = Worker::reach(&change.of).await?;
    let chosen = change.chosen(worker.letters().await?)?;
    if change.dry_run {
        print::table(&chosen);
        println!("nothing was changed: --dry-run");
        return Ok(ExitCode::SUCCESS);
    }
    let ids: Vec<i64> = chosen.iter().map(|letter| letter.id).collect();
    let fates = if replays { worker.replay(&ids).await? } else { worker.discard(&ids).await? };
    print::fates(&chosen, &fates, if replays { "replayed" } else { "dropped" });
    let stays = fates.iter().any(|fate| matches!(fate, Fate::Unreadable | Fate::NoFlow));
    Ok(if stays { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dlq::choice::tests::letter;

    fn change(ids: &[i64], all: bool, choice: Choice) -> Change {
        let of = Of { name: "orders".into(), namespace: None };
        Change { of, ids: ids.to_vec(), choice, all, dry_run: false }
    }

    #[test]
    fn nothing_is_changed_unless_it_is_said_which_ones() {
        let letters = || vec![letter(1), letter(2)];
        let ids = |change: &Change| {
            change.chosen(letters()).map(|chosen| chosen.iter().map(|letter| letter.id).collect::<Vec<_>>())
        };
        let error = ids(&change(&[], false, Choice::default())).unwrap_err();
        assert!(error.to_string().contains("--all"), "{error}");
        assert_eq!(ids(&change(&[], true, Choice::default())).unwrap(), [1, 2]);
        assert_eq!(ids(&change(&[2], false, Choice::default())).unwrap(), [2]);
        let error = ids(&change(&[2, 3], false, Choice::default())).unwrap_err();
        assert!(error.to_string().contains("no dead letter 3"), "{error}");
        let other = Choice { flow: Some("refunds".into()), ..Choice::default() };
        assert!(ids(&change(&[], false, other)).unwrap().is_empty());
    }
}
