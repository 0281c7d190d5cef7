//! Pools as the cold start sees them: what never changes, and what the chain says at a block.
//!
//! Temperature: cold.

use alloy_primitives::{Address, U256};
use gannet_engine::amm::Tick;
use serde::{Deserialize, Serialize};

/// What a pool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// A Uniswap V2 pair.
    Pair,
    /// A Uniswap V3 pool, or one of its forks.
    Concentrated {
        /// Distance of ticks that can be set; as the factory announced it.
        tick_spacing: i32,
    },
    /// A Solidly pool.
    Solidly {
        /// Whether its tokens are of about one value.
        is_stable: bool,
    },
}

/// A pool that a factory announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Known {
    /// The contract.
    pub(crate) address: Address,
    /// Its tokens, in its own order.
    pub(crate) tokens: [Address; 2],
    /// Place of its factory in the configuration.
    pub(crate) factory: u8,
    /// What it is.
    pub(crate) kind: Kind,
}

/// What the chain says of a pool at a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Reading {
    /// Of a Uniswap V2 pair.
    Pair {
        /// In the tokens' smallest units.
        reserves: [u128; 2],
    },
    /// Of a concentrated pool.
    Concentrated {
        /// Square root of the price of token 0 in token 1, in units of 2^-96.
        sqrt_price: U256,
        /// The tick that the price is in.
        tick: i32,
        /// Liquidity in range.
        liquidity: u128,
        /// Fee in millionths.
        fee_pips: u32,
        /// Distance of ticks that can be set; as the pool has it.
        tick_spacing: i32,
    },
    /// Of a Solidly pool.
    Solidly {
        /// In the tokens' smallest units.
        reserves: [u128; 2],
        /// Fee in millionths.
        fee_pips: u32,
    },
}

impl Reading {
    /// Whether it can be traded with at all.
    pub(crate) fn is_alive(&self) -> bool {
        match self {
            Self::Pair { reserves } | Self::Solidly { reserves, .. } => {
                reserves.iter().all(|held| *held > 0)
            }
            Self::Concentrated { sqrt_price, .. } => !sqrt_price.is_zero(),
        }
    }

    /// Reserves that price and rank it: those of a pair that would quote the same at this price.
    #[expect(clippy::cast_precision_loss, reason = "chooses candidates only")]
    pub(crate) fn virtual_reserves(&self) -> [f64; 2] {
        match self {
            Self::Pair { reserves } | Self::Solidly { reserves, .. } => {
                reserves.map(|reserve| reserve as f64)
            }
            Self::Concentrated { sqrt_price, liquidity, .. } => {
                let root = f64::from(*sqrt_price) / 2_f64.powi(96);
                [*liquidity as f64 / root, *liquidity as f64 * root]
            }
        }
    }
}

/// A pool with its state at a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Read {
    /// The pool.
    pub(crate) known: Known,
    /// Its state.
    pub(crate) reading: Reading,
    /// What it has of its tokens, in their smallest units. Ranks it, and nothing else.
    pub(crate) held: [u128; 2],
    /// Its ticks, in order; `None` where nobody asked.
    pub(crate) ticks: Option<Vec<Tick>>,
}

impl Read {
    /// What can be had of each token: no more than the pool holds, however narrow its liquidity.
    #[expect(clippy::cast_precision_loss, reason = "chooses candidates only")]
    pub(crate) fn depth(&self) -> [f64; 2] {
        let [first, second] = self.reading.virtual_reserves();
        [first.min(self.held[0] as f64), second.min(self.held[1] as f64)]
    }

    /// The distance of its ticks, if they are to be read.
    pub(crate) const fn ticks_wanted(&self) -> Option<i32> {
        match self.reading {
            Reading::Concentrated { tick_spacing, .. } if self.ticks.is_none() => {
                Some(tick_spacing)
            }
            Reading::Concentrated { .. } | Reading::Pair { .. } | Reading::Solidly { .. } => None,
        }
    }
}
