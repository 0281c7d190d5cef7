//! Whether the engine's world, seeded before a block and driven by the block's logs, holds what the
//! EVM holds: every pair's reserves, after every transaction.
//!
//! Temperature: cold.

use std::collections::BTreeMap;

use alloy_primitives::Address;

use super::blocks::{logs_of, run_to};
use super::mirror::{Mirror, reserves};
use super::shaped::{LaidOut, Layout, Shaped};
use crate::evm::{Replay, Scene};
use crate::venue::{Because, Venue};

/// A block's pairs, followed to its end.
pub(super) struct Followed {
    pub(super) shaped: Shaped,
    /// Comparisons that were made: pairs by transactions, once log by log and once by the list.
    pub(super) compared: usize,
    /// How often the EVM changed a pair's reserves.
    pub(super) moves: usize,
    /// Pairs that once differed from the EVM, and when first.
    pub(super) wrong: BTreeMap<Address, usize>,
    /// Every pair's reserves after the block, by the world.
    pub(super) end: BTreeMap<Address, [u128; 2]>,
    /// Pairs that the EVM could no longer be asked about, and why.
    pub(super) lost: BTreeMap<Address, Because>,
}

impl Followed {
    /// Follows a block.
    pub(super) fn new(scene: &Scene<'_>) -> Self {
        let shaped = Shaped::of(scene);
        let venues: Vec<Venue> = shaped.pairs.iter().map(|found| found.venue(0)).collect();
        let mut mirror = Mirror::new(scene.block, &venues);
        let (wrong, end, lost) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut followed = Self { shaped, compared: 0, moves: 0, wrong, end, lost };

        // Log by log, as a subscription brings them, beside the EVM.
        mirror.head();
        let mut replay = run_to(scene, 0);
        let mut now = mirror.reserves();
        let mut history = vec![];
        let tx_count = scene.block.transactions.len();
        for tx in 0..tx_count {
            replay.run_to(tx + 1).expect("it has run before");
            for log in logs_of(scene.block, tx) {
                mirror.log(log);
            }
            followed.moves += followed.read(&replay, &mut now);
            followed.compare(tx, &now, &mirror.reserves());
            history.push(now.clone());
        }

        // All at once, as the node lists them when it is asked.
        let mut seen = vec![];
        mirror.seal(&mut |world, after| {
            seen.extend(after.map(|included| (included.index as usize, reserves(world))));
        });
        for (tx, held) in seen {
            followed.compare(tx, &history[tx], &held);
        }
        followed.compare(tx_count, &now, &mirror.reserves());
        let addresses = followed.shaped.pairs.iter().map(|found| found.pair.address);
        followed.end = addresses.zip(mirror.reserves()).collect();
        followed
    }

    /// How many contracts are exact, unknown and wrong.
    pub(super) fn counts(&self) -> [usize; 3] {
        let is_wrong = |found: &&LaidOut| self.wrong.contains_key(&found.pair.address);
        let is_lost = |found: &&LaidOut| self.lost.contains_key(&found.pair.address);
        let Shaped { pairs, unknown } = &self.shaped;
        let wrong = pairs.iter().filter(is_wrong).count();
        let exact = pairs.iter().filter(|pair| !is_wrong(pair) && !is_lost(pair)).count();
        [exact, unknown.len() + pairs.len() - exact - wrong, wrong]
    }

    /// Why contracts are unknown or read otherwise than by their slots, and how many for each.
    pub(super) fn remarks(&self) -> BTreeMap<String, usize> {
        let mut remarks = BTreeMap::new();
        let unknown = self.shaped.unknown.iter().map(|(_, reason)| reason);
        for reason in unknown.chain(self.lost.values()) {
            *remarks.entry(reason.to_string()).or_default() += 1;
        }
        for _ in self.shaped.pairs.iter().filter(|found| found.layout == Layout::Other) {
            *remarks.entry("of another layout, read by its views".into()).or_default() += 1;
        }
        remarks
    }

    /// Pairs that begin this block as they ended the one before: how many, and which do not.
    pub(super) fn continued(&self, end: &BTreeMap<Address, [u128; 2]>) -> (usize, Vec<Address>) {
        let pairs = self.shaped.pairs.iter().map(|found| &found.pair);
        let both = pairs.filter_map(|pair| Some((pair, end.get(&pair.address)?)));
        let (same, other): (Vec<_>, Vec<_>) = both.partition(|(pair, end)| pair.reserves == **end);
        (same.len(), other.iter().map(|(pair, _)| pair.address).collect())
    }

    /// Reads the reserves of pairs; returns how many have moved.
    fn read(&mut self, replay: &Replay<'_>, now: &mut [[u128; 2]]) -> usize {
        let mut moves = 0;
        let mut fork = replay.fork();
        for (found, held) in self.shaped.pairs.iter().zip(now) {
            match found.reserves(&mut fork) {
                Ok(reserves) => {
                    moves += usize::from(reserves != *held);
                    *held = reserves;
                }
                Err(reason) => {
                    self.lost.insert(found.pair.address, reason);
                }
            }
        }
        moves
    }

    fn compare(&mut self, tx: usize, evm: &[[u128; 2]], ours: &[[u128; 2]]) {
        for ((found, evm), ours) in self.shaped.pairs.iter().zip(evm).zip(ours) {
            let pair = &found.pair;
            if self.lost.contains_key(&pair.address) {
                continue;
            }
            self.compared += 1;
            if evm != ours {
                self.wrong.entry(pair.address).or_insert(tx);
            }
        }
    }
}
