//! Every submission is followed to its end.
//!
//! Live: after each sealed block its receipt is asked for. No receipt raises doubt, and doubt is
//! checked before it is believed: the node no longer knows it twice in a row (dropped), or its
//! nonce is taken and there is still no receipt one block later (replaced). Dry-run: the block is
//! replayed, and the plan is executed at the place where it would have landed.
//!
//! Temperature: warm.

use alloy_primitives::{Address, B256};

use crate::cancel::unwant;
use crate::decode::DecodeError;
use crate::decode::fields::{Field, Fields};
use crate::decode::receipt::{Account, Receipt};
use crate::finality::ask_for_receipts;
use crate::flight::{
    Admitted, Attempt, Doubt, Flight, Flights, Outcome, Place, Settled, Settlement,
};
use crate::ids::{NodeId, WalletId};
use crate::limits::FLIGHTS_MAX;
use crate::note::{Alert, Note};
use crate::outbox::{Outbox, Settles};
use crate::pipeline::Engine;
use crate::plan::Follow;
use crate::query::{Queries, Query};
use crate::strategy::StrategySet;
use crate::units::{BlockNumber, Wei};
use crate::verdict::{replay, verdict};
use crate::wire::json::Value;
use crate::world::nodes::NodeSet;
use crate::world::{BlockRef, Tip};

/// Blocks for which the end of a submission waits for a node to say where its target is.
const PLACE_PATIENCE_BLOCKS: u64 = 8;

/// The tickets of all submissions, so that the table may change while they are walked.
fn tickets(flights: &Flights) -> ([u32; FLIGHTS_MAX], usize) {
    let mut list = [0; FLIGHTS_MAX];
    let mut count = 0;
    for (place, flight) in list.iter_mut().zip(flights.iter()) {
        *place = flight.ticket;
        count += 1;
    }
    (list, count)
}

impl<S: StrategySet> Engine<S> {
    /// After a block was sealed: which submissions ended in it?
    pub(crate) fn settle_block<O: Outbox>(&mut self) {
        // The table is large and mostly empty: it is walked once, and not for each transaction.
        for flight in self.flights.iter_mut() {
            let followed = flight.admitted.plan.follows().map(|follow| follow.hash);
            for landed in self.world.included() {
                if flight.hash == landed.hash {
                    flight.is_mined = true;
                    flight.place = Place::Told;
                }
                if followed == Some(landed.hash) {
                    flight.target_place = Some((landed.block, landed.index));
                }
            }
        }
        match O::SETTLES {
            Settles::ByReceipt => self.ask_for_ends(),
            Settles::ByReplay => self.settle_by_replay(),
        }
    }

    /// Asks how each submission ended, and whether what it follows is still there.
    fn ask_for_ends(&mut self) {
        for flight in self.flights.iter_mut() {
            flight.missing = 0;
            flight.gone_by = NodeSet::NONE;
            ask_for_receipts(flight, &mut self.queries);
            if let Some(follow) = flight.admitted.plan.follows()
                && flight.target_place.is_none()
                && !flight.is_unwanted
            {
                let (ticket, hash) = (flight.ticket, follow.hash);
                self.queries.ask_all(Query::Followed { ticket, hash });
            }
        }
    }

    fn settle_by_replay(&mut self) {
        if self.world.included().is_empty() {
            // Sealed without logs: the state at its top is the state at its end.
            replay(&mut self.flights, &mut self.world, None);
        }
        let (list, count) = tickets(&self.flights);
        for ticket in &list[..count] {
            let Some(flight) = self.flights.get_mut(*ticket) else { continue };
            let Some(end) = verdict(flight, &self.world) else { continue };
            if end.outcome == Outcome::Won {
                let plan = &flight.admitted.plan;
                self.world.overlay(plan.legs());
                if let Some(order) = &plan.order {
                    self.world.loans.take(order.loan);
                }
            }
            self.settle(*ticket, &end, None);
        }
    }

