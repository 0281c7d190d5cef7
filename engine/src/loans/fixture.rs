//! A small town of borrowers for tests: two feeds, an Aave pool of two reserves, a market of
//! Morpho's and, if anybody owes it or its shop has stock, one of Compound III; and what their
//! contracts write and are called with.
//!
//! ```text
//! town().owes(Aave, 1, ETHER, 1_600 * USD).build(&world)      user 1: 1 WETH for 1,600 USDC
//! transmit(1_900)                                             a pending answer of ETH / USD
//! answered(1_900)                                             what its aggregator writes then
//! ```
//!
//! One WETH is worth 2,000 USDC at first. Aave lends up to 82.5 % of it, Morpho up to 86 %, and
//! Compound up to 85 %, whose shop sells it three per cent below its price. The unit tests of the
//! engine and of the strategies share all this, and so do the engine's own.
//!
//! Temperature: cold.

use std::format;
use std::string::String;
use std::vec::Vec;

use alloy_primitives::{Address, B256, I256, U256, address, hex};
use gannet_engine::decode::log::{Data, Log};
use gannet_engine::ids::TokenId;
use gannet_engine::lending::aave::table::{self, Capacity, Contracts, Listing};
use gannet_engine::lending::aave::{Entry, Reserve, topics as aave_topics};
use gannet_engine::lending::comet::{self, Account, Asset, Priced};
use gannet_engine::lending::morpho::{
    Market, Params, Position, Table, Total, topics as morpho_topics,
};
use gannet_engine::lending::price::{
    ANSWER_UPDATED, FeedId, FeedSpec, Node, PriceId, PriceLimits, Prices,
};
use gannet_engine::lending::transmission::{FORWARD, Route, TRANSMIT_OCR2};
use gannet_engine::loans::aave::AaveBook;
use gannet_engine::loans::comet::CometBook;
use gannet_engine::loans::morpho::MorphoBook;
use gannet_engine::loans::pending::{
    AAVE_REPAY, AAVE_SUPPLY, COMET_SUPPLY_TO, MORPHO_REPAY, MORPHO_SUPPLY,
};
use gannet_engine::loans::source::{Sender, Source};
use gannet_engine::loans::{Book, Loans};
use gannet_engine::world::World;

pub(crate) const ETH: u128 = 1_000_000_000_000_000_000;
pub(crate) const USD: u128 = 1_000_000;
pub(crate) const RAY: u128 = 1_000_000_000_000_000_000_000_000_000;
const WAD: u64 = 1_000_000_000_000_000_000;
const YEAR_SECONDS: u128 = 31_536_000;
/// One, as an index of Compound's.
pub(crate) const COMET_INDEX: u64 = 1_000_000_000_000_000;
/// Shares for each unit of a new market.
pub(crate) const SHARES: u128 = 1_000_000;

/// The contracts behind both feeds: of ETH / USD and of USDC / USD.
pub(crate) const AGGREGATORS: [Address; 2] =
    [Address::repeat_byte(0xf0), Address::repeat_byte(0xf1)];
/// Who may transmit to both: directly, or through this contract.
pub(crate) const FORWARDER: Address = Address::repeat_byte(0xf3);
/// What their reports are for.
pub(crate) const CONFIG: B256 = B256::repeat_byte(0xcc);
/// The feeds, in the same order.
pub(crate) const FEEDS: [FeedId; 2] = [FeedId(0), FeedId(1)];
/// What WETH, USDC and the market of Morpho's are priced by.
pub(crate) const PRICES: [PriceId; 3] = [PriceId(0), PriceId(1), PriceId(2)];

pub(crate) const AAVE: Contracts = Contracts {
    pool: Address::repeat_byte(0xa4),
    configurator: Address::repeat_byte(0xa5),
    oracle: Address::repeat_byte(0xa6),
    provider: Address::repeat_byte(0xa7),
};
pub(crate) const MORPHO: Address = Address::repeat_byte(0xb0);
pub(crate) const CURVE: Address = Address::repeat_byte(0xb1);
pub(crate) const COMET: Address = Address::repeat_byte(0xb3);

