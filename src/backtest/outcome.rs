//! What a backtest shows: for people as a table, for machines as one JSON object.
//!
//! Temperature: cold.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use alloy_primitives::B256;
use serde::Serialize;

use super::arrivals::Rerun;
use super::cruise::Cruised;
use super::fly::Flown;
use super::forensics::Taken;
use super::liquidations::Liquidation;
use super::plans::{End, Planned};
use super::spent::Spent;
use super::{Done, Job, by_count, digest};
use crate::config::in_ether;
use crate::recording::{Manifest, RecordedBlock};
use crate::report::LatencyPoint;
use crate::summary::decimal;

/// Plans by their end.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Counts {
    pub(crate) won: u64,
    pub(crate) contested: u64,
    pub(crate) vanished: u64,
    pub(crate) reverted: u64,
    pub(crate) unknown: u64,
}

impl Counts {
    const fn of(&mut self, end: End) -> &mut u64 {
        match end {
            End::Won => &mut self.won,
            End::Contested => &mut self.contested,
            End::Vanished => &mut self.vanished,
            End::Reverted => &mut self.reverted,
            End::Unknown => &mut self.unknown,
        }
    }
}

/// As serde asks it.
const fn is_none(count: &u64) -> bool {
    *count == 0
}

/// How much slower a bot is supposed to be, in milliseconds.
const SLOWER_MS: [u32; 5] = [0, 1, 5, 20, 100];

/// What others made.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Recalled {
    pub(crate) arbitrages: Vec<Taken>,
    pub(crate) liquidations: Vec<Liquidation>,
    /// Logs that look like a liquidation and are none.
    pub(crate) malformed: usize,
}

/// What a backtest shows.
#[derive(Debug, Serialize)]
pub(crate) struct Backtest {
    pub(crate) recording: PathBuf,
    pub(crate) chain_id: u64,
    /// Of plans and their ends: the same inputs give the same.
    pub(crate) digest: B256,
    pub(crate) blocks: u64,
    pub(crate) first_block: u64,
    pub(crate) last_block: u64,
    /// Blocks whose state is recorded: over these strategies flew.
    pub(crate) blocks_flown: u64,
    pub(crate) plans: Counts,
    /// What the plans that won paid after gas, in wei.
    #[serde(serialize_with = "decimal")]
    pub(crate) profit_wei: i128,
    pub(crate) planned: Vec<Planned>,
    /// What a slower bot would have made, where it is recorded when things were heard of.
    pub(crate) latency: Vec<LatencyPoint>,
    /// A run's own inputs, where they are recorded.
    pub(crate) inputs: Option<u64>,
    /// Plans that risk turned down, by reason.
    pub(crate) rejected: BTreeMap<&'static str, u64>,
    /// Contracts that look like pools and are not traded with, by reason.
    pub(crate) left_out: BTreeMap<String, usize>,
    pub(crate) forensics: Recalled,
    /// Blocks that the EVM does not run as they are recorded, and why.
    pub(crate) differing: BTreeMap<u64, String>,
    /// Logs that contradicted what was held of their pool, which is not traded with from there on.
    #[serde(skip_serializing_if = "is_none")]
    pub(crate) contradicted: u64,
    /// Where the time went, of flights over columns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) spent: Option<Spent>,
    pub(crate) parameters: Vec<String>,
    pub(crate) assumptions: Vec<String>,
    /// Times of the blocks, for reports.
    #[serde(skip)]
    pub(crate) timestamps: BTreeMap<u64, u64>,
}

impl Backtest {
    pub(super) fn new(job: &Job<'_>, manifest: &Manifest, assumptions: &[String]) -> Self {
        Self {
            recording: job.recording.to_owned(),
            chain_id: manifest.chain_id,
            digest: B256::ZERO,
            blocks: 0,
            first_block: u64::MAX,
            last_block: 0,
            blocks_flown: 0,
            plans: Counts::default(),
            profit_wei: 0,
            planned: Vec::new(),
            latency: Vec::new(),
            inputs: None,
            rejected: BTreeMap::new(),
            left_out: BTreeMap::new(),
            forensics: Recalled::default(),
            differing: BTreeMap::new(),
            contradicted: 0,
            spent: None,
            parameters: job.set.clone(),
            assumptions: assumptions.to_vec(),
            timestamps: BTreeMap::new(),
        }
    }