    /// A receipt came, or there is none yet.
    pub(crate) fn on_receipt(
        &mut self,
        Attempt { ticket, number }: Attempt,
        result: Value<'_>,
    ) -> Result<(), DecodeError> {
        let Some(flight) = self.flights.get_mut(ticket) else { return Ok(()) };
        let token = self.world.tokens.get(flight.admitted.plan.profit_token).address;
        let account = Account { token, holder: self.signer.executor(), owner: self.owner };
        let Some(receipt) = Receipt::parse(result, &account)? else {
            if flight.misses(number) {
                self.on_missing(ticket);
            }
            return Ok(());
        };
        let block = BlockRef { number: receipt.block_number, hash: receipt.block_hash };
        // The node may be ahead of us, or on another branch: the seal of that block asks again.
        if block.number <= self.world.tip().number && self.world.holds(&block) {
            flight.is_mined = true;
            if number == 0
                && receipt.is_success
                && flight.target_place.is_none()
                && let Some(Follow { hash, .. }) = flight.admitted.plan.follows().copied()
            {
                let last = self.world.tip().number;
                let first = match flight.place {
                    Place::Unknown => Some(last),
                    Place::Asked { first, .. } => Some(first),
                    Place::Told => None,
                };
                // Answers may overtake one another, and blocks that are caught up on are sealed
                // faster than a node answers.
                if let Some(first) = first
                    && last < first.plus(PLACE_PATIENCE_BLOCKS)
                {
                    let asked = Place::Asked { first, last };
                    if flight.place != asked {
                        flight.place = asked;
                        self.queries.ask(Query::Place { ticket, hash });
                    }
                    return Ok(());
                }
            }
            let end = if number == 0 { end_of(flight, &receipt) } else { taken_back(&receipt) };
            self.settle(ticket, &end, Some(block));
        }
        Ok(())
    }

    /// None of a submission's transactions has a receipt.
    fn on_missing(&mut self, ticket: u32) {
        let &Tip { number: tip, hash, .. } = self.world.tip();
        let Some(flight) = self.flights.get_mut(ticket) else { return };
        if flight.is_mined {
            // A block has its logs: the receipt comes once the node that answers knows that too.
            return;
        }
        match flight.doubt {
            // A node may tell the nonce before it knows the receipt.
            Doubt::Overtaken(since) if tip > since => {
                // What took its nonce is in this block or below: a reorg may free the nonce again.
                let place = BlockRef { number: tip, hash };
                self.settle(ticket, &Settlement::empty(Outcome::Replaced), Some(place));
            }
            Doubt::Overtaken(_) => {}
            Doubt::None | Doubt::Refused | Doubt::Unknown(_) => {
                if tip <= flight.first_block && flight.cancels.hashes().is_empty() {
                    return;
                }
                flight.is_due |= flight.is_unwanted;
                self.has_due |= flight.is_due;
                let wallet = flight.admitted.wallet;
                ask_whether_held(flight, 0, &mut self.queries);
                self.ask_for_wallet(wallet);
            }
        }
    }

    /// The node said whether it still knows a transaction of ours.
    pub(crate) fn on_known(
        &mut self,
        Attempt { ticket, number }: Attempt,
        node: NodeId,
        is_unknown: bool,
    ) {
        let tip = self.world.tip().number;
        let jury = self.world.jury();
        let Some(flight) = self.flights.get_mut(ticket) else { return };
        if !is_unknown {
            if matches!(flight.doubt, Doubt::Refused | Doubt::Unknown(_)) {
                flight.doubt = Doubt::None;
            }
            if tip >= flight.admitted.plan.last_block && !flight.is_mined {
                // From here on it could only revert, and it keeps its wallet.
                unwant(flight);
                self.has_due |= flight.is_due;
            }
            return;
        }
        if flight.is_mined {
            // The block that has its logs says more than a pool that no longer does.
            return;
        }
        let (asked, unknown_by) = &mut flight.unknown;
        if *asked == number {
            unknown_by.add(node);
        }
        // One node that holds it is enough.
        if *asked != number
            || !unknown_by.covers(jury)
            || ask_whether_held(flight, number.saturating_add(1), &mut self.queries)
        {
            return;
        }
        let outcome = match flight.doubt {
            Doubt::None => {
                flight.doubt = Doubt::Unknown(tip);
                return;
            }
            // Two answers about one block are one answer: a pool that is being put in order after a
            // reorg misses for a moment what it holds.
            Doubt::Unknown(since) if tip <= since => return,
            Doubt::Overtaken(_) => return,
            Doubt::Refused => Outcome::Refused,
            Doubt::Unknown(_) => Outcome::Dropped,
        };
        let Admitted { wallet, nonce, .. } = flight.admitted;
        if self.flights.has_later(wallet, nonce) {
            // Whatever has a later nonce waits until this one is used.
            if let Some(flight) = self.flights.get_mut(ticket) {
                unwant(flight);
                self.has_due |= flight.is_due;
            }
        } else {
            self.settle(ticket, &Settlement::empty(outcome), None);
        }
    }

