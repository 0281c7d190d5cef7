//! What a contract that writes V2-shaped logs really is: its tokens, its reserves and where it
//! keeps them, and its fee.
//!
//! Nothing is taken for granted because of a factory, which no witness shows anyway. The layout is
//! Uniswap's if slots 6, 7 and 8 say what the contract's own views say. The fee is found on the
//! contract's own code with plain tokens put in the place of its tokens: the largest output that it
//! lets go for an input gives the fee, and the engine's quotes must then be the exact edge of what
//! it accepts, in both directions and at several sizes.
//!
//! Temperature: cold.

use std::fmt;

use alloy::primitives::{Address, Bytes, U256};
use alloy::sol_types::SolValue as _;
use gannet_engine::amm::constant_product::{PIPS, RESERVE_MAX};
use gannet_engine::amm::{Amm as _, ConstantProduct, Ticks};
use gannet_engine::ids::Direction;
use revm::bytecode::Bytecode;

use super::chain::{Fork, RECIPIENT};
use super::witness::Unknown;
use crate::evm::{abi, bytecode, mapping_slot};

alloy::sol! {
    interface Views {
        function token0() external view returns (address);
        function token1() external view returns (address);
    }
    // The third word that pairs return is missing or different on some forks.
    interface Reserves {
        function getReserves() external view returns (uint256 reserve0, uint256 reserve1);
    }
}

/// Why a contract is not followed, or its fee not known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Because(pub(crate) String);

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Unknown> for Because {
    fn from(unknown: Unknown) -> Self {
        Self(unknown.to_string())
    }
}

fn because<T>(reason: impl Into<String>) -> Result<T, Because> {
    Err(Because(reason.into()))
}

/// Where a pair keeps its tokens and reserves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// In slots 6, 7 and 8, as Uniswap's does.
    Uniswap,
    /// Elsewhere: only its views tell.
    Other,
}

/// A V2-shaped pair, as it is at some point of a block.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) address: Address,
    pub(crate) tokens: [Address; 2],
    pub(crate) reserves: [u128; 2],
    pub(crate) layout: Layout,
}

impl Pair {
    /// Looks at a contract.
    pub(crate) fn look(fork: &mut Fork<'_>, address: Address) -> Result<Self, Because> {
        if fork.code(address)?.is_empty() {
            return because("there is no contract before the block");
        }
        let tokens = [
            fork.read(address, &Views::token0Call {})?.ok(),
            fork.read(address, &Views::token1Call {})?.ok(),
        ];
        let [Some(token0), Some(token1)] = tokens else {
            return because("it has no token0 and token1");
        };
        if token0 == token1 {
            return because("it pairs a token with itself");
        }
        let reserves = reserves_by_view(fork, address)?;
        let slots = [6, 7].map(|slot| fork.slot(address, slot).ok());
        let is_uniswap = slots == [token0, token1].map(|token| Some(token.into_word().into()))
            && fork.slot(address, 8).is_ok_and(|word| unpack(word) == reserves);
        let layout = if is_uniswap { Layout::Uniswap } else { Layout::Other };
        Ok(Self { address, tokens: [token0, token1], reserves, layout })
    }

    /// Its fee in pips.
    pub(crate) fn fee(&self, fork: &Fork<'_>) -> Result<u32, Because> {
        Bench::new(self, fork)?.fee()
    }
}

/// What the contract itself says its reserves are.
pub(crate) fn reserves_by_view(
    fork: &mut Fork<'_>,
    address: Address,
) -> Result<[u128; 2], Because> {
    let Ok(answer) = fork.read(address, &Reserves::getReservesCall {})? else {
        return because("it has no getReserves");
    };
    let narrow = |word: U256| u128::try_from(word).ok().filter(|reserve| *reserve <= RESERVE_MAX);
    match (narrow(answer.reserve0), narrow(answer.reserve1)) {
        (Some(reserve0), Some(reserve1)) => Ok([reserve0, reserve1]),
        (None, _) | (_, None) => because("its reserves have more than 112 bits"),
    }
}

/// The reserves in slot 8 of Uniswap's layout.
pub(crate) fn unpack(word: U256) -> [u128; 2] {
    [0_usize, 112].map(|shift| ((word >> shift) & U256::from(RESERVE_MAX)).to())
}

