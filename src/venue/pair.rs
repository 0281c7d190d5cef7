//! A contract that writes logs of V2's shape: its tokens, its reserves, and its fee.
//!
//! The fee is found on the contract's own code, with plain tokens put in the place of its tokens:
//! the largest output that it lets go for an input gives the fee, and the engine's quotes must then
//! be the exact edge of what it accepts, in both directions and at several sizes.
//!
//! Temperature: cold.

use alloy_primitives::{Address, Bytes, U256, hex};
use gannet_engine::amm::constant_product::{PIPS, RESERVE_MAX};
use gannet_engine::amm::{Amm as _, ConstantProduct, Ticks};
use gannet_engine::ids::Direction;
use revm::bytecode::Bytecode;

use super::{Because, because};
use crate::evm::{Fork, Unknown};

alloy::sol! {
    interface Views {
        function token0() external view returns (address);
        function token1() external view returns (address);
        function swap(uint256 out0, uint256 out1, address to, bytes data) external;
    }
    // The third word that pairs return is missing or different on some forks.
    interface Reserves {
        function getReserves() external view returns (uint256 reserve0, uint256 reserve1);
    }
}

/// A token that keeps an account's balance in the slot with the account's own number, and knows
/// `balanceOf` and `transfer` only: the selector is compared with both and anything else reverts; a
/// balance is read and returned; a transfer reverts if the sender has less, moves the amount, and
/// returns true.
const PLAIN_TOKEN: [u8; 81] = hex!(
    "60003560e01c806370a08231146020578063a9059cbb14602d575b60006000fd5b6004355460005260206000f3"
    "5b6024353354818110601a570333556004358054602435019055600160005260206000f3"
);

/// Who takes what a pair lets go. Anybody but the pair.
const TAKER: Address = Address::repeat_byte(0x7a);

/// A V2-shaped pair, as it is at some point of a block.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) address: Address,
    pub(crate) tokens: [Address; 2],
    pub(crate) reserves: [u128; 2],
}

impl Pair {
    /// Looks at a contract.
    pub(crate) fn look(fork: &mut Fork<'_>, address: Address) -> Result<Self, Because> {
        let tokens = tokens(fork, address)?;
        let reserves = reserves(fork, address)?;
        Ok(Self { address, tokens, reserves })
    }

    /// Its fee in pips.
    pub(crate) fn fee(&self, fork: &Fork<'_>) -> Result<u32, Because> {
        Bench::new(self, fork)?.fee()
    }
}

/// What the contract itself says its tokens are.
pub(super) fn tokens(fork: &mut Fork<'_>, address: Address) -> Result<[Address; 2], Because> {
    if fork.code(address)?.is_empty() {
        return because("there is no contract");
    }
    let token0 = fork.read(address, &Views::token0Call {})?.ok();
    let token1 = fork.read(address, &Views::token1Call {})?.ok();
    match token0.zip(token1) {
        None => because("it has no token0 and token1"),
        Some((token0, token1)) if token0 == token1 => because("it pairs a token with itself"),
        Some((token0, token1)) => Ok([token0, token1]),
    }
}

/// What the contract itself says its reserves are.
pub(crate) fn reserves(fork: &mut Fork<'_>, address: Address) -> Result<[u128; 2], Because> {
    let Ok(answer) = fork.read(address, &Reserves::getReservesCall {})? else {
        return because("it has no getReserves");
    };
    let narrow = |word: U256| u128::try_from(word).ok().filter(|reserve| *reserve <= RESERVE_MAX);
    match (narrow(answer.reserve0), narrow(answer.reserve1)) {
        (Some(reserve0), Some(reserve1)) => Ok([reserve0, reserve1]),
        (None, _) | (_, None) => because("its reserves have more than 112 bits"),
    }
}

/// A pair's own code, between two plain tokens.
struct Bench<'r> {
    pair: Pair,
    fork: Fork<'r>,
}

impl<'r> Bench<'r> {
    fn new(pair: &Pair, fork: &Fork<'r>) -> Result<Self, Because> {
        if pair.reserves.contains(&0) {
            return because("it is empty");
        }
        let mut fork = fork.clone();
        let code = Bytecode::new_raw(Bytes::from_static(&PLAIN_TOKEN));
        for (token, reserve) in pair.tokens.into_iter().zip(pair.reserves) {
            let holding = (balance_slot(pair.address), U256::from(reserve));
            let nothing = (balance_slot(TAKER), U256::ZERO);
            fork.replace(token, code.clone(), &[holding, nothing])?;
        }
        Ok(Self { pair: pair.clone(), fork })
    }

    /// Whether the pair gives `amount_out` for `amount_in`.
    fn gives(&mut self, way: Direction, amount: (u128, u128)) -> Result<bool, Unknown> {
        let (amount_in, amount_out) = amount;
        let Pair { address, tokens, reserves, .. } = self.pair;
        let paid = way.index_in();
        let held = U256::from(reserves[paid]).saturating_add(U256::from(amount_in));
        self.fork.set_slot(tokens[paid], balance_slot(address), held)?;
        let mut outs = [U256::ZERO; 2];
        outs[way.index_out()] = U256::from(amount_out);
        let [out0, out1] = outs;
        let swap = Views::swapCall { out0, out1, to: TAKER, data: Bytes::new() };
        let gives = self.fork.accepts(address, &swap)?;
        self.fork.set_slot(tokens[paid], balance_slot(address), U256::from(reserves[paid]))?;
        Ok(gives)
    }

    /// The most that the pair gives for `amount_in`; 0 if it gives nothing.
    fn most(&mut self, way: Direction, amount_in: u128) -> Result<u128, Unknown> {
        let (mut given, mut refused) = (0_u128, self.pair.reserves[way.index_out()]);
        while refused.saturating_sub(given) > 1 {
            let middle = given.midpoint(refused);
            match self.gives(way, (amount_in, middle))? {
                true => given = middle,
                false => refused = middle,
            }
        }
        Ok(given)
    }

    fn quote(&self, fee_pips: u32, way: Direction, amount_in: u128) -> u128 {
        let pool = ConstantProduct::new(self.pair.reserves, fee_pips);
        pool.and_then(|pool| pool.quote_out(Ticks::NONE, amount_in, way)).unwrap_or(0)
    }

    fn fee(mut self) -> Result<u32, Because> {
        let way = Direction::ZeroForOne;
        let reserve = self.pair.reserves[0];
        let amount_in = reserve.min(RESERVE_MAX.saturating_sub(reserve));
        let most = self.most(way, amount_in)?;
        if most == 0 {
            return because("it refuses every swap");
        }
        // More fee, less output: the fees whose quote is `most` are neighbours.
        let first_below = |bound: u128| {
            let (mut low, mut high) = (0, PIPS);
            while low < high {
                let middle = low.midpoint(high);
                match self.quote(middle, way, amount_in) < bound {
                    true => high = middle,
                    false => low = middle + 1,
                }
            }
            low
        };
        let fees = first_below(most.saturating_add(1))..first_below(most);
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
                    || self.gives(way, (amount_in, quote.saturating_add(1)))?
                {
                    return because(format!("{fee} pips do not hold for {amount_in} ({way:?})"));
                }
            }
        }
        Ok(fee)
    }
}

/// Where [`PLAIN_TOKEN`] keeps a balance.
fn balance_slot(account: Address) -> U256 {
    account.into_word().into()
}
