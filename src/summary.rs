//! The summary of a run: for people as a table, for machines as one JSON object.
//!
//! Temperature: cold.

use std::collections::BTreeMap;
use std::fmt;

use alloy_primitives::Address;
use gannet_engine::books::{self, Books, Line};
use gannet_engine::input::Source;
use gannet_engine::pipeline::Engine;
use gannet_engine::risk::Reject;
use gannet_engine::strategy::StrategySet;
use gannet_engine::tally::Gone;
use gannet_engine::world::{Standing, Unfit, World};
use serde::{Serialize, Serializer};

use crate::allocation::HotAllocations;
use crate::audit::AuditCounts;
use crate::config::{Mode, in_ether};
use crate::latency::{Latency, Quantiles, Stages};
use crate::lending::LoanSummary;
use crate::nodes::NodeCounts;
use crate::presigner::PresignCounts;

/// An amount in JSON: a decimal string of the smallest unit.
pub(crate) fn decimal<T: ToString, S: Serializer>(value: &T, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(&value.to_string())
}

/// What dry-run plans would have come to, by execution on the blocks that followed.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Scored {
    /// They would have paid.
    pub won: u64,
    /// Somebody else traded the same pools in the same block.
    pub contested: u64,
    /// They would not have paid, or their target did not come.
    pub vanished: u64,
    /// What those that won would have brought, in wei, net of gas and tips.
    #[serde(serialize_with = "decimal")]
    pub profit_wei: i128,
}

/// One strategy, or all of them.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Totals {
    /// Distinct opportunities that would have paid.
    pub opportunities: u64,
    /// Submitted.
    pub sent: u64,
    /// Mined with status 1.
    pub landed: u64,
    /// Mined with status 0.
    pub reverted: u64,
    /// Replaced, dropped, refused or never sent.
    pub lost: u64,
    /// Taken back by a transfer of nothing with the same nonce.
    pub cancelled: u64,
    /// Landed in the same block right behind the transaction that they followed.
    pub backruns_behind_target: u64,
    /// The books: in wei, net of gas and tips; other base tokens at their exit price now.
    #[serde(serialize_with = "decimal")]
    pub profit_wei: i128,
    /// What was expected of what landed, in wei, net of gas and tips.
    #[serde(serialize_with = "decimal")]
    pub expected_wei: u128,
    /// Gas used times its price, of what landed, what reverted and what took something back.
    #[serde(serialize_with = "decimal")]
    pub gas_paid_wei: u128,
    /// Dry-run: the scores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scored: Option<Scored>,
}

/// What became of pending transactions. Each message of the subscription has one of the counts up
/// to `truncated`, and each swap among them (new, or in the place of another) one of the others.
#[derive(Clone, Debug, Serialize)]
pub struct PendingCounts {
    /// Messages of the subscription.
    pub messages: u64,
    /// Those that could not be read.
    pub undecodable: u64,
    /// Those that were longer than their buffer; these are not among `messages`.
    pub truncated: u64,
    /// Hashes that were fetched.
    pub fetched: u64,
    /// Hashes that were known.
    pub known: u64,
    /// Transactions that are no swap through known pools.
    pub other: u64,
    /// Transactions whose bytes do not hash to what was announced.
    pub forged: u64,
    /// Swaps that were announced before.
    pub duplicate: u64,
    /// Swaps that pay less than another of their sender with the same nonce.
    pub underpaying: u64,
    /// Swaps that are new, or take the place of another.
    pub swaps: u64,
    /// Of these, those that came inside an open block.
    pub in_open_block: u64,
    /// Of these, those that came while the world was stale.
    pub while_stale: u64,
    /// Of these, those that the strategies saw.
    pub seen: u64,
    /// Of these, those that would not have landed, by reason.
    pub unfit: BTreeMap<&'static str, u64>,
    /// Of these, those that left the queue before the strategies saw them, by reason.
    pub gone: BTreeMap<&'static str, u64>,
    /// Of these, those that were still waiting at the end.
    pub waiting: usize,
}

impl PendingCounts {
    fn of<S: StrategySet>(engine: &Engine<S>) -> Self {
        let tally = &engine.tally;
        let source = Source::Pending as usize;
        let [new, replacing, duplicate, underpaying] = tally.pending;
        let unfit = Unfit::ALL.iter().map(|why| (why.name(), tally.unfit[*why as usize]));
        let gone = Gone::ALL.iter().map(|why| (why.name(), engine.gone(*why)));
        Self {
            messages: tally.frames[source],
            undecodable: tally.undecodable[source],
            truncated: tally.truncated[source],
            fetched: tally.pending_fetched,
            known: tally.pending_known,
            other: tally.pending_other,
            forged: tally.pending_forged,
            duplicate,
            underpaying,
            swaps: new + replacing,
            in_open_block: tally.queued,
            while_stale: tally.pending_stale,
            seen: tally.pending_seen,
            unfit: unfit.filter(|(_, count)| *count > 0).collect(),
            gone: gone.filter(|(_, count)| *count > 0).collect(),
            waiting: engine.unseen_count(),
        }
    }
}

