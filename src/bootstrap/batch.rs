//! View calls in JSON-RPC batches, all at one block hash.
//!
//! Temperature: cold.

use alloy::sol_types::SolCall;
use alloy_primitives::{Address, Bytes, U256};
use anyhow::{Context, Result, bail, ensure};
use gannet_engine::world::Tip;
use serde_json::{Value, json};

use crate::contracts::{Erc20, UniswapV2Factory, UniswapV2Pair};
use crate::feed::rpc::{NodeError, Rpc};
use crate::progress::Progress;

/// Calls in one batch; most nodes take 1,000 and more. What a node refuses is asked in halves.
const BATCH_CALLS: usize = 500;

/// Pairs of one factory; the largest on mainnet has a tenth of that. A contract that is no factory
/// may answer any number.
const PAIRS_MAX: usize = 1 << 22;

/// A pair as its factory lists it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    pub(super) address: Address,
    pub(super) tokens: [Address; 2],
    pub(super) reserves: [u128; 2],
}

/// Asks a node about one block.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    rpc: &'a mut Rpc,
    anchor: Tip,
    /// How the block is named to the node.
    block: Value,
    batch_calls: usize,
}

impl<'a> Reader<'a> {
    /// Names the block by its hash (EIP-1898), or by its number to a node that takes no hash; only
    /// [`Reader::finish`] then tells whether it was the same block all the time.
    pub(super) fn new(rpc: &'a mut Rpc, anchor: Tip) -> Result<Self> {
        let by_hash = json!({ "blockHash": anchor.hash });
        // Any question that names a block will do.
        let probed = rpc.call::<U256>("eth_getBalance", &json!([Address::ZERO, by_hash]));
        let block = match probed {
            Ok(_) => by_hash,
            Err(error) if error.is::<NodeError>() => json!(U256::from(anchor.number.0)),
            Err(error) => return Err(error),
        };
        Ok(Self { rpc, anchor, block, batch_calls: BATCH_CALLS })
    }

    /// Makes sure that everything was read at the block that was meant.
    pub(super) fn finish(self) -> Result<()> {
        if self.block.is_string() {
            let block: Value =
                self.rpc.call("eth_getBlockByNumber", &json!([self.block, false]))?;
            let is_same = block["hash"] == json!(self.anchor.hash);
            ensure!(is_same, "block {} was replaced while it was read", self.anchor.number.0);
        }
        Ok(())
    }

    /// Every pair of a factory.
    pub(super) fn pairs(&mut self, factory: Address, name: &str) -> Result<Vec<Pair>> {
        let length = [(factory, UniswapV2Factory::allPairsLengthCall {})];
        let count = self.calls(&length, None)?;
        let count = count.into_iter().next().flatten().with_context(|| {
            format!("{name} at {factory} answers no allPairsLength(): is it a V2 factory?")
        })?;
        let count = usize::try_from(count).ok().filter(|count| *count <= PAIRS_MAX);
        let count = count.with_context(|| {
            format!("{name} at {factory} lists more than {PAIRS_MAX} pairs: is it a V2 factory?")
        })?;
        let label = format!("{name}: pairs");
        let asked: Vec<_> = (0..count)
            .map(|index| (factory, UniswapV2Factory::allPairsCall(U256::from(index))))
            .collect();
        let listed = self.calls(&asked, Some(&label))?;
        let addresses: Vec<Address> = listed.into_iter().flatten().collect();
        self.describe(&addresses, name)
    }

    /// Tokens and reserves; what does not answer like a pair is left out.
    fn describe(&mut self, pairs: &[Address], name: &str) -> Result<Vec<Pair>> {
        let ask = |address: &Address| (*address, UniswapV2Pair::token0Call {});
        let first = self
            .calls(&pairs.iter().map(ask).collect::<Vec<_>>(), Some(&format!("{name}: token0")))?;
        let ask = |address: &Address| (*address, UniswapV2Pair::token1Call {});
        let second = self
            .calls(&pairs.iter().map(ask).collect::<Vec<_>>(), Some(&format!("{name}: token1")))?;
        let reserves = self.reserves(pairs)?;
        let described = pairs.iter().zip(first).zip(second).zip(reserves);
        Ok(described
            .filter_map(|(((address, first), second), reserves)| {
                Some(Pair { address: *address, tokens: [first?, second?], reserves })
            })
            .collect())
    }

