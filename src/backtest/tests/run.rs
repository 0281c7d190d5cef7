//! Whether the EVM does with a whole block what the chain did.
//!
//! The judge is the header: the receipts that come out must have its root, and use its gas. The
//! recorded outcomes are held against them as far as they agree with the header themselves.
//!
//! Temperature: cold.

use alloy::consensus::proofs::calculate_receipt_root;
use alloy::consensus::{Eip658Value, Receipt, ReceiptEnvelope, TxType};
use alloy_primitives::Log;
use revm::primitives::hardfork::SpecId;

use super::blocks::{logs_of, run_to};
use crate::evm::Scene;
use crate::evm::rules::rules;
use crate::recording::rows::LogRow;

/// A block that was run.
pub(super) struct Run {
    /// The rules that it ran under.
    pub(super) spec: SpecId,
    pub(super) log_count: usize,
    /// Whether the receipts have the header's root, and its gas.
    pub(super) is_root_right: bool,
    pub(super) is_gas_right: bool,
    /// Transactions whose recorded outcome, gas or logs are not those that came out.
    pub(super) differing: Vec<usize>,
}

impl Run {
    /// Runs a block.
    pub(super) fn new(scene: &Scene<'_>) -> Self {
        let block = scene.block;
        let header = &block.header;
        let recorded_gas = block.transactions.iter().map(|row| row.gas_used);
        let is_recorded_gas_right = recorded_gas.sum::<Option<u64>>() == header.gas_used;
        let mut replay = run_to(scene, 0);
        let mut cumulative_gas_used = 0;
        let mut receipts = vec![];
        let mut differing = vec![];
        for (tx, row) in block.transactions.iter().enumerate() {
            let executed =
                replay.step().unwrap_or_else(|error| panic!("transaction {tx}: {error}"));
            let gas_used = executed.result.tx_gas_used();
            let status = executed.result.is_success();
            let logs = executed.result.into_logs();
            let is_same = Some(status) == row.success
                && (Some(gas_used) == row.gas_used || !is_recorded_gas_right)
                && (are_recorded(&logs, logs_of(block, tx)) || header.logs_complete != Some(true));
            if !is_same {
                differing.push(tx);
            }
            cumulative_gas_used += gas_used;
            let status = Eip658Value::Eip658(status);
            let receipt = Receipt { status, cumulative_gas_used, logs }.with_bloom();
            let of_type = row.transaction_type.and_then(|ty| u8::try_from(ty).ok());
            let of_type = of_type.and_then(|ty| TxType::try_from(ty).ok()).expect("a type");
            receipts.push(ReceiptEnvelope::from_typed(of_type, receipt));
        }
        Self {
            spec: rules(header).0,
            log_count: receipts.iter().map(|receipt| receipt.logs().len()).sum(),
            is_root_right: Some(calculate_receipt_root(&receipts)) == header.receipts_root,
            is_gas_right: Some(cumulative_gas_used) == header.gas_used,
            differing,
        }
    }
}

fn are_recorded<'a>(logs: &[Log], recorded: impl Iterator<Item = &'a LogRow>) -> bool {
    let parts = logs.iter().map(|log| (log.address, log.topics(), &log.data.data));
    parts.eq(recorded.map(|log| (log.address, &log.topics[..], &log.data)))
}
