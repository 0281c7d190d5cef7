//! Pending swaps, from their announcement to the strategies: the engine's part in [`Waiting`].
//!
//! ```text
//! announced ─► new ─► nonce is next ─► due ─► seen
//!               │                       └ waits while the world is stale or a block is open
//!               ├─► asked: the node says what its sender's nonce is
//!               └─► early: another transaction of its sender must land first
//! ```
//!
//! What has just come and could be answered at once is looked at before it is believed: a
//! [`Newcomer`]. Nothing leaves and nothing is remembered of it until it is proved.
//!
//! The best come first, a few after each input. Every seal and every answer about a sender has
//! what waits checked again.
//!
//! [`Waiting`]: crate::waiting::Waiting
//!
//! Temperature: hot.

use alloy_primitives::{Address, B256};

use crate::decode::pending::PendingTx;
use crate::decode::swap;
use crate::ids::{NodeId, TokenId};
use crate::keccak;
use crate::limits::{LOOKS_PER_INPUT_MAX, PREDECESSORS_MAX, SENDERS_ASKED_AGAIN_MAX};
use crate::loans::pending::Pending;
use crate::mempool::News;
use crate::outbox::{Clock, Outbox, Stamps};
use crate::pipeline::Engine;
use crate::plan::Follow;
use crate::query::Query;
use crate::search::native_value;
use crate::strategy::StrategySet;
use crate::tally::Gone;
use crate::target::{Part, Payer, Route, Slot, Target, Way};
use crate::units::{Nanos, Wei};
use crate::waiting::Look;
use crate::world::undo::Mark;
use crate::world::{Stale, Unfit, World};

/// A pending swap that came with this input, which nobody has hashed yet. Only what hashes to what
/// was announced is believed and remembered; but the first look needs no more than what is written,
/// and the hash can be had along with the signature of the answer.
#[derive(Debug)]
pub(crate) struct Newcomer {
    follow: Follow,
    sender: Address,
    nonce: u64,
    node: NodeId,
    /// How many bytes it has, at the start of the scratch buffer.
    raw_bytes: usize,
    /// What they hash to, once that is known.
    pub(crate) proof: Option<B256>,
}

impl Newcomer {
    /// What is still to be hashed, of the scratch buffer.
    pub(crate) fn unproven<'a>(&self, raw: &'a [u8]) -> Option<&'a [u8]> {
        if self.proof.is_some() { None } else { raw.get(..self.raw_bytes) }
    }

    /// Whether it is not what was announced, as far as is known.
    pub(crate) fn is_forged(&self) -> bool {
        self.proof != Some(self.follow.hash)
    }
}

/// Where a pending swap stands among its sender's transactions.
enum Standing {
    /// It is next, or behind pending swaps that are.
    Next,
    /// Others must land first, and they are not known.
    Early,
    /// Its nonce is used: it will never land.
    Used,
    /// The sender's nonce is not known.
    Unknown,
}

impl<S: StrategySet> Engine<S> {
    /// Takes note of a pending hash.
    pub(crate) fn apply_pending_hash(&mut self, hash: &B256, node: NodeId) {
        if self.mempool.knows(hash) {
            self.tally.pending_known += 1;
        } else {
            self.tally.pending_fetched += 1;
            self.queries.ask_of(node, Query::Transaction(*hash));
        }
    }

    /// Puts a pending transaction into the queue, if it is a swap.
    pub(crate) fn apply_pending(&mut self, tx: &PendingTx<'_>, at: Nanos, node: NodeId) {
        if self.mempool.knows(&tx.hash) {
            self.tally.pending(News::Duplicate);
            return;
        }
        let target = self.target_of(tx);
        if tx.to.is_some_and(|to| self.world.loans.is_concerned(&to)) {
            let pending = target.as_ref().and_then(|target| target.route.loans().next());
            self.world.loans.count_pending(pending);
        }
        let has_rival = self.mempool.has_rival(tx.from, tx.nonce);
        match &target {
            // What is no swap matters only if it takes the place of one.
            None if !has_rival => self.tally.pending_other += 1,
            Some(target) if !has_rival => self.welcome(tx, target, at, node),
            target => self.replace(tx, target.as_ref(), at, node),
        }
    }

