//! Whether the engine's world, seeded before a block and driven by the block's logs, holds what the
//! EVM holds: every pair's reserves, after every transaction.
//!
//! Temperature: cold.

use std::collections::BTreeMap;

use alloy::primitives::{Address, B256};
use gannet_engine::decode::topics::{SWAP, SYNC};

use super::chain::{Executed, Replay};
use super::mirror::{Mirror, WETH, reserves};
use super::pair::{Because, Layout, Pair, reserves_by_view, unpack};
use super::witness::Witness;

/// The contracts of a block that write V2-shaped logs, as they are before it.
pub(crate) struct Shaped {
    pub(crate) pairs: Vec<Pair>,
    /// Those that are not followed, and why.
    pub(crate) unknown: Vec<(Address, Because)>,
}

impl Shaped {
    /// Sorts a block's contracts. The block must have been run: what it reads is known then.
    pub(crate) fn of(witness: &Witness) -> Self {
        let mut topics = BTreeMap::<Address, Vec<B256>>::new();
        for log in witness.receipts.iter().flat_map(|receipt| &receipt.logs) {
            if let Some(topic) = log.topics.first().filter(|topic| [SYNC, SWAP].contains(topic)) {
                topics.entry(log.address).or_default().push(*topic);
            }
        }
        let mut fork = Replay::new(witness).fork();
        let (mut pairs, mut unknown) = (vec![], vec![]);
        for (address, topics) in topics {
            let pair = if topics.contains(&SYNC) {
                Pair::look(&mut fork, address)
            } else {
                Err(Because("it moves without a Sync".into()))
            };
            match pair {
                Ok(pair) => pairs.push(pair),
                Err(reason) => unknown.push((address, reason)),
            }
        }
        Self { pairs, unknown }
    }
}

/// A block's pairs, followed to its end.
pub(crate) struct Followed {
    pub(crate) shaped: Shaped,
    /// Comparisons that were made: pairs by transactions, once log by log and once by the list.
    pub(crate) compared: usize,
    /// How often the EVM changed a pair's reserves.
    pub(crate) moves: usize,
    /// Pairs that once differed from the EVM, and when first.
    pub(crate) wrong: BTreeMap<Address, usize>,
    /// Every pair's reserves after the block, by the world.
    pub(crate) end: BTreeMap<Address, [u128; 2]>,
    /// Pairs that the EVM could no longer be asked about, and why.
    pub(crate) lost: BTreeMap<Address, Because>,
}

impl Followed {
    /// Follows a block.
    pub(crate) fn new(witness: &Witness) -> Self {
        let shaped = Shaped::of(witness);
        let with_fee: Vec<_> = shaped.pairs.iter().map(|pair| (pair.clone(), 0)).collect();
        let mut mirror = Mirror::new(witness, &with_fee, WETH);
        let (wrong, end, lost) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut followed = Self { shaped, compared: 0, moves: 0, wrong, end, lost };

        // Log by log, as a subscription brings them, beside the EVM.
        mirror.head();
        let mut replay = Replay::new(witness);
        let mut now = mirror.reserves();
        let mut history = vec![];
        for tx in 0..witness.txs.len() {
            let executed = replay.step();
            for log in witness.node_logs(tx) {
                mirror.log(&log);
            }
            followed.moves += followed.read(&mut replay, &executed, &mut now);
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
        followed.compare(witness.txs.len(), &now, &mirror.reserves());
        let addresses = followed.shaped.pairs.iter().map(|pair| pair.address);
        followed.end = addresses.zip(mirror.reserves()).collect();
        followed
    }

    /// How many contracts are exact, unknown and wrong.
    pub(crate) fn counts(&self) -> [usize; 3] {
        let is_wrong = |pair: &&Pair| self.wrong.contains_key(&pair.address);
        let is_lost = |pair: &&Pair| self.lost.contains_key(&pair.address);
        let Shaped { pairs, unknown } = &self.shaped;
        let wrong = pairs.iter().filter(is_wrong).count();
        let exact = pairs.iter().filter(|pair| !is_wrong(pair) && !is_lost(pair)).count();
        [exact, unknown.len() + pairs.len() - exact - wrong, wrong]
    }

    /// Why contracts are unknown or read otherwise than by their slots, and how many for each.
    pub(crate) fn remarks(&self) -> BTreeMap<String, usize> {
        let mut remarks = BTreeMap::new();
        let unknown = self.shaped.unknown.iter().map(|(_, reason)| reason);
        for reason in unknown.chain(self.lost.values()) {
            *remarks.entry(reason.to_string()).or_default() += 1;
        }
        for _ in self.shaped.pairs.iter().filter(|pair| pair.layout == Layout::Other) {
            *remarks.entry("of another layout, read by its views".into()).or_default() += 1;
        }
        remarks
    }

    /// Pairs that begin this block as they ended the one before: how many, and which do not.
    pub(crate) fn continued(&self, end: &BTreeMap<Address, [u128; 2]>) -> (usize, Vec<Address>) {
        let both =
            self.shaped.pairs.iter().filter_map(|pair| Some((pair, end.get(&pair.address)?)));
        let (same, other): (Vec<_>, Vec<_>) = both.partition(|(pair, end)| pair.reserves == **end);
        (same.len(), other.iter().map(|(pair, _)| pair.address).collect())
    }

    /// Reads the reserves of pairs that a transaction touched; returns how many have moved.
    fn read(&mut self, replay: &mut Replay<'_>, by: &Executed, now: &mut [[u128; 2]]) -> usize {
        let mut moves = 0;
        for (pair, held) in self.shaped.pairs.iter().zip(now) {
            if !by.touched.contains(&pair.address) {
                continue;
            }
            let read = match pair.layout {
                Layout::Uniswap => Ok(unpack(replay.slot(pair.address, 8))),
                Layout::Other => reserves_by_view(&mut replay.fork(), pair.address),
            };
            match read {
                Ok(reserves) => {
                    moves += usize::from(reserves != *held);
                    *held = reserves;
                }
                Err(reason) => {
                    self.lost.insert(pair.address, reason);
                }
            }
        }
        moves
    }

    fn compare(&mut self, tx: usize, evm: &[[u128; 2]], ours: &[[u128; 2]]) {
        for ((pair, evm), ours) in self.shaped.pairs.iter().zip(evm).zip(ours) {
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
