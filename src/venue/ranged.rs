//! A contract that writes logs of V3's shape: its tokens, its price and liquidity, and its ticks as
//! far as they are known.
//!
//! A layout is Uniswap's, or Pancake's, if the slots say what the contract's own views say. A
//! recording knows the ticks that its block touched; where what is known ends, a swap must stop.
//!
//! Temperature: cold.

use alloy::sol_types::SolValue as _;
use alloy_primitives::{Address, I256, U256, keccak256};
use gannet_engine::amm::ticks::TICK_MAX;
use gannet_engine::amm::{Concentrated, ConcentratedState, Tick};

use super::{Because, Venue, because};
use crate::evm::Fork;

alloy::sol! {
    interface Views {
        function token0() external view returns (address);
        function token1() external view returns (address);
        function fee() external view returns (uint24);
        function tickSpacing() external view returns (int24);
        function liquidity() external view returns (uint128);
        function tickBitmap(int16 word) external view returns (uint256);
    }
    // What stands behind these two words differs from fork to fork.
    interface Price {
        function slot0() external view returns (uint160 sqrtPrice, int24 tick);
    }
}

/// Words of bitmap that are looked at on each side of the price.
const WORDS: i32 = 40;

/// A pool of V3's shape, as it is at some point of a block.
#[derive(Clone, Debug)]
pub(crate) struct Ranged {
    address: Address,
    tokens: [Address; 2],
    state: Concentrated,
    ticks: Vec<Tick>,
    known: [i32; 2],
}

impl Ranged {
    /// Looks at a contract.
    pub(crate) fn look(fork: &mut Fork<'_>, address: Address) -> Result<Self, Because> {
        if fork.code(address)?.is_empty() {
            return because("there is no contract");
        }
        let no = |_reverts| Because("it lacks a view of V3's pools".into());
        let token0 = fork.read(address, &Views::token0Call {})?.map_err(no)?;
        let token1 = fork.read(address, &Views::token1Call {})?.map_err(no)?;
        let fee = fork.read(address, &Views::feeCall {})?.map_err(no)?;
        let spacing = fork.read(address, &Views::tickSpacingCall {})?.map_err(no)?;
        let price = fork.read(address, &Price::slot0Call {})?.map_err(no)?;
        let liquidity = fork.read(address, &Views::liquidityCall {})?.map_err(no)?;
        let wide = |_too_wide| Because("a view gives more than its bits".into());
        let state = ConcentratedState {
            sqrt_price: price.sqrtPrice.to(),
            tick: price.tick.try_into().map_err(wide)?,
            liquidity,
            fee_pips: fee.to(),
            tick_spacing: spacing.try_into().map_err(wide)?,
        };
        let pool = Concentrated::new(&state).filter(|pool| !pool.sqrt_price().is_zero());
        let pool = pool.ok_or_else(|| Because("it has no price".into()))?;
        let word = word_of(&pool);
        let place =
            i16::try_from(word).map_err(|_wide| Because("its price is out of range".into()))?;
        let asked = Views::tickBitmapCall { word: place };
        let bitmap = fork.read(address, &asked)?.map_err(no)?;
        let mut is_so = |shift: u64| {
            let slots = [U256::ZERO, U256::from(4 + shift), tick_key(word, 6 + shift)];
            let [slot0, held, bits] = slots.map(|slot| fork.slot(address, slot).ok());
            let low = U256::MAX >> 96_usize;
            slot0.map(|word| word & low) == Some(state.sqrt_price)
                && held == Some(U256::from(liquidity))
                && bits == Some(bitmap)
        };
        // By how many slots the layout is shifted: 0 is Uniswap's, 1 Pancake's.
        let shift = [0, 1].into_iter().find(|shift| is_so(*shift));
        let shift = shift.ok_or_else(|| Because("it is of another layout".into()))?;
        let (ticks, known) = known_ticks(fork, address, &pool, shift)?;
        Ok(Self { address, tokens: [token0, token1], state: pool, ticks, known })
    }

    /// As a world takes it.
    pub(crate) fn venue(self) -> Venue {
        let Self { address, tokens, state, ticks, known } = self;
        Venue { address, tokens, state: state.into(), ticks, known }
    }
}

/// The word of the bitmap that the price is in.
const fn word_of(pool: &Concentrated) -> i32 {
    pool.tick().div_euclid(pool.tick_spacing()) >> 8
}

/// A pool's ticks as far as they are known without a hole, and between which ticks that is.
fn known_ticks(
    fork: &mut Fork<'_>,
    pool: Address,
    state: &Concentrated,
    shift: u64,
) -> Result<(Vec<Tick>, [i32; 2]), Because> {
    let spacing = state.tick_spacing();
    let here = word_of(state);
    let (mut ticks, mut known) = (vec![], [state.tick(); 2]);
    for (side, step) in [(0, -1), (1, 1)] {
        'side: for away in 0..WORDS {
            let word = here + step * away;
            let bits = match fork.slot(pool, tick_key(word, 6 + shift)) {
                Err(unknown) if away == 0 => return Err(unknown.into()),
                Err(_) => break,
                Ok(bits) => bits,
            };
            let indices = (0..256_i32).filter(|bit| bits.bit(usize::try_from(*bit).unwrap_or(0)));
            let indices = indices.map(|bit| ((word << 8) + bit).saturating_mul(spacing));
            let is_on_side = |index: &i32| (*index > state.tick()) == (side == 1);
            let mut indices: Vec<i32> = indices.filter(is_on_side).collect();
            if step < 0 {
                indices.reverse();
            }
            for index in indices {
                let Ok(word) = fork.slot(pool, tick_key(index, 5 + shift)) else {
                    // A swap must stop there.
                    ticks.push(Tick { index, net: 0, gross: 1 });
                    known[side] = index;
                    break 'side;
                };
                let net: u128 = (word >> 128_usize).to();
                let gross: u128 = (word & U256::from(u128::MAX)).to();
                ticks.push(Tick { index, net: net.cast_signed(), gross });
            }
            known[side] = ((word << 8) + [0, 255][side]).saturating_mul(spacing);
        }
    }
    ticks.sort_by_key(|tick| tick.index);
    Ok((ticks, known.map(|tick| tick.clamp(-TICK_MAX, TICK_MAX))))
}

/// Where Solidity keeps the value of a small signed key of the mapping at `slot`.
fn tick_key(key: i32, slot: u64) -> U256 {
    let word = I256::try_from(key).unwrap_or_default().into_raw();
    keccak256((word, U256::from(slot)).abi_encode()).into()
}
