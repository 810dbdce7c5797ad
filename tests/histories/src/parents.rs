//! Records of another flow that some depend on: whether they are at the vendor, and until when they were.

use std::collections::BTreeMap;

/// The records that others depend on.
#[derive(Debug, Default)]
pub(crate) struct Parents(BTreeMap<u8, Parent>);

#[derive(Clone, Copy, Debug)]
enum Parent {
    /// It is there.
    There,
    /// It went when the source had shown so many states of all records.
    Gone(u64),
}

impl Parents {
    /// One is there from now on, or is not any more. `marks` are the states there were so far.
    pub(crate) fn set(&mut self, parent: u8, there: bool, marks: u32) {
        match (self.0.get(&parent), there) {
            (_, true) => drop(self.0.insert(parent, Parent::There)),
            (Some(Parent::There), false) => drop(self.0.insert(parent, Parent::Gone(marks.into()))),
            (Some(Parent::Gone(_)) | None, false) => {}
        }
    }

    /// Whether one is there.
    pub(crate) fn has(&self, parent: u8) -> bool {
        matches!(self.0.get(&parent), Some(Parent::There))
    }

    /// Whether one was there at some time since a state came to be; without its mark, whether it ever was. What was decided while it was there
    /// may be sent again later.
    pub(crate) fn was_there_since(&self, parent: u8, mark: Option<u64>) -> bool {
        match self.0.get(&parent) {
            Some(Parent::There) => true,
            Some(Parent::Gone(marks)) => mark.is_none_or(|mark| mark <= *marks),
            None => false,
        }
    }
}