    /// Each pair's reserves; zero where it does not answer, so that it is never traded.
    pub(super) fn reserves(&mut self, pairs: &[Address]) -> Result<Vec<[u128; 2]>> {
        let asked: Vec<_> =
            pairs.iter().map(|address| (*address, UniswapV2Pair::getReservesCall {})).collect();
        let answers = self.calls(&asked, Some("reserves"))?;
        let of = |answer: Option<UniswapV2Pair::getReservesReturn>| {
            answer.map_or([0, 0], |held| [held._reserve0.to(), held._reserve1.to()])
        };
        Ok(answers.into_iter().map(of).collect())
    }

    /// Each token's decimals; `None` where it does not say.
    pub(super) fn decimals(&mut self, tokens: &[Address]) -> Result<Vec<Option<u8>>> {
        let asked: Vec<_> =
            tokens.iter().map(|address| (*address, Erc20::decimalsCall {})).collect();
        self.calls(&asked, Some("decimals"))
    }

    /// Asks in batches of the size that the node takes.
    fn batch(&mut self, questions: &[Value]) -> Result<Vec<Result<Value, NodeError>>> {
        let mut answers = Vec::with_capacity(questions.len());
        let mut rest = questions;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(self.batch_calls.min(rest.len()));
            match self.rpc.batch("eth_call", now) {
                Ok(some) => {
                    answers.extend(some);
                    rest = later;
                }
                Err(error) if error.is::<NodeError>() && now.len() > 1 => {
                    self.batch_calls = now.len() / 2;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(answers)
    }

    /// The answers, in order; `None` where the call reverted or answered something else.
    fn calls<C: SolCall>(
        &mut self,
        asked: &[(Address, C)],
        label: Option<&str>,
    ) -> Result<Vec<Option<C::Return>>> {
        let mut progress = Progress::new(label, asked.len());
        let mut answers = Vec::with_capacity(asked.len());
        for chunk in asked.chunks(BATCH_CALLS) {
            let question = |(to, call): &(Address, C)| {
                let data = Bytes::from(call.abi_encode());
                json!([{ "to": to, "data": data }, self.block])
            };
            let questions: Vec<Value> = chunk.iter().map(question).collect();
            for answer in self.batch(&questions)? {
                // A revert is the contract's answer; any other error is no answer, and a universe
                // read in spite of it would lack pools without a word.
                let data: Option<Bytes> = match answer {
                    Ok(value) => serde_json::from_value(value).ok(),
                    Err(error) if error.is_revert() => None,
                    Err(error) => bail!(error),
                };
                answers.push(data.and_then(|data| C::abi_decode_returns(&data).ok()));
            }
            progress.advance(chunk.len());
        }
        Ok(answers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_factory_that_lists_more_pairs_than_there_can_be_is_refused() {
        for count in [U256::from(PAIRS_MAX + 1), U256::from(u64::MAX / 2), U256::MAX] {
            let probed = r#"{"id":1,"result":"0x0"}"#;
            let answers = format!("{probed}\n[{{\"id\":2,\"result\":\"0x{count:064x}\"}}]\n");
            let (mut rpc, _node) = Rpc::answered(answers.as_bytes()).unwrap();
            let mut reader = Reader::new(&mut rpc, Tip::default()).unwrap();
            let error = reader.pairs(Address::ZERO, "fork").unwrap_err().to_string();
            assert!(
                error.starts_with("fork at 0x0") && error.contains("lists more than"),
                "{error}"
            );
        }
    }
}
