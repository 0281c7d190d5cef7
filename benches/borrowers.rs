//! A hundred thousand borrowers of [`loans`](super), in the engine's own books, from a seed: what
//! they have and owe, and the prices of it.
//!
//! Temperature: cold.

use alloy_primitives::{Address, B256, I256, U256};
use gannet_engine::ids::TokenId;
use gannet_engine::lending::aave::table::{Capacity, Contracts, Listing, Market as Pool};
use gannet_engine::lending::aave::{Entry, Reserve};
use gannet_engine::lending::comet::table::{CometTable, Room};
use gannet_engine::lending::comet::{
    Account, Asset, Curve, Market as CometMarket, Priced, Terms, Totals,
};
use gannet_engine::lending::morpho::{Market as MorphoMarket, Params, Position, Table, Total};
use gannet_engine::lending::price::{FeedSpec, Node, PriceId, PriceLimits, Prices};
use gannet_engine::lending::transmission::Route as Via;
use gannet_engine::loans::aave::AaveBook;
use gannet_engine::loans::comet::CometBook;
use gannet_engine::loans::morpho::MorphoBook;
use gannet_engine::loans::source::Source;
use gannet_engine::loans::{Book, Loans};

use super::universe::Chance;

pub(crate) const FEEDS: u8 = 40;
/// Feeds that hardly move, as those of stable coins.
const STABLE: std::ops::Range<u8> = 30..40;
/// The feeds that one transaction moves, ether's first.
pub(crate) const MOVED: u8 = 8;
const ENTRIES_MAX: u8 = 16;
const RAY: u128 = 1_000_000_000_000_000_000_000_000_000;
pub(crate) const WAD: u64 = 1_000_000_000_000_000_000;
const UNIT: u128 = WAD as u128;
/// Shares for each unit of a market of Morpho's.
const SHARES: u128 = 1_000_000;
const COMET_COLLATERAL: u8 = 4;
const COMET_INDEX: u64 = 1_050_000_000_000_000;
/// How old interest is when an update comes, in seconds.
const AGE: u64 = 60;
const POOL: Contracts = Contracts {
    pool: Address::repeat_byte(0xa4),
    configurator: Address::repeat_byte(0xa5),
    oracle: Address::repeat_byte(0xa6),
    provider: Address::repeat_byte(0xa7),
};
const MORPHO: Address = Address::repeat_byte(0xb0);
const CURVE: Address = Address::repeat_byte(0xb1);
const COMET: Address = Address::repeat_byte(0xb3);

/// What a feed answers at first, with 8 decimals.
pub(crate) fn first_answer(feed: u8) -> u128 {
    let dollars = match feed {
        0 => 2_500,
        feed if STABLE.contains(&feed) => 1,
        feed => 40 + u128::from(feed),
    };
    dollars * 100_000_000
}

pub(crate) const fn aggregator(feed: u8) -> Address {
    Address::with_last_byte(feed + 1)
}

fn user(number: u32) -> Address {
    Address::from_word(B256::from(U256::from(number) + (U256::from(0x55) << 120)))
}

const fn asset(number: u8) -> Address {
    Address::with_last_byte(number + 100)
}

pub(crate) const fn signed(answer: U256) -> I256 {
    I256::from_raw(answer)
}

/// Prices by number: of each feed in dollars, and of ether in each stable one.
fn prices() -> Prices {
    let mut prices = Prices::new(PriceLimits { feeds: 128, nodes: 64, prices: 64, leaves: 128 });
    let mut leaves = vec![];
    for feed in 0..FEEDS {
        let spec = FeedSpec {
            proxy: Address::ZERO,
            aggregator: aggregator(feed),
            route: Via::Primary,
            weight: if STABLE.contains(&feed) { 1 } else { 16 },
            answer: signed(U256::from(first_answer(feed))),
        };
        let feed = prices.add_feed(&spec).expect("there is room");
        leaves.push(prices.add_node(Node::Feed(feed)).expect("there is room"));
    }
    for leaf in &leaves {
        prices.add_price(Some(*leaf), 16).expect("there is room");
    }
    let scale = U256::from(10).pow(U256::from(36));
    for stable in STABLE {
        let (base, quote) = (Some(leaves[0]), Some(leaves[usize::from(stable)]));
        let (base, quote) = ([base, None, None], [quote, None, None]);
        let node = prices.add_node(Node::Market { scale, base, quote }).expect("there is room");
        prices.add_price(Some(node), 16).expect("there is room");
    }
    prices
}

