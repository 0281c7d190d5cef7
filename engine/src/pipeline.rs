//! The critical path on one screen: [`Engine::on_input`].
//!
//! ```text
//! input ─► decode ─► world ─► strategies ─► risk ─► sign ─► outbox
//! bytes    event     change   plans         admitted        raw transaction
//! ```
//!
//! Everything is synchronous and allocates nothing. What the engine wants from the node it writes
//! into [`Engine::queries`]; what it wants to be told into [`Engine::notes`]; the shell drains both
//! after each input.
//!
//! Temperature: hot.

use alloc::boxed::Box;
use alloc::vec::Vec;

use alloy_primitives::{Address, B256};

use crate::books::Books;
use crate::decode::DecodeError;
use crate::decode::message::{self, Message};
use crate::decode::swap;
use crate::finality::Finality;
use crate::flight::{Admitted, Attempt, Flight, Flights, Outcome, Settlement};
use crate::growth::Growth;
use crate::ids::{PoolId, WalletId};
use crate::input::{Happening, Input};
use crate::keccak;
use crate::limits::RAW_TX_BYTES_MAX;
use crate::mempool::Mempool;
use crate::note::{Alert, Note, Notes};
use crate::outbox::{Clock, Outbox, SignedTx, Stamps, Unsent};
use crate::plan::{Follow, Plan, Plans};
use crate::query::Queries;
use crate::rehearsal::Rehearsal;
use crate::risk::{Reject, Risk};
use crate::senders::Senders;
use crate::sign::{Signed, Signer};
use crate::strategy::{Ctx, StrategySet};
use crate::tally::Tally;
use crate::target::Target;
use crate::targets::Newcomer;
use crate::units::Nanos;
use crate::verdict;
use crate::waiting::Waiting;
use crate::world::pools::PoolTable;
use crate::world::{Freshness, World};

/// The engine: all state that decisions rest on, and the one function that changes it.
#[derive(Debug)]
pub struct Engine<S> {
    /// Pools, heads, freshness.
    pub world: World,
    /// Limits, wallets, opportunities taken.
    pub risk: Risk,
    /// Submissions on their way.
    pub flights: Flights,
    /// What came of it.
    pub books: Books,
    /// What of it a reorg may still take back.
    pub finality: Finality,
    /// Questions for the node, raised by the last input.
    pub queries: Queries,
    /// Notes for the journal, taken during the last input.
    pub notes: Notes,
    /// Counts of everything that is not an error of ours.
    pub tally: Tally,
    /// The executor's owner, if it is known: what is swept to it is no loss.
    pub owner: Option<Address>,
    pub(crate) signer: Signer,
    pub(crate) mempool: Mempool,
    pub(crate) waiting: Waiting,
    /// The pending swap that came with this input, until it is believed.
    pub(crate) newcomer: Option<Newcomer>,
    pub(crate) senders: Senders,
    pub(crate) strategies: S,
    /// What the universe grew by, to be freed where that may take its time.
    pub(crate) grown: Option<Box<Growth>>,
    pub(crate) filled_at: Nanos,
    plans: Plans,
    pub(crate) scratch: Scratch,
    pub(crate) rehearsal: Rehearsal,
    pub(crate) silent_after_ns: u64,
    /// Reorgs after which the accounts were asked for again.
    pub(crate) reorgs_seen: u64,
    /// Whether a submission is due to be taken back.
    pub(crate) has_due: bool,
    /// The day on which it was last told that the budget of losses is used.
    loss_told_on: u64,
    reported: Freshness,
}

/// Reads a message, and asks memory for what it will change. Not inlined, so that rehearsals keep
/// the very same instructions in the caches.
#[inline(never)]
pub(crate) fn read<'a>(
    bytes: &'a [u8],
    message: &mut Message<'a>,
    pools: &PoolTable,
) -> Result<(), DecodeError> {
    message::parse_into(bytes, message, |contract| pools.prefetch(contract))
}

