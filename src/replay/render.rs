//! Blocks, transactions, receipts and logs as nodes write them.
//!
//! Temperature: cold.

use alloy::consensus::transaction::{Recovered, SignerRecoverable as _};
use alloy::consensus::{
    Block, BlockBody, EMPTY_OMMER_ROOT_HASH, Eip658Value, Receipt, ReceiptEnvelope,
    ReceiptWithBloom, Transaction as _, TxEnvelope, TxType,
};
use alloy::eips::eip2718::Decodable2718 as _;
use alloy::eips::eip4895::Withdrawals;
use alloy::rlp::{Decodable as _, Encodable as _};
use alloy::rpc::types::{Header, Log, Transaction, TransactionReceipt};
use alloy_primitives::{Address, Bloom, LogData, U256};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::ledger::{Held, Missing};
use crate::recording::rows::LogRow;

/// As JSON; these types cannot fail to be.
fn value(of: &impl Serialize) -> Value {
    serde_json::to_value(of).unwrap_or_default()
}

/// A block's header: whole if it was recorded or heard as a whole, else what is known of it.
pub(super) fn header(held: &Held) -> Value {
    match (&held.header, &held.written) {
        (Some(header), _) => {
            let row = &held.block.header;
            let hash = row.block_hash.unwrap_or_default();
            let size = row.size.or_else(|| size(held)).map(U256::from);
            value(&Header {
                hash,
                inner: header.clone(),
                total_difficulty: row.total_difficulty,
                size,
            })
        }
        (None, Some(written)) => written.clone(),
        (None, None) => Value::Object(known(held)),
    }
}

/// The columns of a header as nodes name them; what is not known is left out.
fn known(held: &Held) -> Map<String, Value> {
    let row = &held.block.header;
    let quantity = |number: Option<u64>| number.map(|number| value(&U256::from(number)));
    let fields = [
        ("number", quantity(Some(held.number()))),
        ("hash", row.block_hash.as_ref().map(value)),
        ("parentHash", row.parent_hash.as_ref().map(value)),
        ("miner", row.author.as_ref().map(value)),
        ("gasUsed", quantity(row.gas_used)),
        ("gasLimit", quantity(row.gas_limit)),
        ("timestamp", quantity(row.timestamp.map(|time| time.0))),
        ("baseFeePerGas", quantity(row.base_fee_per_gas)),
        ("extraData", row.extra_data.as_ref().map(value)),
        ("logsBloom", row.logs_bloom.as_ref().map(value)),
        ("receiptsRoot", row.receipts_root.as_ref().map(value)),
        ("difficulty", row.difficulty.as_ref().map(value)),
        ("size", quantity(row.size)),
        ("totalDifficulty", row.total_difficulty.as_ref().map(value)),
        ("mixHash", row.mix_hash.as_ref().map(value)),
        ("excessBlobGas", quantity(row.excess_blob_gas)),
        ("parentBeaconBlockRoot", row.parent_beacon_block_root.as_ref().map(value)),
    ];
    fields.into_iter().filter_map(|(key, field)| Some((key.to_owned(), field?))).collect()
}

fn withdrawals(held: &Held) -> Option<Withdrawals> {
    let bytes = held.block.header.withdrawals.as_ref()?;
    Vec::decode(&mut &bytes[..]).ok().map(Withdrawals::new)
}

/// The bytes of a whole block; none if a part of it is not known.
fn size(held: &Held) -> Option<u64> {
    let header = held.header.clone()?;
    let withdrawals = withdrawals(held);
    let is_whole = header.ommers_hash == EMPTY_OMMER_ROOT_HASH
        && withdrawals.is_some() == header.withdrawals_root.is_some();
    let count = held.transactions().ok().filter(|_| is_whole)?.len();
    let transactions = (0..count).map(|place| held.envelope(place).ok());
    let transactions = transactions.collect::<Option<Vec<_>>>()?;
    let body = BlockBody { transactions, ommers: Vec::new(), withdrawals };
    u64::try_from(Block { header, body }.length()).ok()
}

/// A block; its transactions are left out where they are not known, unless they are wanted whole.
///
/// # Errors
/// When transactions are wanted whole and are not known.
pub(super) fn block(held: &Held, is_full: bool) -> Result<Value, Missing> {
    let mut block = header(held);
    let Value::Object(fields) = &mut block else { return Ok(block) };
    let transactions = match held.transactions() {
        Ok(rows) if is_full => {
            let all = (0..rows.len()).map(|place| transaction(held, place));
            Some(all.collect::<Result<Value, _>>()?)
        }
        Ok(rows) => Some(rows.iter().map(|row| value(&row.transaction_hash)).collect()),
        Err(missing) if is_full => return Err(missing),
        Err(_) => None,
    };
    fields.remove("transactions");
    if let Some(transactions) = transactions {
        fields.insert("transactions".to_owned(), transactions);
    }
    let ommers = held.header.as_ref().map(|header| header.ommers_hash);
    if ommers == Some(EMPTY_OMMER_ROOT_HASH) {
        fields.insert("uncles".to_owned(), json!([]));
    }
    if let Some(withdrawals) = withdrawals(held) {
        fields.insert("withdrawals".to_owned(), value(&withdrawals));
    }
    Ok(block)
}