/// Of a value, so much that is owed against it: from half a per cent less to far less.
fn owed(chance: &mut Chance, support: u128) -> u128 {
    support / 1_000_000 * u128::from(994_000 - chance.below(800_000))
}

/// Half of all collateral is of the feed that moves.
fn collateral(chance: &mut Chance) -> u8 {
    let any = u8::try_from(chance.below(u64::from(STABLE.start))).expect("few");
    if chance.below(2) == 0 { 0 } else { any }
}

fn stable(chance: &mut Chance) -> u8 {
    let count = u64::from(STABLE.end - STABLE.start);
    STABLE.start + u8::try_from(chance.below(count)).expect("few")
}

fn amount(chance: &mut Chance) -> u128 {
    UNIT * u128::from(1 + chance.below(1_000))
}

/// A pool of forty reserves, at the revision that counts by bitmaps and rounds for the pool.
fn aave(chance: &mut Chance, accounts: u32, now: u64) -> Book {
    let mut pool = Pool::new(POOL, 10, Capacity { accounts, entries: ENTRIES_MAX });
    for number in 0..FEEDS {
        let reserve = Reserve {
            liquidity_index: RAY + RAY / 20,
            liquidity_rate: RAY / 50,
            borrow_index: RAY + RAY / 9,
            borrow_rate: RAY / 20,
            available: u128::MAX >> 1,
            updated_at: now - AGE,
            threshold_bps: 8_000,
            bonus_bps: 10_500,
            fee_bps: 1_000,
            decimals: 18,
            is_active: true,
            ..Reserve::default()
        };
        let [a_token, debt_token] = [0x1000, 0x2000]
            .map(|kind| Address::from_word(B256::from(U256::from(kind + u64::from(number)))));
        let listing = Listing { asset: asset(number), a_token, debt_token };
        pool.set_reserve(number.into(), listing, reserve, &mut drop).expect("there is room");
    }
    for account in 0..accounts {
        let mut entries = vec![];
        let mut support = 0;
        for _ in 0..1 + chance.below(4) {
            let (feed, scaled) = (collateral(chance), amount(chance));
            if entries.iter().any(|entry: &Entry| entry.reserve == u16::from(feed)) {
                continue;
            }
            support += scaled / 100 * 105 / 100 * 80 * first_answer(feed) / 100_000_000;
            let reserve = u16::from(feed);
            entries.push(Entry { collateral: scaled, debt: 0, reserve, is_collateral: true });
        }
        // One debt, or the same twice.
        let debts = 1 + chance.below(2);
        let first = stable(chance);
        let owed = owed(chance, support) / u128::from(debts) * 9 / 10;
        for number in 0..u8::try_from(debts).expect("few") {
            let other = (first - STABLE.start + number) % (STABLE.end - STABLE.start);
            let reserve = u16::from(STABLE.start + other);
            entries.push(Entry { collateral: 0, debt: owed, reserve, is_collateral: false });
        }
        pool.set_account(user(account), 0, &entries, &mut drop).expect("there is room");
    }
    let mut book = AaveBook::new(pool, accounts, 5, true);
    for number in 0..FEEDS {
        let price = Some(PriceId(u16::from(number)));
        book.set_reserve(number.into(), Some(TokenId(u32::from(number))), price);
    }
    Book::Aave(book)
}

/// Ether against each stable coin, at the rate of the adaptive curve.
fn morpho(chance: &mut Chance, positions: u32, now: u64) -> Book {
    let markets = STABLE.len();
    let mut table = Table::new(markets, positions as usize, CURVE);
    let mut borrowed = vec![vec![]; markets];
    let price = first_answer(0) / first_answer(STABLE.start);
    for position in 0..positions {
        let held = amount(chance);
        let owed = owed(chance, held / 100 * 86 * price);
        let market = position as usize % markets;
        borrowed[market].push((user(position), held, owed));
    }
    let mut ids = vec![];
    for (stable, borrowers) in STABLE.zip(&borrowed) {
        let sum = borrowers.iter().map(|(.., owed)| owed).sum::<u128>();
        let total = |assets: u128| Total { assets, shares: assets * SHARES };
        let params = Params {
            loan_token: asset(stable),
            collateral_token: asset(0),
            oracle: Address::with_last_byte(stable),
            irm: CURVE,
            lltv: WAD / 100 * 86,
        };
        let state = MorphoMarket {
            supply: total(sum + sum / 8),
            borrow: total(sum),
            last_update: now - AGE,
            rate_at_target: 1_000_000_000,
            ..MorphoMarket::default()
        };
        let id = table.load_market(params, state).expect("there is room");
        for (who, collateral, owed) in borrowers {
            let state = Position { borrow_shares: owed * SHARES, collateral: *collateral };
            table.set_position(id, *who, state, &mut drop).expect("there is room");
        }
        ids.push(id);
    }
    let mut book = MorphoBook::new(table, [MORPHO, CURVE], (markets, positions));
    for ((id, stable), place) in ids.into_iter().zip(STABLE).zip(0..) {
        let tokens = [Some(TokenId(u32::from(stable))), Some(TokenId(0))];
        book.set_market(id, tokens, Some(PriceId(u16::from(FEEDS) + place)));
    }
    Book::Morpho(book)
}