impl<S: StrategySet> Engine<S> {
    /// The whole path, from bytes that came in to bytes that go out.
    pub fn on_input<O: Outbox>(&mut self, input: Input<'_>, clock: &impl Clock, outbox: &mut O) {
        let at = input.at;
        let swaps = self.waiting.arrivals();
        let frame = if let Happening::Frame { bytes, .. } = &input.what { *bytes } else { &[] };
        let mut stamps = Stamps { received: at, decoded: at, ..Stamps::default() };
        let mut is_last = true;
        let change = match input.what {
            Happening::Frame { node, source, bytes, has_more } => {
                is_last = !has_more;
                self.tally.frames[source as usize] += 1;
                let mut message = Message::NONE;
                match read(bytes, &mut message, &self.world.pools) {
                    Ok(()) => {
                        // A log is answered when its block is sealed, by what seals it; what waited
                        // and is looked at behind it has its time for decoding told as the next.
                        if !message.is_log() {
                            stamps.decoded = clock.now();
                        }
                        self.apply::<O>(&message, at, (node, source))
                    }
                    Err(error) => {
                        self.tally.undecodable(source, error);
                        Change::None
                    }
                }
            }
            Happening::Block { node, block } => {
                stamps.decoded = clock.now();
                self.apply_block::<O>(&block, at, node)
            }
            other @ (Happening::Truncated { .. }
            | Happening::Tick
            | Happening::Link { .. }
            | Happening::Command(_)) => self.apply_other(other, at),
        };
        self.report_freshness(at);
        let is_seal = matches!(change, Change::Block);
        // Read only if something may come of it.
        if is_seal || self.has_due || self.has_backlog() {
            stamps.applied = clock.now();
        }
        if is_seal {
            self.on_block(&mut stamps, clock, outbox);
        }
        if is_seal || is_last {
            self.look(&stamps, clock, outbox);
        }
        if self.has_due {
            self.cancel_due(&stamps, outbox);
        }
        self.take_in_newcomer();
        if self.waiting.arrivals() > swaps
            && let Some(newest) = self.waiting.newest()
        {
            let pool = newest.hops().first().map_or(PoolId(0), |hop| hop.pool);
            self.rehearsal.keep(frame, pool);
        }
    }

    /// Strategies over a sealed block; pending swaps that waited for the seal come next.
    fn on_block<O: Outbox>(&mut self, stamps: &mut Stamps, clock: &impl Clock, outbox: &mut O) {
        debug_assert!(self.newcomer.is_none(), "no input brings a seal and a pending swap");
        self.plans.clear();
        let Self { world, risk, .. } = self;
        let ctx = Ctx { world, touched: world.touched(), risk };
        self.strategies.on_block(&ctx, &mut self.plans);
        self.world.clear_touched();
        self.trade(stamps, clock, outbox);
        self.strategies.after_block(&self.world);
        self.wake_all(stamps.received);
    }

    /// Strategies over the world as if `target` had landed; the world is taken back afterwards.
    pub(crate) fn on_pending<O: Outbox>(
        &mut self,
        target: &Target,
        stamps: &mut Stamps,
        clock: &impl Clock,
        outbox: &mut O,
    ) {
        self.plans.clear();
        match self.apply_in_turn(target) {
            Err(unfit) if self.is_believed() => self.tally.unfit(unfit),
            Err(_) => {}
            Ok(mark) => {
                let Self { world, risk, .. } = self;
                let ctx = Ctx { world, touched: world.supposed(), risk };
                self.strategies.on_pending(&ctx, target, &mut self.plans);
                if self.world.take_back(mark).is_err() {
                    self.world.set_stale(crate::world::Stale::Lost, true);
                }
                self.trade(stamps, clock, outbox);
                self.tally.pending_seen += u64::from(self.is_believed());
            }
        }
    }

