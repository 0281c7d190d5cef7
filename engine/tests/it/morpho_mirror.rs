//! The table of markets and borrowers against Morpho's storage: random calls of a few accounts in a
//! few markets, whose logs are fed to the table. After each, every market and position is equal; at
//! the end all is taken back, and at every mark on the way it is what it was then.
//!
//! Temperature: cold.

use alloy::primitives::{Address, U256};
use alloy::sol_types::SolCall;
use gannet_engine::lending::morpho::{
    Event, FEE_MAX, MarketEntry, Params, PositionEntry, PositionId, Table, Undo, WAD_U64,
};

use crate::differential::{Random, SEED};
use crate::evm::{OWNER, Receipt};
use crate::morpho::{Judge, Stand, abi::Morpho, events, market_params};

const CALLS: u32 = 12_000;
const MARK_EVERY: u32 = 50;
const ACCOUNTS: usize = 6;
const START: u64 = 1_700_000_000;
const LIMITS: [u64; 3] =
    [860_000_000_000_000_000, 945_000_000_000_000_000, 500_000_000_000_000_000];

#[test]
fn the_table_is_the_storage_after_every_call_and_goes_back_exactly() {
    let mut mirror = Mirror::new();
    let mut marks = vec![];
    for number in 0..CALLS {
        if number.is_multiple_of(MARK_EVERY) {
            marks.push((mirror.undo.len(), mirror.contents()));
        }
        mirror.step();
        mirror.compare();
    }
    let Mirror { landed, refused, closed, .. } = mirror;
    println!("mirror: {landed} calls landed, {refused} refused, {closed} positions closed");
    println!("mirror: liquidations {}, of bad debt {}", mirror.liquidated, mirror.bad_debts);
    assert!(landed > CALLS / 3 && mirror.liquidated > 100 && mirror.bad_debts > 20 && closed > 50);
    assert_eq!(mirror.table.tally(), Default::default());
    for (length, contents) in marks.into_iter().rev() {
        while mirror.undo.len() > length {
            let undo = mirror.undo.pop().expect("one more");
            mirror.table.undo(undo);
        }
        assert_eq!(mirror.contents(), contents);
    }
    // The first market is older than the first mark.
    while let Some(undo) = mirror.undo.pop() {
        mirror.table.undo(undo);
    }
    assert_eq!(mirror.contents(), (vec![], vec![]));
}

struct Mirror {
    stand: Stand,
    table: Table,
    random: Random,
    undo: Vec<Undo>,
    markets: Vec<Params>,
    now: u64,
    /// In thousandths.
    price: U256,
    landed: u32,
    refused: u32,
    closed: u32,
    liquidated: u32,
    bad_debts: u32,
}

type Contents = (Vec<MarketEntry>, Vec<(PositionId, PositionEntry)>);

impl Mirror {
    fn new() -> Self {
        let mut stand = Stand::new(Judge::Compiled).expect("it is compiled");
        stand.set_price(U256::from(10).pow(U256::from(36)));
        stand.chain.set_time(START);
        for irm in [Address::ZERO, stand.curve] {
            stand.call(OWNER, &Morpho::enableIrmCall { irm }).lands();
        }
        for lltv in LIMITS {
            stand.call(OWNER, &Morpho::enableLltvCall { lltv: U256::from(lltv) }).lands();
        }
        let table = Table::new(8, 64, stand.curve);
        let mut mirror = Self {
            stand,
            table,
            random: Random(SEED),
            undo: vec![],
            markets: vec![],
            now: START,
            price: U256::from(1_000),
            landed: 0,
            refused: 0,
            closed: 0,
            liquidated: 0,
            bad_debts: 0,
        };
        mirror.create();
        mirror
    }

    fn contents(&self) -> Contents {
        let positions = self.table.positions().map(|(id, entry)| (id, *entry));
        (self.table.markets().to_vec(), positions.collect())
    }

    fn create(&mut self) {
        let made = self.markets.len();
        let params = self.stand.params(LIMITS[made / 2], made.is_multiple_of(2));
        self.send(OWNER, &Morpho::createMarketCall { market: market_params(&params) });
        self.markets.push(params);
    }

    /// Sends a call and feeds its logs to the table.
    fn send(&mut self, from: Address, call: &impl SolCall) {
        let receipt: Receipt = self.stand.call(from, call);
        self.landed += u32::from(receipt.answer.is_ok());
        self.refused += u32::from(receipt.answer.is_err());
        for event in events(&receipt.logs) {
            let undo = &mut self.undo;
            let before = self.table.position_count();
            self.table.apply(&event, self.now, &mut |inverse| undo.push(inverse));
            self.closed += u32::from(self.table.position_count() < before);
            if let Event::Liquidate(done) = event {
                self.liquidated += 1;
                self.bad_debts += u32::from(done.bad_debt_assets > 0);
            }
        }
    }

    fn account(&mut self) -> Address {
        let number = self.random.below(ACCOUNTS);
        Address::repeat_byte(0x50 + u8::try_from(number).expect("few"))
    }

