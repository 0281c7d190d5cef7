//! Taking a submission back: a transfer of nothing to oneself, with the same nonce and both fee
//! fields raised, which a node prefers to what it replaces.
//!
//! A submission is unwanted when what it follows is gone, or when it was not mined in the last
//! block in which it could pay: from then on it could only revert, and it keeps its wallet from
//! trading. An attempt that is not mined in the next block is repeated, dearer, a few times.
//!
//! Temperature: warm.

use alloy_primitives::B256;

use crate::flight::{Fees, Flight};
use crate::keccak;
use crate::limits::FLIGHTS_MAX;
use crate::note::{Alert, Note};
use crate::outbox::{Outbox, Settles, SignedTx, Stamps};
use crate::pipeline::Engine;
use crate::strategy::StrategySet;
use crate::units::{Gas, Wei};

/// What a transfer costs.
const TRANSFER: Gas = Gas(21_000);
/// Both fees rise by one part in this many; nodes ask for a tenth (geth, anvil).
const RISE: u128 = 8;

impl<S: StrategySet> Engine<S> {
    /// The transaction that some submission may follow is gone: replaced or cancelled by its
    /// sender, or no longer known to the node.
    pub(crate) fn on_target_gone(&mut self, target: &B256) {
        for flight in self.flights.iter_mut() {
            let follows = flight.admitted.plan.follows();
            let is_lost = flight.target_place.is_none() && !flight.is_mined;
            if follows.is_some_and(|follow| follow.hash == *target) && is_lost {
                unwant(flight);
                self.has_due |= flight.is_due;
            }
        }
    }

    /// Sends what is due to be taken back. Nothing is sent while the world is stale, and what never
    /// left needs no taking back.
    pub(crate) fn cancel_due<O: Outbox>(&mut self, stamps: &Stamps, outbox: &mut O) {
        if !self.world.freshness().is_fresh() || O::SETTLES == Settles::ByReplay {
            return;
        }
        self.has_due = false;
        let mut due = [0; FLIGHTS_MAX];
        let mut count = 0;
        for flight in self.flights.iter_mut().filter(|flight| flight.is_due) {
            flight.is_due = false;
            if !flight.is_mined {
                due[count] = flight.ticket;
                count += 1;
            }
        }
        for ticket in &due[..count] {
            self.cancel(*ticket, stamps, outbox);
        }
    }

    fn cancel<O: Outbox>(&mut self, ticket: u32, stamps: &Stamps, outbox: &mut O) {
        let chain_id = self.world.chain.id;
        let base_fee = self.world.tip().next_base_fee;
        let Some(flight) = self.flights.get_mut(ticket) else { return };
        let (wallet, nonce) = (flight.admitted.wallet, flight.admitted.nonce);
        if !flight.cancels.has_room() {
            if !flight.is_stuck {
                flight.is_stuck = true;
                self.notes.add(Note::Alert(Alert::Stuck { wallet, nonce }));
            }
            return;
        }
        let fees = dearer(flight.cancels.offered().unwrap_or(flight.admitted.fees), base_fee);
        let Some(raw) = self.signer.sign_cancel(wallet, nonce, fees, chain_id) else { return };
        let hash = keccak::hash(raw);
        let before = flight.cancels;
        flight.cancels.add(hash, fees);
        flight.missing = 0;
        let (attempt, _) = flight.last_attempt();
        // What did not leave is repeated after the next block, like what was not mined.
        let tx = SignedTx { raw, attempt };
        if outbox.submit(&tx, flight, stamps).is_ok() {
            self.notes.add(Note::Cancelling { flight: *flight, hash });
        } else {
            // It counts as no attempt, or a disk that fails for a while would use all of them up.
            flight.cancels = before;
        }
    }
}

/// Marks a submission as unwanted; the first attempt is due at once, later ones when a block has
/// passed without a receipt.
pub(crate) const fn unwant(flight: &mut Flight) {
    flight.is_due |= !flight.is_unwanted;
    flight.is_unwanted = true;
}

/// Fees that a node takes in the place of `fees`, and that pay the next block's base fee.
fn dearer(fees: Fees, base_fee: Wei) -> Fees {
    let raised = |fee: Wei| fee.plus(Wei(fee.0.div_ceil(RISE).max(1)));
    let priority_fee = raised(fees.priority_fee);
    let payable = base_fee.plus(base_fee).plus(priority_fee);
    let max_fee = if fees.max_fee < base_fee { payable } else { Wei(0) };
    Fees { max_fee: raised(fees.max_fee).max(max_fee), priority_fee, gas_limit: TRANSFER }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_fees_rise_by_more_than_a_tenth_and_pay_the_base_fee() {
        for (max_fee, priority_fee, base_fee) in
            [(1, 0, 0), (7, 7, 3), (1_000_000_000, 1, 5_000_000_000), (1 << 60, 1 << 50, 1)]
        {
            let fees = Fees {
                max_fee: Wei(max_fee),
                priority_fee: Wei(priority_fee),
                gas_limit: Gas(300_000),
            };
            let next = dearer(fees, Wei(base_fee));
            assert!(next.max_fee.0 * 10 > max_fee * 11);
            assert!(next.priority_fee.0 * 10 > priority_fee * 11);
            assert!(next.max_fee.0 >= base_fee && next.max_fee >= next.priority_fee);
            assert_eq!(next.gas_limit, TRANSFER);
        }
    }

    #[test]
    fn only_the_first_wish_is_due_at_once() {
        let mut flight = crate::flight::tests::flight();
        unwant(&mut flight);
        assert!(flight.is_due);
        flight.is_due = false;
        unwant(&mut flight);
        assert!(!flight.is_due && flight.is_unwanted);
    }
}
