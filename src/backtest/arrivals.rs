//! Strategies over a run's own inputs: the same inputs in the same order, so the same plans.
//!
//! Temperature: cold.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use gannet_engine::finality::Legacy;
use gannet_engine::input::Input;
use gannet_engine::note::Note;
use gannet_engine::pipeline::Engine;
use gannet_engine::risk::{Funding, Risk};
use gannet_engine::sign::{Signer, WalletKey};
use gannet_engine::strategy::StrategySet;
use gannet_engine::units::Nanos;
use gannet_engine::world::World;

use super::cockpit::{Fills, Still};
use super::fly::{Flown, Told};
use super::plans::Planned;
use crate::config::Config;
use crate::feed::rpc::Rpc;
use crate::lending::Lenders;
use crate::recorder::{LoansRead, Played, Start, play};
use crate::recording::Recording;
use crate::recording::rows::ArrivalRow;

/// What a run's inputs gave.
#[derive(Debug, Default)]
pub(super) struct Rerun {
    pub(super) flown: Flown,
    pub(super) inputs: u64,
    /// Inputs that the recorder lost.
    pub(super) lost: u64,
    /// Whether it was told not to go on.
    pub(super) is_cut: bool,
}

/// Flies over a run's inputs. `see` is called after each with the time that it had and what came of
/// plans so far, and says whether to go on.
// Its engine must not lie on the stack of whoever flies over blocks afterwards.
#[inline(never)]
pub(super) fn rerun<S: StrategySet>(
    mut config: Config<S>,
    recording: &Recording,
    mut see: impl FnMut(u64, &[Planned]) -> bool,
) -> Result<Rerun> {
    let start = Start::read(recording.folder())?;
    let mut world = start.world(&mut config)?;
    lend(&mut config, &mut world, recording.folder())?;
    let mut limits = config.limits;
    if start.executor.is_zero() {
        // There is nobody whose funds could pay.
        limits.funding = Funding::Flash;
    }
    let wallets = start.wallets();
    // Keys of nobody: what they sign goes nowhere.
    let key = |place: u8| {
        WalletKey::new(&[place; 32]).map_err(|_no_key| anyhow!("making a throwaway key"))
    };
    let keys = (1..).take(wallets.len()).map(key).collect::<Result<Vec<_>>>()?;
    let mut risk = Risk::new(limits, config.guard, wallets);
    risk.needs_balance = false;
    risk.is_halted = start.is_halted;
    let signer = Signer::new(keys, start.executor);
    let engine = Engine::new(world, config.strategies, risk, signer, start.silent_after_ns);
    let mut engine =
        engine.map_err(|(name, why)| anyhow!("strategy {name} cannot start: {why}"))?;
    engine.finality.depth = start.finality_blocks;
    engine.take_up(&Legacy::default());
    let hops = engine.searched_hops();
    let mut pilot = Pilot { engine, rerun: Rerun::default(), flights: BTreeMap::new(), hops };
    pilot.rerun.flown.pools = pilot.engine.world.pools.len();
    let mut goes_on = true;
    recording.each_arrival(|row| {
        if goes_on {
            pilot.input(&row).with_context(|| format!("input {}", row.seq))?;
            goes_on = see(row.received_ns, &pilot.rerun.flown.plans);
        }
        Ok(())
    })?;
    pilot.rerun.is_cut = !goes_on;
    Ok(pilot.rerun)
}

/// Gives the world the loans that the run began with, if anybody wants them: loaded as they were
/// then, out of what the node said.
fn lend<S: StrategySet>(config: &mut Config<S>, world: &mut World, folder: &Path) -> Result<()> {
    if !Lenders::are_wanted(config) {
        return Ok(());
    }
    let Some(LoansRead { lending, roll, transcript }) = LoansRead::read(folder)? else {
        return Ok(());
    };
    // What the run followed, whatever is configured now.
    config.lending = lending;
    let Some(lenders) = Lenders::knowing(config, roll) else { return Ok(()) };
    let lent = lenders.lend(world, &mut Rpc::recorded(transcript));
    lent.with_context(|| format!("loading loans out of {}", folder.display()))
}

/// Follows what the engine tells.
struct Pilot<S> {
    engine: Engine<S>,
    rerun: Rerun,
    /// Plans in flight: their place among all plans and when they were made, by ticket; and when
    /// the block that they were for was first heard of.
    flights: BTreeMap<u32, (usize, u64, Option<u64>)>,
    hops: Vec<usize>,
}

impl<S: StrategySet> Pilot<S> {
    fn input(&mut self, row: &ArrivalRow) -> Result<()> {
        let what = match play(row, &self.engine.world, &self.hops)? {
            Played::Happened(what) => what,
            Played::Gap(lost) => {
                self.rerun.lost = self.rerun.lost.saturating_add(lost);
                return Ok(());
            }
        };
        self.rerun.inputs += 1;
        let input = Input { at: Nanos(row.received_ns), seq: row.seq, what };
        self.engine.on_input(input, &Still, &mut Fills);
        self.engine.queries.clear();
        // What it has grown by is not needed any more.
        drop(self.engine.grown());
        self.engine.spent(drop);
        self.hear(row.received_ns);
        let told: Vec<Note> = self.engine.notes.iter().copied().collect();
        self.engine.notes.clear();
        told.iter().for_each(|note| self.note(note, row.received_ns));
        Ok(())
    }

    /// Notes when the blocks that plans are for are first heard of.
    fn hear(&mut self, at: u64) {
        if self.flights.is_empty() {
            return;
        }
        let world = &self.engine.world;
        let open = world.open_block().map_or(0, |open| open.number.0);
        let newest = open.max(world.tip().number.0);
        for (place, _, heard) in self.flights.values_mut() {
            if heard.is_none() && self.rerun.flown.plans[*place].block <= newest {
                *heard = Some(at);
            }
        }
    }

    fn note(&mut self, note: &Note, at: u64) {
        let flown = &mut self.rerun.flown;
        match flown.note(note, &self.engine.world, S::NAMES) {
            Told::Made(flight, place) => {
                self.flights.insert(flight.ticket, (place, at, None));
            }
            Told::Ended(flight, end) => {
                let Some((place, made, heard)) = self.flights.remove(&flight.ticket) else {
                    return;
                };
                let plan = &mut flown.plans[place];
                plan.settle(end);
                plan.slack_ns = Some(heard.unwrap_or(at).saturating_sub(made));
            }
            Told::Else => {}
        }
    }
}