/// A transaction of a block.
///
/// # Errors
/// When it or its sender is not known.
pub(super) fn transaction(held: &Held, place: usize) -> Result<Value, Missing> {
    let envelope = held.envelope(place)?;
    let row = &held.block.header;
    let from = sender(held, place)?;
    let price = envelope.effective_gas_price(row.base_fee_per_gas);
    Ok(value(&Transaction {
        inner: Recovered::new_unchecked(envelope, from),
        block_hash: row.block_hash,
        block_number: Some(held.number()),
        transaction_index: Some(place as u64),
        effective_gas_price: Some(price),
        block_timestamp: row.timestamp.map(|time| time.0),
    }))
}

fn sender(held: &Held, place: usize) -> Result<Address, Missing> {
    let row = held.transactions()?.get(place);
    row.and_then(|row| row.from_address).ok_or_else(|| {
        let number = held.number();
        Missing(format!("the sender of transaction {place} of block {number} is"))
    })
}

/// A pending transaction by its signed bytes; none if they are no transaction.
pub(super) fn pending(raw: &[u8]) -> Option<Value> {
    let envelope = TxEnvelope::decode_2718(&mut &raw[..]).ok()?;
    let from = envelope.recover_signer().ok()?;
    Some(value(&Transaction {
        inner: Recovered::new_unchecked(envelope, from),
        block_hash: None,
        block_number: None,
        transaction_index: None,
        effective_gas_price: None,
        block_timestamp: None,
    }))
}

/// A log of a block.
pub(super) fn log(held: &Held, row: &LogRow) -> Log {
    Log {
        inner: alloy_primitives::Log {
            address: row.address,
            data: LogData::new_unchecked(row.topics.clone(), row.data.clone()),
        },
        block_hash: held.hash(),
        block_number: Some(held.number()),
        block_timestamp: held.block.header.timestamp.map(|time| time.0),
        transaction_hash: Some(row.transaction_hash),
        transaction_index: Some(row.transaction_index.into()),
        log_index: Some(row.log_index.into()),
        removed: false,
    }
}

/// The receipts of a block, in order.
///
/// # Errors
/// When something of them is not known.
pub(super) fn receipts(held: &Held) -> Result<Vec<Value>, Missing> {
    let missing = || Missing(format!("the receipts of block {} are", held.number()));
    let rows = held.transactions()?;
    if !rows.is_empty() && !held.block.has_all_logs() {
        return Err(missing());
    }
    let mut cumulative_gas_used: u64 = 0;
    let mut receipts = Vec::with_capacity(rows.len());
    for (place, row) in rows.iter().enumerate() {
        let envelope = held.envelope(place)?;
        let (gas_used, success) = row.gas_used.zip(row.success).ok_or_else(missing)?;
        cumulative_gas_used = cumulative_gas_used.saturating_add(gas_used);
        let of = |log: &&LogRow| log.transaction_index as usize == place;
        let logs: Vec<Log> = held.block.logs.iter().filter(of).map(|row| log(held, row)).collect();
        let logs_bloom: Bloom = logs.iter().map(|log| &log.inner).collect();
        let status = Eip658Value::Eip658(success);
        let receipt = Receipt { status, cumulative_gas_used, logs };
        let inner = ReceiptWithBloom { receipt, logs_bloom };
        let from = sender(held, place)?;
        receipts.push(value(&TransactionReceipt {
            inner: typed(envelope.tx_type(), inner),
            transaction_hash: row.transaction_hash,
            transaction_index: Some(place as u64),
            block_hash: held.hash(),
            block_number: Some(held.number()),
            gas_used,
            effective_gas_price: envelope.effective_gas_price(held.block.header.base_fee_per_gas),
            blob_gas_used: row.blob_gas_used,
            blob_gas_price: row.blob_gas_price.map(u128::from),
            from,
            to: envelope.to(),
            contract_address: envelope.is_create().then(|| from.create(envelope.nonce())),
        }));
    }
    Ok(receipts)
}

const fn typed(kind: TxType, receipt: ReceiptWithBloom<Receipt<Log>>) -> ReceiptEnvelope<Log> {
    match kind {
        TxType::Legacy => ReceiptEnvelope::Legacy(receipt),
        TxType::Eip2930 => ReceiptEnvelope::Eip2930(receipt),
        TxType::Eip1559 => ReceiptEnvelope::Eip1559(receipt),
        TxType::Eip4844 => ReceiptEnvelope::Eip4844(receipt),
        TxType::Eip7702 => ReceiptEnvelope::Eip7702(receipt),
    }
}
