//! What a run's inputs do not tell of its blocks: whole headers, transactions and receipts. The
//! node is asked for them at leisure, by the blocks' hashes, on a thread of its own.
//!
//! Temperature: cold.

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use alloy::consensus::Transaction as _;
use alloy::eips::eip2718::{Encodable2718 as _, Typed2718 as _};
use alloy::rpc::types::{Block, Transaction, TransactionReceipt};
use alloy_primitives::{Address, B256, Bloom, Bytes, keccak256};
use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::history::History;
use super::start::Start;
use crate::bootstrap;
use crate::config::Node;
use crate::feed::rpc::{NodeError, Rpc};
use crate::recording::RecordedBlock;
use crate::recording::column::Height;
use crate::recording::rows::{BlockRow, LogRow, TransactionRow};

/// How long an end waits for blocks that are still asked for.
pub(super) const END_PATIENCE: Duration = Duration::from_secs(10);
/// Receipts that a node refuses in a row before it is asked for no more.
const REFUSALS_MAX: u32 = 3;

/// Whom blocks are asked of.
#[derive(Clone, Debug)]
pub(crate) struct Witnesses {
    pub(crate) nodes: Vec<Node>,
    pub(crate) chain_id: u64,
}

/// Asks for blocks.
#[derive(Debug)]
pub(super) struct Bodies {
    /// None once nothing more is asked.
    ask: Option<Sender<B256>>,
    told: Receiver<(B256, Option<RecordedBlock>)>,
    /// Blocks that were asked for, and not told of.
    open: usize,
    /// Those that no node told of.
    pub(super) missing: u64,
}

impl Bodies {
    /// Starts the thread that asks. It ends by itself when it is dropped.
    pub(super) fn start(witnesses: Witnesses, folder: &Path, start: &Start) -> Result<Self> {
        let (factories, anchor) = (start.deployments(), start.height());
        let folder = folder.to_owned();
        let (ask, asked) = channel();
        let (tell, told) = channel();
        std::thread::Builder::new()
            .name("gannet-bodies".to_owned())
            .spawn(move || {
                let mut desk = Desk { witnesses, rpc: None, is_told: false, refusals: 0 };
                if let Err(error) = desk.history(&factories, anchor, &folder) {
                    let error = format!("{error:#}");
                    tracing::warn!(error, "what was before the run is not recorded");
                }
                for hash in asked {
                    // Nobody waits for it any more.
                    if tell.send((hash, desk.block(hash))).is_err() {
                        break;
                    }
                }
            })
            .context("starting the thread that asks for blocks")?;
        Ok(Self { ask: Some(ask), told, open: 0, missing: 0 })
    }

    /// Asks for a block.
    pub(super) fn ask(&mut self, hash: B256) {
        let is_asked = self.ask.as_ref().is_some_and(|ask| ask.send(hash).is_ok());
        self.open += usize::from(is_asked);
    }

    /// The blocks that came; waits for those that are open until then.
    pub(super) fn take(&mut self, until: Instant) -> Vec<(B256, RecordedBlock)> {
        let mut blocks = Vec::new();
        while self.open > 0 {
            let left = until.saturating_duration_since(Instant::now());
            match self.told.recv_timeout(left) {
                Ok((hash, block)) => {
                    self.open -= 1;
                    self.missing += u64::from(block.is_none());
                    blocks.extend(block.map(|block| (hash, block)));
                }
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => self.open = 0,
            }
        }
        blocks
    }
}

/// The thread's end.
struct Desk {
    witnesses: Witnesses,
    rpc: Option<Rpc>,
    /// Whether it was said that a node does not answer.
    is_told: bool,
    /// Receipts that were refused since the last that were not.
    refusals: u32,
}

impl Desk {
    /// Records what was before the run.
    fn history(&mut self, factories: &[(Address, u64)], anchor: u64, folder: &Path) -> Result<()> {
        let history = History::ask(self.connect()?, factories, anchor)?;
        history.map_or(Ok(()), |history| history.write(folder))
    }

    fn connect(&mut self) -> Result<&mut Rpc> {
        let Witnesses { nodes, chain_id } = &self.witnesses;
        Ok(match &mut self.rpc {
            Some(rpc) => rpc,
            closed @ None => closed.insert(bootstrap::connect(nodes, *chain_id)?),
        })
    }

    fn block(&mut self, hash: B256) -> Option<RecordedBlock> {
        // A connection that was lost meanwhile is made anew once.
        for _attempt in 0..2 {
            match self.ask(hash) {
                Ok(block) => return Some(block),
                Err(error) => {
                    if !error.is::<NodeError>() {
                        self.rpc = None;
                    }
                    if !std::mem::replace(&mut self.is_told, true) {
                        let error = format!("{error:#}");
                        tracing::warn!(error, %hash, "a block is recorded as it was heard only");
                    }
                }
            }
        }
        None
    }

