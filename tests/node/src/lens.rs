//! What `abi/Lens.sol` answers, from a model: the node knows its calls by their creation code.
//!
//! The lens itself is held against the contracts' bytecode elsewhere; here it has the same limits
//! (the room of an answer, and gas about as much as the calls cost on the chain).
//!
//! Temperature: cold.

use std::sync::LazyLock;

use alloy::hex;
use alloy::sol_types::SolValue;
use alloy_primitives::{Address, Bytes, U256};
use serde_json::Value;

use crate::probe;

/// Its creation code.
static CODE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let artifact: Value =
        serde_json::from_str(include_str!("../../../abi/Lens.json")).unwrap_or_default();
    hex::decode(artifact["bytecode"].as_str().unwrap_or_default()).unwrap_or_default()
});

/// Room in an answer, in bytes.
const ROOM: usize = 24_400;
/// What a call costs before anything is read, and what each byte of the answer costs.
const GAS_CALL: u64 = 120_000;
const GAS_BYTE: u64 = 210;

/// A concentrated pool.
#[derive(Clone, Debug)]
pub struct Concentrated {
    /// Square root of its price, in units of 2^-96.
    pub sqrt_price: U256,
    /// The tick that the price is in.
    pub tick: i32,
    /// Liquidity in range.
    pub liquidity: u128,
    /// Fee in millionths.
    pub fee_pips: u32,
    /// Distance of its ticks.
    pub spacing: i32,
    /// What it has of its tokens.
    pub held: [u128; 2],
    /// Ticks that are set, in order: index, gross, net.
    pub ticks: Vec<(i32, u128, i128)>,
}

/// The contracts that can be read.
pub trait Contracts {
    /// A pair's reserves.
    fn reserves(&self, pool: &Address) -> Option<[u128; 2]>;
    /// A token's decimals.
    fn decimals(&self, token: &Address) -> Option<u8>;
    /// A factory's pair by its place, with its tokens.
    fn listed(&self, factory: &Address, place: u32) -> Option<[Address; 3]>;
    /// A concentrated pool.
    fn concentrated(&self, pool: &Address) -> Option<&Concentrated>;
    /// A Solidly pool's fee in 1/10,000.
    fn solidly_fee(&self, pool: &Address) -> Option<u16>;
    /// Whether tokens keep a hundredth of every transfer.
    fn keep_fee(&self) -> bool {
        false
    }
}

/// What one call has left to give.
struct Answer {
    bytes: Vec<u8>,
    gas: u64,
}

impl Answer {
    /// Takes the gas of something that will add so many bytes; false if there is not enough.
    const fn affords(&mut self, gas: u64, bytes: usize) -> bool {
        let length = self.bytes.len() + bytes;
        let kept = GAS_BYTE * length as u64;
        if length > ROOM || self.gas < gas + kept {
            return false;
        }
        self.gas -= gas;
        true
    }

    fn number(&mut self, value: u128) {
        self.bytes.extend(value.to_be_bytes());
    }

    fn numbers(&mut self, values: [u128; 2]) {
        values.iter().for_each(|value| self.number(*value));
    }

    fn small(&mut self, value: i32) {
        self.bytes.extend(&value.to_be_bytes()[1..]);
    }
}

/// The answer to a call with this data; `None` if it is none of the lens or the probe.
pub fn answer(data: &[u8], contracts: &impl Contracts, gas: u64) -> Option<Bytes> {
    if let Some(answer) = probe::answer(data, contracts, gas) {
        return Some(answer);
    }
    let arguments = data.strip_prefix(CODE.as_slice()).filter(|_| !CODE.is_empty())?;
    let (asked,) = <(Bytes,)>::abi_decode_params(arguments).ok()?;
    let (kind, items) = asked.split_first()?;
    let mut answer = Answer { bytes: vec![0], gas: gas.checked_sub(GAS_CALL)? };
    let size = *[20, 20, 24, 60, 27, 41].get(usize::from(*kind))?;
    for item in items.chunks_exact(size) {
        if !one(*kind, item, contracts, &mut answer) {
            break;
        }
    }
    Some(answer.bytes.into())
}

