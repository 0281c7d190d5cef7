//! Loans come into the world: as a whole at the start and after a reload, and bit by bit as they
//! are read anew.
//!
//! Temperature: warm.

use super::World;
use super::follow::BlockRef;
use crate::loans::Loans;
use crate::loans::reread::Reread;

impl World {
    /// Takes over loans that were read at the block that the world stands at; gives back what was
    /// there.
    #[cold]
    pub fn lend(&mut self, mut loans: Loans) -> Loans {
        loans.touch_all();
        loans.loaded_at(self.tip.number);
        loans.go_on_from(&self.loans);
        // What is in the log is of the tables that go.
        self.undo.forget();
        self.follower.restart_marks(self.undo.mark());
        core::mem::replace(&mut self.loans, loans)
    }

    /// Takes over what was read anew, if it was read at the block that the world stands at: whether
    /// it was. What is missed is asked for again after the next block.
    pub fn reread(&mut self, read: &Reread) -> bool {
        let here = BlockRef { number: self.tip.number, hash: self.tip.hash };
        if read.block != Some(here) || self.open_block().is_some() {
            self.loans.note_late();
            return false;
        }
        let before = self.undo.mark();
        let Self { loans, undo, tip, follower, .. } = self;
        loans.take_reread(read, tip.timestamp, &mut |inverse| undo.remember_loan(inverse));
        // It is what this block left; of those below it nothing is known.
        follower.move_marks(tip.number, [before, undo.mark()]);
        true
    }
}