impl fmt::Display for PendingCounts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { messages, swaps, seen, waiting, .. } = self;
        write!(out, "{messages} messages, {swaps} swaps: {seen} looked at")?;
        for (why, count) in self.unfit.iter().chain(&self.gone) {
            write!(out, ", {why} {count}")?;
        }
        if *waiting > 0 {
            write!(out, ", {waiting} still waiting")?;
        }
        Ok(())
    }
}

/// What goes on around the engine.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Upkeep {
    /// Pools that were created meanwhile and taken in.
    pub new_pools: u64,
    /// What comparing pools with the chain came to.
    pub audit: AuditCounts,
    /// How submissions were signed; none where presignatures are off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presignatures: Option<PresignCounts>,
    /// What the hot thread allocated while it worked on messages, where that is counted: it should
    /// be nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hot_allocations: Option<HotAllocations>,
    /// What following loans came to, if any are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loans: Option<LoanSummary>,
    /// What each node brought.
    pub nodes: Vec<NodeCounts>,
}

/// The summary of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// `live` or `dry-run`.
    pub mode: &'static str,
    /// All strategies together.
    #[serde(flatten)]
    pub totals: Totals,
    /// The same over all runs with this state, as far as it is final, and this run's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<Totals>,
    /// Each strategy.
    pub by_strategy: BTreeMap<&'static str, Totals>,
    /// What came in of each base token, in its smallest unit, before gas.
    pub base_token_deltas: BTreeMap<Address, String>,
    /// Plans that were turned down, by reason.
    pub rejected: BTreeMap<&'static str, u64>,
    /// Pools by what trying them has shown; only those admitted are traded with.
    pub pools: BTreeMap<&'static str, usize>,
    /// What goes on around the engine.
    #[serde(flatten)]
    pub upkeep: Upkeep,
    /// From the read that completed a message to the return of the write that carried the
    /// transaction, of what was submitted.
    pub tick_to_trade_ns: Quantiles,
    /// The same, each: the time, rounded up to three digits, and how many submissions took so long.
    pub tick_to_trade_histogram_ns: Vec<(u64, u64)>,
    /// The same, stage by stage.
    pub stages_ns: Stages,
    /// The last sealed block.
    pub block: u64,
    /// Heads seen.
    pub heads: u64,
    /// Pending swaps that were announced.
    pub pending_swaps: u64,
    /// What became of pending transactions.
    pub pending: PendingCounts,
    /// Submissions whose end was not known when the run ended.
    pub in_flight: usize,
    /// Submissions that were mined, in blocks that are not final yet.
    pub not_final: usize,
    /// Reorgs followed.
    pub reorgs: u64,
    /// Whether the world was up to date at the end.
    pub is_fresh: bool,
}

impl Summary {
    /// Sums up what an engine has done.
    pub(crate) fn of<S: StrategySet>(
        engine: &Engine<S>,
        before: &Books,
        names: &'static [&'static str],
        mode: Mode,
        latency: &Latency,
    ) -> Self {
        let world = &engine.world;
        let totals_of = |line: &Line| {
            let profit = books::profit_wei(line, world).unwrap_or_default();
            let totals = Totals {
                opportunities: line.opportunities,
                lost: line.lost,
                cancelled: line.cancelled,
                expected_wei: line.expected_wei,
                ..Totals::default()
            };
            match mode {
                Mode::Live => Totals {
                    sent: line.sent,
                    landed: line.landed,
                    reverted: line.reverted,
                    backruns_behind_target: line.behind_target,
                    profit_wei: profit,
                    gas_paid_wei: line.gas_paid.0,
                    ..totals
                },
                Mode::DryRun => {
                    let Line { won, contested, vanished, .. } = *line;
                    let scored = Scored { won, contested, vanished, profit_wei: profit };
                    Totals { scored: Some(scored), ..totals }
                }
            }
        };
        let (now, then) = (engine.books.lines(), before.lines());
        let lines: Vec<Line> = now.iter().zip(then).map(|(now, then)| now.since(then)).collect();
        let by_strategy =
            names.iter().zip(&lines).map(|(name, line)| (*name, totals_of(line))).collect();
        let sum = |lines: &[Line]| lines.iter().fold(Line::default(), |sum, line| sum.plus(line));
        let all = sum(&lines);
        let base_token_deltas = world
            .bases
            .iter()
            .zip(all.gained)
            .map(|(base, gained)| (world.tokens.get(*base).address, gained.to_string()))
            .collect();
        let rejected = Reject::ALL
            .iter()
            .map(|reason| (reason.name(), engine.books.rejects[*reason as usize]))
            .filter(|(_, count)| *count > 0)
            .collect();
        Self {
            mode: match mode {
                Mode::Live => "live",
                Mode::DryRun => "dry-run",
            },
            totals: totals_of(&all),
            lifetime: (mode == Mode::Live).then(|| totals_of(&sum(now))),
            by_strategy,
            base_token_deltas,
            rejected,
            pools: standings(world),
            upkeep: Upkeep::default(),
            tick_to_trade_ns: latency.tick_to_trade(),
            tick_to_trade_histogram_ns: latency.histogram(),
            stages_ns: latency.stages(),
            block: world.tip().number.0,
            heads: engine.tally.heads,
            pending_swaps: engine.tally.pending.iter().sum(),
            pending: PendingCounts::of(engine),
            in_flight: engine.flights.count(),
            not_final: engine.finality.settled().len(),
            reorgs: world.reorgs().0,
            is_fresh: world.freshness().is_fresh(),
        }
    }
}

