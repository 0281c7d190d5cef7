//! Whatever a node may send: nothing panics, and what verifies hashes to what was announced.
//!
//! Temperature: cold.
#![no_main]

use alloy_primitives::{B256, U256, keccak256};
use gannet_engine::decode::calldata::{self, Call, RouterFunction};
use gannet_engine::decode::list::{self, List};
use gannet_engine::decode::log::Log;
use gannet_engine::decode::message::{self, Item, Message};
use gannet_engine::decode::pending::PendingTx;
use gannet_engine::wire::json::{self, Value};
use gannet_fuzz::json::mutate;
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate(data, size, max_size, seed)
});

fuzz_target!(|data: &[u8]| {
    match message::parse(data) {
        Ok(Message::Batch(batch)) => batch.flatten().for_each(|message| look_at(&message)),
        Ok(message) => look_at(&message),
        Err(_) => {}
    }
    // The same bytes as calldata, behind every selector that is known.
    for function in RouterFunction::ALL {
        let input = [&function.selector()[..], data].concat();
        look_at_call(&input, U256::MAX);
    }
    look_at_call(&[&calldata::PAIR_SWAP[..], data].concat(), U256::ZERO);
});

fn look_at(message: &Message<'_>) {
    match message {
        Message::Notification { item: Item::PendingTx(tx), .. } => look_at_transaction(tx),
        Message::Notification { item: Item::Log(log), .. } => look_at_log(log),
        Message::Notification { item: Item::Head(head), .. } => {
            let _ = head.may_contain_topic(&B256::ZERO);
        }
        Message::Notification { item: Item::Receipts(receipts), .. } => {
            let _block = list::block_of(receipts);
            let _all = List::Receipts(receipts).each(|log| {
                look_at_log(log);
                Ok(())
            });
        }
        Message::Notification { item: Item::Unknown(value), .. }
        | Message::Reply { result: value, .. } => look_at_value(value),
        Message::Notification { item: Item::PendingHash(_), .. }
        | Message::ReplyError { .. }
        | Message::Batch(_) => {}
    }
}

fn look_at_transaction(tx: &PendingTx<'_>) {
    let mut scratch = [0; 1 << 14];
    if let Ok(raw) = tx.verify(&mut scratch) {
        assert_eq!(keccak256(raw), tx.hash);
    }
    if let Ok(input) = tx.decode_input(&mut scratch) {
        assert_eq!(input.len(), tx.input_bytes());
        assert_eq!(tx.selector().is_some(), input.len() >= 4);
        look_at_call(input, tx.value);
    }
}

fn look_at_call(input: &[u8], value: U256) {
    if let Ok(Call::Router(swap)) = calldata::parse(input, value) {
        assert_eq!(swap.path.iter().count(), swap.path.len());
        assert!(swap.path.get(0).is_some() && swap.path.get(swap.path.len()).is_none());
    }
}

fn look_at_log(log: &Log<'_>) {
    for index in 0..4 {
        let is_there = log.data_bytes() >= 32 * (index + 1);
        assert!(is_there || log.word(index).is_err());
        let _ = log.word_u112(index);
    }
}

fn look_at_value(value: &Value<'_>) {
    if let Value::Array(span) = value
        && let Ok(items) = json::items(span)
    {
        items.flatten().filter_map(|item| Log::parse(item).ok()).for_each(|log| look_at_log(&log));
    }
    if let Value::Object(span) = value
        && let Ok(tx) = PendingTx::parse(span)
    {
        look_at_transaction(&tx);
    }
}
