//! Events change the engine's state: the second stage of the path.
//!
//! Temperature: hot.

use alloy_primitives::B256;

use crate::decode::DecodeError;
use crate::decode::fields::{Field, Fields};
use crate::decode::head::Head;
use crate::decode::list::Rows;
use crate::decode::message::{Item, Message};
use crate::decode::pending::PendingTx;
use crate::decode::receipt::quantity;
use crate::flight::{Flights, Place};
use crate::ids::{LoanId, NodeId};
use crate::input::{Block, Command, Happening, Reloaded, Source};
use crate::note::{Alert, Note};
use crate::outbox::{Outbox, Settles};
use crate::pipeline::{Change, Engine};
use crate::query::{Answers, Query};
use crate::strategy::StrategySet;
use crate::units::{Nanos, Wei};
use crate::verdict;
use crate::wire::json::Value;
use crate::world::follow::{Included, Progress, Visitor, Word};
use crate::world::{Stale, World};

impl<S: StrategySet> Engine<S> {
    /// Applies a message.
    pub(crate) fn apply<O: Outbox>(
        &mut self,
        message: &Message<'_>,
        at: Nanos,
        (node, source): (NodeId, Source),
    ) -> Change {
        let applied = match message {
            Message::Notification { item, .. } => self.apply_item::<O>(item, at, node),
            Message::Reply { id, result } => {
                self.apply_reply::<O>((node, Answers::from_id(*id)), *result, at)
            }
            Message::ReplyError { id, code, .. } => {
                let answers = id.map_or(Answers::Other, Answers::from_id);
                self.apply_reply_error(answers, *code, at);
                Ok(Change::None)
            }
            // The engine asks one question at a time; a batch answers nothing of its own.
            Message::Batch(_) => {
                self.tally.replies_other += 1;
                Ok(Change::None)
            }
        };
        applied.unwrap_or_else(|error| {
            self.tally.undecodable(source, error);
            Change::None
        })
    }

    fn apply_item<O: Outbox>(
        &mut self,
        item: &Item<'_>,
        at: Nanos,
        node: NodeId,
    ) -> Result<Change, DecodeError> {
        match item {
            Item::Head(head) => return self.apply_head::<O>(head, Word::Announced(node), at),
            Item::Log(log) => {
                let fate = self.world.on_log(log)?;
                self.tally.log(fate);
            }
            Item::PendingTx(tx) => self.apply_pending(tx, at, node),
            Item::PendingHash(hash) => self.apply_pending_hash(hash, node),
            Item::Receipts(receipts) => {
                let progress = self.apply_receipts::<O>((node, receipts), at)?;
                return Ok(self.after_progress::<O>(progress));
            }
            Item::Unknown(_) => self.tally.replies_other += 1,
        }
        Ok(Change::None)
    }

    /// Applies what is not a message.
    pub(crate) fn apply_other(&mut self, what: Happening<'_>, at: Nanos) -> Change {
        match what {
            Happening::Frame { .. } | Happening::Block { .. } => {}
            Happening::Truncated { node, source } => self.apply_truncated(node, source),
            Happening::Tick => self.apply_tick(at),
            Happening::Link { node, source, is_up } => {
                self.world.on_link((node, source), is_up, &mut self.queries);
                if is_up && source == Source::Rpc {
                    self.ask_for_accounts();
                }
            }
            Happening::Command(Command::Drain) => self.risk.is_draining = true,
            Happening::Command(Command::Halt(is_halted)) => self.risk.is_halted = is_halted,
            Happening::Command(Command::Admit(tried)) => self.world.admit(&tried),
            Happening::Command(Command::Drift(drift)) => self.world.on_drift(&drift),
            Happening::Command(Command::Grow(growth)) => self.grow(growth),
            Happening::Command(Command::Reload(reloaded)) => self.reload(*reloaded),
            Happening::Command(Command::Lend(read)) => {
                // Whom it makes liquidatable does not wait for the next block. What vaults hold
                // makes nobody so.
                if self.world.reread(&read) && !read.is_of_vaults_alone() && self.can_trade() {
                    return Change::Block;
                }
            }
        }
        Change::None
    }

    #[cold]
    fn reload(&mut self, reloaded: Reloaded) {
        let Reloaded { anchor, pools, unread, loans } = reloaded;
        self.world.reload(&anchor, &pools, &mut self.queries);
        self.world.quarantine(&unread);
        if let Some(loans) = loans {
            drop(self.world.lend(loans));
            // Their handles are new ones; the pools of what is on its way still keep others off.
            for flight in self.flights.iter_mut() {
                if let Some(order) = &mut flight.admitted.plan.order {
                    order.loan = LoanId(u32::MAX);
                }
            }
        } else {
            self.world.loans.distrust_all();
        }
        self.forget_mined();
        self.review_settled(true);
    }

