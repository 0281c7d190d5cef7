//! The scribe: a cold thread that writes the hot thread's notes to the journal and to the log.
//!
//! Temperature: cold.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::mem::MaybeUninit;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, park_timeout};
use std::time::{Duration, Instant};

use alloy_primitives::Address;
use anyhow::{Context, Result};
use gannet_engine::flight::{Flight, Outcome, Settlement};
use gannet_engine::ids::{StrategyId, TokenId, WalletId};
use gannet_engine::loans::{Order, Size};
use gannet_engine::note::{Alert, Note};
use gannet_engine::plan::Plan;
use gannet_engine::sign::liquidation::Funding;
use gannet_engine::units::Wei;
use rtrb::{Consumer, Producer, RingBuffer};
use serde_json::{Value, json};

use crate::bootstrap::Rosters;
use crate::config::{Wallet, in_ether};
use crate::state::Care;

/// Notes on their way; a full ring is counted, never waited for.
const RING: usize = 1 << 13;
/// How often the scribe looks for notes.
const LOOK: Duration = Duration::from_millis(50);
/// How often the state is put on the disk.
const SAVE: Duration = Duration::from_secs(1);

/// What the scribe calls things.
#[derive(Debug)]
pub(crate) struct Names {
    strategies: &'static [&'static str],
    rosters: Rosters,
    wallets: Vec<Address>,
}

impl Names {
    pub(crate) fn new(
        rosters: Rosters,
        strategies: &'static [&'static str],
        wallets: &[Wallet],
    ) -> Self {
        let wallets = wallets.iter().map(|wallet| wallet.address).collect();
        Self { strategies, rosters, wallets }
    }

    fn strategy(&self, id: StrategyId) -> &'static str {
        self.strategies.get(id.index()).copied().unwrap_or("?")
    }

    fn plan(&self, plan: &Plan) -> Value {
        let roster = self.rosters.now();
        let legs: Vec<Value> = plan
            .legs()
            .iter()
            .map(|leg| {
                json!({
                    "pool": roster.known(leg.pool.index()).map(|known| known.address),
                    "zero_for_one": leg.direction.index_in() == 0,
                    "amount_in": leg.amount_in.to_string(),
                    "amount_out": leg.amount_out.to_string(),
                })
            })
            .collect();
        let mut line = json!({
            "strategy": self.strategy(plan.strategy),
            "legs": legs,
            "profit_token": roster.token(plan.profit_token),
            "amount_in": plan.amount_in.to_string(),
            "profit": plan.profit.to_string(),
            "profit_wei": plan.profit_wei.0.to_string(),
            "last_block": plan.last_block.0,
            "target": plan.follows().map(|follow| follow.hash),
        });
        if let Some(order) = &plan.order {
            line["liquidation"] = liquidation(order, |token| roster.token(token));
        }
        line
    }
}

/// What a plan has to say of the liquidation that it makes.
pub(crate) fn liquidation(order: &Order, token: impl Fn(TokenId) -> Option<Address>) -> Value {
    let funding = match order.funding {
        Funding::Own => json!({ "kind": "own" }),
        Funding::Morpho(lender) => json!({ "kind": "morpho", "lender": lender }),
        Funding::Balancer(lender) => json!({ "kind": "balancer", "lender": lender }),
        Funding::Aave(lender) => json!({ "kind": "aave", "lender": lender }),
        Funding::Market => json!({ "kind": "market" }),
    };
    let (unit, amount) = match order.size {
        Size::Debt(amount) => ("debt", amount),
        Size::Shares(amount) => ("shares", amount),
        Size::Seized(amount) => ("seized", amount),
    };
    json!({
        "loan": order.loan.0,
        "debt": token(order.debt),
        "collateral": token(order.collateral),
        "paid_most": order.paid_most.to_string(),
        "size": { "unit": unit, "amount": amount.to_string() },
        "funding": funding,
        "premium": order.premium.to_string(),
        "exit_legs": order.exit_count,
    })
}