    /// Risk, signature and submission of what was proposed, best first.
    fn trade<O: Outbox>(&mut self, stamps: &mut Stamps, clock: &impl Clock, outbox: &mut O) {
        stamps.decided = clock.now();
        for rank in 0..self.plans.len() {
            let Some(plan) = self.plans.get(rank) else { break };
            let (verdict, opportunity) = self.risk.admit(&plan, &self.world, &self.flights);
            let sent = verdict.and_then(|admitted| {
                self.check_place(&admitted)?;
                let ticket = self.flights.next_ticket().ok_or(Reject::TableFull)?;
                let half = outbox.presignature();
                let newcomer = self.newcomer.as_mut();
                let unproven = newcomer.as_ref().and_then(|one| one.unproven(&self.scratch.raw));
                let signed = self.signer.sign(&admitted, &self.world, half, unproven);
                let Signed { raw, beside } = signed.ok_or(Reject::Unsignable)?;
                if let Some(newcomer) = newcomer {
                    newcomer.proof = newcomer.proof.or(beside);
                    if newcomer.is_forged() {
                        return Err(Reject::Forged);
                    }
                }
                stamps.signed = clock.now();
                let mut flight = Flight::new(admitted, B256::ZERO, self.world.next_block());
                flight.ticket = ticket;
                flight.serial = self.flights.newest_serial().saturating_add(1);
                let tx = SignedTx { raw, attempt: Attempt { ticket, number: 0 } };
                let left = outbox.submit(&tx, &flight, stamps);
                // Behind the transaction, which does not wait for it.
                flight.hash = keccak::hash(raw);
                Ok((flight, left))
            });
            if !self.is_believed() {
                return self.disown(&plan);
            }
            let is_new = opportunity.is_some_and(|fingerprint| self.risk.see(fingerprint));
            self.books.line_mut(plan.strategy).opportunities += u64::from(is_new);
            match sent {
                Ok((flight, left)) => self.enter(&flight, left),
                Err(reason) => {
                    self.books.reject(reason);
                    self.notes.add(Note::Rejected { plan, reason, is_new });
                    self.alert(reason);
                }
            }
        }
        if !self.plans.is_empty() {
            self.tell_lacks();
        }
    }

    /// What the plan follows is forged: of all that would be traded nothing is remembered.
    #[cold]
    fn disown(&mut self, plan: &Plan) {
        let reason = Reject::Forged;
        self.books.reject(reason);
        self.notes.add(Note::Rejected { plan: *plan, reason, is_new: false });
        for wallet in self.risk.wallets.iter_mut().filter(|wallet| !wallet.is_lack_told) {
            wallet.lacks = None;
        }
        self.plans.clear();
    }

    /// Whether the plan still pays if the pending swaps that may stand before it land first.
    fn check_place(&mut self, admitted: &Admitted) -> Result<(), Reject> {
        let mark = self.world.mark();
        let order = admitted.plan.order;
        let loan = order.map(|order| order.loan);
        let called = order.and_then(|order| self.world.loans.call(order.loan, order.size));
        let borrower = called.map(|call| call.borrower);
        let mut is_rescued = false;
        for target in self.waiting.ahead_of(admitted) {
            // Others' help counts where it may come first: it costs nothing to announce it.
            let is_own = Some(target.sender) == borrower;
            let Follow { max_fee, priority_fee, .. } = target.follow;
            let fees = &admitted.fees;
            let is_first = max_fee > fees.max_fee || priority_fee > fees.priority_fee;
            if !is_own && !is_first {
                continue;
            }
            // One that would not land on this state does not stand before anybody.
            let applied = self.world.apply_target(target);
            let relieves = |loan| target.route.relieves(loan);
            is_rescued |= applied.is_ok() && loan.is_some_and(relieves);
        }
        let followed = admitted.plan.follows();
        let followed = followed.map(|follow| self.waiting.get(&follow.hash).copied());
        let profit = match followed {
            // Those ahead may also keep the followed swap from landing.
            Some(target) => target
                .and_then(|target| self.apply_in_turn(&target).ok())
                .and_then(|_mark| verdict::requote(&admitted.plan, &self.world)),
            None => verdict::requote(&admitted.plan, &self.world),
        };
        if self.world.take_back(mark).is_err() {
            self.world.set_stale(crate::world::Stale::Lost, true);
        }
        match profit {
            Some(profit) if profit >= admitted.least_profit => Ok(()),
            Some(_) | None if is_rescued => Err(Reject::Rescued),
            Some(_) | None => Err(Reject::Outbid),
        }
    }