    fn apply_tick(&mut self, at: Nanos) {
        self.world.on_tick(at, self.silent_after_ns, &mut self.queries);
        self.fill(at);
        if self.risk.guard.on_time(at) {
            self.notes.add(Note::Alert(Alert::RevertsPauseOver));
        }
    }

    fn apply_truncated(&mut self, node: NodeId, source: Source) {
        self.tally.truncated[source as usize] += 1;
        match source {
            Source::Chain => self.world.on_chain_lost(node, &mut self.queries),
            // A list of logs that does not fit will not fit the next time either.
            Source::Rpc => self.world.set_stale(Stale::Lost, true),
            // One pending transaction fewer is an opportunity lost, not a wrong state.
            Source::Pending => {}
        }
    }

    /// Asks for what our own transactions change: nonces, balances, holdings.
    pub(crate) fn ask_for_accounts(&mut self) {
        for index in 0..self.risk.wallets.len() {
            let Ok(index) = u8::try_from(index) else { break };
            self.ask_for_wallet(crate::ids::WalletId(index));
        }
        let holder = self.signer.executor();
        for (rank, base) in (0_u8..).zip(&self.world.bases) {
            let token = self.world.tokens.get(*base).address;
            self.queries.ask(Query::Holding { rank, token, holder });
        }
    }

    fn apply_head<O: Outbox>(
        &mut self,
        head: &Head,
        word: Word,
        at: Nanos,
    ) -> Result<Change, DecodeError> {
        self.tally.heads += 1;
        let progress = self.world.on_head(head, word, at, &mut self.queries)?;
        Ok(self.after_progress::<O>(progress))
    }

    fn apply_reply<O: Outbox>(
        &mut self,
        (node, answers): (NodeId, Answers),
        result: Value<'_>,
        at: Nanos,
    ) -> Result<Change, DecodeError> {
        match (answers, result) {
            (Answers::Head(block), Value::Object(span)) => {
                let word = if block == 0 { Word::Newest(node) } else { Word::Asked(node) };
                return self.apply_head::<O>(&Head::parse(span)?, word, at);
            }
            (Answers::BlockLogs(opened), Value::Array(span)) => {
                let progress = self.apply_block_logs::<O>((opened, span), at)?;
                return Ok(self.after_progress::<O>(progress));
            }
            (Answers::Transaction, Value::Object(span)) => {
                let fields = Fields::parse(span)?;
                if fields.has(Field::BlockHash) {
                    // Mined in the meantime: its block's logs say what it did.
                    self.tally.pending_other += 1;
                    return Ok(Change::None);
                }
                self.apply_pending(&PendingTx::from_fields(&fields)?, at, node);
            }
            (Answers::SenderNonce(serial), result) => {
                let nonce = u64::try_from(quantity(result)?).unwrap_or(u64::MAX);
                self.on_sender_nonce(serial, nonce, at);
            }
            // The node does not know it (yet, or any more); what is still needed is asked again.
            (Answers::Head(block), Value::Null) => {
                self.world.on_head_unknown((node, block), at, &mut self.queries);
            }
            (Answers::Transaction, Value::Null) => {}
            (Answers::BlockLogs(opened), Value::Null) => {
                self.world.on_block_logs_refused(opened, at);
            }
            (Answers::Head(_) | Answers::Transaction | Answers::BlockLogs(_), _) => {
                return Err(DecodeError::Contradiction);
            }
            (answers, result) => self.apply_account_reply((node, answers), result)?,
        }
        Ok(Change::None)
    }

    /// Replies about our own transactions and accounts.
    fn apply_account_reply(
        &mut self,
        (node, answers): (NodeId, Answers),
        result: Value<'_>,
    ) -> Result<(), DecodeError> {
        if !self.world.is_current(node) {
            // It tells of a state that we have left, or are not at yet; a seal asks again.
            self.tally.replies_behind += 1;
            return Ok(());
        }
        match answers {
            Answers::Receipt(attempt) => self.on_receipt(attempt, result)?,
            Answers::Known(attempt) => self.on_known(attempt, node, result == Value::Null),
            Answers::Followed(ticket) => self.on_followed((node, ticket), result)?,
            Answers::Place(ticket) => self.on_place(ticket, result)?,
            Answers::Nonce(wallet) => {
                let nonce = u64::try_from(quantity(result)?).unwrap_or(u64::MAX);
                self.on_nonce(wallet, nonce);
            }
            Answers::PendingNonce(wallet) => {
                let nonce = u64::try_from(quantity(result)?).unwrap_or(u64::MAX);
                self.on_pending_nonce(wallet, nonce);
            }
            Answers::Balance(wallet) => {
                self.on_balance(wallet, Wei(quantity(result)?));
            }
            Answers::Holding(rank) => {
                let held = quantity(result)?;
                if let Some(place) = self.risk.holdings.get_mut(usize::from(rank)) {
                    *place = held;
                }
            }
            Answers::Sent(_) => {}
            Answers::Head(_)
            | Answers::BlockLogs(_)
            | Answers::Transaction
            | Answers::SenderNonce(_)
            | Answers::Other => self.tally.replies_other += 1,
        }
        Ok(())
    }

