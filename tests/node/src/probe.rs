//! What `abi/Probe.sol` answers, from a model: tokens move as they should unless they keep a fee,
//! and a pair pays what its
//! reserves and its fee give. The other kinds pay what is expected of them, for the model does not
//! quote them.
//!
//! Temperature: cold.

use std::sync::LazyLock;

use alloy::hex;
use alloy::sol_types::SolValue;
use alloy_primitives::{Address, Bytes, U256};
use serde_json::Value;

use crate::lens::Contracts;
use crate::model::market::FEE_PIPS;

/// Its creation code.
static CODE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let artifact: Value =
        serde_json::from_str(include_str!("../../../abi/Probe.json")).unwrap_or_default();
    hex::decode(artifact["bytecode"].as_str().unwrap_or_default()).unwrap_or_default()
});

const SECRET_BYTES: usize = 32;
const ITEM_BYTES: usize = 200;
/// About what making the probe and one trial use on the chain.
const GAS_CALL: u64 = 1_500_000;
const GAS_ITEM: u64 = 800_000;
/// A plain token's transfer.
const GAS_TRANSFER: u32 = 6_400;

/// The answer to a call with this data; `None` if it is none of the probe.
pub(crate) fn answer(data: &[u8], contracts: &impl Contracts, gas: u64) -> Option<Bytes> {
    let arguments = data.strip_prefix(CODE.as_slice()).filter(|_| !CODE.is_empty())?;
    let (asked,) = <(Bytes,)>::abi_decode_params(arguments).ok()?;
    let mut gas = gas.checked_sub(GAS_CALL)?;
    let mut answer = vec![0];
    for item in asked.get(SECRET_BYTES..)?.chunks_exact(ITEM_BYTES) {
        let Some(left) = gas.checked_sub(GAS_ITEM) else { break };
        gas = left;
        one(item, contracts, &mut answer);
    }
    Some(answer.into())
}

fn one(item: &[u8], contracts: &impl Contracts, answer: &mut Vec<u8>) {
    let address = |place: usize| Address::from_slice(&item[place..place + 20]);
    let amount = |place: usize| {
        item[place..place + 16].iter().fold(0, |sum, byte| (sum << 8) | u128::from(*byte))
    };
    let (pool, most) = (address(0), amount(136));
    let held = held(contracts, &pool, item[21]);
    let lent = held.and_then(|_| self::held(contracts, &address(62), item[83]));
    let lent = lent.is_some_and(|held| held > most);
    let words = match (held, item[20]) {
        (None, _) => u8::MAX,
        (Some(_), 1) => 7,
        (Some(_), _) => 3,
    };
    answer.extend([u8::from(lent), words]);
    answer.extend([0x11; 32]);
    if !lent {
        return answer.extend([0; 206]);
    }
    let arrives = |amount: u128| if contracts.keep_fee() { amount - amount / 100 } else { amount };
    answer.extend(arrives(most).to_be_bytes());
    answer.extend(held.unwrap_or_default().to_be_bytes());
    for _ in 0..2 {
        answer.push(1);
        answer.extend(most.to_be_bytes());
        answer.extend(arrives(most).to_be_bytes());
        answer.extend(&GAS_TRANSFER.to_be_bytes()[1..]);
    }
    for size in 0..3 {
        let (paid_in, wanted) = (amount(104 + 16 * size), amount(152 + 16 * size));
        let reserves = contracts.reserves(&pool).filter(|_| item[20] == 0);
        let most = reserves.map_or(wanted, |reserves| pays(reserves, item[21], paid_in));
        let state = u8::from(wanted <= most) | (u8::from(wanted < most) << 1);
        answer.push(state);
        answer.extend(wanted.to_be_bytes());
        answer.extend(arrives(wanted).to_be_bytes());
        answer.push(1);
    }
}

/// What a pool has of its first or its second token.
fn held(contracts: &impl Contracts, pool: &Address, is_first: u8) -> Option<u128> {
    let concentrated = contracts.concentrated(pool).map(|pool| pool.held);
    let held = concentrated.or_else(|| contracts.reserves(pool))?;
    Some(if is_first == 0 { held[1] } else { held[0] })
}

fn pays(reserves: [u128; 2], is_first: u8, amount: u128) -> u128 {
    let [from, to] = if is_first == 0 { [reserves[1], reserves[0]] } else { reserves };
    let net = U256::from(amount) * U256::from(1_000_000 - FEE_PIPS);
    let out = net * U256::from(to) / (U256::from(from) * U256::from(1_000_000) + net);
    out.saturating_to()
}