    /// Adds what came of a run of blocks.
    pub(super) fn add(&mut self, blocks: &[RecordedBlock], done: Done) {
        let Done { forensics, flown } = done;
        for (block, found) in blocks.iter().zip(forensics) {
            let number = block.number();
            self.blocks += 1;
            self.first_block = self.first_block.min(number);
            self.last_block = self.last_block.max(number);
            self.blocks_flown += u64::from(block.state.is_some() && flown.pools > 0);
            self.timestamps.insert(number, block.header.timestamp.unwrap_or_default().0);
            if let Some(why) = found.differing {
                self.differing.insert(number, why);
            }
            self.forensics.malformed += found.malformed;
            self.forensics.liquidations.extend(found.liquidations);
            self.forensics.arbitrages.extend(found.arbitrages);
        }
        self.add_flown(flown);
    }

    /// Adds what came of a segment that began with its pools.
    pub(super) fn add_cruised(&mut self, done: Cruised) {
        let Cruised { flown, blocks, ends, timestamps, contradicted, spent } = done;
        self.blocks += blocks;
        if let Some((first, last)) = ends {
            self.first_block = self.first_block.min(first);
            self.last_block = self.last_block.max(last);
        }
        self.blocks_flown += blocks;
        self.contradicted += contradicted;
        self.timestamps.extend(timestamps);
        *self.spent.get_or_insert_default() += spent;
        self.add_flown(flown);
    }

    /// How long the flights over columns took by the clock on the wall.
    pub(super) fn took(&mut self, wall: Duration) {
        if let Some(spent) = &mut self.spent {
            spent.end(wall);
        }
    }

    /// Adds what came of a run's own inputs.
    pub(super) fn add_rerun(&mut self, job: &Job<'_>, done: Rerun) {
        let Rerun { mut flown, inputs, lost, is_cut } = done;
        self.inputs = Some(inputs);
        if is_cut {
            self.assumptions.push(format!(
                "A signal ended it after {inputs} inputs: later blocks were not flown over."
            ));
        }
        if lost > 0 {
            self.assumptions.push(format!(
                "The recorder lost {lost} inputs: from there on plans may be others."
            ));
        }
        flown.plans.retain(|plan| (job.from..=job.to).contains(&plan.block));
        flown.plans.iter_mut().for_each(|plan| plan.delay(&job.delay));
        self.assumptions.extend(job.delay.assumption());
        let point = |slower_ms: u32| {
            let mut plans = flown.plans.clone();
            let later = job.delay.plus(slower_ms);
            plans.iter_mut().for_each(|plan| plan.delay(&later));
            let profits = || plans.iter().filter_map(Planned::net_profit);
            let won = plans.iter().filter(|plan| plan.end == End::Won).count() as u64;
            let profit_wei = profits().fold(0_i128, i128::saturating_add);
            LatencyPoint { slower_ms, profit_wei, won }
        };
        self.latency = SLOWER_MS.map(point).to_vec();
        self.add_flown(flown);
    }

    fn add_flown(&mut self, mut flown: Flown) {
        for (reason, count) in flown.left_out {
            *self.left_out.entry(reason).or_default() += count;
        }
        for (reason, count) in flown.rejected {
            *self.rejected.entry(reason).or_default() += count;
        }
        self.planned.append(&mut flown.plans);
    }

    /// Sums up.
    pub(super) fn finish(&mut self) {
        let taken = &mut self.forensics.arbitrages;
        let mut by_block: BTreeMap<u64, Vec<Taken>> = BTreeMap::new();
        for taken in taken.iter() {
            by_block.entry(taken.block).or_default().push(taken.clone());
        }
        for plan in &mut self.planned {
            plan.contest(by_block.get(&plan.block).map(Vec::as_slice).unwrap_or_default());
        }
        for taken in taken {
            taken.actionable = self.planned.iter().any(|plan| plan.is_of(taken));
        }
        self.digest = digest(&self.planned);
        for plan in &self.planned {
            *self.plans.of(plan.end) += 1;
            self.profit_wei = self.profit_wei.saturating_add(plan.net_profit().unwrap_or(0));
        }
    }
}

/// How many reasons a table shows.
const REASONS_SHOWN: usize = 5;

