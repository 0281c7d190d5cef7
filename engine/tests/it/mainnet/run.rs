//! Whether the EVM does with a whole block what the chain did.
//!
//! The judge is the header: the receipts that come out must have its root, and use its gas. The
//! recorded receipts are held against them as far as they agree with the header themselves.
//!
//! Temperature: cold.

use alloy::consensus::proofs::calculate_receipt_root;
use alloy::consensus::{Eip658Value, Receipt, ReceiptEnvelope};
use alloy::primitives::Log;
use revm::primitives::hardfork::SpecId;

use super::chain::Replay;
use super::witness::{Recorded, Witness};

/// A block that was run.
pub(crate) struct Run {
    /// The rules that it ran under.
    pub(crate) spec: SpecId,
    pub(crate) log_count: usize,
    /// Whether the receipts have the header's root, and its gas.
    pub(crate) is_root_right: bool,
    pub(crate) is_gas_right: bool,
    /// Transactions whose recorded outcome, gas or logs are not those that came out.
    pub(crate) differing: Vec<usize>,
}

impl Run {
    /// Runs a block.
    pub(crate) fn new(witness: &Witness) -> Self {
        let mut replay = Replay::new(witness);
        let mut cumulative_gas_used = 0;
        let mut receipts = vec![];
        let mut differing = vec![];
        for (tx, recorded) in witness.receipts.iter().enumerate() {
            let executed = replay.step();
            let gas_used = executed.result.tx_gas_used();
            let status = executed.result.is_success();
            let logs = executed.result.into_logs();
            let is_same = status == (recorded.status == 1)
                && (gas_used == recorded.gas_used || !witness.checks.is_gas_right)
                && (is_recorded(&logs, recorded) || !witness.checks.are_logs_right);
            if !is_same {
                differing.push(tx);
            }
            cumulative_gas_used += gas_used;
            let status = Eip658Value::Eip658(status);
            let receipt = Receipt { status, cumulative_gas_used, logs }.with_bloom();
            receipts.push(ReceiptEnvelope::from_typed(executed.ty, receipt));
        }
        let header = &witness.header;
        Self {
            spec: replay.spec,
            log_count: receipts.iter().map(|receipt| receipt.logs().len()).sum(),
            is_root_right: calculate_receipt_root(&receipts) == header.receipts_root,
            is_gas_right: cumulative_gas_used == header.gas_used.to::<u64>(),
            differing,
        }
    }
}

fn is_recorded(logs: &[Log], recorded: &Recorded) -> bool {
    let is_same = |(log, recorded): (&Log, &super::witness::RecordedLog)| {
        log.address == recorded.address
            && log.topics() == recorded.topics
            && log.data.data == recorded.data
    };
    logs.len() == recorded.logs.len() && logs.iter().zip(&recorded.logs).all(is_same)
}