/// The numbers of the books, and of Aave's reserves.
pub(crate) const AAVE_BOOK: u8 = 0;
pub(crate) const MORPHO_BOOK: u8 = 1;
pub(crate) const COMET_BOOK: u8 = 2;
/// Accounts that Compound's market has room for.
pub(crate) const COMET_ROOM: u32 = 16;
pub(crate) const WETH_RESERVE: u16 = 0;
pub(crate) const USDC_RESERVE: u16 = 1;

/// An account. The first's key is 32 times the byte 0x62.
pub(crate) const fn user(number: u8) -> Address {
    let keyed = address!("0xFA2cBBCafBb04314d07984f6a78C0063f9Bc9eBA");
    if number == 1 { keyed } else { Address::repeat_byte(0x40 | number) }
}

/// What a town is made of.
#[derive(Clone, Debug)]
pub(crate) struct Town {
    /// The tokens: WETH and what it is lent against, in the universe.
    pub(crate) tokens: [TokenId; 2],
    /// Accounts of Aave's: who, how much WETH he has, and how much USDC he owes.
    pub(crate) accounts: Vec<(u8, u128, u128)>,
    /// Positions in the market of Morpho's, likewise.
    pub(crate) positions: Vec<(u8, u128, u128)>,
    /// Accounts of Compound's, likewise.
    pub(crate) debtors: Vec<(u8, u128, u128)>,
    /// WETH that Compound has taken and not sold yet.
    pub(crate) stock: u128,
    /// Rooms for accounts of Aave's and for positions in Morpho's.
    pub(crate) rooms: [u32; 2],
    /// What Aave's reserves can pay out.
    pub(crate) available: [u128; 2],
    /// USDC in Morpho that nobody has borrowed.
    pub(crate) idle: u128,
    /// What a flash loan of Aave's costs, in basis points.
    pub(crate) flash_bps: u16,
    /// Who may transmit directly.
    pub(crate) transmitter: Address,
    /// What Aave's and Compound's debts bear a year, in ray.
    pub(crate) borrow_rate: u128,
    /// When reserves and markets were updated last, in seconds.
    pub(crate) since: u64,
}

pub(crate) const fn town() -> Town {
    Town {
        tokens: [TokenId(0), TokenId(1)],
        accounts: Vec::new(),
        positions: Vec::new(),
        debtors: Vec::new(),
        stock: 0,
        rooms: [16, 16],
        available: [1_000_000 * ETH, 1_000_000_000 * USD],
        idle: 1_000_000_000 * USD,
        flash_bps: 5,
        transmitter: user(0xf),
        borrow_rate: 0,
        since: 0,
    }
}

impl Town {
    /// One more borrower of a book's, with so much WETH, who owes so much USDC.
    pub(crate) fn owes(mut self, book: u8, who: u8, weth: u128, usdc: u128) -> Self {
        let list = match book {
            AAVE_BOOK => &mut self.accounts,
            MORPHO_BOOK => &mut self.positions,
            _ => &mut self.debtors,
        };
        list.push((who, weth, usdc));
        self
    }

    /// The loans, with their tokens as this world calls them.
    pub(crate) fn build(&self, world: &World) -> Loans {
        self.at(self.tokens.map(|token| world.tokens.get(token).address))
    }

    /// The same with their tokens' addresses.
    pub(crate) fn at(&self, addresses: [Address; 2]) -> Loans {
        let mut books: Vec<_> =
            [Book::Aave(self.aave(addresses)), Book::Morpho(self.morpho(addresses))].into();
        let has_comet = self.stock > 0 || !self.debtors.is_empty();
        books.extend(has_comet.then(|| Book::Comet(self.comet(addresses))));
        let senders = [(self.transmitter, self.transmitter), (FORWARDER, self.transmitter)];
        let senders = senders.map(|(contract, account)| Sender { contract, account });
        let bounds = [I256::ONE, dollars(1_000_000)];
        let sources = AGGREGATORS.map(|aggregator| {
            let senders = senders.into();
            Source { aggregator, config: CONFIG, bounds, senders, newest: 0 }
        });
        Loans::new(prices(), books, sources.into())
    }

