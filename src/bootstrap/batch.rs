//! View calls in JSON-RPC batches, all at one block hash.
//!
//! Temperature: cold.

use std::time::Duration;

use alloy::eips::BlockId;
use alloy::providers::{DynProvider, Provider};
use alloy::rpc::client::BatchRequest;
use alloy::rpc::types::TransactionRequest;
use alloy::sol_types::SolCall;
use alloy_primitives::{Address, B256, Bytes, U256};
use anyhow::{Context, Result};

use crate::contracts::{Erc20, UniswapV2Factory, UniswapV2Pair};
use crate::progress::Progress;

/// Calls in one batch; nodes limit batches to 1,000 and more.
const BATCH_CALLS: usize = 500;
/// A batch that takes longer has been lost.
const BATCH_TIMEOUT: Duration = Duration::from_secs(60);

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
    provider: &'a DynProvider,
    block: BlockId,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(provider: &'a DynProvider, block: B256) -> Self {
        Self { provider, block: BlockId::hash(block) }
    }

    /// Every pair of a factory.
    pub(super) async fn pairs(&self, factory: Address, name: &str) -> Result<Vec<Pair>> {
        let length = [(factory, UniswapV2Factory::allPairsLengthCall {})];
        let count = self.calls(&length, None).await?;
        let count = count.into_iter().next().flatten().with_context(|| {
            format!("{name} at {factory} answers no allPairsLength(): is it a V2 factory?")
        })?;
        let count = usize::try_from(count).context("a factory with more pairs than memory")?;
        let label = format!("{name}: pairs");
        let asked: Vec<_> = (0..count)
            .map(|index| (factory, UniswapV2Factory::allPairsCall(U256::from(index))))
            .collect();
        let listed = self.calls(&asked, Some(&label)).await?;
        let addresses: Vec<Address> = listed.into_iter().flatten().collect();
        self.describe(&addresses, name).await
    }

    /// Tokens and reserves; what does not answer like a pair is left out.
    async fn describe(&self, pairs: &[Address], name: &str) -> Result<Vec<Pair>> {
        let ask = |address: &Address| (*address, UniswapV2Pair::token0Call {});
        let first = self
            .calls(&pairs.iter().map(ask).collect::<Vec<_>>(), Some(&format!("{name}: token0")))
            .await?;
        let ask = |address: &Address| (*address, UniswapV2Pair::token1Call {});
        let second = self
            .calls(&pairs.iter().map(ask).collect::<Vec<_>>(), Some(&format!("{name}: token1")))
            .await?;
        let reserves = self.reserves(pairs).await?;
        let described = pairs.iter().zip(first).zip(second).zip(reserves);
        Ok(described
            .filter_map(|(((address, first), second), reserves)| {
                Some(Pair { address: *address, tokens: [first?, second?], reserves })
            })
            .collect())
    }

    /// Each pair's reserves; zero where it does not answer, so that it is never traded.
    pub(super) async fn reserves(&self, pairs: &[Address]) -> Result<Vec<[u128; 2]>> {
        let asked: Vec<_> =
            pairs.iter().map(|address| (*address, UniswapV2Pair::getReservesCall {})).collect();
        let answers = self.calls(&asked, Some("reserves")).await?;
        let of = |answer: Option<UniswapV2Pair::getReservesReturn>| {
            answer.map_or([0, 0], |held| [held._reserve0.to(), held._reserve1.to()])
        };
        Ok(answers.into_iter().map(of).collect())
    }

    /// Each token's decimals; `None` where it does not say.
    pub(super) async fn decimals(&self, tokens: &[Address]) -> Result<Vec<Option<u8>>> {
        let asked: Vec<_> =
            tokens.iter().map(|address| (*address, Erc20::decimalsCall {})).collect();
        self.calls(&asked, Some("decimals")).await
    }

    /// The answers, in order; `None` where the call reverted or answered something else.
    async fn calls<C: SolCall>(
        &self,
        asked: &[(Address, C)],
        label: Option<&str>,
    ) -> Result<Vec<Option<C::Return>>> {
        let mut progress = Progress::new(label, asked.len());
        let mut answers = Vec::with_capacity(asked.len());
        for chunk in asked.chunks(BATCH_CALLS) {
            let mut batch = BatchRequest::new(self.provider.client());
            let mut replies = Vec::with_capacity(chunk.len());
            for (to, call) in chunk {
                let request = TransactionRequest::default().to(*to).input(call.abi_encode().into());
                let reply = batch.add_call::<_, Bytes>("eth_call", &(request, self.block))?;
                replies.push(reply);
            }
            let send = async {
                batch.send().await.context("a batch of calls failed")?;
                for reply in replies {
                    // An error here is the contract's answer: it reverted.
                    let answer: Option<Bytes> = reply.await.ok();
                    answers.push(answer.and_then(|data| C::abi_decode_returns(&data).ok()));
                }
                anyhow::Ok(())
            };
            tokio::time::timeout(BATCH_TIMEOUT, send)
                .await
                .context("the node did not answer a batch of calls")??;
            progress.advance(chunk.len());
        }
        Ok(answers)
    }
}