    /// The node said what it knows of the transaction that a submission follows. One that was mined
    /// in a block that we have, and is not among those that moved our pools there, has failed.
    pub(crate) fn on_followed(
        &mut self,
        (node, ticket): (NodeId, u32),
        result: Value<'_>,
    ) -> Result<(), DecodeError> {
        let jury = self.world.jury();
        let is_gone = match result {
            // Another node may have it in its pool.
            Value::Null => self.flights.get_mut(ticket).is_some_and(|flight| {
                flight.gone_by.add(node);
                flight.gone_by.covers(jury)
            }),
            Value::Object(span) => {
                let fields = Fields::parse(span)?;
                fields.has(Field::BlockHash) && {
                    let hash = B256::new(fields.bytes(Field::BlockHash)?);
                    self.world.holds(&BlockRef { number: self.world.tip().number, hash })
                }
            }
            Value::Str(_) | Value::Number(_) | Value::Bool(_) | Value::Array(_) => {
                return Err(DecodeError::Contradiction);
            }
        };
        let Some(flight) = self.flights.get_mut(ticket) else { return Ok(()) };
        if let Some(follow) = flight.admitted.plan.follows().copied()
            && is_gone
        {
            self.on_target_gone(&follow.hash);
        }
        Ok(())
    }

    /// The node said where the transaction that a submission follows was mined, if it was.
    pub(crate) fn on_place(&mut self, ticket: u32, result: Value<'_>) -> Result<(), DecodeError> {
        let Some(flight) = self.flights.get_mut(ticket) else { return Ok(()) };
        let nobody = Account { token: Address::ZERO, holder: Address::ZERO, owner: None };
        let is_told = match Receipt::parse(result, &nobody)? {
            Some(receipt) => {
                let block = BlockRef { number: receipt.block_number, hash: receipt.block_hash };
                let is_held = self.world.holds(&block);
                if is_held && receipt.is_success {
                    flight.target_place = Some((block.hash, receipt.index));
                }
                is_held
            }
            // One that was said to be gone is; otherwise the node may be behind.
            None => flight.is_unwanted,
        };
        // One that is not known yet, or on another branch only, is asked for again.
        if is_told {
            flight.place = Place::Told;
            ask_for_receipts(flight, &mut self.queries);
        }
        Ok(())
    }

    /// The node answered a transaction of ours with an error.
    pub(crate) fn on_refused(&mut self, attempt: Attempt) {
        let Some(flight) = self.flights.get_mut(attempt.ticket) else { return };
        if attempt.number == 0 && !matches!(flight.doubt, Doubt::Overtaken(_)) {
            flight.doubt = Doubt::Refused;
        }
        ask_whether_held(flight, 0, &mut self.queries);
    }

    /// The node said what a wallet's next nonce is, counting mined transactions.
    pub(crate) fn on_nonce(&mut self, wallet: WalletId, nonce: u64) {
        let Some(state) = self.risk.wallets.get_mut(wallet.index()) else { return };
        state.nonce = nonce;
        state.mined = nonce;
        if !self.risk.needs_balance {
            // Nothing is sent: whoever uses the wallet does so rightly.
            return;
        }
        if nonce > state.ours_until {
            state.ours_until = nonce;
            self.notes.add(Note::Alert(Alert::WalletShared { wallet, nonce }));
        }
        for flight in self.flights.iter_mut().filter(|flight| flight.admitted.wallet == wallet) {
            state.nonce = state.nonce.max(flight.admitted.nonce.saturating_add(1));
            if flight.admitted.nonce < nonce {
                if !matches!(flight.doubt, Doubt::Overtaken(_)) {
                    flight.doubt = Doubt::Overtaken(self.world.tip().number);
                }
                ask_for_receipts(flight, &mut self.queries);
            } else if matches!(flight.doubt, Doubt::Overtaken(_)) {
                // The block with what took the nonce was left.
                flight.doubt = Doubt::None;
            }
        }
    }

    /// The node said what a wallet's next nonce is, counting what waits in its pool: what has left
    /// the pool is waited for no more.
    pub(crate) fn on_pending_nonce(&mut self, wallet: WalletId, nonce: u64) {
        if let Some(state) = self.risk.wallets.get_mut(wallet.index()) {
            state.waits_for = state.waits_for.min(nonce);
        }
    }

    /// The node said what a wallet can spend.
    pub(crate) fn on_balance(&mut self, wallet: WalletId, balance: Wei) {
        let Some(state) = self.risk.wallets.get_mut(wallet.index()) else { return };
        state.balance = balance;
        if state.lacks.is_some_and(|needed| balance >= needed) {
            state.lacks = None;
            state.is_lack_told = false;
            self.notes.add(Note::Alert(Alert::WalletFunded { wallet, balance }));
        }
    }