    /// Some time passes, the price moves, and somebody does something.
    fn step(&mut self) {
        self.now += self.random.pick(&[0, 0, 12, 3_600, 86_400]);
        self.stand.chain.set_time(self.now);
        if self.random.below(4) == 0 {
            self.price = U256::from(100 + self.random.below(1_900));
            self.stand.set_price(U256::from(10).pow(U256::from(33)) * self.price);
        }
        if self.markets.len() < 6 && self.random.below(200) == 0 {
            return self.create();
        }
        let params = self.random.pick(&self.markets);
        self.act(&params);
    }

    fn act(&mut self, params: &Params) {
        let (market, from, account) = (market_params(params), self.account(), self.account());
        let amount = match self.random.below(3) {
            0 => self.random.share(1 << 70),
            _ => (1 << 68) + self.random.wide() % (1 << 70),
        };
        let amount = U256::from(amount);
        let data = || vec![].into();
        // By assets or by shares, of which there are a million times as many.
        let by_shares = U256::from(1_000_000) * amount;
        let (assets, shares) = match self.random.below(2) {
            0 => (amount, U256::ZERO),
            _ => (U256::ZERO, by_shares),
        };
        let held = self.stand.position(params, account);
        let own = self.stand.position(params, from);
        match self.random.below(20) {
            0..=3 => self
                .send(from, &Morpho::supplyCall { market, assets, shares, account, data: data() }),
            4 => {
                let (account, to) = (from, account);
                self.send(from, &Morpho::withdrawCall { market, assets, shares, account, to });
            }
            5..=8 => {
                // Up to a little more than the limit.
                let worth = U256::from(own.collateral) * self.price / U256::from(1_000);
                let part = U256::from(params.lltv) * U256::from(self.random.below(1_040));
                let most = worth * part / U256::from(WAD_U64) / U256::from(1_000);
                let (assets, shares) = match shares.is_zero() {
                    true => (most, U256::ZERO),
                    false => (U256::ZERO, U256::from(1_000_000) * most),
                };
                let (account, to) = (from, account);
                self.send(from, &Morpho::borrowCall { market, assets, shares, account, to });
            }
            9 => self
                .send(from, &Morpho::repayCall { market, assets, shares, account, data: data() }),
            10 => {
                let (assets, shares) = (U256::ZERO, U256::from(held.borrow_shares));
                self.send(
                    from,
                    &Morpho::repayCall { market, assets, shares, account, data: data() },
                );
            }
            11..=13 => {
                let assets = amount;
                self.send(
                    from,
                    &Morpho::supplyCollateralCall { market, assets, account, data: data() },
                );
            }
            14 => {
                let assets = self.random.pick(&[amount, U256::from(own.collateral)]);
                let (account, to) = (from, account);
                self.send(from, &Morpho::withdrawCollateralCall { market, assets, account, to });
            }
            15..=17 => self.liquidate(market, account, [held.borrow_shares, held.collateral], from),
            18 => {
                let fee = U256::from(self.random.below(usize::try_from(FEE_MAX).expect("64 bits")));
                self.send(OWNER, &Morpho::setFeeCall { market, fee });
                self.send(OWNER, &Morpho::setFeeRecipientCall { recipient: from });
            }
            // A market without interest writes down the time of this one, and no log tells.
            _ if params.irm.is_zero() => {}
            _ => self.send(from, &Morpho::accrueInterestCall { market }),
        }
    }

    fn liquidate(
        &mut self,
        market: crate::morpho::abi::MarketParams,
        borrower: Address,
        [owed, collateral]: [u128; 2],
        from: Address,
    ) {
        let (seized, shares) = match self.random.below(4) {
            0 => (0, owed),
            1 => (0, self.random.share(owed)),
            2 => (collateral, 0),
            _ => (self.random.share(collateral), 0),
        };
        let (seized, shares) = (U256::from(seized), U256::from(shares));
        let data = vec![].into();
        self.send(from, &Morpho::liquidateCall { market, borrower, seized, shares, data });
    }

    /// Every market and every account's position, here and there.
    fn compare(&mut self) {
        for params in self.markets.clone() {
            let id = self.table.market_id(&params.id()).expect("it is followed");
            let entry = *self.table.market(id).expect("it is there");
            assert_eq!(entry.state, self.stand.market(&params));
            assert!(entry.is_whole && entry.params == params && entry.state.lltv < WAD_U64);
            for number in 0..ACCOUNTS {
                let number = u8::try_from(number).expect("few");
                let account = Address::repeat_byte(0x50 + number);
                let found = self.table.position_id(id, account);
                let ours = found.and_then(|id| self.table.position(id)).copied();
                let theirs = self.stand.position(&params, account);
                assert_eq!(ours.map(|entry| entry.state).unwrap_or_default(), theirs);
                assert!(ours.is_none_or(|entry| entry.is_whole && entry.account == account));
            }
        }
    }
}
