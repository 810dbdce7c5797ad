//! Awaiting a condition: asked again until it holds, with an error that says what was last seen when it never does. Deadlines are generous:
//! they end a broken run, they measure nothing.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How long anything may take on a loaded machine.
pub const PATIENCE: Duration = Duration::from_mins(2);
/// Between two questions.
const PAUSE: Duration = Duration::from_millis(200);

/// What a question gave.
pub enum Seen<T> {
    /// It holds.
    Yes(T),
    /// Not yet; what there is instead.
    NotYet(String),
}

/// Asks until the answer is yes.
///
/// # Errors
/// When patience ends, with what was last seen. An error of a question counts as "not yet".
pub async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Result<Seen<T>>) -> Result<T> {
    let begun = Instant::now();
    loop {
        let last = match ask().await {
            Ok(Seen::Yes(value)) => return Ok(value),
            Ok(Seen::NotYet(seen)) => seen,
            Err(error) => format!("{error:#}"),
        };
        if begun.elapsed() > PATIENCE {
            bail!("waited {} s for this: {what}\nlast seen: {last}", PATIENCE.as_secs());
        }
        tokio::time::sleep(PAUSE).await;
    }
}