/// The hot thread's end.
#[derive(Debug)]
pub(crate) struct Scribe {
    ring: Producer<Note>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// Notes that the ring did not take.
    pub(crate) dropped: u64,
}

impl Scribe {
    /// Starts the thread, which also takes care of the state.
    pub(crate) fn start(
        names: Names,
        journal: Option<&Path>,
        mut state: Option<Care>,
    ) -> Result<Self> {
        let (mut ring, notes) = RingBuffer::new(RING);
        touch(&mut ring);
        let journal = journal
            .map(|path| {
                // What an earlier run wrote is what explains how it ended.
                let file = File::options().append(true).create(true).open(path);
                file.with_context(|| format!("writing the journal {}", path.display()))
            })
            .transpose()?
            .map(BufWriter::new);
        let is_over = Arc::new(AtomicBool::new(false));
        let mut desk = Desk { names, notes, journal, is_failing: false, was_fresh: false };
        let mut saved_at = Instant::now();
        let over = Arc::clone(&is_over);
        let thread = std::thread::Builder::new()
            .name("gannet-scribe".to_owned())
            .spawn(move || {
                // Read before the last look, so that nothing pushed before it is left.
                while !over.load(Ordering::Acquire) {
                    desk.work();
                    if let Some(state) = &mut state {
                        if saved_at.elapsed() > SAVE {
                            saved_at = Instant::now();
                            state.save();
                        }
                        state.ready();
                    }
                    park_timeout(LOOK);
                }
                desk.work();
                if let Some(state) = &mut state {
                    state.save();
                }
            })
            .context("starting the scribe thread")?;
        Ok(Self { ring, is_over, thread: Some(thread), dropped: 0 })
    }

    pub(crate) fn take(&mut self, note: &Note) {
        self.dropped += u64::from(self.ring.push(*note).is_err());
    }
}

/// Has the system hand over the ring's memory now, and not one page after the other while it flies.
fn touch(ring: &mut Producer<Note>) {
    if let Ok(mut all) = ring.write_chunk_uninit(RING) {
        let (first, second) = all.as_mut_slices();
        first.fill_with(MaybeUninit::zeroed);
        second.fill_with(MaybeUninit::zeroed);
    }
}

impl Drop for Scribe {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!("the scribe thread had panicked");
            }
        }
    }
}

/// The scribe's end.
struct Desk {
    names: Names,
    notes: Consumer<Note>,
    journal: Option<BufWriter<File>>,
    is_failing: bool,
    was_fresh: bool,
}

impl Desk {
    fn work(&mut self) {
        while let Ok(note) = self.notes.pop() {
            self.log(&note);
            self.was_fresh |=
                matches!(&note, Note::Freshness { freshness, .. } if freshness.is_fresh());
            let line = self.line(&note);
            self.write(&line);
        }
        if let Some(journal) = &mut self.journal {
            let flushed = journal.flush();
            if flushed.is_ok() && self.is_failing {
                self.is_failing = false;
                tracing::info!("the journal can be written again");
            }
            self.report(flushed);
        }
    }

    fn write(&mut self, line: &Value) {
        if let Some(journal) = &mut self.journal {
            // At one go, so that a line is lost as a whole or not at all.
            let written = journal.write_all(format!("{line}\n").as_bytes());
            self.report(written);
        }
    }

    /// A full disk must not stop the run; it is told once until it is over.
    fn report(&mut self, written: std::io::Result<()>) {
        if let Err(error) = written
            && !self.is_failing
        {
            self.is_failing = true;
            tracing::error!(%error, "the journal cannot be written: its lines are lost");
        }
    }

