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
}

impl Followed {
    /// Follows a block.
    pub(crate) fn new(witness: &Witness) -> Self {
        let shaped = Shaped::of(witness);
        let with_fee: Vec<_> = shaped.pairs.iter().map(|pair| (pair.clone(), 0)).collect();
        let mut mirror = Mirror::new(witness, &with_fee, WETH);
        let mut followed = Self { shaped, compared: 0, moves: 0, wrong: BTreeMap::new() };

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
        followed
    }

    /// Reads the reserves of pairs that a transaction touched; returns how many have moved.
    fn read(&self, replay: &mut Replay<'_>, by: &Executed, now: &mut [[u128; 2]]) -> usize {
        let mut moves = 0;
        for (pair, held) in self.shaped.pairs.iter().zip(now) {
            if !by.touched.contains(&pair.address) {
                continue;
            }
            let read = match pair.layout {
                Layout::Uniswap => unpack(replay.slot(pair.address, 8)),
                Layout::Other => reserves_by_view(&mut replay.fork(), pair.address)
                    .ok()
                    .flatten()
                    .expect("a pair that answered before the block answers in it"),
            };
            moves += usize::from(read != *held);
            *held = read;
        }
        moves
    }

    fn compare(&mut self, tx: usize, evm: &[[u128; 2]], ours: &[[u128; 2]]) {
        for ((pair, evm), ours) in self.shaped.pairs.iter().zip(evm).zip(ours) {
            self.compared += 1;
            if evm != ours {
                self.wrong.entry(pair.address).or_insert(tx);
            }
        }
    }
}