    fn ask(&mut self, hash: B256) -> Result<RecordedBlock> {
        let chain_id = self.witnesses.chain_id;
        let (refusals, rpc) = (self.refusals, self.connect()?);
        let block: Option<Block> = rpc.call("eth_getBlockByHash", &json!([hash, true]))?;
        let block = block.context("the node has not this block")?;
        ensure!(block.header.inner.hash_slow() == hash, "the header's hash is another");
        let mut receipts: Option<Vec<TransactionReceipt>> = None;
        if refusals < REFUSALS_MAX {
            match rpc.call("eth_getBlockReceipts", &json!([hash])) {
                Ok(given) => (receipts, self.refusals) = (given, 0),
                Err(error) if error.is::<NodeError>() => {
                    self.refusals += 1;
                    let error = format!("{error:#}");
                    tracing::warn!(error, %hash, "the node does not give this block's receipts");
                }
                Err(error) => return Err(error),
            }
        }
        recorded(&block, receipts.as_deref(), chain_id)
    }
}

/// A block as it is kept, without the logs if there are no receipts.
fn recorded(
    block: &Block,
    receipts: Option<&[TransactionReceipt]>,
    chain_id: u64,
) -> Result<RecordedBlock> {
    let number = block.header.inner.number;
    let transactions = block.transactions.as_transactions().unwrap_or_default();
    let receipts = receipts.filter(|receipts| {
        let pairs = receipts.iter().zip(transactions);
        receipts.len() == transactions.len()
            && pairs
                .into_iter()
                .all(|(receipt, tx)| receipt.transaction_hash == *tx.inner.tx_hash())
    });
    let mut logs = Vec::new();
    for log in receipts.into_iter().flatten().flat_map(|receipt| receipt.logs()) {
        logs.push(LogRow {
            block_number: number,
            transaction_index: u32::try_from(log.transaction_index.unwrap_or_default())?,
            log_index: u32::try_from(log.log_index.unwrap_or_default())?,
            transaction_hash: log.transaction_hash.unwrap_or_default(),
            address: log.address(),
            topics: log.topics().to_vec(),
            data: log.data().data.clone(),
        });
    }
    let mut bloom = Bloom::ZERO;
    for log in &logs {
        bloom.accrue_raw_log(log.address, &log.topics);
    }
    let header = header_of(block, chain_id, bloom)?;
    let row = |(place, tx)| {
        row_of((place, tx), (block, chain_id), receipts.and_then(|all| all.get(place)))
    };
    let transactions = transactions.iter().enumerate().map(row).collect();
    Ok(RecordedBlock { header, transactions, logs, state: None })
}

fn header_of(block: &Block, chain_id: u64, bloom: Bloom) -> Result<BlockRow> {
    let header = &block.header.inner;
    let encoded = alloy::rlp::encode(header);
    ensure!(keccak256(&encoded) == block.header.hash, "the header's bytes have another hash");
    let withdrawals = block.withdrawals.as_ref();
    Ok(BlockRow {
        block_hash: Some(block.header.hash),
        author: Some(header.beneficiary),
        block_number: Height(header.number),
        gas_used: Some(header.gas_used),
        extra_data: Some(header.extra_data.clone()),
        timestamp: Some(Height(header.timestamp)),
        base_fee_per_gas: header.base_fee_per_gas,
        chain_id,
        parent_hash: Some(header.parent_hash),
        gas_limit: Some(header.gas_limit),
        logs_bloom: Some(Bytes::copy_from_slice(header.logs_bloom.as_slice())),
        receipts_root: Some(header.receipts_root),
        difficulty: Some(header.difficulty),
        mix_hash: Some(header.mix_hash),
        excess_blob_gas: header.excess_blob_gas,
        parent_beacon_block_root: header.parent_beacon_block_root,
        logs_complete: Some(bloom == header.logs_bloom),
        header: Some(encoded.into()),
        withdrawals: withdrawals.map(|list| alloy::rlp::encode(&**list).into()),
        total_difficulty: block.header.total_difficulty,
        size: block.header.size.and_then(|size| u64::try_from(size).ok()),
    })
}

fn row_of(
    (place, tx): (usize, &Transaction),
    (block, chain_id): (&Block, u64),
    receipt: Option<&TransactionReceipt>,
) -> TransactionRow {
    let envelope = &*tx.inner;
    let base_fee = block.header.inner.base_fee_per_gas;
    let narrow = |wide: u128| u64::try_from(wide).ok();
    TransactionRow {
        block_number: Height(block.header.inner.number),
        transaction_index: place as u64,
        transaction_hash: *envelope.tx_hash(),
        nonce: Some(envelope.nonce()),
        from_address: Some(tx.inner.signer()),
        to_address: envelope.to(),
        value_binary: Some(envelope.value()),
        input: Some(envelope.input().clone()),
        gas_limit: Some(envelope.gas_limit()),
        gas_used: receipt.map(|receipt| receipt.gas_used),
        gas_price: narrow(envelope.effective_gas_price(base_fee)),
        transaction_type: Some(u32::from(envelope.ty())),
        max_priority_fee_per_gas: envelope.max_priority_fee_per_gas().and_then(narrow),
        max_fee_per_gas: envelope
            .is_dynamic_fee()
            .then(|| envelope.max_fee_per_gas())
            .and_then(narrow),
        success: receipt.map(|receipt| receipt.status()),
        chain_id,
        raw: Some(envelope.encoded_2718().into()),
        blob_gas_used: receipt.and_then(|receipt| receipt.blob_gas_used),
        blob_gas_price: receipt.and_then(|receipt| receipt.blob_gas_price).and_then(narrow),
    }
}