    /// Closes a submission and enters its end in the books. `place` is the block that decided it,
    /// which a reorg may still leave.
    pub(crate) fn settle(&mut self, ticket: u32, end: &Settlement, place: Option<BlockRef>) {
        let Some(flight) = self.flights.land(ticket) else { return };
        let plan = &flight.admitted.plan;
        let rank = self.world.tokens.base_rank(plan.profit_token).map(usize::from);
        self.books.settle(&flight, end, rank);
        if self.risk.guard.on_end(plan, end) {
            self.notes.add(Note::Alert(Alert::RevertsPause));
        }
        let Admitted { wallet, nonce, work, fees, .. } = flight.admitted;
        if end.outcome == Outcome::Reverted
            && let Some(order) = &plan.order
        {
            self.world.loans.reverted(order.loan);
        }
        if end.outcome == Outcome::Landed {
            self.risk.gas.learn(&work, end.gas_used, fees.gas_limit);
        }
        if end.outcome == Outcome::Refused {
            self.risk.refused(plan, &self.world);
        } else if end.outcome.is_lost() {
            self.risk.give_back(plan, &self.world);
        }
        self.free_nonce(wallet, nonce, end.outcome);
        let block = place.unwrap_or(BlockRef { number: BlockNumber(0), hash: B256::ZERO });
        let day = self.risk.guard.losses.day;
        let settled = Settled { flight, end: *end, block, day };
        match place {
            Some(_) => self.finality.add(&settled, &self.world),
            None => self.finality.close(&settled, &self.world),
        }
        self.notes.add(Note::Settled(flight, *end));
        self.ask_for_wallet(wallet);
        if let Some(rank) = rank.and_then(|rank| u8::try_from(rank).ok()) {
            let token = self.world.tokens.get(plan.profit_token).address;
            let holder = self.signer.executor();
            self.queries.ask(Query::Holding { rank, token, holder });
        }
    }

    /// What a submission's end means for its wallet's nonces.
    fn free_nonce(&mut self, wallet: WalletId, nonce: u64, outcome: Outcome) {
        let Some(state) = self.risk.wallets.get_mut(wallet.index()) else { return };
        // It was not used: a gap would keep whatever comes next from being mined.
        if matches!(outcome, Outcome::Dropped | Outcome::Refused | Outcome::Unsent) {
            state.nonce = nonce;
        }
        // Nor has it been ours, so whoever used it is somebody else.
        if matches!(outcome, Outcome::Refused | Outcome::Unsent)
            && state.ours_until == nonce.saturating_add(1)
        {
            state.ours_until = nonce;
        }
        if outcome == Outcome::Replaced {
            let nonce = nonce.saturating_add(1);
            self.notes.add(Note::Alert(Alert::WalletShared { wallet, nonce }));
        }
    }

    pub(crate) fn ask_for_wallet(&mut self, wallet: WalletId) {
        if let Some(state) = self.risk.wallets.get(wallet.index()) {
            self.queries.ask(Query::Nonce(wallet, state.address));
            self.queries.ask(Query::Balance(wallet, state.address));
        }
    }

    /// After a seal: wallets that wait for money or for somebody else's transaction are looked at.
    pub(crate) fn ask_for_waiting_wallets(&mut self) {
        for index in 0..self.risk.wallets.len() {
            let state = self.risk.wallets[index];
            let Ok(wallet) = u8::try_from(index).map(WalletId) else { break };
            let is_waiting = state.mined < state.waits_for;
            if is_waiting {
                self.queries.ask(Query::PendingNonce(wallet, state.address));
            }
            if is_waiting || state.lacks.is_some() {
                self.ask_for_wallet(wallet);
            }
        }
    }
}

/// Asks whether the nodes hold this transaction of a submission; one that it does not hold may have
/// been replaced by the next. False if there is none with this number.
fn ask_whether_held(flight: &mut Flight, number: u8, queries: &mut Queries) -> bool {
    let found = flight.attempts().nth(usize::from(number));
    if let Some((attempt, hash)) = found {
        flight.unknown = (number, NodeSet::NONE);
        queries.ask_all(Query::Known(attempt, hash));
    }
    found.is_some()
}

/// The end of a submission whose nonce a transfer of nothing took.
const fn taken_back(receipt: &Receipt) -> Settlement {
    Settlement {
        gas_used: receipt.gas_used,
        gas_price: receipt.gas_price,
        ..Settlement::empty(Outcome::Cancelled)
    }
}

fn end_of(flight: &Flight, receipt: &Receipt) -> Settlement {
    let right_behind = flight.target_place.is_some_and(|(block, index)| {
        block == receipt.block_hash && index.checked_add(1) == Some(receipt.index)
    });
    let outcome = if receipt.is_success { Outcome::Landed } else { Outcome::Reverted };
    Settlement {
        outcome,
        gained: receipt.gained,
        gas_used: receipt.gas_used,
        gas_price: receipt.gas_price,
        is_behind_target: receipt.is_success && right_behind,
    }
}