    /// Has a swap looked at that is news if it is true.
    fn welcome(&mut self, tx: &PendingTx<'_>, target: &Target, at: Nanos, node: NodeId) {
        let Ok(raw_bytes) = tx.encode_raw(&mut self.scratch.raw) else {
            self.tally.pending_forged += 1;
            return;
        };
        let Target { follow, sender, nonce, .. } = *target;
        self.waiting.push(target, self.world.next_block(), at);
        self.newcomer = Some(Newcomer { follow, sender, nonce, node, raw_bytes, proof: None });
    }

    /// Puts a transaction in the place of another one of its sender, if it is true and pays more.
    fn replace(&mut self, tx: &PendingTx<'_>, target: Option<&Target>, at: Nanos, node: NodeId) {
        if tx.verify(&mut self.scratch.raw).is_err() {
            self.tally.pending_forged += 1;
            return;
        }
        let news = self.mempool.announce(&follow_of(tx), tx.from, tx.nonce);
        if let News::Replaces(old) = news {
            self.waiting.forget(Gone::Replaced, |target| target.follow.hash == old);
            self.on_target_gone(&old);
        }
        let Some(target) = target else {
            self.tally.pending_other += 1;
            return;
        };
        if matches!(news, News::New | News::Replaces(_)) {
            self.waiting.push(target, self.world.next_block(), at);
            self.rate_newest();
        }
        self.count_in(news, node);
    }

    /// Whether what is looked at is what was announced. If that was not found out along with a
    /// signature, it is now, when nothing waits to leave.
    pub(crate) fn is_believed(&mut self) -> bool {
        let Some(newcomer) = &mut self.newcomer else { return true };
        if let Some(raw) = newcomer.unproven(&self.scratch.raw) {
            newcomer.proof = Some(keccak::hash(raw));
        }
        !newcomer.is_forged()
    }

    /// Remembers the swap that came with this input, or drops it if it is not what was announced.
    pub(crate) fn take_in_newcomer(&mut self) {
        let is_believed = self.is_believed();
        let Some(newcomer) = self.newcomer.take() else { return };
        if !is_believed {
            self.tally.pending_forged += 1;
            self.waiting.drop_newest();
            return;
        }
        let Newcomer { follow, sender, nonce, node, .. } = newcomer;
        let news = self.mempool.announce(&follow, sender, nonce);
        self.rate_newest();
        self.count_in(news, node);
    }

    fn count_in(&mut self, news: News, node: NodeId) {
        self.tally.pending(news);
        if matches!(news, News::New | News::Replaces(_)) {
            self.world.nodes_mut().count_pending(node);
            self.tally.queued += u64::from(self.world.open_block().is_some());
            self.tally.pending_stale += u64::from(!self.world.freshness().is_fresh());
        }
    }

    /// Finds out what the swap moves that came last.
    fn rate_newest(&mut self) {
        if let Some(target) = self.waiting.unrated() {
            let worth = worth_of(&target.route, &self.world);
            self.waiting.rate(worth);
        }
    }

    pub(crate) fn target_of(&mut self, tx: &PendingTx<'_>) -> Option<Target> {
        let to = tx.to?;
        let route = if self.world.loans.is_concerned(&to) {
            let input = tx.decode_input(&mut self.scratch.calldata).ok()?;
            Route::of_loans(self.world.loans.pending([tx.from, to], input)?)
        } else {
            swap::decode(tx, &self.world, &mut self.scratch.calldata)?
        };
        Some(Target { follow: follow_of(tx), sender: tx.from, nonce: tx.nonce, route })
    }

    /// Whether pending swaps wait that could be looked at now: the engine wants another input.
    #[must_use]
    pub const fn has_backlog(&self) -> bool {
        self.waiting.has_next(self.can_trade())
    }

    /// How many pending swaps left the queue for this reason before the strategies saw them.
    #[must_use]
    pub const fn gone(&self, why: Gone) -> u64 {
        self.waiting.gone(why)
    }

    /// Pending swaps that the strategies have still to see.
    #[must_use]
    pub const fn unseen_count(&self) -> usize {
        self.waiting.unseen_count()
    }

