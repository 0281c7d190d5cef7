//! Pending transactions against alloy: the JSON re-encoded, the raw bytes decoded, a field forged.
//!
//! The first byte says which field is forged, the rest is the transaction's JSON.
//!
//! Temperature: cold.
#![no_main]

use alloy::consensus::{Transaction, TxEnvelope, Typed2718};
use alloy::eips::eip2718::{Decodable2718, Encodable2718};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use gannet_engine::decode::pending::{PendingTx, SLACK_BYTES, TxType};
use gannet_fuzz::json;
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    if seed % 16 == 0 || size < 2 {
        return libfuzzer_sys::fuzzer_mutate(data, size, max_size);
    }
    1 + json::mutate(&mut data[1..], size - 1, max_size - 1, seed)
});

fuzz_target!(|data: &[u8]| {
    let Some((forged, text)) = data.split_first() else { return };
    let Ok(mut tx) = PendingTx::parse(text) else { return };
    let mut out = [0; 1 << 14];
    let Ok(length) = tx.encode_raw(&mut out) else { return };
    let raw = out[..length].to_vec();
    let hash = keccak256(&raw);
    let is_announced = tx.verify(&mut out).is_ok();
    assert_eq!(is_announced, hash == tx.hash, "only what hashes to its name is believed");

    // Into a buffer of any length: whole or refused, and never past the room that is asked for.
    let mut short = vec![0; usize::from(*forged) * length.div_ceil(128)];
    match tx.encode_raw(&mut short) {
        Ok(again) => assert_eq!(short[..again], raw[..]),
        Err(_) => assert!(short.len() < length + SLACK_BYTES, "there was room"),
    }

    decode(&tx, &raw);
    if let Ok(theirs) = serde_json::from_slice::<TxEnvelope>(text) {
        compare(&tx, &theirs, &raw);
    }
    tx.hash = hash;
    assert_eq!(tx.verify(&mut out), Ok(&raw[..]));
    if forge(&mut tx, *forged) {
        assert!(tx.verify(&mut out).is_err(), "forged: {tx:?}");
    }
});

/// alloy's JSON reader and encoder.
fn compare(tx: &PendingTx<'_>, theirs: &TxEnvelope, raw: &[u8]) {
    // Where the two names of a signature's parity contradict each other, either may be believed.
    let parity = u128::from(theirs.signature().v());
    let is_same_parity = match tx.tx_type {
        TxType::Legacy => tx.v % 2 != parity,
        TxType::AccessList | TxType::DynamicFee | TxType::Blob | TxType::SetCode => tx.v == parity,
    };
    let is_same = is_same_parity
        && theirs.ty() == tx.tx_type as u8
        && theirs.chain_id() == tx.chain_id
        // Some nodes call the calldata `data`; where both are there, either may be believed.
        && theirs.input().len() == tx.input_bytes();
    if is_same {
        assert_eq!(Bytes::from(theirs.encoded_2718()), Bytes::copy_from_slice(raw), "{tx:?}");
    }
}

/// alloy's decoder of raw transactions.
fn decode(tx: &PendingTx<'_>, raw: &[u8]) {
    let theirs = match TxEnvelope::decode_2718_exact(raw) {
        Ok(theirs) => theirs,
        // An authorisation's parity that no byte holds: we encode it, and nobody has signed it.
        Err(_) if tx.tx_type == TxType::SetCode => return,
        Err(error) => panic!("{error}: {tx:?}"),
    };
    assert_eq!(theirs.ty(), tx.tx_type as u8);
    assert_eq!(theirs.nonce(), tx.nonce);
    assert_eq!(theirs.gas_limit(), tx.gas);
    assert_eq!(theirs.max_fee_per_gas(), tx.max_fee);
    assert_eq!(theirs.priority_fee_or_price(), tx.priority_fee);
    assert_eq!(theirs.to(), tx.to);
    assert_eq!(theirs.value(), tx.value);
    assert_eq!(theirs.chain_id(), tx.chain_id);
    assert_eq!((theirs.signature().r(), theirs.signature().s()), (tx.r, tx.s));
    let mut input = vec![0; tx.input_bytes()];
    assert_eq!(tx.decode_input(&mut input), Ok(&theirs.input()[..]));
}

/// Changes one signed field; whether it did.
fn forge(tx: &mut PendingTx<'_>, which: u8) -> bool {
    let mask = which / 16 + 1;
    match which % 12 {
        0 => tx.nonce ^= u64::from(mask),
        1 => tx.gas ^= u64::from(mask),
        2 => tx.max_fee ^= u128::from(mask),
        3 => tx.value ^= U256::from(mask),
        4 => tx.r ^= U256::from(mask),
        5 => tx.s ^= U256::from(mask),
        6 => tx.v ^= u128::from(mask),
        7 => tx.to = Some(tx.to.map_or(Address::ZERO, |to| Address::repeat_byte(to[0] ^ mask))),
        8 => tx.hash ^= B256::repeat_byte(mask),
        9 => tx.input = if tx.input_bytes() == 1 { b"0x" } else { b"0x5a" },
        10 if tx.tx_type as u8 >= TxType::DynamicFee as u8 => tx.priority_fee ^= u128::from(mask),
        11 if tx.tx_type != TxType::Legacy => {
            tx.chain_id = tx.chain_id.map(|id| id ^ u64::from(mask));
        }
        _ => return false,
    }
    true
}
