//! What the probe is asked, byte for byte as `abi/Probe.sol` has it.
//!
//! Temperature: cold.

use std::hash::{BuildHasher, RandomState};

use alloy_primitives::{Address, B256, keccak256};

use crate::bootstrap::lens::Question;
use crate::contracts;

/// What a pool's swaps and loans look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Shape {
    /// Uniswap V2's.
    Pair = 0,
    /// Uniswap V3's.
    Concentrated = 1,
    /// Solidly's.
    Solidly = 2,
}

/// A pool that lends a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lender {
    pub(super) pool: Address,
    pub(super) shape: Shape,
    /// Whether the token is its first.
    pub(super) is_first: bool,
}

/// One direction of one pool, to be tried at three sizes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trial {
    pub(super) pool: Address,
    pub(super) shape: Shape,
    /// Whether the token that goes in is the pool's first.
    pub(super) is_first: bool,
    /// What goes in, and what comes out.
    pub(super) tokens: [Address; 2],
    pub(super) lender: Lender,
    /// Must be able to receive what goes in.
    pub(super) receiver: Address,
    /// What goes in, and what is expected for it; the largest last.
    pub(super) sizes: [(u128, u128); 3],
}

/// A transfer as it was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Transfer {
    pub(super) is_made: bool,
    /// What the sender has less.
    pub(super) sent: u128,
    /// What the receiver has more.
    pub(super) arrived: u128,
    pub(super) gas: u32,
}

/// A swap as it was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Swap {
    pub(super) is_made: bool,
    /// One unit more could be had as well.
    pub(super) has_more: bool,
    /// The pool was credited with something else than was sent.
    pub(super) is_miscredited: bool,
    /// What the pool pays, by its own word.
    pub(super) paid: u128,
    /// What arrived of it.
    pub(super) arrived: u128,
    /// Its view `getAmountOut` answers what was expected.
    pub(super) is_said: bool,
}

/// What a trial has shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shown {
    /// Whether anything was lent; what follows but the code is nothing if not.
    pub(super) is_lent: bool,
    /// Words that the view of the pool's state answers.
    pub(super) words: u8,
    /// The hash of the pool's code.
    pub(super) code: B256,
    /// What arrived of the largest amount that goes in.
    pub(super) lent: u128,
    /// What the pool has of the token that goes in.
    pub(super) held: u128,
    /// A transfer to the pool, and to the other receiver.
    pub(super) transfers: [Transfer; 2],
    pub(super) swaps: [Swap; 3],
}

impl Question for Trial {
    /// Nothing else is asked of the probe, so it has no number.
    const KIND: u8 = 0;
    const ASKED_BYTES_MAX: usize = 40_000;
    const BYTES: usize = 200;
    const ANSWER_BYTES: usize = 240;
    type Answer = Shown;

    fn code() -> &'static [u8] {
        &contracts::Probe::BYTECODE
    }

    /// The secret that seals what passes through a lender.
    fn head(out: &mut Vec<u8>) {
        let chance = RandomState::new();
        let seeds = [0_u64, 1, 2, 3].map(|seed| chance.hash_one(seed).to_be_bytes());
        out.extend_from_slice(keccak256(seeds.concat()).as_slice());
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.pool.as_slice());
        out.extend_from_slice(&[self.shape as u8, self.is_first.into()]);
        self.tokens.iter().for_each(|token| out.extend_from_slice(token.as_slice()));
        out.extend_from_slice(self.lender.pool.as_slice());
        out.extend_from_slice(&[self.lender.shape as u8, self.lender.is_first.into()]);
        out.extend_from_slice(self.receiver.as_slice());
        self.sizes.iter().for_each(|(amount, _)| out.extend_from_slice(&amount.to_be_bytes()));
        self.sizes.iter().for_each(|(_, out_)| out.extend_from_slice(&out_.to_be_bytes()));
    }

    fn read(bytes: &mut &[u8]) -> Option<Self::Answer> {
        let [is_lent, words] = take(bytes)?;
        let code = B256::new(take(bytes)?);
        let (lent, held) = (number(bytes)?, number(bytes)?);
        let transfers = [transfer(bytes)?, transfer(bytes)?];
        let swaps = [swap(bytes)?, swap(bytes)?, swap(bytes)?];
        Some(Shown { is_lent: is_lent == 1, words, code, lent, held, transfers, swaps })
    }

    fn rest(&self, _: &Self::Answer) -> Option<Self> {
        None
    }

    fn contract(&self) -> Address {
        self.pool
    }
}

/// Takes the first `N` bytes off.
fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}

fn number(bytes: &mut &[u8]) -> Option<u128> {
    take(bytes).map(u128::from_be_bytes)
}

fn transfer(bytes: &mut &[u8]) -> Option<Transfer> {
    let [is_made] = take(bytes)?;
    let (sent, arrived) = (number(bytes)?, number(bytes)?);
    let [high, middle, low] = take(bytes)?;
    let gas = u32::from_be_bytes([0, high, middle, low]);
    Some(Transfer { is_made: is_made == 1, sent, arrived, gas })
}

fn swap(bytes: &mut &[u8]) -> Option<Swap> {
    let [state] = take(bytes)?;
    let (paid, arrived) = (number(bytes)?, number(bytes)?);
    let [is_said] = take(bytes)?;
    Some(Swap {
        is_made: state & 1 != 0,
        has_more: state & 2 != 0,
        is_miscredited: state & 4 != 0,
        paid,
        arrived,
        is_said: is_said == 1,
    })
}
