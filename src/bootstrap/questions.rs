//! What the lens is asked, byte for byte as `abi/Lens.sol` has it.
//!
//! Temperature: cold.

use alloy_primitives::{Address, U256, aliases::I24};

use super::lens::Question;
use super::pool::Reading;
use gannet_engine::amm::Tick;

/// Takes the first `N` bytes off.
fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}

fn number(bytes: &mut &[u8]) -> Option<u128> {
    take(bytes).map(u128::from_be_bytes)
}

fn two_numbers(bytes: &mut &[u8]) -> Option<[u128; 2]> {
    Some([number(bytes)?, number(bytes)?])
}

fn address(bytes: &mut &[u8]) -> Option<Address> {
    take(bytes).map(Address::new)
}

fn is_ok(bytes: &mut &[u8]) -> Option<bool> {
    take(bytes).map(|[ok]| ok == 1)
}

/// A signed number of three bytes.
fn small(bytes: &mut &[u8]) -> Option<i32> {
    let [high, middle, low] = take(bytes)?;
    Some(i32::from_be_bytes([high, middle, low, 0]) >> 8)
}

/// A number of three bytes.
fn unsigned(bytes: &mut &[u8]) -> Option<u32> {
    let [high, middle, low] = take(bytes)?;
    Some(u32::from_be_bytes([0, high, middle, low]))
}

/// A pair's reserves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair(pub(super) Address);

impl Question for Pair {
    const KIND: u8 = 0;
    const BYTES: usize = 20;
    const ANSWER_BYTES: usize = 33;
    type Answer = Option<(Reading, [u128; 2])>;

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.as_slice());
    }

    fn read(bytes: &mut &[u8]) -> Option<Self::Answer> {
        let is_ok = is_ok(bytes)?;
        let reserves = two_numbers(bytes)?;
        Some(is_ok.then_some((Reading::Pair { reserves }, reserves)))
    }

    fn rest(&self, _: &Self::Answer) -> Option<Self> {
        None
    }

    fn contract(&self) -> Address {
        self.0
    }
}

/// A token's decimals.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decimals(pub(super) Address);

impl Question for Decimals {
    const KIND: u8 = 1;
    const BYTES: usize = 20;
    const ANSWER_BYTES: usize = 1;
    type Answer = Option<u8>;

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.as_slice());
    }

    fn read(bytes: &mut &[u8]) -> Option<Self::Answer> {
        let [decimals] = take(bytes)?;
        Some((decimals != u8::MAX).then_some(decimals))
    }

    fn rest(&self, _: &Self::Answer) -> Option<Self> {
        None
    }

    fn contract(&self) -> Address {
        self.0
    }
}

/// A pair by its place in its factory's list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listed {
    pub(super) factory: Address,
    pub(super) place: u32,
}

impl Question for Listed {
    const KIND: u8 = 2;
    const BYTES: usize = 24;
    const ANSWER_BYTES: usize = 61;
    /// The pair and its tokens.
    type Answer = Option<(Address, [Address; 2])>;

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.factory.as_slice());
        out.extend_from_slice(&self.place.to_be_bytes());
    }

    fn read(bytes: &mut &[u8]) -> Option<Self::Answer> {
        let is_ok = is_ok(bytes)?;
        let listed = (address(bytes)?, [address(bytes)?, address(bytes)?]);
        Some(is_ok.then_some(listed))
    }

    fn rest(&self, _: &Self::Answer) -> Option<Self> {
        None
    }

    fn contract(&self) -> Address {
        self.factory
    }
}

/// A concentrated pool's price and liquidity, and what it holds of its tokens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Concentrated {
    pub(super) pool: Address,
    pub(super) tokens: [Address; 2],
}

impl Question for Concentrated {
    const KIND: u8 = 3;
    const BYTES: usize = 60;
    const ANSWER_BYTES: usize = 78;
    type Answer = Option<(Reading, [u128; 2])>;

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.pool.as_slice());
        self.tokens.iter().for_each(|token| out.extend_from_slice(token.as_slice()));
    }

    fn read(bytes: &mut &[u8]) -> Option<Self::Answer> {
        let is_ok = is_ok(bytes)?;
        let price: [u8; 20] = take(bytes)?;
        let reading = Reading::Concentrated {
            sqrt_price: U256::from_be_slice(&price),
            tick: small(bytes)?,
            liquidity: number(bytes)?,
            fee_pips: unsigned(bytes)?,
            tick_spacing: small(bytes)?,
        };
        let held = two_numbers(bytes)?;
        Some(is_ok.then_some((reading, held)))
    }

    fn rest(&self, _: &Self::Answer) -> Option<Self> {
        None
    }

    fn contract(&self) -> Address {
        self.pool
    }
}

