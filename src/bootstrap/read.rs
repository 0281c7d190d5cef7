//! Reads pools and tokens at one block.
//!
//! Temperature: cold.

use std::ops::{Range, RangeInclusive};

use alloy::sol_types::SolCall;
use alloy_primitives::{Address, Bytes, U256};
use anyhow::{Context, Result, ensure};
use gannet_engine::amm::Tick;
use gannet_engine::world::Tip;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::lens::{self, Question};
use super::pool::{Kind, Known, Reading};
use super::questions::{Concentrated, Decimals, Listed, Pair, Solidly, TickAnswer, TickSlice};
use super::ranges::{self, Sought};
use crate::contracts::UniswapV2Factory;
use crate::feed::rpc::{NodeError, Rpc};

/// Pairs of one factory; the largest on mainnet has a tenth of that. A contract that is no factory
/// may answer any number.
const PAIRS_MAX: u32 = 1 << 22;

/// A pool's state, and what it has of its tokens.
pub(super) type State = (Reading, [u128; 2]);

/// How blocks are named to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Naming {
    /// By their hashes (EIP-1898): another block's state cannot be answered.
    Hash,
    /// By their numbers, to a node that takes no hash.
    Number,
}

/// Asks a node about one block.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    pub(super) rpc: &'a mut Rpc,
    pub(super) anchor: Tip,
    naming: Naming,
    /// How the block is named to the node.
    block: Value,
}

impl<'a> Reader<'a> {
    /// Names the block by its hash (EIP-1898), or by its number to a node that takes no hash; only
    /// [`Reader::finish`] then tells whether it was the same block all the time.
    pub(crate) fn new(rpc: &'a mut Rpc, anchor: Tip) -> Result<Self> {
        let by_hash = json!({ "blockHash": anchor.hash });
        // Any question that names a block will do.
        let probed = rpc.call::<U256>("eth_getBalance", &json!([Address::ZERO, by_hash]));
        let naming = match probed {
            Ok(_) => Naming::Hash,
            Err(error) if error.is::<NodeError>() => Naming::Number,
            Err(error) => return Err(error),
        };
        Ok(Self::named(rpc, anchor, naming))
    }

    /// The same of a node of which it is known how blocks are named to it.
    pub(crate) fn named(rpc: &'a mut Rpc, anchor: Tip, naming: Naming) -> Self {
        let block = match naming {
            Naming::Hash => json!({ "blockHash": anchor.hash }),
            Naming::Number => json!(U256::from(anchor.number.0)),
        };
        Self { rpc, anchor, naming, block }
    }

    /// How blocks are named to this node.
    pub(crate) const fn naming(&self) -> Naming {
        self.naming
    }

    /// Makes sure that everything was read at the block that was meant.
    pub(crate) fn finish(self) -> Result<()> {
        // Logs are named by their blocks' numbers, so this is asked even where calls name a hash.
        let number = json!(U256::from(self.anchor.number.0));
        let block: Value = self.rpc.call("eth_getBlockByNumber", &json!([number, false]))?;
        let is_same = block["hash"] == json!(self.anchor.hash);
        ensure!(is_same, "block {} was replaced while it was read", self.anchor.number.0);
        Ok(())
    }

    /// The height of the block.
    pub(crate) const fn height(&self) -> u64 {
        self.anchor.number.0
    }

    /// The time of the block, in seconds.
    pub(crate) const fn timestamp(&self) -> u64 {
        self.anchor.timestamp
    }

    /// Every log of these blocks that fits, in no order; `filter` makes the filter of a range but
    /// for its two ends, from its last block.
    pub(crate) fn logs<L: DeserializeOwned>(
        &mut self,
        sought: &Sought,
        blocks: RangeInclusive<u64>,
        filter: impl Fn(u64) -> Value,
        each: impl FnMut(L),
    ) -> Result<()> {
        ranges::logs(self.rpc, sought, blocks, filter, each)
    }

    /// How many pairs a V2 factory lists.
    pub(super) fn pair_count(&mut self, factory: Address, name: &str) -> Result<u32> {
        let data = Bytes::from(UniswapV2Factory::allPairsLengthCall {}.abi_encode());
        let asked = json!([{ "to": factory, "data": data }, self.block]);
        let answer = match self.rpc.call::<Bytes>("eth_call", &asked) {
            Ok(answer) => UniswapV2Factory::allPairsLengthCall::abi_decode_returns(&answer).ok(),
            Err(error) if error.downcast_ref::<NodeError>().is_some_and(NodeError::is_revert) => {
                None
            }
            Err(error) => return Err(error),
        };
        let count = answer.with_context(|| {
            format!("{name} at {factory} answers no allPairsLength(): is it a V2 factory?")
        })?;
        let count = u32::try_from(count).ok().filter(|count| *count <= PAIRS_MAX);
        count.with_context(|| {
            format!("{name} at {factory} lists more than {PAIRS_MAX} pairs: is it a V2 factory?")
        })
    }