/// A pair's own code, between two plain tokens.
struct Bench<'w> {
    pair: Pair,
    fork: Fork<'w>,
}

impl<'w> Bench<'w> {
    fn new(pair: &Pair, fork: &Fork<'w>) -> Result<Self, Because> {
        if pair.reserves.contains(&0) {
            return because("it is empty");
        }
        let mut fork = fork.clone();
        let token = bytecode("engine/tests/sol/contracts.json", Some("Token"));
        let token = fork.deploy(token, &U256::from(18).abi_encode());
        let code: Bytecode = fork.code(token)?;
        for (token, reserve) in pair.tokens.into_iter().zip(pair.reserves) {
            let holding = (mapping_slot(pair.address, 0), U256::from(reserve));
            fork.replace(token, code.clone(), &[holding]);
        }
        Ok(Self { pair: pair.clone(), fork })
    }

    /// Whether the pair gives `amount_out` for `amount_in`.
    fn gives(&mut self, way: Direction, amount: (u128, u128)) -> Result<bool, Unknown> {
        let (amount_in, amount_out) = amount;
        let Pair { address, tokens, reserves, .. } = self.pair;
        let paid = way.index_in();
        let held = U256::from(reserves[paid] + amount_in);
        self.fork.set_slot(tokens[paid], mapping_slot(address, 0), held);
        let mut outs = [U256::ZERO; 2];
        outs[way.index_out()] = U256::from(amount_out);
        let [out0, out1] = outs;
        let swap = abi::Pair::swapCall { out0, out1, to: *RECIPIENT, data: Bytes::new() };
        let gives = self.fork.accepts(address, &swap)?;
        self.fork.set_slot(tokens[paid], mapping_slot(address, 0), U256::from(reserves[paid]));
        Ok(gives)
    }

    /// The most that the pair gives for `amount_in`; 0 if it gives nothing.
    fn most(&mut self, way: Direction, amount_in: u128) -> Result<u128, Unknown> {
        let (mut given, mut refused) = (0, self.pair.reserves[way.index_out()]);
        while given + 1 < refused {
            let middle = given + (refused - given) / 2;
            match self.gives(way, (amount_in, middle))? {
                true => given = middle,
                false => refused = middle,
            }
        }
        Ok(given)
    }

    fn quote(&self, fee_pips: u32, way: Direction, amount_in: u128) -> u128 {
        let pool = ConstantProduct::new(self.pair.reserves, fee_pips).expect("112 bits");
        pool.quote_out(Ticks::NONE, amount_in, way).unwrap_or(0)
    }

    fn fee(mut self) -> Result<u32, Because> {
        let way = Direction::ZeroForOne;
        let amount_in = self.pair.reserves[0].min(RESERVE_MAX - self.pair.reserves[0]);
        let most = self.most(way, amount_in)?;
        if most == 0 {
            return because("it refuses every swap");
        }
        // More fee, less output: the fees whose quote is `most` are neighbours.
        let first_below = |bound: u128| {
            let (mut low, mut high) = (0, PIPS);
            while low < high {
                let middle = low + (high - low) / 2;
                match self.quote(middle, way, amount_in) < bound {
                    true => high = middle,
                    false => low = middle + 1,
                }
            }
            low
        };
        let fees = first_below(most + 1)..first_below(most);
        let round = |step: u32| {
            let fee = fees.start.next_multiple_of(step);
            fees.contains(&fee).then_some(fee)
        };
        // A coarse pool cannot tell neighbours apart; factories choose round ones.
        let Some(fee) = [1_000, 500, 100, 10, 1].into_iter().find_map(round) else {
            return because(format!("no fee gives {most} for {amount_in}"));
        };
        for way in [Direction::ZeroForOne, Direction::OneForZero] {
            let reserve = self.pair.reserves[way.index_in()];
            for amount_in in [1_000, 7, 1].map(|part| reserve / part) {
                let quote = self.quote(fee, way, amount_in);
                if quote > 0 && !self.gives(way, (amount_in, quote))?
                    || self.gives(way, (amount_in, quote + 1))?
                {
                    return because(format!("{fee} pips do not hold for {amount_in} ({way:?})"));
                }
            }
        }
        Ok(fee)
    }
}
