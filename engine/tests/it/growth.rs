//! The universe grows while the bot flies: what is taken in, when it is traded, what is refused.
//!
//! Temperature: cold.

use alloy::primitives::Address;
use gannet_engine::amm::{ConstantProduct, Pool};
use gannet_engine::growth::Growth;
use gannet_engine::ids::{FactoryId, PoolId, TokenId};
use gannet_engine::input::{Command, Happening, Loaded, Reloaded};
use gannet_engine::search::Tables;
use gannet_engine::search::cycles::Graph;
use gannet_engine::units::Wei;
use gannet_engine::world::audit::Drift;
use gannet_engine::world::pools::{PairIndex, PoolEntry, Refused};
use gannet_engine::world::{Standing, Tried, Unfit};

use crate::stage::{ETHER, EVEN, GAP, Live, NEW_POOL, POOLS, Swap, WETH, live, sync};

const NEW: PoolId = PoolId(4);
const WETH_ID: TokenId = TokenId(0);
const DAI_ID: TokenId = TokenId(1);

fn pair(reserves: [u128; 2]) -> Pool {
    ConstantProduct::new(reserves, 3_000).expect("reserves fit").into()
}

/// Pools that come on top of the stage's four, and a token if `tokens` says so.
fn growth(pools: &[(Address, [TokenId; 2])], tokens: &[Address]) -> Growth {
    let [dai, tkn] = [DAI_ID, TokenId(2)].map(|token| [WETH_ID, token]);
    let mut all = vec![dai, dai, tkn, tkn];
    all.extend(pools.iter().map(|(_, tokens)| *tokens));
    let entry = |(address, tokens): &(Address, [TokenId; 2])| {
        (PoolEntry::new(*address, FactoryId(0), *tokens, pair(EVEN)), Vec::new())
    };
    let graph = Graph::new(all.clone(), &[WETH_ID], WETH_ID, 2);
    Growth {
        follows: [POOLS.len(), 3],
        tokens: tokens.iter().map(|token| (*token, 18)).collect(),
        pools: pools.iter().map(entry).collect(),
        pairs: PairIndex::build(&all),
        base_fee: Wei(0),
        tables: vec![Some(Box::new(Tables::build(&graph)))],
        outcome: None,
    }
}

fn grow(stage: &mut Live, growth: Growth) -> Result<(), Refused> {
    stage.input(Happening::Command(Command::Grow(Box::new(growth))));
    stage.engine.grown().expect("it is given back").outcome.expect("it says what came of it")
}

/// The chain's word on the new pool, as the audit brings it.
fn put_right(stage: &mut Live, reserves: [u128; 2]) {
    let sample = stage.engine.world.sample(NEW, 0).expect("no block is open");
    assert!(sample.is_quarantined, "it begins in quarantine");
    let chain = Some(Loaded { state: pair(reserves), ticks: Vec::new() });
    stage.input(Happening::Command(Command::Drift(Box::new(Drift { sample, chain }))));
}

fn admit(stage: &mut Live) {
    let tried = Tried { pools: vec![(NEW, Standing::Admitted)], transfers: Vec::new() };
    stage.input(Happening::Command(Command::Admit(Box::new(tried))));
}

#[test]
fn a_new_pool_is_traded_once_it_was_read_tried_and_known_to_the_search() {
    let mut stage = live();
    assert_eq!(stage.engine.searched_hops(), [2]);
    assert_eq!(grow(&mut stage, growth(&[(NEW_POOL, [WETH_ID, DAI_ID])], &[])), Ok(()));
    assert_eq!(stage.engine.world.pools.id_of(&NEW_POOL), Some(NEW));
    let of_pair = stage.engine.world.pools.pools_of_pair(DAI_ID, WETH_ID);
    assert_eq!(of_pair, [PoolId(0), PoolId(1), NEW]);

    // It has moved since it was looked at, and moves once more.
    stage.seal(&[sync(4, [ETHER; 2])]);
    assert_eq!(*stage.engine.world.state(NEW), pair([ETHER; 2]), "its logs are followed");
    put_right(&mut stage, GAP);
    stage.seal(&[]);
    assert!(stage.outbox.sent.is_empty(), "nobody has tried it");
    admit(&mut stage);
    stage.seal(&[]);
    assert!(stage.outbox.sent.is_empty(), "the search does not know it yet");

    stage.wait(10);
    let mut spent = 0;
    stage.engine.spent(|_tables| spent += 1);
    assert_eq!(spent, 0, "the old tables are in use until a block is sealed");
    stage.seal(&[]);
    let flight = stage.flight();
    assert!(flight.admitted.plan.legs().iter().any(|leg| leg.pool == NEW));
    stage.engine.spent(|_tables| spent += 1);
    assert_eq!(spent, 1, "they are given back to be freed");
    assert_eq!(stage.engine.world.drifted(), 0, "a pool that is new has not drifted");
}

