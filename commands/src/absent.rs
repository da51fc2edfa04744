//! Going on where a stream has to be loaded first, so that all that a unit lacks is asked for in one pass and loaded at once.

use eventstore::unit::Halt;

use crate::failure::Failure;

/// Whether anything was absent. The unit itself has noted what.
#[derive(Debug, Default)]
#[must_use = "a unit that lacks something must end by `check`"]
pub(crate) struct Absent(bool);

impl Absent {
    /// What came of a step; none where a stream must be loaded for it first.
    pub(crate) fn note<T>(
        &mut self,
        outcome: Result<T, Halt<Failure>>,
    ) -> Result<Option<T>, Halt<Failure>> {
        match outcome {
            Ok(value) => Ok(Some(value)),
            Err(Halt::Missing) => {
                self.0 = true;
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }

    /// Whether anything was absent so far.
    pub(crate) const fn is_any(&self) -> bool {
        self.0
    }

    /// Ends the decision where anything was absent: it is made again once that is loaded.
    pub(crate) fn check(self) -> Result<(), Halt<Failure>> {
        if self.0 { Err(Halt::Missing) } else { Ok(()) }
    }
}
