//! What others made of a recorded block: arbitrages and liquidations, read from its logs; and
//! whether our finder would have seen the arbitrages.
//!
//! Temperature: cold.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes};
use gannet_engine::chain::ChainSpec;
use gannet_engine::units::{BlockNumber, Wei};
use gannet_engine::world::Tip;
use serde::Serialize;

use super::arbitrages::{Arbitrage, arbitrages};
use super::hunt::Hunt;
use super::liquidations::{Liquidation, liquidations};
use super::plans::maybe_text;
use super::swaps::{Swap, by_transaction, tokens};
use crate::evm::{Fork, Replay, Scene, Unknown};
use crate::recording::RecordedBlock;
use crate::recording::rows::BlockRow;
use crate::venue::{Setting, tokens_of};

/// An arbitrage that somebody made, and ours on the same state.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Taken {
    pub(crate) block: u64,
    pub(crate) tx_index: u32,
    pub(crate) tx_hash: B256,
    pub(crate) pools: Vec<Address>,
    /// The token that profits are compared in.
    pub(crate) profit_token: Address,
    /// What the trader made of it, in its smallest unit.
    #[serde(serialize_with = "maybe_text")]
    pub(crate) gross_profit: Option<u128>,
    /// What the trader made of each token.
    #[serde(serialize_with = "decimals")]
    pub(crate) gross_profits: BTreeMap<Address, u128>,
    /// Whether the finder, on the state right before it, finds a cycle over its pools; none if that
    /// state is not known.
    pub(crate) seen: Option<bool>,
    /// Whether a strategy of ours had planned it from what was public then.
    pub(crate) actionable: bool,
    pub(crate) our_profit_token: Address,
    #[serde(serialize_with = "maybe_text")]
    pub(crate) our_profit: Option<u128>,
    /// Whether our profit was paid by the executor in the EVM; otherwise it is quoted.
    pub(crate) executed: bool,
    pub(crate) why_not: Option<String>,
    /// What the trader's gas cost, in wei, where that is recorded.
    #[serde(serialize_with = "maybe_text")]
    pub(crate) gas_paid: Option<u128>,
}

/// What is known of a recorded block.
#[derive(Debug, Default)]
pub(crate) struct Forensics {
    pub(crate) arbitrages: Vec<Taken>,
    pub(crate) liquidations: Vec<Liquidation>,
    /// Logs that look like a liquidation and are none.
    pub(crate) malformed: usize,
    /// Transactions that did otherwise in the EVM than is recorded, or why the block does not run.
    pub(crate) differing: Option<String>,
}

/// Looks at a block. `codes` are contracts' code by its hash.
pub(crate) fn look(
    block: &RecordedBlock,
    codes: &BTreeMap<B256, Bytes>,
    chain: ChainSpec,
) -> Forensics {
    let found = liquidations(&block.logs);
    let mut forensics = Forensics {
        liquidations: found.liquidations,
        malformed: found.malformed,
        ..Forensics::default()
    };
    let scene = Scene::new(block, codes);
    let end = scene.as_ref().map(run);
    let mut fork = None;
    match end {
        Some(Ok((at_end, differing))) => {
            forensics.differing = differing;
            fork = Some(at_end);
        }
        Some(Err(unknown)) => forensics.differing = Some(unknown.to_string()),
        None => {}
    }
    let known = known_tokens(block, fork.as_mut());
    let items = arbitrages(&block.logs, &known);
    let mut hunter = Hunter {
        block,
        tokens: &known,
        setting: Setting { chain, anchor: before(block), bases: &[] },
        replay: scene.as_ref().filter(|_| fork.is_some()).and_then(|scene| Replay::new(scene).ok()),
    };
    forensics.arbitrages = items.iter().map(|item| hunter.take(item)).collect();
    forensics
}

/// The tokens of the pools that swapped: as the pools say themselves, where the state is known.
pub(super) fn known_tokens(
    block: &RecordedBlock,
    fork: Option<&mut Fork<'_>>,
) -> BTreeMap<Address, [Address; 2]> {
    let mut known = tokens(&block.logs);
    if let Some(fork) = fork {
        for pool in block.logs.iter().filter_map(Swap::of).map(|swap| swap.pool) {
            if let Some(pair) = tokens_of(fork, pool) {
                known.insert(pool, pair);
            }
        }
    }
    known
}