    fn line(&self, note: &Note) -> Value {
        match note {
            Note::Rejected { plan, reason, is_new } => json!({
                "kind": "rejected", "reason": reason.name(), "is_new": is_new,
                "plan": self.names.plan(plan),
            }),
            Note::Submitted(flight) => json!({
                "kind": "submitted", "hash": flight.hash,
                "wallet": flight.admitted.wallet.0, "nonce": flight.admitted.nonce,
                "max_fee": flight.admitted.fees.max_fee.0.to_string(),
                "priority_fee": flight.admitted.fees.priority_fee.0.to_string(),
                "gas_limit": flight.admitted.fees.gas_limit.0,
                "least_profit": flight.admitted.least_profit.to_string(),
                "net_wei": flight.admitted.net_wei.0.to_string(),
                "is_flash": flight.admitted.is_flash,
                "plan": self.names.plan(&flight.admitted.plan),
            }),
            Note::Settled(flight, end) => self.outcome(flight, end),
            Note::Reversed(flight, end) => {
                let mut line = self.outcome(flight, end);
                line["kind"] = "reversed".into();
                line
            }
            Note::Cancelling { flight, hash } => json!({
                "kind": "cancelling", "hash": flight.hash, "by": hash,
                "wallet": flight.admitted.wallet.0, "nonce": flight.admitted.nonce,
            }),
            Note::Alert(alert) => self.alert(alert),
            Note::Refused { attempt, code } => json!({
                "kind": "refused", "ticket": attempt.ticket, "attempt": attempt.number,
                "code": code,
            }),
            Note::Sealed { number, hash, next_base_fee, touched } => json!({
                "kind": "sealed", "number": number.0, "hash": hash,
                "next_base_fee": next_base_fee.0.to_string(), "touched": touched,
            }),
            Note::Freshness { freshness, at } => {
                let reasons: Vec<_> = freshness.reasons().map(|why| why.name()).collect();
                json!({ "kind": "freshness", "stale": reasons, "at_ns": at.0 })
            }
        }
    }

    fn wallet(&self, id: WalletId) -> Address {
        self.names.wallets.get(id.index()).copied().unwrap_or_default()
    }

    fn alert(&self, alert: &Alert) -> Value {
        let mut line = match *alert {
            Alert::WalletLow { wallet, balance, needed } => json!({
                "wallet": self.wallet(wallet), "balance": balance.0.to_string(),
                "needed": needed.0.to_string(),
            }),
            Alert::WalletFunded { wallet, balance } => {
                json!({ "wallet": self.wallet(wallet), "balance": balance.0.to_string() })
            }
            Alert::WalletShared { wallet, nonce } | Alert::Stuck { wallet, nonce } => {
                json!({ "wallet": self.wallet(wallet), "nonce": nonce })
            }
            Alert::LossPerDay { lost } => json!({ "lost": lost.0.to_string() }),
            Alert::RevertsPause | Alert::RevertsPauseOver => json!({}),
        };
        line["kind"] = "alert".into();
        line["what"] = alert.name().into();
        line
    }

    fn log_alert(&self, alert: &Alert) {
        let ether = |wei: Wei| in_ether(i128::try_from(wei.0).unwrap_or(i128::MAX));
        match *alert {
            Alert::WalletLow { wallet, balance, needed } => {
                let (wallet, balance, needed) =
                    (self.wallet(wallet), ether(balance), ether(needed));
                tracing::warn!(
                    %wallet, balance, needed,
                    "this wallet cannot pay a trade's gas and pauses: send it native tokens"
                );
            }
            Alert::WalletFunded { wallet, balance } => {
                let (wallet, balance) = (self.wallet(wallet), ether(balance));
                tracing::info!(%wallet, balance, "this wallet can pay again");
            }
            Alert::WalletShared { wallet, nonce } => {
                let wallet = self.wallet(wallet);
                tracing::warn!(
                    %wallet, nonce,
                    "somebody else uses this wallet: a transaction that is not ours was mined"
                );
            }
            Alert::Stuck { wallet, nonce } => {
                let wallet = self.wallet(wallet);
                tracing::warn!(
                    %wallet, nonce,
                    "a transaction is neither mined nor taken back: its wallet waits for it"
                );
            }
            Alert::RevertsPause => tracing::warn!(
                "too many submissions in a row reverted: trading pauses for risk.reverts_pause_s"
            ),
            Alert::RevertsPauseOver => tracing::info!("the pause after reverts is over: trading"),
            Alert::LossPerDay { lost } => tracing::warn!(
                lost = ether(lost),
                "what may be lost in a day is used up: no trades until the chain's next day (UTC)"
            ),
        }
    }