impl fmt::Display for Backtest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { blocks, first_block, last_block, blocks_flown, .. } = self;
        let Counts { won, contested, vanished, reverted, unknown } = self.plans;
        writeln!(out, "recording     {}", self.recording.display())?;
        writeln!(out, "blocks        {blocks} from {first_block} to {last_block}")?;
        match self.inputs {
            Some(inputs) => writeln!(out, "inputs        {inputs} of the run itself")?,
            None => writeln!(out, "flown over    {blocks_flown}, the others have no state")?,
        }
        writeln!(
            out,
            "plans         {}: {won} won, {contested} contested, {vanished} vanished, {reverted} \
             reverted, {unknown} unknown",
            self.planned.len()
        )?;
        let is_executed = |plan: &&Planned| plan.executed && plan.end == End::Won;
        let executed = self.planned.iter().filter(is_executed).count();
        writeln!(
            out,
            "executed      {executed} of those won, in the EVM; the others by arithmetic"
        )?;
        writeln!(out, "profit        {} ETH after gas", in_ether(self.profit_wei))?;
        for LatencyPoint { slower_ms, profit_wei, won } in &self.latency {
            let profit = in_ether(*profit_wei);
            writeln!(out, "{slower_ms:>4} ms slower {profit} ETH, {won} won")?;
        }
        let rejected: Vec<_> =
            self.rejected.iter().map(|(why, count)| format!("{count} {why}")).collect();
        if !rejected.is_empty() {
            writeln!(out, "turned down   {}", rejected.join(", "))?;
        }
        let taken = &self.forensics.arbitrages;
        let seen = taken.iter().filter(|taken| taken.seen == Some(true)).count();
        let known = taken.iter().filter(|taken| taken.seen.is_some()).count();
        let executed = taken.iter().filter(|taken| taken.executed).count();
        let actionable = taken.iter().filter(|taken| taken.actionable).count();
        writeln!(
            out,
            "arbitrages    {} by others: {seen} seen of {known} whose state is known, {executed} \
             executed, {actionable} planned by us",
            taken.len()
        )?;
        for taken in taken {
            line(taken, out)?;
        }
        writeln!(out, "liquidations  {} by others", self.forensics.liquidations.len())?;
        for (why, count) in by_count(&self.left_out).into_iter().take(REASONS_SHOWN) {
            writeln!(out, "left out      {count} contracts: {why}")?;
        }
        for (block, why) in &self.differing {
            writeln!(out, "differing     block {block}: {why}")?;
        }
        for assumption in &self.assumptions {
            writeln!(out, "assumed       {assumption}")?;
        }
        if self.contradicted > 0 {
            writeln!(out, "contradicted  {} logs, by what was held of a pool", self.contradicted)?;
        }
        if let Some(spent) = &self.spent {
            writeln!(out, "time          {spent}")?;
        }
        write!(out, "digest        {}", self.digest)
    }
}

fn line(taken: &Taken, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Taken { block, tx_index, gross_profit, our_profit, .. } = taken;
    let gross = gross_profit.unwrap_or(0);
    write!(out, "              {block} tx {tx_index}: {gross} of {}", taken.profit_token)?;
    match (our_profit, taken.executed) {
        (Some(ours), true) => write!(out, ", ours {ours} in the EVM")?,
        (Some(ours), false) => write!(out, ", ours {ours} by quote")?,
        (None, _) => {}
    }
    match &taken.why_not {
        Some(why) => writeln!(out, " ({why})"),
        None => writeln!(out),
    }
}

/// The points of a sweep.
#[derive(Debug, Serialize)]
pub(crate) struct Swept {
    pub(crate) points: Vec<Point>,
}

/// One combination of parameters.
#[derive(Debug, Serialize)]
pub(crate) struct Point {
    pub(crate) set: Vec<String>,
    pub(crate) plans: Counts,
    #[serde(serialize_with = "decimal")]
    pub(crate) profit_wei: i128,
    pub(crate) digest: B256,
}

impl Swept {
    pub(crate) fn of(points: Vec<(Vec<String>, Backtest)>) -> Self {
        let point = |(set, done): (Vec<String>, Backtest)| Point {
            set,
            plans: done.plans,
            profit_wei: done.profit_wei,
            digest: done.digest,
        };
        Self { points: points.into_iter().map(point).collect() }
    }
}

impl fmt::Display for Swept {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{:>14} {:>6} {:>10} {:>9}  parameters",
            "profit, ETH", "won", "contested", "others"
        )?;
        let mut points: Vec<_> = self.points.iter().collect();
        points.sort_by_key(|point| std::cmp::Reverse(point.profit_wei));
        for Point { set, plans, profit_wei, .. } in points {
            let Counts { won, contested, vanished, reverted, unknown } = plans;
            let others = vanished + reverted + unknown;
            let profit = in_ether(*profit_wei);
            write!(out, "\n{profit:>14} {won:>6} {contested:>10} {others:>9}  {}", set.join(" "))?;
        }
        Ok(())
    }
}