/// A market of a stable coin against four kinds of collateral.
fn comet(chance: &mut Chance, accounts: u32, now: u64) -> Book {
    let room = Room { markets: 1, assets: COMET_COLLATERAL, accounts };
    let mut table = CometTable::new(room);
    let market = table.insert_market(COMET).expect("there is room");
    let mut made = vec![];
    let (mut put_in, mut borrow) = ([0; COMET_COLLATERAL as usize], 0);
    for account in 0..accounts {
        let mut balances = [0; COMET_COLLATERAL as usize];
        let (mut support, mut assets_in) = (0, 0_u32);
        for _ in 0..1 + chance.below(3) {
            let kind = u8::try_from(chance.below(u64::from(COMET_COLLATERAL))).expect("few");
            let (held, place) = (amount(chance), usize::from(kind));
            balances[place] += held;
            put_in[place] += held;
            assets_in |= 1 << kind;
            support += held / 100 * 85 * first_answer(kind) / 100_000_000;
        }
        let principal = owed(chance, support) / 105 * 100;
        borrow += principal;
        made.push((user(account), principal, assets_in, balances));
    }
    let curve = Curve { kink: WAD / 10 * 9, slope_low: 1_000_000_000, ..Curve::default() };
    let terms = Terms {
        base_token: asset(STABLE.start),
        base_scale: WAD,
        supply: curve,
        borrow: Curve { base: 500_000_000, ..curve },
        store_front_price_factor: WAD / 10 * 6,
        ..Terms::default()
    };
    let totals = Totals {
        supply_index: COMET_INDEX,
        borrow_index: COMET_INDEX,
        supply: borrow + borrow / 8,
        borrow,
        last_accrual: now - AGE,
        pause: 0,
        held: borrow / 8,
    };
    let of = |number: u8| Asset {
        token: asset(number),
        scale: WAD,
        liquidate_factor: WAD / 100 * 85,
        liquidation_factor: WAD / 100 * 93,
        total: put_in[usize::from(number)],
        held: put_in[usize::from(number)],
        ..Asset::default()
    };
    let assets: Vec<Asset> = (0..COMET_COLLATERAL).map(of).collect();
    let state = CometMarket { terms, totals };
    table.set_market(market, &state, &assets, &mut drop).expect("there is room");
    for (who, owed, assets_in, balances) in made {
        let id = table.add_account(market, who, &mut drop).expect("a market").expect("room");
        let principal = -i128::try_from(owed).expect("small");
        let account = Account { principal, assets_in, balances: &balances };
        table.set_account(id, &account, &mut drop).expect("it is there");
    }
    let mut book = CometBook::new(table, market, COMET);
    for number in 0..COMET_COLLATERAL {
        let (token, price) = (TokenId(u32::from(number)), PriceId(u16::from(number)));
        book.set_token(Priced::Asset(number), Some(token), Some(price));
    }
    let base = u16::from(STABLE.start);
    book.set_token(Priced::Base, Some(TokenId(base.into())), Some(PriceId(base)));
    Book::Comet(book)
}

/// So many borrowers, a third of each protocol's, at this time.
pub(crate) fn borrowers(count: u32, now: u64) -> Loans {
    let mut chance = Chance(5);
    let third = count / 3;
    let books = vec![
        aave(&mut chance, count - 2 * third, now),
        morpho(&mut chance, third, now),
        comet(&mut chance, third, now),
    ];
    let source = |feed: u8| Source {
        aggregator: aggregator(feed),
        config: B256::ZERO,
        bounds: [I256::ONE, I256::MAX],
        senders: vec![],
        newest: 0,
    };
    Loans::new(prices(), books, (0..FEEDS).map(source).collect())
}