    fn aave(&self, assets: [Address; 2]) -> AaveBook {
        let [accounts, _] = self.rooms;
        let mut market = table::Market::new(AAVE, 1, Capacity { accounts, entries: 4 });
        for (number, (asset, available)) in (0..).zip(assets.into_iter().zip(self.available)) {
            let reserve = Reserve {
                liquidity_index: RAY,
                borrow_index: RAY,
                borrow_rate: self.borrow_rate,
                available,
                updated_at: self.since,
                threshold_bps: 8_250,
                bonus_bps: 10_500,
                fee_bps: 1_000,
                decimals: [18, 6][usize::from(number)],
                is_active: true,
                ..Reserve::default()
            };
            market.set_reserve(number, listing(number, asset), reserve, &mut drop).expect("room");
        }
        for (who, weth, usdc) in &self.accounts {
            market.set_account(user(*who), 0, &entries(*weth, *usdc), &mut drop).expect("room");
        }
        let mut book = AaveBook::new(market, accounts, self.flash_bps, true);
        for (number, (token, price)) in (0..).zip(self.tokens.into_iter().zip(PRICES)) {
            book.set_reserve(number, Some(token), Some(price));
        }
        book
    }

    fn morpho(&self, assets: [Address; 2]) -> MorphoBook {
        let [_, positions] = self.rooms;
        let mut table = Table::new(2, positions as usize, CURVE);
        let owed = self.positions.iter().map(|(.., usdc)| usdc).sum::<u128>();
        let total = |assets| Total { assets, shares: assets * SHARES };
        let (supply, borrow) = (total(owed + self.idle), total(owed));
        let state = Market { supply, borrow, last_update: self.since, ..Market::default() };
        let market = table.load_market(params(assets), state).expect("room");
        for (who, collateral, usdc) in &self.positions {
            let held = Position { borrow_shares: usdc * SHARES, collateral: *collateral };
            table.set_position(market, user(*who), held, &mut drop).expect("room");
        }
        let mut book = MorphoBook::new(table, [MORPHO, CURVE], (2, positions));
        let [weth, usdc] = self.tokens.map(Some);
        book.set_market(market, [usdc, weth], Some(PRICES[2]));
        book
    }
}

impl Town {
    fn comet(&self, [weth, usdc]: [Address; 2]) -> CometBook {
        let total = self.debtors.iter().map(|(_, held, _)| held).sum::<u128>();
        let borrow = self.debtors.iter().map(|(.., owed)| owed).sum::<u128>();
        let base = u64::try_from(self.borrow_rate / 1_000_000_000 / YEAR_SECONDS).expect("small");
        let terms = comet::Terms {
            base_token: usdc,
            base_scale: 1_000_000,
            borrow: comet::Curve { kink: WAD, base, ..comet::Curve::default() },
            store_front_price_factor: WAD / 10 * 6,
            target_reserves: 1_000_000 * USD,
            ..comet::Terms::default()
        };
        let market = comet::Market { terms, totals: comet_totals(borrow, self.since) };
        let asset = Asset {
            token: weth,
            scale: WAD,
            liquidate_factor: WAD / 100 * 85,
            liquidation_factor: WAD / 100 * 95,
            total,
            held: total + self.stock,
            ..Asset::default()
        };
        let room = comet::table::Room { markets: 1, assets: 1, accounts: COMET_ROOM };
        let mut table = comet::table::CometTable::new(room);
        let id = table.insert_market(COMET).expect("room");
        table.set_market(id, &market, &[asset], &mut drop).expect("room");
        for (who, held, owed) in &self.debtors {
            let account = table.add_account(id, user(*who), &mut drop).expect("a market");
            let principal = -i128::try_from(*owed).expect("small");
            let read = Account { principal, assets_in: 1, balances: &[*held] };
            table.set_account(account.expect("room"), &read, &mut drop).expect("it is there");
        }
        let mut book = CometBook::new(table, id, COMET);
        let [weth, usdc] = self.tokens.map(Some);
        book.set_token(Priced::Asset(0), weth, Some(PRICES[0]));
        book.set_token(Priced::Base, usdc, Some(PRICES[1]));
        book
    }
}

