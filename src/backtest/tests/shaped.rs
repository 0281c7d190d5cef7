//! The contracts of a real block that write logs of V2's shape.
//!
//! Temperature: cold.

use std::collections::BTreeMap;
use std::fmt;

use alloy_primitives::{Address, B256, U256};
use gannet_engine::amm::constant_product::RESERVE_MAX;
use gannet_engine::decode::topics::{SWAP, SYNC};

use super::blocks::run_to;
use crate::evm::{Fork, Scene, Unknown};
use crate::venue::pair::{Pair, reserves};
use crate::venue::{Because, Venue};

/// Where a pair keeps its tokens and reserves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// In slots 6, 7 and 8, as Uniswap's does.
    Uniswap,
    /// Elsewhere: only its views tell.
    Other,
}

/// A pair and its layout.
#[derive(Clone, Debug)]
pub(super) struct LaidOut {
    pub(super) pair: Pair,
    pub(super) layout: Layout,
}

impl LaidOut {
    /// Looks at a contract.
    pub(super) fn look(fork: &mut Fork<'_>, address: Address) -> Result<Self, Because> {
        let pair = Pair::look(fork, address)?;
        let slots = [6, 7].map(|slot| fork.slot(address, U256::from(slot)).ok());
        let is_uniswap = slots == pair.tokens.map(|token| Some(token.into_word().into()))
            && by_slot(fork, address) == Ok(pair.reserves);
        let layout = if is_uniswap { Layout::Uniswap } else { Layout::Other };
        Ok(Self { pair, layout })
    }

    /// Its reserves as the EVM has them: not what the contract says, where the slot is known.
    pub(super) fn reserves(&self, fork: &mut Fork<'_>) -> Result<[u128; 2], Because> {
        match self.layout {
            Layout::Uniswap => by_slot(fork, self.pair.address).map_err(Because::from),
            Layout::Other => reserves(fork, self.pair.address),
        }
    }

    /// As a world takes it, at a fee in pips.
    pub(super) fn venue(&self, fee_pips: u32) -> Venue {
        let Pair { address, tokens, reserves } = self.pair;
        Venue::pair(address, tokens, reserves, fee_pips).expect("reserves have 112 bits")
    }
}

/// The reserves in slot 8 of Uniswap's layout.
fn by_slot(fork: &mut Fork<'_>, address: Address) -> Result<[u128; 2], Unknown> {
    let word = fork.slot(address, U256::from(8))?;
    Ok([0_usize, 112].map(|shift| ((word >> shift) & U256::from(RESERVE_MAX)).to()))
}

/// The contracts of a block that write V2-shaped logs, as they are before it.
pub(super) struct Shaped {
    pub(super) pairs: Vec<LaidOut>,
    /// Those that are not followed, and why.
    pub(super) unknown: Vec<(Address, Because)>,
}

impl Shaped {
    /// Sorts a block's contracts. The block must have been run: what it reads is known then.
    pub(super) fn of(scene: &Scene<'_>) -> Self {
        let mut topics = BTreeMap::<Address, Vec<B256>>::new();
        for log in &scene.block.logs {
            if let Some(topic) = log.topics.first().filter(|topic| [SYNC, SWAP].contains(topic)) {
                topics.entry(log.address).or_default().push(*topic);
            }
        }
        let mut fork = run_to(scene, 0).fork();
        let (mut pairs, mut unknown) = (vec![], vec![]);
        for (address, topics) in topics {
            let pair = if topics.contains(&SYNC) {
                LaidOut::look(&mut fork, address)
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

/// A block's pairs, before it, whose fee (in pips) is found, and why others are left out.
pub(super) struct Probed {
    pub(super) pairs: Vec<(LaidOut, u32)>,
    pub(super) unknown: BTreeMap<Address, Because>,
}

impl Probed {
    /// Probes a block's pairs. The block must have been run: what it reads is known then.
    pub(super) fn new(scene: &Scene<'_>) -> Self {
        let fork = run_to(scene, 0).fork();
        let shaped = Shaped::of(scene);
        let mut probed = Self { pairs: vec![], unknown: shaped.unknown.into_iter().collect() };
        for found in shaped.pairs {
            match found.pair.fee(&fork) {
                Ok(fee) => probed.pairs.push((found, fee)),
                Err(reason) => {
                    probed.unknown.insert(found.pair.address, reason);
                }
            }
        }
        probed
    }

    /// As a world takes them.
    pub(super) fn venues(&self) -> Vec<Venue> {
        self.pairs.iter().map(|(found, fee)| found.venue(*fee)).collect()
    }
}

/// A pair's fee and layout, for people.
pub(super) struct Kind(pub(super) u32, pub(super) Layout);

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:.2} % {:?}", f64::from(self.0) / 10_000.0, self.1)
    }
}