/// A slice of a concentrated pool's bitmap, with the ticks that are set in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct TickSlice {
    pub(super) pool: Address,
    pub(super) tick_spacing: i32,
    /// Bitmap words, both ends included.
    pub(super) words: [i16; 2],
}

impl TickSlice {
    /// The whole bitmap; `None` if there is no such spacing.
    pub(super) fn whole(pool: Address, tick_spacing: i32) -> Option<Self> {
        /// Of the least and the largest price.
        const TICK_MAX: i32 = 887_272;
        if !(1..=16_384).contains(&tick_spacing) {
            return None;
        }
        let word = |tick: i32| i16::try_from(tick.div_euclid(tick_spacing) >> 8).ok();
        // The least tick that can be set is a multiple of the spacing within the range.
        let words = [word(-(TICK_MAX / tick_spacing * tick_spacing))?, word(TICK_MAX)?];
        Some(Self { pool, tick_spacing, words })
    }
}

/// Ticks of a slice, as far as one call came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TickAnswer {
    /// There is no bitmap.
    Nothing,
    /// These; words from `next` on are left, if any.
    Ticks { ticks: Vec<Tick>, next: Option<i16> },
}

impl Question for TickSlice {
    const KIND: u8 = 4;
    const BYTES: usize = 27;
    const ANSWER_BYTES: usize = 5;
    type Answer = TickAnswer;

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.pool.as_slice());
        // Its sign and the lowest 23 bits: a spacing has no more.
        let spacing = I24::unchecked_from(self.tick_spacing);
        out.extend_from_slice(&spacing.to_be_bytes::<3>());
        self.words.iter().for_each(|word| out.extend_from_slice(&word.to_be_bytes()));
    }

    fn read(bytes: &mut &[u8]) -> Option<Self::Answer> {
        let [state] = take(bytes)?;
        let next = i16::from_be_bytes(take(bytes)?);
        let count = u16::from_be_bytes(take(bytes)?);
        let mut ticks = Vec::with_capacity(usize::from(count));
        for _ in 0..count {
            let index = small(bytes)?;
            let gross = number(bytes)?;
            let net = i128::from_be_bytes(take(bytes)?);
            ticks.push(Tick { index, net, gross });
        }
        Some(match state {
            0 => TickAnswer::Nothing,
            1 => TickAnswer::Ticks { ticks, next: None },
            _ => TickAnswer::Ticks { ticks, next: Some(next) },
        })
    }

    fn rest(&self, answer: &Self::Answer) -> Option<Self> {
        match answer {
            // Always further on: an answer that is not the lens's could go round for ever.
            TickAnswer::Ticks { next: Some(next), .. } => (self.words[0] < *next
                && *next <= self.words[1])
                .then_some(Self { words: [*next, self.words[1]], ..*self }),
            TickAnswer::Ticks { next: None, .. } | TickAnswer::Nothing => None,
        }
    }

    fn contract(&self) -> Address {
        self.pool
    }
}

/// A Solidly pool's reserves and fee.
#[derive(Clone, Copy, Debug)]
pub(super) struct Solidly {
    pub(super) pool: Address,
    pub(super) factory: Address,
    pub(super) is_stable: bool,
}

impl Question for Solidly {
    const KIND: u8 = 5;
    const BYTES: usize = 41;
    const ANSWER_BYTES: usize = 35;
    type Answer = Option<(Reading, [u128; 2])>;

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.pool.as_slice());
        out.extend_from_slice(self.factory.as_slice());
        out.push(u8::from(self.is_stable));
    }

    fn read(bytes: &mut &[u8]) -> Option<Self::Answer> {
        let is_ok = is_ok(bytes)?;
        let reserves = two_numbers(bytes)?;
        let fee = u16::from_be_bytes(take(bytes)?);
        let reading = Reading::Solidly { reserves, fee_pips: u32::from(fee) * 100 };
        Some(is_ok.then_some((reading, reserves)))
    }

    fn rest(&self, _: &Self::Answer) -> Option<Self> {
        None
    }

    fn contract(&self) -> Address {
        self.pool
    }
}