/// Totals of Compound's market when so much is owed, as they are at this time.
pub(crate) const fn comet_totals(borrow: u128, at: u64) -> comet::Totals {
    comet::Totals {
        supply_index: COMET_INDEX,
        borrow_index: COMET_INDEX,
        supply: borrow,
        borrow,
        last_accrual: at,
        pause: 0,
        held: 0,
    }
}

/// What an account has that put in so much WETH, and owes so much USDC.
pub(crate) const fn entries(weth: u128, usdc: u128) -> [Entry; 2] {
    let weth = Entry { collateral: weth, reserve: WETH_RESERVE, is_collateral: true, debt: 0 };
    let usdc = Entry { debt: usdc, reserve: USDC_RESERVE, is_collateral: false, collateral: 0 };
    [weth, usdc]
}

fn listing(number: u16, asset: Address) -> Listing {
    let [a_token, debt_token] = tokens_of(number);
    Listing { asset, a_token, debt_token }
}

/// A reserve's collateral token and its debt token.
pub(crate) fn tokens_of(number: u16) -> [Address; 2] {
    let number = u8::try_from(number).expect("few reserves");
    [0xc0, 0xd0].map(|kind| Address::repeat_byte(kind | number))
}

/// The market of Morpho's, with the addresses of WETH and of USDC.
pub(crate) const fn params([weth, usdc]: [Address; 2]) -> Params {
    let (oracle, irm) = (Address::repeat_byte(0xb2), Address::ZERO);
    Params { loan_token: usdc, collateral_token: weth, oracle, irm, lltv: 860_000_000_000_000_000 }
}

/// What a feed answers for so many dollars.
pub(crate) fn dollars(amount: u64) -> I256 {
    I256::from_raw(U256::from(amount) * U256::from(100_000_000))
}

fn prices() -> Prices {
    let mut prices = Prices::new(PriceLimits { feeds: 5, nodes: 3, prices: 3, leaves: 4 });
    for (aggregator, answer) in AGGREGATORS.into_iter().zip([2_000, 1]) {
        let (proxy, route) = (Address::repeat_byte(0xf8), Route::Primary);
        let spec = FeedSpec { proxy, aggregator, route, weight: 1, answer: dollars(answer) };
        prices.add_feed(&spec).expect("room");
    }
    let [eth, usd] = FEEDS.map(|feed| prices.add_node(Node::Feed(feed)).expect("room"));
    // 36 decimals, six more and eighteen less.
    let scale = U256::from(10).pow(U256::from(24));
    let (base, quote) = ([Some(eth), None, None], [Some(usd), None, None]);
    let market = prices.add_node(Node::Market { scale, base, quote }).expect("room");
    let all = [eth, usd, market].map(|root| prices.add_price(Some(root), 1).expect("room"));
    assert_eq!(all, PRICES);
    prices
}

/// What a contract writes.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) by: Address,
    pub(crate) topics: Vec<B256>,
    pub(crate) data: Vec<u8>,
}

impl Written {
    fn new(by: Address, topics: &[B256], words: &[u128]) -> Self {
        let data = words.iter().flat_map(|number| word(*number).0).collect();
        Self { by, topics: topics.to_vec(), data }
    }