    /// Looks at the best of the pending swaps that wait, a few of them.
    pub(crate) fn look<O: Outbox>(&mut self, stamps: &Stamps, clock: &impl Clock, outbox: &mut O) {
        for round in 0..LOOKS_PER_INPUT_MAX {
            let can_trade = self.can_trade();
            if round > 0 || self.waiting.is_full() || self.waiting.has_choice(can_trade) {
                self.take_in_newcomer();
            }
            let Some(place) = self.waiting.next(can_trade) else { break };
            let (target, due_at) = self.waiting.at(place);
            let standing = self.standing(&target);
            if self.newcomer.is_some() && !(can_trade && matches!(standing, Standing::Next)) {
                continue;
            }
            match standing {
                Standing::Unknown => {
                    self.waiting.set_look(place, Look::Asked);
                    self.ask_for_sender(&target.sender);
                }
                Standing::Early => self.waiting.set_look(place, Look::Early),
                Standing::Used => self.forget_used(&target.sender),
                Standing::Next if can_trade => {
                    self.waiting.set_look(place, Look::Seen);
                    let mut stamps = Stamps { received: due_at, ..*stamps };
                    self.on_pending(&target, &mut stamps, clock, outbox);
                }
                Standing::Next => self.waiting.set_look(place, Look::Due),
            }
        }
    }

    pub(crate) const fn can_trade(&self) -> bool {
        self.world.freshness().is_fresh() && self.world.open_block().is_none()
    }

    fn standing(&self, target: &Target) -> Standing {
        let Target { sender, nonce, .. } = target;
        let Some(next) = self.senders.next_nonce(sender) else { return Standing::Unknown };
        let Some(ahead) = nonce.checked_sub(next) else { return Standing::Used };
        let has_all = ahead <= PREDECESSORS_MAX as u64
            && (next..*nonce).all(|nonce| self.waiting.of_sender(sender, nonce).is_some());
        if has_all {
            Standing::Next
        } else if self.senders.is_known_at(sender, self.world.tip().number) {
            Standing::Early
        } else {
            Standing::Unknown
        }
    }

    /// Applies a swap behind those of its sender that must land before it.
    pub(crate) fn apply_in_turn(&mut self, target: &Target) -> Result<Mark, Unfit> {
        let mark = self.world.mark();
        self.world.suppose_nothing();
        let applied = self.apply_predecessors(target);
        let applied = applied.and_then(|()| self.world.apply_next_target(target));
        if applied.is_err() && self.world.take_back(mark).is_err() {
            self.world.set_stale(Stale::Lost, true);
        }
        applied.map(|_| mark)
    }

    fn apply_predecessors(&mut self, target: &Target) -> Result<(), Unfit> {
        let next = self.senders.next_nonce(&target.sender).unwrap_or(target.nonce);
        if target.nonce.saturating_sub(next) > PREDECESSORS_MAX as u64 {
            return Err(Unfit::TooLong);
        }
        for nonce in next..target.nonce {
            let Some(before) = self.waiting.of_sender(&target.sender, nonce) else { continue };
            match self.world.apply_next_target(before) {
                // What reverts uses its nonce all the same.
                Ok(_) | Err(Unfit::NoLiquidity | Unfit::LimitMissed | Unfit::PastDeadline) => {}
                Err(unfit @ (Unfit::Underpriced | Unfit::TooLong | Unfit::Doubted)) => {
                    return Err(unfit);
                }
            }
        }
        Ok(())
    }

    /// A block was sealed: which nonces did it use?
    pub(crate) fn forget_landed(&mut self) {
        let tip = self.world.tip().number;
        let included = self.world.included();
        for landed in included {
            if let Some((sender, nonce)) = self.mempool.sender_of(&landed.hash) {
                self.senders.learn(&sender, nonce.saturating_add(1), tip);
            }
        }
        let has_landed =
            |target: &Target| included.iter().any(|landed| landed.hash == target.follow.hash);
        self.waiting.forget(Gone::Landed, has_landed);
        let senders = &self.senders;
        self.waiting.forget(Gone::NonceUsed, |target| {
            senders.next_nonce(&target.sender).is_some_and(|next| target.nonce < next)
        });
        self.waiting.expire(self.world.next_block());
    }

