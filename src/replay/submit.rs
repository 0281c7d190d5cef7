//! Transactions that are sent to the node. Nothing of them ever gets onto the recorded chain; where
//! the state is recorded, they are run where they would have landed, and their receipts say so.
//!
//! Temperature: cold.

use alloy::consensus::transaction::SignerRecoverable as _;
use alloy::consensus::{Transaction as _, TxEnvelope};
use alloy::eips::eip2718::Decodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, U256};
use serde_json::{Value, json};

use super::answer::Refusal;
use super::ledger::{Held, Missing};
use super::node::Node;
use super::render;
use crate::evm::{Replay, Scene};

/// Transactions that are kept.
const SENT_MAX: usize = 4_096;
/// Bytes of one, as nodes have it.
const RAW_BYTES_MAX: usize = 128 << 10;

/// A transaction that was sent.
#[derive(Debug)]
pub(super) struct Sent {
    hash: B256,
    body: Value,
    /// The block that it would have landed in, by its place, with its receipt.
    landed: Option<(usize, Value)>,
}

/// Takes a transaction, and gives its hash.
///
/// # Errors
/// When it is none, or one that no node would take.
pub(super) fn take(node: &Node, raw: &Bytes) -> Result<B256, Refusal> {
    if raw.len() > RAW_BYTES_MAX {
        return Err(Refusal::refused(format!("oversized data: {} bytes", raw.len())));
    }
    let mut rest = &raw[..];
    let envelope = TxEnvelope::decode_2718(&mut rest);
    let envelope = envelope.ok().filter(|_| rest.is_empty());
    let envelope =
        envelope.ok_or_else(|| Refusal::params("failed to decode signed transaction"))?;
    let wanted = node.ledger.chain_id;
    if envelope.chain_id().is_some_and(|found| found != wanted) {
        return Err(Refusal::refused(format!("invalid chain id: this is chain {wanted}")));
    }
    let from = envelope.recover_signer();
    let from = from.map_err(|_no_point| Refusal::refused("invalid sender"))?;
    let hash = *envelope.tx_hash();
    let recorded = node.ledger.of_transaction(&hash).map(|(block, _)| block);
    let is_mined = recorded.is_some_and(|block| block <= node.tip());
    let is_sent = node.sent().iter().any(|sent| sent.hash == hash);
    if is_mined || is_sent {
        return Err(Refusal::refused("already known"));
    }
    if node.sent().len() >= SENT_MAX {
        return Err(Refusal::refused("txpool is full"));
    }
    let landed = match recorded {
        // It will be in the block that it was in.
        Some(_) => None,
        None => match land(node, &envelope, from) {
            Ok((block, receipt)) => {
                let number = node.ledger.blocks[block].number();
                let (is_made, gas_used) = (&receipt["status"], &receipt["gasUsed"]);
                tracing::info!(%hash, block = number, %is_made, %gas_used, "would have landed");
                Some((block, receipt))
            }
            Err(why) => {
                tracing::info!(%hash, %from, %why, "taken; it stays pending");
                None
            }
        },
    };
    let body = render::pending(raw).unwrap_or_default();
    node.sent().push(Sent { hash, body, landed });
    Ok(hash)
}

/// Runs it in the next block: behind the transactions that bid at least as much.
fn land(node: &Node, envelope: &TxEnvelope, from: Address) -> Result<(usize, Value), Missing> {
    let next = node.tip() + 1;
    let held = node.ledger.blocks.get(next);
    let held = held.ok_or_else(|| Missing("a block after the last is".to_owned()))?;
    let state = || Missing(format!("the state of block {} is", held.number()));
    let scene = Scene::new(&held.block, &node.codes).ok_or_else(state)?;
    let base_fee = held.block.header.base_fee_per_gas.unwrap_or_default();
    let bid = envelope.effective_tip_per_gas(base_fee);
    let bid = bid.ok_or_else(|| Missing("a block that it can pay for is".to_owned()))?;
    let outbids = |place: usize| {
        let row = &held.block.transactions[place];
        let bids = held.envelope(place).ok()?.effective_tip_per_gas(base_fee);
        // Its own sender's go before it, whatever they bid.
        Some(row.from_address == Some(from) || bids >= Some(bid))
    };
    let count = held.block.transactions.len();
    let place = (0..count).rev().find(|place| outbids(*place).unwrap_or(true));
    let place = place.map_or(0, |place| place + 1);
    let told = |unknown: crate::evm::Unknown| Missing(format!("what it runs on ({unknown}) is"));
    let mut replay = Replay::new(&scene).map_err(told)?;
    replay.run_to(place).map_err(told)?;
    let executed = replay.run(envelope, from).map_err(told)?;
    Ok((next, receipt_of((held, place), envelope, from, &executed.result)))
}

/// The receipt of something that never was in the block, and says so.
fn receipt_of(
    (held, place): (&Held, usize),
    envelope: &TxEnvelope,
    from: Address,
    result: &revm::context::result::ExecutionResult,
) -> Value {
    let hash = envelope.tx_hash();
    let number = json!(U256::from(held.number()));
    let logs = result.logs().iter().enumerate().map(|(index, log)| {
        json!({
            "address": log.address, "topics": log.topics(), "data": log.data.data,
            "blockHash": held.hash(), "blockNumber": number, "transactionHash": hash,
            "transactionIndex": U256::from(place), "logIndex": U256::from(index), "removed": false,
        })
    });
    let logs: Vec<Value> = logs.collect();
    let base_fee = held.block.header.base_fee_per_gas;
    let made = envelope.is_create().then(|| from.create(envelope.nonce()));
    json!({
        "type": U256::from(envelope.tx_type() as u8),
        "status": U256::from(u8::from(result.is_success())),
        "transactionHash": hash, "transactionIndex": U256::from(place),
        "blockHash": held.hash(), "blockNumber": number,
        "from": from, "to": envelope.to(), "contractAddress": made,
        "gasUsed": U256::from(result.tx_gas_used()),
        "effectiveGasPrice": U256::from(envelope.effective_gas_price(base_fee)),
        "logs": logs,
        "wouldHaveLanded": true,
    })
}

/// The receipt of a transaction that was sent, once the node has come to its block.
pub(super) fn receipt(node: &Node, hash: &B256) -> Option<Value> {
    let sent = node.sent();
    let (block, receipt) = sent.iter().find(|sent| sent.hash == *hash)?.landed.as_ref()?;
    (*block <= node.tip()).then(|| receipt.clone())
}

/// A transaction that was sent.
pub(super) fn body(node: &Node, hash: &B256) -> Option<Value> {
    let sent = node.sent();
    Some(sent.iter().find(|sent| sent.hash == *hash)?.body.clone())
}