/// Answers one item; false if there is no room or gas for it.
fn one(kind: u8, item: &[u8], contracts: &impl Contracts, answer: &mut Answer) -> bool {
    let address = |place: usize| Address::from_slice(&item[place..place + 20]);
    match kind {
        0 | 5 => {
            let is_solidly = kind == 5;
            let found = contracts.reserves(&address(0));
            let fee = is_solidly.then(|| contracts.solidly_fee(&address(0)));
            let is_ok = found.is_some() && fee.is_none_or(|fee| fee.is_some());
            if !answer.affords(if is_solidly { 16_000 } else { 8_000 }, 35) {
                return false;
            }
            answer.bytes.push(u8::from(is_ok));
            answer.numbers(found.unwrap_or_default());
            if let Some(fee) = fee {
                answer.bytes.extend(fee.unwrap_or_default().to_be_bytes());
            }
        }
        1 => {
            if !answer.affords(6_000, 1) {
                return false;
            }
            answer.bytes.push(contracts.decimals(&address(0)).unwrap_or(u8::MAX));
        }
        2 => {
            if !answer.affords(15_000, 61) {
                return false;
            }
            let place = u32::from_be_bytes([item[20], item[21], item[22], item[23]]);
            let found = contracts.listed(&address(0), place);
            answer.bytes.push(u8::from(found.is_some()));
            let listed = found.unwrap_or_default();
            listed.iter().for_each(|address| answer.bytes.extend(address.as_slice()));
        }
        3 => {
            if !answer.affords(40_000, 78) {
                return false;
            }
            concentrated(contracts.concentrated(&address(0)), answer);
        }
        _ => return slice(contracts.concentrated(&address(0)), item, answer),
    }
    true
}

fn concentrated(pool: Option<&Concentrated>, answer: &mut Answer) {
    let Some(pool) = pool else { return answer.bytes.extend([0; 78]) };
    answer.bytes.push(1);
    answer.bytes.extend(&pool.sqrt_price.to_be_bytes::<32>()[12..]);
    answer.small(pool.tick);
    answer.number(pool.liquidity);
    answer.small(pool.fee_pips.cast_signed());
    answer.small(pool.spacing);
    answer.numbers(pool.held);
}

/// Bitmap words and their ticks, as far as gas and room go; true if to their end.
fn slice(pool: Option<&Concentrated>, item: &[u8], answer: &mut Answer) -> bool {
    let word_at = |place: usize| i16::from_be_bytes([item[place], item[place + 1]]);
    let (first, last) = (word_at(23), word_at(25));
    if !answer.affords(5_000, 5) {
        return false;
    }
    let head = answer.bytes.len();
    answer.bytes.extend([0; 5]);
    let Some(pool) = pool else { return true };
    let mut state = 1;
    let mut word = first;
    let mut count = 0_u16;
    while word <= last {
        let is_here =
            |tick: &&(i32, u128, i128)| (tick.0.div_euclid(pool.spacing) >> 8) == i32::from(word);
        // Bitmap words without a tick are most of them.
        let here: Vec<_> = pool.ticks.iter().filter(is_here).collect();
        if !answer.affords(2_900 + 11_000 * here.len() as u64, 35 * here.len()) {
            state = 2;
            break;
        }
        for (index, gross, net) in here {
            answer.small(*index);
            answer.number(*gross);
            answer.bytes.extend(net.to_be_bytes());
            count += 1;
        }
        word += 1;
    }
    if state == 2 && word == first {
        answer.bytes.truncate(head);
        return false;
    }
    answer.bytes[head] = state;
    answer.bytes[head + 1..head + 3].copy_from_slice(&word.to_be_bytes());
    answer.bytes[head + 3..head + 5].copy_from_slice(&count.to_be_bytes());
    state == 1
}