    /// The pairs in these places of a V2 factory's list, with their tokens. What is no pair is left
    /// out.
    pub(super) fn listed(
        &mut self,
        factory: Address,
        places: Range<u32>,
        name: &str,
    ) -> Result<Vec<(Address, [Address; 2])>> {
        let asked: Vec<Listed> = places.map(|place| Listed { factory, place }).collect();
        let found = self.ask(&format!("{name}: pairs"), &asked)?;
        Ok(found.into_iter().flatten().flatten().collect())
    }

    /// Each token's decimals; `None` where it does not say.
    pub(super) fn decimals(&mut self, tokens: &[Address]) -> Result<Vec<Option<u8>>> {
        let asked: Vec<Decimals> = tokens.iter().map(|token| Decimals(*token)).collect();
        let found = self.ask("decimals", &asked)?;
        Ok(found.into_iter().map(Option::flatten).collect())
    }

    /// Each pool's state; `None` where it does not answer like what it should be.
    pub(super) fn readings(
        &mut self,
        pools: &[Known],
        factories: &[Address],
    ) -> Result<Vec<Option<State>>> {
        let mut readings: Vec<Option<State>> = vec![None; pools.len()];
        let (mut pairs, mut concentrated, mut solidly) = (Vec::new(), Vec::new(), Vec::new());
        for (place, pool) in pools.iter().enumerate() {
            let address = pool.address;
            match pool.kind {
                Kind::Pair => pairs.push((place, Pair(address))),
                Kind::Concentrated { .. } => {
                    let question = Concentrated { pool: address, tokens: pool.tokens };
                    concentrated.push((place, question));
                }
                Kind::Solidly { is_stable } => {
                    let factory = factories.get(usize::from(pool.factory)).copied();
                    let factory = factory.unwrap_or_default();
                    solidly.push((place, Solidly { pool: address, factory, is_stable }));
                }
            }
        }
        self.fill("pairs", &pairs, &mut readings)?;
        self.fill("concentrated pools", &concentrated, &mut readings)?;
        self.fill("solidly pools", &solidly, &mut readings)?;
        Ok(readings)
    }

    /// The ticks of each concentrated pool, in order; `None` where it has no bitmap.
    pub(super) fn ticks(&mut self, pools: &[(Address, i32)]) -> Result<Vec<Option<Vec<Tick>>>> {
        let mut found: Vec<(Vec<Tick>, bool)> = vec![(Vec::new(), false); pools.len()];
        let slice = |(place, pool): (usize, &(Address, i32))| {
            TickSlice::whole(pool.0, pool.1).map(|slice| (place, slice))
        };
        let slices: Vec<(usize, TickSlice)> = pools.iter().enumerate().filter_map(slice).collect();
        let asked = slices.iter().map(|(_, slice)| *slice);
        lens::ask(self.rpc, &self.block, "ticks", asked, |place, answer| {
            let (ticks, is_whole) = &mut found[slices[place].0];
            if let TickAnswer::Ticks { ticks: some, next } = answer {
                ticks.extend(some);
                *is_whole = next.is_none();
            }
        })?;
        Ok(found.into_iter().map(|(ticks, is_whole)| is_whole.then_some(ticks)).collect())
    }

    /// The ticks in one word of each pool's bitmap; `None` where nobody asked, or there is none.
    pub(super) fn words(
        &mut self,
        asked: &[Option<(Address, i32, i16)>],
    ) -> Result<Vec<Option<Vec<Tick>>>> {
        let slices = asked.iter().enumerate().filter_map(|(place, asked)| {
            let (pool, tick_spacing, word) = (*asked)?;
            Some((place, TickSlice { pool, tick_spacing, words: [word, word] }))
        });
        let (places, slices): (Vec<usize>, Vec<TickSlice>) = slices.unzip();
        let mut found = vec![None; asked.len()];
        for (place, answer) in places.into_iter().zip(self.ask("ticks", &slices)?) {
            if let Some(TickAnswer::Ticks { ticks, next: None }) = answer {
                found[place] = Some(ticks);
            }
        }
        Ok(found)
    }

    /// The answers, in order; `None` where the node refuses to read a contract.
    pub(crate) fn ask<Q: Question>(
        &mut self,
        label: &str,
        asked: &[Q],
    ) -> Result<Vec<Option<Q::Answer>>> {
        let mut found: Vec<Option<Q::Answer>> = Vec::new();
        found.resize_with(asked.len(), || None);
        lens::ask(self.rpc, &self.block, label, asked.iter().copied(), |place, answer| {
            found[place] = Some(answer);
        })?;
        Ok(found)
    }

    fn fill<Q: Question<Answer = Option<State>>>(
        &mut self,
        label: &str,
        asked: &[(usize, Q)],
        readings: &mut [Option<State>],
    ) -> Result<()> {
        let questions = asked.iter().map(|(_, question)| *question);
        lens::ask(self.rpc, &self.block, label, questions, |place, answer| {
            readings[asked[place].0] = answer;
        })?;
        Ok(())
    }
}
