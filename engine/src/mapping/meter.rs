//! The meter of one evaluation: how many steps and cells are left. Nothing but counting lives here.
//!
//! The functions of the `cel` crate are plain `fn` pointers that can carry no state, so the meter of the evaluation
//! that runs on this thread is thread-local. It is started and stopped by the evaluation alone, which never leaves the
//! thread, so that evaluation stays a function of its arguments.

use std::cell::Cell;

use cel::ExecutionError;

use super::limits::{MAX_CELLS, MAX_STEPS};

/// What an evaluation ran out of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exhausted {
    /// [`MAX_STEPS`]
    Steps,
    /// [`MAX_CELLS`]
    Cells,
}

#[derive(Clone, Copy)]
struct Meter {
    steps: u64,
    cells: u64,
    /// Sticks once set: `&&`, `||` and `.?` may absorb the error itself.
    exhausted: Option<Exhausted>,
}

thread_local! {
    static METER: Cell<Option<Meter>> = const { Cell::new(None) };
}

/// A running evaluation. Dropping it restores the meter of the evaluation around it, if there is one.
pub(super) struct Running {
    around: Option<Meter>,
}

impl Drop for Running {
    fn drop(&mut self) {
        METER.set(self.around);
    }
}

/// Starts the meter of an evaluation on this thread.
pub(super) fn start() -> Running {
    let meter = Meter { steps: MAX_STEPS, cells: MAX_CELLS, exhausted: None };
    Running { around: METER.replace(Some(meter)) }
}

/// What the running evaluation ran out of, if it did.
pub(super) fn exhausted() -> Option<Exhausted> {
    METER.get().and_then(|meter| meter.exhausted)
}

/// Takes `count` steps.
pub(super) fn step(count: u64) -> Result<(), ExecutionError> {
    take(count, Exhausted::Steps)
}

/// Makes `count` cells.
pub(super) fn cells(count: u64) -> Result<(), ExecutionError> {
    take(count, Exhausted::Cells)
}

fn take(count: u64, kind: Exhausted) -> Result<(), ExecutionError> {
    let Some(mut meter) = METER.get() else {
        return Ok(());
    };
    if meter.exhausted.is_none() {
        let left = match kind {
            Exhausted::Steps => &mut meter.steps,
            Exhausted::Cells => &mut meter.cells,
        };
        match left.checked_sub(count) {
            Some(rest) => *left = rest,
            None => meter.exhausted = Some(kind),
        }
        METER.set(Some(meter));
    }
    match meter.exhausted {
        Some(_) => Err(ExecutionError::function_error("@meter", "out of budget")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exhausted_meter_stays_exhausted() {
        let _running = start();
        assert!(step(MAX_STEPS).is_ok());
        assert!(step(1).is_err());
        assert!(cells(1).is_err());
        assert_eq!(exhausted(), Some(Exhausted::Steps));
    }

    #[test]
    fn an_evaluation_inside_another_has_its_own_meter() {
        let _outer = start();
        {
            let _inner = start();
            assert!(cells(MAX_CELLS + 1).is_err());
        }
        assert_eq!(exhausted(), None);
        assert!(cells(MAX_CELLS).is_ok());
    }
}
