//! `gannet backtest`: the same engine and strategies over recorded blocks, and what others made of
//! them.
//!
//! ```text
//! recording ─┬─► runs of blocks ─┬─► forensics   what others took, and whether we saw it
//!            │                   └─► fly         what our strategies plan, and what becomes of it
//!            ├─► segments from pools ─► cruise   the same column by column, for many blocks
//!            └─► a run's own inputs ──► rerun    the same plans again
//! ```
//!
//! The same recording and configuration give the same digest.
//!
//! Temperature: cold.

mod arbitrages;
mod arrivals;
mod cockpit;
mod cruise;
mod delay;
mod desk;
mod fly;
mod forensics;
mod hunt;
mod limit;
mod liquidations;
mod outcome;
mod page;
mod plans;
mod spent;
mod swaps;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use alloy_primitives::{Address, B256, Keccak256, address};
use anyhow::{Context as _, Result, bail};
use gannet_engine::chain::ChainSpec;
use gannet_engine::strategy::StrategySet;
use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};

use self::arrivals::rerun;
use self::cruise::{Cruised, cruise};
pub(crate) use self::delay::Delay;
use self::fly::{Course, Flown, fly};
use self::forensics::{Forensics, look};
pub(crate) use self::outcome::{Backtest, Swept};
pub(crate) use self::plans::{End, Planned};
use crate::config::Config;
use crate::lending::Lenders;
use crate::progress::Progress;
use crate::recorder::LoansRead;
use crate::recording::{Manifest, RecordedBlock, Recording, Segment};
use crate::venue::Setting;

/// Blocks of a run that are flown over at once: their universe is looked at together.
const RUN_BLOCKS_MAX: usize = 64;
/// Blocks that are in memory at once.
const BATCH_BLOCKS: usize = 128;

/// Mainnet's chain id, and the tokens that profit is kept in there: WETH, USDC, USDT, DAI, WBTC.
const MAINNET: u64 = 1;
const MAINNET_BASES: [Address; 5] = [
    address!("c02aaa39b223fe8d0a0e5c4f27ead9083c756cc2"),
    address!("a0b86991c6218b36c1d19d4a2e9eb0ce3606eb48"),
    address!("dac17f958d2ee523a2206206994597c13d831ec7"),
    address!("6b175474e89094c44da98b954eedeac495271d0f"),
    address!("2260fac5e5542a773aa44fbcfedf7c8bc193c599"),
];

/// What is to be done.
#[derive(Clone, Debug)]
pub(crate) struct Job<'a> {
    pub(crate) recording: &'a Path,
    /// Heights, both included.
    pub(crate) from: u64,
    pub(crate) to: u64,
    /// The configuration's text, and overrides of it.
    pub(crate) config: &'a str,
    pub(crate) set: Vec<String>,
    /// How much later than in the recorded run plans are made.
    pub(crate) delay: Delay,
    /// Whether no strategy flies: the world follows the blocks, and nothing is planned.
    pub(crate) is_bare: bool,
}

impl Job<'_> {
    fn config<S: StrategySet>(&self) -> Result<Config<S>> {
        let config = Config::<S>::parse(self.config, &self.set)?;
        let strategies = if self.is_bare { S::default() } else { config.strategies };
        Ok(Config { strategies, ..config })
    }
}

/// Runs a backtest.
///
/// # Errors
/// When the recording cannot be read, the configuration is wrong, or it is of another chain.
pub(crate) fn run<S: StrategySet>(job: &Job<'_>) -> Result<Backtest> {
    run_seen::<S>(job, |_at, _plans| true)
}

