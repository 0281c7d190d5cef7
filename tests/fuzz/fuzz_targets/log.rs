//! Logs and receipts against serde's reading of the same JSON, and a log against the world.
//!
//! Temperature: cold.
#![no_main]

use alloy_primitives::{Address, B256, Bytes, U256};
use gannet_engine::decode::head::Head;
use gannet_engine::decode::log::Log;
use gannet_engine::decode::receipt::{Account, Receipt};
use gannet_engine::decode::topics::{SYNC, TRANSFER, WITHDRAWAL};
use gannet_engine::ids::{NodeId, PoolId};
use gannet_engine::limits::LOGS_PER_BLOCK_MAX;
use gannet_engine::query::Queries;
use gannet_engine::units::Nanos;
use gannet_engine::wire::json::Value;
use gannet_engine::world::follow::{LogFate, Word};
use gannet_fuzz::json;
use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use serde::Deserialize;

use crate::stage::{ANCHOR, EVEN, EXECUTOR, POOLS, WETH};

#[path = "../../../engine/tests/it/stage.rs"]
#[expect(dead_code, reason = "the stage of the engine's tests; this target needs its world only")]
mod stage;

const ACCOUNT: Account =
    Account { token: WETH, holder: EXECUTOR, owner: Some(Address::repeat_byte(0x0f)) };

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    json::mutate(data, size, max_size, seed)
});

fuzz_target!(|data: &[u8]| {
    if let (Ok(ours), Ok(theirs)) = (Log::parse(data), serde_json::from_slice::<TheirLog>(data)) {
        compare(&ours, &theirs);
        apply(&ours, &theirs);
    }
    let ours = Receipt::parse(Value::Object(data), &ACCOUNT);
    if let (Ok(ours), Ok(theirs)) = (ours, serde_json::from_slice::<TheirReceipt>(data)) {
        compare_receipt(&ours.expect("an object is no null"), &theirs);
    }
});

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TheirLog {
    address: Address,
    topics: Vec<B256>,
    data: Bytes,
    block_number: U256,
    block_hash: B256,
    transaction_hash: B256,
    transaction_index: U256,
    log_index: U256,
    #[serde(default)]
    removed: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TheirReceipt {
    status: U256,
    gas_used: U256,
    effective_gas_price: U256,
    block_hash: B256,
    block_number: U256,
    transaction_index: U256,
    logs: Vec<TheirLog>,
}

impl TheirLog {
    fn word(&self, index: usize) -> Option<U256> {
        self.data.get(32 * index..32 * index + 32).map(U256::from_be_slice)
    }
}

fn compare(ours: &Log<'_>, theirs: &TheirLog) {
    assert_eq!(ours.address, theirs.address);
    assert_eq!(ours.topics(), theirs.topics);
    assert_eq!(ours.data_bytes(), theirs.data.len());
    assert_eq!(U256::from(ours.block_number), theirs.block_number);
    assert_eq!((ours.block_hash, ours.tx_hash), (theirs.block_hash, theirs.transaction_hash));
    assert_eq!(U256::from(ours.tx_index), theirs.transaction_index);
    assert_eq!(U256::from(ours.log_index), theirs.log_index);
    assert_eq!(ours.removed, theirs.removed);
    for index in 0..6 {
        let word = theirs.word(index);
        assert_eq!(ours.word(index).ok(), word);
        let narrow = word.filter(|word| *word < U256::from(1_u128 << 112));
        assert_eq!(ours.word_u112(index).ok().map(U256::from), narrow);
    }
    assert!(ours.word(usize::MAX).is_err());
}

/// What a world makes of it whose open block is the log's.
fn apply(ours: &Log<'_>, theirs: &TheirLog) {
    let mut world = stage::world();
    let parent_hash = stage::hash(ANCHOR);
    let head = Head { number: ANCHOR + 1, hash: ours.block_hash, parent_hash, ..Head::default() };
    let head = Head { bloom: [0xff; 256].into(), ..head };
    if world.on_head(&head, Word::Announced(NodeId(0)), Nanos(1), &mut Queries::default()).is_err()
        || world.open_block().is_none()
    {
        return;
    }
    let pool = POOLS.iter().position(|pool| *pool == theirs.address);
    let is_sync = theirs.topics == [SYNC];
    let words = [theirs.word(0), theirs.word(1)];
    let expected = match (pool, words) {
        _ if theirs.removed => Some(LogFate::Removed),
        (Some(_), [Some(first), Some(second)]) if is_sync => {
            (first.max(second) < U256::from(1_u128 << 112)).then_some(LogFate::Applied)
        }
        (Some(_), _) if is_sync => None,
        _ => Some(LogFate::Foreign),
    };
    assert_eq!(world.on_log(ours).ok(), expected);
    for place in 0..POOLS.len() {
        let gannet_engine::amm::Pool::ConstantProduct(held) =
            *world.state(PoolId(u32::try_from(place).expect("few pools")))
        else {
            panic!("a pair")
        };
        let moved = expected == Some(LogFate::Applied) && pool == Some(place);
        let should =
            if moved { words.map(Option::unwrap_or_default) } else { EVEN.map(U256::from) };
        assert_eq!(held.reserves().map(U256::from), should);
    }
    // Past that many logs a block's are not told apart, and its list is applied whole.
    if expected == Some(LogFate::Applied) && (ours.log_index as usize) < LOGS_PER_BLOCK_MAX {
        assert_eq!(world.on_log(ours), Ok(LogFate::Duplicate));
    }
}

fn compare_receipt(ours: &Receipt, theirs: &TheirReceipt) {
    assert_eq!(ours.is_success, theirs.status == U256::ONE);
    assert_eq!(U256::from(ours.gas_used.0), theirs.gas_used);
    assert_eq!(U256::from(ours.gas_price.0), theirs.effective_gas_price);
    assert_eq!(ours.block_hash, theirs.block_hash);
    assert_eq!(U256::from(ours.block_number.0), theirs.block_number);
    assert_eq!(U256::from(ours.index), theirs.transaction_index);
    let (mut came, mut left) = (U256::ZERO, U256::ZERO);
    for log in theirs.logs.iter().filter(|log| log.address == ACCOUNT.token) {
        let amount = log.word(0).unwrap_or_default();
        let party = |place: usize| log.topics.get(place).copied().unwrap_or_default();
        let (ours, owner) = (EXECUTOR.into_word(), ACCOUNT.owner.unwrap_or_default().into_word());
        match (log.topics.first(), log.topics.len()) {
            (Some(&TRANSFER), 3) if party(1) == ours && party(2) == owner => {}
            (Some(&TRANSFER), 3) => {
                came += if party(2) == ours { amount } else { U256::ZERO };
                left += if party(1) == ours { amount } else { U256::ZERO };
            }
            (Some(&WITHDRAWAL), 2) if party(1) == ours => left += amount,
            _ => {}
        }
    }
    let gained = U256::from(ours.gained.max(0).unsigned_abs());
    let lost = U256::from(ours.gained.min(0).unsigned_abs());
    assert_eq!(came + lost, left + gained);
}