    pub(crate) fn log(&self, block: B256, index: u32) -> Log<'_> {
        let mut topics = [B256::ZERO; 4];
        topics[..self.topics.len()].copy_from_slice(&self.topics);
        Log {
            address: self.by,
            topics,
            topic_count: u8::try_from(self.topics.len()).expect("four at most"),
            data: Data::Binary(&self.data),
            block_number: 1,
            block_hash: block,
            tx_hash: tx_of(index),
            tx_index: index,
            log_index: index,
            removed: false,
        }
    }

    /// As a node writes it, in the transaction `tx`.
    pub(crate) fn json(&self, block: B256, (tx, index): (B256, u32)) -> String {
        let topics: Vec<_> = self.topics.iter().map(|topic| format!("\"{topic}\"")).collect();
        format!(
            r#"{{"address":"{:#x}","topics":[{}],"data":"0x{}","blockNumber":"0x1",
            "blockHash":"{block}","transactionHash":"{tx}","transactionIndex":"{index:#x}",
            "logIndex":"{index:#x}","removed":false}}"#,
            self.by,
            topics.join(","),
            hex::encode(&self.data),
        )
    }
}

/// The transaction that wrote a log, if it is not said.
pub(crate) fn tx_of(index: u32) -> B256 {
    B256::from(U256::from(10_000 + index))
}

/// A feed's new answer, in dollars.
pub(crate) fn answered(feed: FeedId, amount: u64) -> Written {
    let topics = [ANSWER_UPDATED, B256::from(dollars(amount).into_raw()), B256::with_last_byte(7)];
    Written::new(AGGREGATORS[feed.index()], &topics, &[1])
}

/// Somebody borrowed from Aave.
pub(crate) fn borrowed(who: u8, asset: Address) -> Written {
    let topics = [aave_topics::BORROW, asset.into_word(), user(who).into_word(), B256::ZERO];
    Written::new(AAVE.pool, &topics, &[1, 1, 2, 3])
}

/// A reserve's collateral token was minted to somebody.
pub(crate) fn minted(who: u8, reserve: u16) -> Written {
    let topics = [aave_topics::MINT, user(who).into_word(), user(who).into_word()];
    Written::new(tokens_of(reserve)[0], &topics, &[1, 0, RAY])
}

/// Somebody no longer uses a reserve as collateral, or does again.
pub(crate) fn used(who: u8, asset: Address, is_used: bool) -> Written {
    use aave_topics::{COLLATERAL_DISABLED, COLLATERAL_ENABLED};
    let topic = if is_used { COLLATERAL_ENABLED } else { COLLATERAL_DISABLED };
    Written::new(AAVE.pool, &[topic, asset.into_word(), user(who).into_word()], &[])
}

/// A reserve's rates and indices.
pub(crate) fn reserve_data(asset: Address, borrow_index: u128) -> Written {
    let topics = [aave_topics::RESERVE_DATA, asset.into_word()];
    Written::new(AAVE.pool, &topics, &[0, 0, 0, RAY, borrow_index])
}

fn morpho_says(topic: B256, market: B256, who: u8, words: &[u128]) -> Written {
    let account = user(who).into_word();
    Written::new(MORPHO, &[topic, market, account, account], words)
}

/// Somebody adds collateral to the market of Morpho's.
pub(crate) fn deposited(market: B256, who: u8, amount: u128) -> Written {
    morpho_says(morpho_topics::SUPPLY_COLLATERAL, market, who, &[amount])
}

/// Somebody takes collateral out of it.
pub(crate) fn withdrawn(market: B256, who: u8, amount: u128) -> Written {
    morpho_says(morpho_topics::WITHDRAW_COLLATERAL, market, who, &[0, amount])
}

/// Somebody borrows so much at the first price of a share.
pub(crate) fn lent(market: B256, who: u8, amount: u128) -> Written {
    morpho_says(morpho_topics::BORROW, market, who, &[0, amount, amount * SHARES])
}