/// The same; of a run's own inputs `see` is called after each with the time that it had and what
/// came of plans so far, and says whether to go on.
///
/// # Errors
/// As [`run`].
pub(crate) fn run_seen<S: StrategySet>(
    job: &Job<'_>,
    see: impl FnMut(u64, &[Planned]) -> bool,
) -> Result<Backtest> {
    let recording = Recording::open(job.recording)?;
    let ground = Ground::of::<S>(job, &recording)?;
    let total = recording.manifest.segments.iter().map(|segment| {
        let (first, last) = (segment.first_block.max(job.from), segment.last_block.min(job.to));
        if last < first { 0 } else { (last - first).saturating_add(1) }
    });
    let total = total.fold(0_u64, u64::saturating_add);
    let total = usize::try_from(total).unwrap_or(usize::MAX);
    if total == 0 {
        bail!("there is no block from {} to {} in the recording", job.from, job.to);
    }
    let mut progress = Progress::new(Some("backtest, blocks"), total);
    let mut backtest = Backtest::new(job, &recording.manifest, &ground.assumptions);
    if recording.manifest.has_arrivals {
        let config = job.config::<S>()?;
        let done = rerun(config, &recording, see)?;
        backtest.add_rerun(job, done);
    }
    let start = Instant::now();
    let cruised = ground.cruise_all::<S>(job, &recording, &Mutex::new(&mut progress))?;
    cruised.into_iter().for_each(|done| backtest.add_cruised(done));
    backtest.took(start.elapsed());
    let mut batch: Vec<Vec<RecordedBlock>> = Vec::new();
    let mut held = 0;
    let mut work = |batch: &mut Vec<Vec<RecordedBlock>>, backtest: &mut Backtest| -> Result<()> {
        let done: Vec<Result<Done>> =
            batch.par_iter().map(|blocks| ground.work::<S>(job, blocks, &recording)).collect();
        for (done, blocks) in done.into_iter().zip(batch.drain(..)) {
            progress.advance(blocks.len());
            backtest.add(&blocks, done?);
        }
        Ok(())
    };
    // Parts of segments that begin with their pools hold nothing else.
    recording.each((job.from, job.to), |block| {
        let follows = batch.last().and_then(|blocks| blocks.last()).is_some_and(|last| {
            last.number().saturating_add(1) == block.number()
                && last.state.is_some() == block.state.is_some()
        });
        match batch.last_mut().filter(|blocks| follows && blocks.len() < RUN_BLOCKS_MAX) {
            Some(blocks) => blocks.push(block),
            None if held >= BATCH_BLOCKS => {
                work(&mut batch, &mut backtest)?;
                held = 0;
                batch.push(vec![block]);
            }
            None => batch.push(vec![block]),
        }
        held += 1;
        Ok(())
    })?;
    work(&mut batch, &mut backtest)?;
    backtest.finish();
    Ok(backtest)
}

/// What came of a run of blocks.
struct Done {
    forensics: Vec<Forensics>,
    flown: Flown,
}

/// The chain that a recording is of, and what is taken for granted of it.
struct Ground {
    chain: ChainSpec,
    bases: Vec<Address>,
    assumptions: Vec<String>,
}

impl Ground {
    fn of<S: StrategySet>(job: &Job<'_>, recording: &Recording) -> Result<Self> {
        let config = Config::<S>::parse(job.config, &job.set)?;
        let chain_id = recording.manifest.chain_id;
        let mut assumptions = assumptions(&recording.manifest);
        assumptions.extend(recording.manifest.remarks.iter().cloned());
        let has_loans = recording.manifest.has_arrivals && LoansRead::is_in(recording.folder());
        if Lenders::are_wanted(&config) && !has_loans {
            let nobody = "The recording holds no loans: nobody is liquidated.";
            assumptions.push(nobody.to_owned());
        }
        let (chain, bases) = if config.chain.id == chain_id {
            (config.chain, config.base_tokens)
        } else if chain_id == MAINNET {
            assumptions.push(
                "The configuration is of another chain: mainnet's WETH, USDC, USDT, DAI and WBTC \
                 are the base tokens."
                    .to_owned(),
            );
            (ChainSpec::ethereum(MAINNET, MAINNET_BASES[0]), MAINNET_BASES.to_vec())
        } else {
            let id = config.chain.id;
            bail!(
                "the recording is of chain {chain_id}, the configuration of {id}: name one of that \
                 chain with --config"
            );
        };
        Ok(Self { chain, bases, assumptions })
    }

    /// Flies over the segments that begin with their pools, beside each other.
    fn cruise_all<S: StrategySet>(
        &self,
        job: &Job<'_>,
        recording: &Recording,
        progress: &Mutex<&mut Progress<'_>>,
    ) -> Result<Vec<Cruised>> {
        let segments = recording.manifest.segments.iter().filter(|segment| {
            segment.has_pools && segment.first_block <= job.to && segment.last_block >= job.from
        });
        let segments: Vec<&Segment> = segments.collect();
        let anchor = gannet_engine::world::Tip::default();
        let setting = Setting { chain: self.chain, anchor, bases: &self.bases };
        let one = |segment: &&Segment| -> Result<Cruised> {
            let (first, last) = (segment.first_block, segment.last_block);
            let done =
                cruise(job.config::<S>()?, recording, (segment, (job.from, job.to)), setting)
                    .with_context(|| format!("flying over the blocks from {first} to {last}"))?;
            let mut progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
            progress.advance(usize::try_from(done.blocks).unwrap_or(0));
            Ok(done)
        };
        segments.par_iter().map(one).collect()
    }