#[test]
fn a_swap_through_a_pool_in_quarantine_has_no_follower() {
    let mut stage = live();
    stage.engine.world.pools.entry_mut(PoolId(1)).is_quarantined = true;
    stage.pending(&Swap::default());
    assert!(stage.outbox.sent.is_empty());
    assert_eq!(stage.engine.tally.unfit[Unfit::Doubted as usize], 1);
    stage.engine.world.pools.entry_mut(PoolId(1)).is_quarantined = false;
    stage.pending(&Swap { trader: 0x52, ..Swap::default() });
    assert_eq!(stage.outbox.sent.len(), 1);
}

#[test]
fn a_pool_that_did_not_answer_a_reload_is_not_trusted() {
    let mut stage = live();
    let tip = *stage.engine.world.tip();
    let pools = vec![Loaded { state: pair(EVEN), ticks: Vec::new() }; POOLS.len()];
    let unread = vec![PoolId(2), PoolId(9)];
    let reloaded = Reloaded { anchor: tip, pools, unread, loans: None };
    stage.input(Happening::Command(Command::Reload(Box::new(reloaded))));
    let is_trusted = |pool| stage.engine.world.pools.get(PoolId(pool)).is_tradable();
    assert_eq!([0, 1, 2, 3].map(is_trusted), [true, true, false, true]);
}

#[test]
fn a_reload_that_does_not_know_a_new_pool_puts_it_back_into_quarantine() {
    let mut stage = live();
    grow(&mut stage, growth(&[(NEW_POOL, [WETH_ID, DAI_ID])], &[])).expect("there is room");
    stage.seal(&[]);
    put_right(&mut stage, GAP);
    admit(&mut stage);
    assert!(stage.engine.world.pools.get(NEW).is_tradable());
    let block = stage.tip();
    stage.reload(block);
    assert!(!stage.engine.world.pools.get(NEW).is_tradable());
    put_right(&mut stage, GAP);
    assert!(stage.engine.world.pools.get(NEW).is_tradable());
}

#[test]
fn a_growth_that_does_not_fit_as_a_whole_changes_nothing() {
    let mut stage = live();
    let other = Address::repeat_byte(0x15);
    let pool = |address| (address, [WETH_ID, DAI_ID]);
    let two = [pool(NEW_POOL), pool(other)];
    let out_of_turn = Growth { follows: [3, 3], ..growth(&two, &[]) };
    let token = Address::repeat_byte(0x04);
    let refused = [
        (out_of_turn, Refused::OutOfTurn),
        (growth(&[two[0], two[1], pool(Address::ZERO)], &[]), Refused::Full),
        (growth(&two, &[token, other, Address::ZERO]), Refused::Full),
        (growth(&[two[0], pool(POOLS[2])], &[]), Refused::Known),
        (growth(&[two[0], two[0]], &[]), Refused::Known),
        (growth(&two, &[WETH]), Refused::Known),
        (growth(&two, &[token, token]), Refused::Known),
        (growth(&[(NEW_POOL, [WETH_ID; 2])], &[]), Refused::SameToken),
        (growth(&[(NEW_POOL, [WETH_ID, TokenId(3)])], &[]), Refused::OutOfTurn),
    ];
    for (growth, why) in refused {
        assert_eq!(grow(&mut stage, growth), Err(why));
        let world = &stage.engine.world;
        assert_eq!((world.pools.len(), world.tokens.len()), (POOLS.len(), 3));
    }
    assert_eq!(grow(&mut stage, growth(&two, &[token, other])), Ok(()));
    assert_eq!(stage.engine.world.tokens.id_of(&other), Some(TokenId(4)));
    let again = Growth { follows: [POOLS.len() + 2, 5], ..growth(&[pool(Address::ZERO)], &[]) };
    assert_eq!(grow(&mut stage, again), Err(Refused::Full));
}
