//! Blocks, logs, transactions and receipts as geth writes them.
//!
//! Temperature: cold.

use serde_json::{Value, json};

use crate::model::{Block, Log, Tx};

/// A quantity.
#[must_use]
pub fn hex(number: impl Into<u128>) -> String {
    format!("{:#x}", number.into())
}

/// A block's header, as `newHeads` brings it.
#[must_use]
pub fn head(block: &Block) -> Value {
    let header = &block.header;
    json!({
        "number": hex(header.number), "hash": block.hash, "parentHash": header.parent_hash,
        "timestamp": hex(header.timestamp), "gasLimit": hex(header.gas_limit),
        "gasUsed": hex(header.gas_used), "miner": header.beneficiary,
        "baseFeePerGas": hex(header.base_fee_per_gas.unwrap_or_default()),
        "logsBloom": header.logs_bloom, "extraData": header.extra_data,
        "sha3Uncles": header.ommers_hash, "stateRoot": header.state_root,
        "transactionsRoot": header.transactions_root, "receiptsRoot": header.receipts_root,
        "mixHash": header.mix_hash, "nonce": header.nonce, "difficulty": "0x0",
    })
}

/// A block, as `eth_getBlockBy…` answers it.
#[must_use]
pub fn block(block: &Block, is_full: bool) -> Value {
    let mut value = head(block);
    let transactions = block.mined.iter().enumerate().map(|(place, mined)| {
        if is_full { tx(&mined.tx, Some((block, place))) } else { json!(mined.tx.hash) }
    });
    value["transactions"] = transactions.collect();
    value["uncles"] = json!([]);
    value["size"] = json!("0x400");
    value
}

/// A log of a block.
#[must_use]
pub fn log(block: &Block, log: &Log, removed: bool) -> Value {
    json!({
        "address": log.event.address, "topics": log.event.topics, "data": log.event.data,
        "blockNumber": hex(block.header.number), "blockHash": block.hash,
        "blockTimestamp": hex(block.header.timestamp), "transactionHash": log.tx_hash,
        "transactionIndex": hex(log.tx_index), "logIndex": hex(log.index), "removed": removed,
    })
}

/// A transaction, pending or in its place in a block.
#[must_use]
pub fn tx(tx: &Tx, place: Option<(&Block, usize)>) -> Value {
    let body = &tx.body;
    let parity = hex(u8::from(tx.signature.v()));
    let price = place.map_or(body.max_fee_per_gas, |(block, _)| price(block, tx));
    json!({
        "type": "0x2", "hash": tx.hash, "from": tx.from, "to": tx.to(),
        "chainId": hex(body.chain_id), "nonce": hex(body.nonce), "gas": hex(body.gas_limit),
        "gasPrice": hex(price), "maxFeePerGas": hex(body.max_fee_per_gas),
        "maxPriorityFeePerGas": hex(body.max_priority_fee_per_gas),
        "value": body.value,
        "input": body.input, "accessList": [],
        "v": parity, "yParity": parity, "r": tx.signature.r(), "s": tx.signature.s(),
        "blockHash": place.map(|(block, _)| block.hash),
        "blockNumber": place.map(|(block, _)| hex(block.header.number)),
        "transactionIndex": place.map(|(_, place)| hex(place as u128)),
    })
}

/// What a unit of gas cost a transaction.
fn price(block: &Block, tx: &Tx) -> u128 {
    let base = u128::from(block.header.base_fee_per_gas.unwrap_or_default());
    base + tx.tip(base).unwrap_or_default()
}

/// The receipt of a block's transaction number `place`.
#[must_use]
pub fn receipt(block: &Block, place: usize) -> Value {
    let mined = &block.mined[place];
    let logs = block.logs.iter().filter(|log| log.tx_index == place as u64);
    json!({
        "status": hex(u8::from(mined.effect.is_success)), "type": "0x2",
        "transactionHash": mined.tx.hash, "transactionIndex": hex(place as u128),
        "blockHash": block.hash, "blockNumber": hex(block.header.number),
        "from": mined.tx.from, "to": mined.tx.to(), "contractAddress": null,
        "gasUsed": hex(mined.effect.gas_used), "cumulativeGasUsed": hex(mined.gas_so_far),
        "effectiveGasPrice": hex(price(block, &mined.tx)), "logsBloom": block.header.logs_bloom,
        "logs": logs.map(|entry| log(block, entry, false)).collect::<Vec<_>>(),
    })
}
