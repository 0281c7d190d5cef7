//! Small worlds for unit tests.
//!
//! Temperature: cold.

use alloy_primitives::{Address, B256};
use gannet_engine::chain::ChainSpec;
use gannet_engine::ids::TokenId;
use gannet_engine::lending::price::{PriceId, PriceLimits, Prices};
use gannet_engine::units::BlockNumber;
use gannet_engine::world::pools::PoolTable;
use gannet_engine::world::tokens::TokenTable;
use gannet_engine::world::{Stale, Tip, Universe, World};

/// A world of these pools and so many tokens that stands fresh at a block.
pub(crate) fn world(tokens: u8, pools: PoolTable, number: u64) -> World {
    let mut table = TokenTable::new(tokens.into());
    for token in 1..=tokens {
        table.insert(Address::repeat_byte(token), 18).unwrap();
    }
    let mut world = World::new(Universe {
        chain: ChainSpec::ethereum(1, Address::repeat_byte(1)),
        tokens: table,
        pools,
        factories: Vec::new(),
        routers: Vec::new(),
        bases: vec![TokenId(0)],
        native: TokenId(0),
        anchor: Tip { number: BlockNumber(number), hash: B256::ZERO, ..Tip::default() },
    });
    Stale::ALL.iter().for_each(|why| world.set_stale(*why, false));
    world
}

/// So many prices that nobody has modelled; each has a feed of its own.
pub(crate) fn prices(count: u16) -> Prices {
    let room = usize::from(count);
    let limits = PriceLimits { feeds: room, nodes: 0, prices: room, leaves: 0 };
    let mut prices = Prices::new(limits);
    for number in 0..count {
        assert_eq!(prices.add_price(None, 1), Ok(PriceId(number)));
    }
    prices
}
