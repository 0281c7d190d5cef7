//! Makes recordings out of what an engine knows: for tools that generate one.
//!
//! Temperature: cold.

use std::path::Path;

use alloy_primitives::{Address, Bytes, hex};
use anyhow::Result;
use gannet_engine::decode::head::Head;
use gannet_engine::decode::log::{Data, Log};
use gannet_engine::ids::TokenId;
use gannet_engine::world::pools::PoolTable;

use super::rows::{BlockRow, LogRow};
use super::{RecordedBlock, Snapshot, Writer};

/// A recording that is being made, block by block; nothing of it stays if it is dropped before it
/// is finished.
#[derive(Debug)]
pub struct Maker {
    writer: Writer,
    chain_id: u64,
}

impl Maker {
    /// A recording at `out`, where nothing may be yet.
    ///
    /// # Errors
    /// When there is something, or nothing can be made there.
    pub fn create(out: &Path, chain_id: u64, origin: &str) -> Result<Self> {
        Ok(Self { writer: Writer::create(out, chain_id, origin)?, chain_id })
    }

    /// Begins a segment at block `number`, from these pools; `token` gives a token's address.
    ///
    /// # Errors
    /// When the part before it cannot be written.
    pub fn begin(
        &mut self,
        number: u64,
        pools: &PoolTable,
        token: impl Fn(TokenId) -> Address,
    ) -> Result<()> {
        self.writer.begin(number, Snapshot::of(pools, token))
    }

    /// Adds a block and its logs, in order.
    ///
    /// # Errors
    /// When it is out of order, or cannot be written.
    pub fn add(&mut self, head: &Head, logs: &[Log<'_>]) -> Result<()> {
        let header = BlockRow::of_head(head, self.chain_id);
        let row = |log: &Log<'_>| LogRow {
            block_number: head.number,
            transaction_index: log.tx_index,
            log_index: log.log_index,
            transaction_hash: log.tx_hash,
            address: log.address,
            topics: log.topics().to_vec(),
            data: match log.data {
                Data::Hex(text) => hex::decode(text).unwrap_or_default().into(),
                Data::Binary(bytes) => Bytes::copy_from_slice(bytes),
            },
        };
        let logs = logs.iter().map(row).collect();
        self.writer.add(RecordedBlock { header, transactions: Vec::new(), logs, state: None })
    }

    /// Adds a remark for whoever relies on the recording.
    pub fn remark(&mut self, remark: &str) {
        self.writer.remark(remark.to_owned());
    }

    /// Gives the recording its name; what it takes on disk, in bytes.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(self) -> Result<u64> {
        let (_, size) = self.writer.finish()?;
        Ok(size.bytes.values().sum())
    }
}
