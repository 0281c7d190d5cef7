//! What a contract of a recorded block really is: which kind of pool, between which tokens, in
//! which state. Nothing is taken for granted because of an address or a factory.
//!
//! Temperature: cold.

pub(crate) mod pair;
pub(crate) mod ranged;

use std::fmt;

use alloy_primitives::Address;
use gannet_engine::amm::ticks::TickArena;
use gannet_engine::amm::{ConstantProduct, Pool, Tick, Ticks};
use gannet_engine::chain::ChainSpec;
use gannet_engine::ids::{FactoryId, TokenId};
use gannet_engine::world::pools::{PoolEntry, PoolTable};
use gannet_engine::world::tokens::TokenTable;
use gannet_engine::world::{Factory, Tip, Universe, World};

use self::pair::Pair;
use self::ranged::Ranged;
use crate::evm::{Fork, Unknown};

/// Decimals of a token that did not say: no figure of it is shown to anybody.
const DECIMALS: u8 = 18;
/// Room for ticks that a pool gets while its block runs.
const TICKS_SPARE: usize = 64;

/// Why a contract is not followed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Because(pub(crate) String);

impl fmt::Display for Because {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
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

/// A pool as a world takes it.
#[derive(Clone, Debug)]
pub(crate) struct Venue {
    pub(crate) address: Address,
    pub(crate) tokens: [Address; 2],
    pub(crate) state: Pool,
    pub(crate) ticks: Vec<Tick>,
    /// Between which ticks the list is whole.
    pub(crate) known: [i32; 2],
}

impl Venue {
    /// Looks at a contract.
    ///
    /// # Errors
    /// Why it is no pool of a kind that is known, or not enough of it is.
    pub(crate) fn look(fork: &mut Fork<'_>, address: Address) -> Result<Self, Because> {
        match Pair::look(fork, address) {
            Ok(pair) => {
                let fee = pair.fee(fork)?;
                Self::pair(address, pair.tokens, pair.reserves, fee)
            }
            Err(Because(no_pair)) => match Ranged::look(fork, address) {
                Ok(pool) => Ok(pool.venue()),
                Err(Because(no_range)) => because(format!("{no_pair}; {no_range}")),
            },
        }
    }

    /// A pair at this fee, in pips.
    pub(crate) fn pair(
        address: Address,
        tokens: [Address; 2],
        reserves: [u128; 2],
        fee_pips: u32,
    ) -> Result<Self, Because> {
        let state = ConstantProduct::new(reserves, fee_pips);
        let state = state.ok_or_else(|| Because("its reserves have more than 112 bits".into()))?;
        Ok(Self { address, tokens, state: state.into(), ticks: vec![], known: Ticks::NONE.known() })
    }

    /// It as it is now.
    ///
    /// # Errors
    /// When not enough of it is known any more.
    pub(crate) fn again(&self, fork: &mut Fork<'_>) -> Result<Self, Because> {
        match self.state {
            Pool::ConstantProduct(pool) => {
                let reserves = pair::reserves(fork, self.address)?;
                let state = pool.with_reserves(reserves).into();
                Ok(Self { state, ..self.clone() })
            }
            Pool::Concentrated(_) => Ranged::look(fork, self.address).map(|pool| pool.venue()),
            Pool::Solidly(_) => because("its kind is not looked at"),
        }
    }
}

/// The tokens of a contract that is shaped like a pool.
pub(crate) fn tokens_of(fork: &mut Fork<'_>, address: Address) -> Option<[Address; 2]> {
    pair::tokens(fork, address).ok()
}

/// Where a world begins, and what for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting<'a> {
    pub(crate) chain: ChainSpec,
    pub(crate) anchor: Tip,
    /// What profit is kept in, most preferred first.
    pub(crate) bases: &'a [Address],
}

/// A world of these pools, in the order of their handles.
///
/// # Errors
/// When two are the same, or they do not fit the engine's tables.
pub(crate) fn world(venues: &[Venue], setting: &Setting<'_>) -> Result<World, Because> {
    let mut tokens = TokenTable::new(2 * venues.len() + setting.bases.len() + 1);
    let mut token = |address| -> Result<TokenId, Because> {
        match tokens.id_of(&address) {
            Some(id) => Ok(id),
            None => tokens
                .insert(address, DECIMALS)
                .map_err(|refused| Because(format!("token {address}: {refused:?}"))),
        }
    };
    let native = token(setting.chain.wrapped_native)?;
    let bases = setting.bases.iter().map(|base| token(*base)).collect::<Result<Vec<_>, _>>()?;
    let room = venues.iter().map(|pool| TickArena::room_for(2 * pool.ticks.len() + TICKS_SPARE));
    let mut pools = PoolTable::new(venues.len(), room.sum());
    for Venue { address, tokens, state, ticks, known } in venues {
        let pair = [token(tokens[0])?, token(tokens[1])?];
        let entry = PoolEntry::new(*address, FactoryId(0), pair, *state);
        let refused = |what: String| Because(format!("pool {address}: {what}"));
        let id = pools.insert(entry).map_err(|why| refused(format!("{why:?}")))?;
        pools.load_ticks(id, ticks).map_err(|why| refused(format!("{why:?}")))?;
        pools.set_known_ticks(id, *known);
    }
    pools.index_pairs();
    tokens.set_bases(&bases);
    Ok(World::new(Universe {
        chain: setting.chain,
        tokens,
        pools,
        factories: vec![Factory::default()],
        routers: vec![],
        bases,
        native,
        anchor: setting.anchor,
    }))
}