    /// Puts a submission on the books, whether it left or not.
    fn enter(&mut self, flight: &Flight, left: Result<(), Unsent>) {
        self.risk.take(&flight.admitted.plan, &self.world);
        self.flights.launch(*flight);
        self.notes.add(Note::Submitted(*flight));
        match left {
            Ok(()) => {
                let wallet = &mut self.risk.wallets[flight.admitted.wallet.index()];
                wallet.nonce = flight.admitted.nonce.saturating_add(1);
                wallet.ours_until = wallet.ours_until.max(wallet.nonce);
                self.books.line_mut(flight.admitted.plan.strategy).sent += 1;
            }
            Err(unsent) => {
                self.settle(flight.ticket, &Settlement::empty(Outcome::Unsent), None);
                if unsent == Unsent::NotRecorded {
                    // There is no record to be freed.
                    self.finality.closed.pop_if(|serial| *serial == flight.serial);
                }
            }
        }
    }

    /// Tells once of each wallet that could not pay, also when another one did.
    fn tell_lacks(&mut self) {
        for (wallet, state) in (0..).map(WalletId).zip(&mut self.risk.wallets) {
            if let Some(needed) = state.lacks.filter(|_| !state.is_lack_told) {
                state.is_lack_told = true;
                let balance = state.balance;
                self.notes.add(Note::Alert(Alert::WalletLow { wallet, balance, needed }));
            }
        }
    }

    /// Tells once of what a user should mend.
    fn alert(&mut self, reason: Reject) {
        let is_spent = reason == Reject::LossPerDay;
        if is_spent && self.loss_told_on != self.risk.guard.losses.day {
            self.loss_told_on = self.risk.guard.losses.day;
            let lost = self.risk.guard.losses.today;
            self.notes.add(Note::Alert(Alert::LossPerDay { lost }));
        }
    }

    pub(crate) fn report_freshness(&mut self, at: Nanos) {
        let freshness = *self.world.freshness();
        if freshness != self.reported {
            self.reported = freshness;
            self.waiting.wake(None, at);
            self.notes.add(Note::Freshness { freshness, at });
        }
    }
}

impl<S: StrategySet> Engine<S> {
    /// An engine that has heard nothing yet. Reserves every buffer.
    ///
    /// # Errors
    /// When a strategy cannot start.
    #[cold]
    pub fn new(
        world: World,
        mut strategies: S,
        risk: Risk,
        signer: Signer,
        silent_after_ns: u64,
    ) -> Result<Self, (&'static str, crate::strategy::InitError)> {
        strategies.init(&world)?;
        let reported = *world.freshness();
        Ok(Self {
            world,
            risk,
            flights: Flights::default(),
            books: Books::default(),
            queries: Queries::default(),
            notes: Notes::default(),
            tally: Tally::default(),
            finality: Finality::new(0),
            owner: None,
            signer,
            mempool: Mempool::default(),
            waiting: Waiting::default(),
            newcomer: None,
            senders: Senders::default(),
            strategies,
            grown: None,
            filled_at: Nanos(0),
            plans: Plans::default(),
            scratch: Scratch::default(),
            rehearsal: Rehearsal::default(),
            silent_after_ns,
            reorgs_seen: 0,
            has_due: false,
            loss_told_on: 0,
            reported,
        })
    }
}

/// Room for what is decoded and re-encoded.
#[derive(Debug)]
pub(crate) struct Scratch {
    pub(crate) calldata: [u8; swap::CALLDATA_BYTES_MAX],
    pub(crate) raw: Vec<u8>,
}

impl Default for Scratch {
    fn default() -> Self {
        Self { calldata: [0; swap::CALLDATA_BYTES_MAX], raw: alloc::vec![0; RAW_TX_BYTES_MAX] }
    }
}

/// What a change of the world gives the strategies to look at.
pub(crate) enum Change {
    /// Nothing.
    None,
    /// A block was sealed and the world stands at the newest head.
    Block,
}