/// Somebody repays so much at the first price of a share.
pub(crate) fn repaid(market: B256, who: u8, amount: u128) -> Written {
    morpho_says(morpho_topics::REPAY, market, who, &[amount, amount * SHARES])
}

/// What Compound's market writes of these, with numbers behind them.
pub(crate) fn comet_says(topic: B256, about: &[Address], words: &[u128]) -> Written {
    let mut topics = Vec::from([topic]);
    topics.extend(about.iter().map(Address::into_word));
    Written::new(COMET, &topics, words)
}

fn put(out: &mut Vec<u8>, words: &[u64]) {
    words.iter().for_each(|number| out.extend_from_slice(word((*number).into()).as_slice()));
}

/// Calldata of an aggregator's `transmit`, whose observations all say so many dollars.
pub(crate) fn transmit(config: B256, amount: u64) -> Vec<u8> {
    let mut data = call(TRANSMIT_OCR2, &[config]);
    // Epoch and round; then the offsets of the report and of both halves of the signatures.
    let report = 8 * 32;
    put(&mut data, &[(77 << 8) | 3, 0, 224, 256 + report, 256 + report + 96, 0]);
    put(&mut data, &[report, 1_800_000_000, 7, 128, 15, 3]);
    (0..3).for_each(|_| put(&mut data, &[amount * 100_000_000]));
    (0..2).for_each(|_| put(&mut data, &[2, 5, 6]));
    data
}

/// The same through a forwarder.
pub(crate) fn forwarded(to: Address, inner: &[u8]) -> Vec<u8> {
    let mut data = call(FORWARD, &[to.into_word()]);
    put(&mut data, &[64, inner.len() as u64]);
    data.extend_from_slice(inner);
    data.extend_from_slice(&[0; 28]);
    data
}

fn call(selector: [u8; 4], words: &[B256]) -> Vec<u8> {
    selector.into_iter().chain(words.iter().flat_map(|word| word.0)).collect()
}

fn word(number: u128) -> B256 {
    B256::from(U256::from(number))
}

/// Calldata of Aave's `repay` for somebody.
pub(crate) fn aave_repay(asset: Address, amount: u128, who: u8) -> Vec<u8> {
    call(AAVE_REPAY, &[asset.into_word(), word(amount), word(2), user(who).into_word()])
}

/// Calldata of Aave's `supply` for somebody.
pub(crate) fn aave_supply(asset: Address, amount: u128, who: u8) -> Vec<u8> {
    call(AAVE_SUPPLY, &[asset.into_word(), word(amount), user(who).into_word(), word(0)])
}

fn of_market(params: &Params) -> Vec<B256> {
    let Params { loan_token, collateral_token, oracle, irm, lltv } = *params;
    let mut words =
        [loan_token, collateral_token, oracle, irm].map(|part| part.into_word()).to_vec();
    words.push(word(lltv.into()));
    words
}

/// Calldata of Morpho's `repay` for somebody: so much, or so many shares.
pub(crate) fn morpho_repay(params: &Params, [assets, shares]: [u128; 2], who: u8) -> Vec<u8> {
    let mut words = of_market(params);
    words.extend([word(assets), word(shares), user(who).into_word(), word(288), word(0)]);
    call(MORPHO_REPAY, &words)
}

/// Calldata of Morpho's `supplyCollateral` for somebody.
pub(crate) fn morpho_supply(params: &Params, amount: u128, who: u8) -> Vec<u8> {
    let mut words = of_market(params);
    words.extend([word(amount), user(who).into_word(), word(256), word(0)]);
    call(MORPHO_SUPPLY, &words)
}

/// Calldata of Compound's `supplyTo` for somebody.
pub(crate) fn comet_supply_to(asset: Address, amount: u128, who: u8) -> Vec<u8> {
    call(COMET_SUPPLY_TO, &[user(who).into_word(), asset.into_word(), word(amount)])
}