    fn apply_block_logs<O: Outbox>(
        &mut self,
        list: (u32, &[u8]),
        at: Nanos,
    ) -> Result<Progress, DecodeError> {
        let mut replay = replayer::<O>(&mut self.flights);
        let replay = replay.as_mut().map(|visit| visit as &mut Visitor<'_>);
        self.world.on_block_logs(list, at, &mut self.queries, replay)
    }

    /// Applies a block that is read already: what its head's frame would do, then its list's.
    pub(crate) fn apply_block<O: Outbox>(
        &mut self,
        block: &Block<'_>,
        at: Nanos,
        node: NodeId,
    ) -> Change {
        let applied = match self.apply_head::<O>(block.head, Word::Announced(node), at) {
            // It was sealed at once: its filter says that nothing of ours is in it.
            Ok(Change::Block) => return Change::Block,
            Ok(Change::None) => {
                self.report_freshness(at);
                self.apply_rows::<O>((&block.head.hash, &block.rows), at)
            }
            Err(error) => Err(error),
        };
        match applied {
            Ok(progress) => self.after_progress::<O>(progress),
            Err(error) => {
                self.tally.undecodable(Source::Chain, error);
                Change::None
            }
        }
    }

    fn apply_rows<O: Outbox>(
        &mut self,
        rows: (&B256, &Rows<'_>),
        at: Nanos,
    ) -> Result<Progress, DecodeError> {
        let mut replay = replayer::<O>(&mut self.flights);
        let replay = replay.as_mut().map(|visit| visit as &mut Visitor<'_>);
        self.world.on_rows(rows, at, &mut self.queries, replay)
    }

    fn apply_receipts<O: Outbox>(
        &mut self,
        receipts: (NodeId, &[u8]),
        at: Nanos,
    ) -> Result<Progress, DecodeError> {
        let mut replay = replayer::<O>(&mut self.flights);
        let replay = replay.as_mut().map(|visit| visit as &mut Visitor<'_>);
        self.world.on_receipts(receipts, at, &mut self.queries, replay)
    }

    fn apply_reply_error(&mut self, answers: Answers, code: i64, at: Nanos) {
        self.tally.reply_errors += 1;
        match answers {
            Answers::Sent(attempt) => {
                self.notes.add(Note::Refused { attempt, code });
                self.on_refused(attempt);
            }
            Answers::BlockLogs(opened) => self.world.on_block_logs_refused(opened, at),
            // What is still needed is asked again.
            Answers::Head(_)
            | Answers::Transaction
            | Answers::Receipt(_)
            | Answers::Known(_)
            | Answers::Followed(_)
            | Answers::Place(_)
            | Answers::Nonce(_)
            | Answers::PendingNonce(_)
            | Answers::Balance(_)
            | Answers::SenderNonce(_)
            | Answers::Holding(_)
            | Answers::Other => {}
        }
    }

    fn after_progress<O: Outbox>(&mut self, progress: Progress) -> Change {
        match progress {
            Progress::None => Change::None,
            Progress::CatchingUp => {
                self.on_sealed::<O>();
                Change::None
            }
            Progress::AtHead => {
                self.on_sealed::<O>();
                Change::Block
            }
        }
    }

    /// Blocks were left: what was mined may be pending again, and a nonce that was counted may be
    /// free.
    #[cold]
    fn forget_mined(&mut self) {
        for flight in self.flights.iter_mut() {
            flight.is_mined = false;
            (flight.target_place, flight.place) = (None, Place::Unknown);
        }
        self.senders.forget();
        self.ask_for_accounts();
    }

    /// A sealed block: submissions may have ended, waiting swaps may have landed.
    fn on_sealed<O: Outbox>(&mut self) {
        let tip = *self.world.tip();
        if self.world.reorgs().0 != self.reorgs_seen {
            self.reorgs_seen = self.world.reorgs().0;
            self.forget_mined();
        }
        self.forget_landed();
        let touched = u32::try_from(self.world.touched().len()).unwrap_or(u32::MAX);
        self.notes.add(Note::Sealed {
            number: tip.number,
            hash: tip.hash,
            next_base_fee: tip.next_base_fee,
            touched,
        });
        self.risk.guard.on_block(tip.timestamp);
        self.finality.guard.on_block(tip.timestamp);
        self.review_settled(false);
        self.settle_block::<O>();
        self.ask_for_waiting_wallets();
        self.world.clear_included();
    }
}

/// Executes the plans in flight where they would land, if there are any and they are settled so.
fn replayer<O: Outbox>(flights: &mut Flights) -> Option<impl FnMut(&mut World, Option<Included>)> {
    let is_due = match O::SETTLES {
        Settles::ByReceipt => false,
        Settles::ByReplay => flights.iter().next().is_some(),
    };
    is_due.then_some(|world: &mut World, after| verdict::replay(flights, world, after))
}