/// How many pools stand how, by name.
fn standings(world: &World) -> BTreeMap<&'static str, usize> {
    let names = Standing::ALL.iter().map(|standing| standing.name());
    names.zip(world.standings()).filter(|(_, count)| *count > 0).collect()
}

impl fmt::Display for Summary {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "summary ({}, up to block {})", self.mode, self.block)?;
        if self.totals.scored.is_some() {
            self.write_scores(out)?;
        } else {
            self.write_trades(out)?;
        }
        if self.in_flight > 0 {
            writeln!(out, "  {} submissions were still in flight", self.in_flight)?;
        }
        if let Some(lifetime) = &self.lifetime
            && lifetime.sent > self.totals.sent
        {
            let (landed, reverted) = (lifetime.landed, lifetime.reverted);
            let profit = in_ether(lifetime.profit_wei);
            writeln!(
                out,
                "  with earlier runs: {landed} landed, {reverted} reverted, {profit} ETH"
            )?;
        }
        if !self.rejected.is_empty() {
            let rejected: Vec<String> =
                self.rejected.iter().map(|(why, count)| format!("{why} {count}")).collect();
            writeln!(out, "  turned down: {}", rejected.join(", "))?;
        }
        let pools: Vec<String> =
            self.pools.iter().map(|(standing, count)| format!("{standing} {count}")).collect();
        let new = match self.upkeep.new_pools {
            0 => String::new(),
            count => format!("; {count} of them created meanwhile"),
        };
        writeln!(out, "  pools: {}{new}", pools.join(", "))?;
        writeln!(out, "  audit: {}", self.upkeep.audit)?;
        writeln!(out, "  pending: {}", self.pending)?;
        if let Some(loans) = &self.upkeep.loans {
            writeln!(out, "  loans: {loans}")?;
        }
        if let Some(presignatures) = &self.upkeep.presignatures {
            writeln!(out, "  signatures: {presignatures}")?;
        }
        if let Some(HotAllocations { count, .. }) = self.upkeep.hot_allocations.as_ref()
            && *count > 0
        {
            writeln!(out, "  the hot thread allocated {count} times: please report it")?;
        }
        let nodes = &self.upkeep.nodes;
        for node in nodes.iter().filter(|_| nodes.len() > 1) {
            writeln!(out, "  {node}")?;
        }
        let Quantiles { p50, p99, max } = self.tick_to_trade_ns;
        let us = |ns: u64| format!("{}.{} µs", ns / 1_000, ns % 1_000 / 100);
        write!(out, "  tick to trade: p50 {}, p99 {}, max {}", us(p50), us(p99), us(max))
    }
}

impl Summary {
    fn rows(&self) -> impl Iterator<Item = (&'static str, &Totals)> {
        self.by_strategy.iter().map(|(name, totals)| (*name, totals)).chain([("all", &self.totals)])
    }

    fn write_trades(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "  {:<14}{:>8}{:>8}{:>8}{:>10}{:>8}{:>14}{:>14}{:>14}",
            "strategy",
            "found",
            "sent",
            "landed",
            "reverted",
            "behind",
            "profit ETH",
            "expected",
            "gas ETH"
        )?;
        for (name, totals) in self.rows() {
            let ether = |wei: u128| in_ether(i128::try_from(wei).unwrap_or(i128::MAX));
            writeln!(
                out,
                "  {name:<14}{:>8}{:>8}{:>8}{:>10}{:>8}{:>14}{:>14}{:>14}",
                totals.opportunities,
                totals.sent,
                totals.landed,
                totals.reverted,
                totals.backruns_behind_target,
                in_ether(totals.profit_wei),
                ether(totals.expected_wei),
                ether(totals.gas_paid_wei),
            )?;
        }
        Ok(())
    }

    fn write_scores(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "  {:<14}{:>8}{:>8}{:>11}{:>10}{:>18}",
            "strategy", "found", "won", "contested", "vanished", "would-be ETH"
        )?;
        for (name, totals) in self.rows() {
            let scored = totals.scored.clone().unwrap_or_default();
            writeln!(
                out,
                "  {name:<14}{:>8}{:>8}{:>11}{:>10}{:>18}",
                totals.opportunities,
                scored.won,
                scored.contested,
                scored.vanished,
                in_ether(scored.profit_wei),
            )?;
        }
        Ok(())
    }
}