    fn outcome(&self, flight: &Flight, end: &Settlement) -> Value {
        let plan = &flight.admitted.plan;
        json!({
            "kind": "outcome", "hash": flight.hash, "status": end.outcome.name(),
            "strategy": self.names.strategy(plan.strategy),
            "target": plan.follows().map(|follow| follow.hash),
            "is_behind_target": end.is_behind_target,
            "profit_token": self.names.rosters.now().token(plan.profit_token),
            "gained": end.gained.to_string(),
            "expected": plan.profit.to_string(),
            "gas_used": end.gas_used.0,
            "gas_price": end.gas_price.0.to_string(),
            "gas_paid_wei": end.gas_paid().0.to_string(),
        })
    }

    fn log(&self, note: &Note) {
        match note {
            Note::Settled(flight, end) => self.log_outcome(flight, end),
            Note::Submitted(flight) => {
                let strategy = self.names.strategy(flight.admitted.plan.strategy);
                let net = in_ether(i128::try_from(flight.admitted.net_wei.0).unwrap_or(i128::MAX));
                tracing::debug!(strategy, hash = %flight.hash, net, "submitted");
            }
            Note::Rejected { plan, reason, .. } => {
                let strategy = self.names.strategy(plan.strategy);
                tracing::trace!(strategy, reason = reason.name(), "rejected");
            }
            Note::Reversed(flight, end) => {
                let strategy = self.names.strategy(flight.admitted.plan.strategy);
                let was = end.outcome.name();
                tracing::warn!(strategy, hash = %flight.hash, was, "a reorg took this back");
            }
            Note::Cancelling { flight, hash } => {
                let strategy = self.names.strategy(flight.admitted.plan.strategy);
                tracing::info!(strategy, hash = %flight.hash, by = %hash, "taking back");
            }
            Note::Alert(alert) => self.log_alert(alert),
            Note::Refused { code, .. } => {
                tracing::warn!(code, "the node answers a submission with an error");
            }
            Note::Sealed { number, touched, .. } => {
                tracing::debug!(block = number.0, touched, "sealed");
            }
            Note::Freshness { freshness, .. } if freshness.is_fresh() => {
                tracing::info!("the world is up to date: trading");
            }
            Note::Freshness { freshness, .. } => {
                let reasons: Vec<_> = freshness.reasons().map(|why| why.name()).collect();
                let why = reasons.join(",");
                if self.was_fresh {
                    tracing::warn!(why, "the world is stale: not trading");
                } else {
                    tracing::info!(why, "waiting for the chain");
                }
            }
        }
    }

    fn log_outcome(&self, flight: &Flight, end: &Settlement) {
        let strategy = self.names.strategy(flight.admitted.plan.strategy);
        let (outcome, gained) = (end.outcome.name(), end.gained);
        let gas = in_ether(i128::try_from(end.gas_paid().0).unwrap_or(i128::MAX));
        match end.outcome {
            Outcome::Landed | Outcome::Won => {
                let hops = flight.admitted.plan.leg_count;
                let behind = end.is_behind_target;
                tracing::info!(strategy, hash = %flight.hash, hops, gained, gas, behind, outcome);
            }
            Outcome::Reverted
            | Outcome::Cancelled
            | Outcome::Replaced
            | Outcome::Dropped
            | Outcome::Refused
            | Outcome::Unsent => {
                tracing::warn!(strategy, hash = %flight.hash, gas, outcome);
            }
            Outcome::Contested | Outcome::Vanished | Outcome::TargetMissing => {
                tracing::info!(strategy, hash = %flight.hash, outcome);
            }
        }
    }
}