    fn work<S: StrategySet>(
        &self,
        job: &Job<'_>,
        blocks: &[RecordedBlock],
        recording: &Recording,
    ) -> Result<Done> {
        let codes = &recording.codes;
        let forensics: Vec<Forensics> =
            blocks.iter().map(|block| look(block, codes, self.chain)).collect();
        let mut flown = Flown::default();
        if blocks.iter().all(|block| block.state.is_some()) {
            let config = job.config::<S>()?;
            let anchor = gannet_engine::world::Tip::default();
            let setting = Setting { chain: self.chain, anchor, bases: &self.bases };
            let first = blocks.first().map_or(0, RecordedBlock::number);
            flown = fly(config, blocks, &Course { setting, codes })
                .with_context(|| format!("flying over the blocks from {first} on"))?;
        }
        Ok(Done { forensics, flown })
    }
}

/// What figures rest on, by whether a run's own inputs are recorded.
fn assumptions(manifest: &Manifest) -> Vec<String> {
    let has_pools = manifest.segments.iter().any(|segment| segment.has_pools);
    let has_arrivals = manifest.has_arrivals;
    let newest = format!(
        "Transactions of ours run in the EVM under the newest rules ({:?}), whatever the block's \
         are, with a flash loan and without a tip.",
        crate::evm::NEWEST
    );
    let own: &[&str] = if has_arrivals {
        &[
            "The run's own inputs are given to the engine again, in their order.",
            "Plans are settled by the pools' exact arithmetic, and pay the gas of the gas table.",
            "A plan that would have been made after its block was heard of counts as lost in the \
             sensitivity to latency, though it might land one block later.",
        ]
    } else {
        &[
            &newest,
            "The order in which things were heard of is made up: a block's logs come with it.",
            "Trades of ours leave no trace on the recorded chain: what is still there in the next \
             block may be won again. Losing plans that would not have landed cost nothing.",
            "Before London there is no base fee, so only our own tip is priced there.",
            "Runs of more than 64 blocks are cut, and begin anew.",
            "Strategies fly only where the state is recorded; of other blocks the logs are read.",
        ]
    };
    let from_pools = [
        "Segments whose pools are known fly each from its own: what was planned in one is not \
         known to the next. Who else took what is not looked for there, so a plan is contested \
         only if it pays no more at its block's end.",
        "Plans there are settled by the pools' exact arithmetic, and pay the gas of the gas table.",
    ];
    let from_pools = if has_pools { &from_pools[..] } else { &[] };
    let both = [
        "A plan lands at the top of the next block, or right behind what it follows.",
        "An arbitrage's gross profit is before gas.",
    ];
    both.iter().chain(own).chain(from_pools).map(|sentence| (*sentence).to_owned()).collect()
}

/// A digest of plans and their ends.
fn digest(plans: &[Planned]) -> B256 {
    let mut hasher = Keccak256::new();
    plans.iter().for_each(|plan| hasher.update(plan.line()));
    hasher.finalize()
}

/// Every combination of the values of `--sweep key=a,b,c`, as overrides.
///
/// # Errors
/// When one is no such list.
pub(crate) fn grid(sweeps: &[String]) -> Result<Vec<Vec<String>>> {
    let mut points = vec![Vec::new()];
    for sweep in sweeps {
        let (key, values) = sweep
            .split_once('=')
            .with_context(|| format!("--sweep {sweep}: found no `=`; wanted key=a,b,c"))?;
        let values: Vec<&str> = values.split(',').map(str::trim).collect();
        let grown = points.iter().flat_map(|point: &Vec<String>| {
            let with = move |value: &&str| {
                let mut point = point.clone();
                point.push(format!("{key}={value}"));
                point
            };
            values.iter().map(with)
        });
        points = grown.collect();
    }
    Ok(points)
}

/// Counts by reason, the most frequent first.
fn by_count(reasons: &BTreeMap<String, usize>) -> Vec<(&str, usize)> {
    let mut reasons: Vec<_> = reasons.iter().map(|(why, count)| (why.as_str(), *count)).collect();
    reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    reasons
}