    /// The world stands at a new head: what waits is looked at again, and whether it may have
    /// reverted or been replaced without a trace is asked.
    pub(crate) fn wake_all(&mut self, at: Nanos) {
        self.waiting.wake(None, at);
        let tip = self.world.tip().number;
        self.senders.start_block();
        for target in self.waiting.best_first().take(SENDERS_ASKED_AGAIN_MAX) {
            if !self.senders.is_known_at(&target.sender, tip)
                && let Some(query) = self.senders.ask(&target.sender, tip)
            {
                self.queries.ask(query);
            }
        }
    }

    /// The node said what a sender's next nonce is.
    pub(crate) fn on_sender_nonce(&mut self, serial: u32, nonce: u64, at: Nanos) {
        let tip = self.world.tip().number;
        if let Some(sender) = self.senders.answer(serial, nonce, tip) {
            self.forget_used(&sender);
            self.waiting.wake(Some(&sender), at);
        }
    }

    fn ask_for_sender(&mut self, sender: &Address) {
        if let Some(query) = self.senders.ask(sender, self.world.tip().number) {
            self.queries.ask(query);
        }
    }

    fn forget_used(&mut self, sender: &Address) {
        let next = self.senders.next_nonce(sender).unwrap_or(0);
        let is_used = |target: &Target| target.sender == *sender && target.nonce < next;
        self.waiting.forget(Gone::NonceUsed, is_used);
    }
}

const fn follow_of(tx: &PendingTx<'_>) -> Follow {
    Follow { hash: tx.hash, max_fee: Wei(tx.max_fee), priority_fee: Wei(tx.priority_fee) }
}

/// What an oracle update is worth beside swaps: there are few, of senders who are known, and none
/// may be pushed out by a flood of swaps.
const REPORT_WORTH: Wei = Wei(u128::MAX >> 1);
/// What somebody's help for a borrower is worth beside swaps: anybody can help.
const RELIEF_WORTH: Wei = Wei(1_000_000_000_000_000_000);

/// What a route moves, in wei, all its paths together.
fn worth_of(route: &Route, world: &World) -> Wei {
    if let Some(pending) = route.loans().next() {
        return match pending {
            Pending::Report(_) => REPORT_WORTH,
            Pending::Relief(..) => RELIEF_WORTH,
        };
    }
    route.parts().fold(Wei(0), |sum, part| {
        Wei(sum.0.saturating_add(worth_of_part(route, part, world).unwrap_or(0)))
    })
}

/// What a path moves, in wei: the first of its tokens that trades against native is valued, from
/// the side that is fixed. `None` if none of them does, or a pool cannot give it.
fn worth_of_part(route: &Route, part: &Part, world: &World) -> Option<u128> {
    let is_forward = part.way == Way::ExactIn;
    let mut amount = match part.payer {
        Payer::Sender | Payer::Router => part.amount,
        // What was wrapped before; what earlier paths gave is valued with them.
        Payer::RouterAll if part.paid == Slot::WRAPPED => route.value,
        Payer::RouterAll => return None,
    };
    let hops = route.hops_of(part);
    let value = |token: TokenId, amount| native_value(&world.pools, world.native, token, amount);
    for step in 0..hops.len() {
        let hop = if is_forward { hops[step] } else { hops[hops.len() - 1 - step] };
        let entry = world.pools.get(hop.pool);
        let (paid, taken) =
            (entry.tokens[hop.direction.index_in()], entry.tokens[hop.direction.index_out()]);
        let moved = if is_forward {
            world.quote(hop.pool, hop.direction, amount)?
        } else {
            world.pools.view(hop.pool).quote_in(amount, hop.direction)?
        };
        // Anybody can name a large amount, so what goes in is worth what the pool would give for
        // what comes out: about the same, and less than the pool holds.
        let given = if is_forward { moved } else { amount };
        let back = world.quote(hop.pool, hop.direction.reversed(), given);
        let (near, far) = if is_forward {
            ((paid, back), (taken, Some(moved)))
        } else {
            ((taken, Some(amount)), (paid, back))
        };
        if let Some(worth) = near.1.and_then(|amount| value(near.0, amount)) {
            return Some(worth);
        }
        if step + 1 == hops.len() {
            return far.1.and_then(|amount| value(far.0, amount));
        }
        amount = moved;
    }
    None
}