/// Where the world stands before a block.
pub(super) fn before(block: &RecordedBlock) -> Tip {
    before_header(&block.header)
}

/// Where the world stands before the block with this header.
pub(super) fn before_header(header: &BlockRow) -> Tip {
    Tip {
        number: BlockNumber(header.block_number.0.saturating_sub(1)),
        hash: header.parent_hash.unwrap_or_default(),
        timestamp: header.timestamp.unwrap_or_default().0.saturating_sub(1),
        next_base_fee: Wei(header.base_fee_per_gas.unwrap_or_default().into()),
    }
}

/// Runs a block to its end, so that what it reads is known; what differs from what is recorded.
fn run<'r>(scene: &'r Scene<'r>) -> Result<(Fork<'r>, Option<String>), Unknown> {
    let mut replay = Replay::new(scene)?;
    let (mut differing, mut gas_used) = (0_usize, 0_u64);
    for row in &scene.block.transactions {
        let executed = replay.step()?;
        gas_used = gas_used.saturating_add(executed.result.tx_gas_used());
        let is_same = row.success.is_none_or(|success| success == executed.result.is_success());
        differing += usize::from(!is_same);
    }
    // The header decides: what single transactions are said to have used may be wrong.
    let gas = scene.block.header.gas_used.filter(|gas| *gas != gas_used);
    let differing = match (differing, gas) {
        (0, None) => None,
        (0, Some(gas)) => Some(format!("the EVM uses {gas_used} gas, the header says {gas}")),
        (count, _) => Some(format!("{count} transactions end otherwise in the EVM")),
    };
    Ok((replay.fork(), differing))
}

/// Goes through a block's arbitrages in order.
struct Hunter<'a> {
    block: &'a RecordedBlock,
    tokens: &'a BTreeMap<Address, [Address; 2]>,
    setting: Setting<'a>,
    /// Where the state is known.
    replay: Option<Replay<'a>>,
}

impl Hunter<'_> {
    fn take(&mut self, item: &Arbitrage) -> Taken {
        let mut hunt = None;
        if let Some(replay) = &mut self.replay {
            let place = usize::try_from(item.tx_index).unwrap_or(usize::MAX);
            if replay.run_to(place).is_ok() {
                hunt = Some(Hunt::on_state(item, replay.fork(), &self.setting));
            }
        }
        let hunt = match hunt {
            Some(hunt) if hunt.is_seen.is_some() => hunt,
            // What the state does not tell the transaction's own logs may.
            told => {
                let by_logs = self.by_logs(item);
                if by_logs.is_seen.is_some() { by_logs } else { told.unwrap_or(by_logs) }
            }
        };
        Taken {
            block: item.block,
            tx_index: item.tx_index,
            tx_hash: item.tx_hash,
            pools: item.pools(),
            profit_token: hunt.profit_token,
            gross_profit: item.gross_profit.get(&hunt.profit_token).copied(),
            gross_profits: item.gross_profit.clone(),
            seen: hunt.is_seen,
            actionable: false,
            our_profit_token: hunt.profit_token,
            our_profit: hunt.our_profit,
            executed: hunt.is_executed,
            why_not: hunt.why_not,
            gas_paid: self.gas_paid(item),
        }
    }

    fn gas_paid(&self, item: &Arbitrage) -> Option<u128> {
        let mut rows = self.block.transactions.iter();
        let row = rows.find(|row| row.transaction_hash == item.tx_hash)?;
        let base = self.block.header.base_fee_per_gas.unwrap_or(0);
        let price = match (row.max_fee_per_gas, row.max_priority_fee_per_gas) {
            (Some(most), Some(tip)) => most.min(base.saturating_add(tip)),
            _ => row.gas_price?,
        };
        Some(u128::from(price) * u128::from(row.gas_used?))
    }

    fn by_logs(&self, item: &Arbitrage) -> Hunt {
        let mut all = by_transaction(&self.block.logs);
        let own =
            all.find(|logs| logs.first().is_some_and(|log| log.transaction_index == item.tx_index));
        Hunt::on_logs(item, own.unwrap_or_default(), self.tokens, &self.setting)
    }
}

fn decimals<S: serde::Serializer>(
    values: &BTreeMap<Address, u128>,
    out: S,
) -> Result<S::Ok, S::Error> {
    out.collect_map(values.iter().map(|(token, value)| (token, value.to_string())))
}
