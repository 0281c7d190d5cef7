//! Pools that are created while a live run flies: they are taken in, traded, and kept.
//!
//! Temperature: cold.

use alloy::sol;
use alloy::sol_types::SolCall;
use alloy_primitives::aliases::{I24, U24, U160};
use alloy_primitives::{Address, Bytes, U256};
use serde_json::{Value, json};

use crate::bot::Bot;
use crate::nodes::{Chain, Folder, amount, text, wait_for};
use crate::safety::Field;

sol! {
    function mint(address to, uint256 value);
    function approve(address spender, uint256 value) returns (bool);
    function deposit();
    function getReserves() returns (uint112 first, uint112 second, uint32 at);
    function getPair(address first, address second) returns (address pair);
    function getPool(address first, address second, uint24 fee) returns (address pool);
    function addLiquidity(
        address first, address second, uint256 firstAmount, uint256 secondAmount,
        uint256 firstLeast, uint256 secondLeast, address to, uint256 deadline);

    interface Manager {
        struct Position {
            address first;
            address second;
            uint24 fee;
            int24 lower;
            int24 upper;
            uint256 firstAmount;
            uint256 secondAmount;
            uint256 firstLeast;
            uint256 secondLeast;
            address to;
            uint256 deadline;
        }
        function createAndInitializePoolIfNecessary(
            address first, address second, uint24 fee, uint160 price);
        function mint(Position position);
    }
}

/// A gap that pays for gas many times over, in parts of a thousand.
const SKEW: u64 = 1_030;
const FEE: u64 = 3_000;
/// The last ticks that a pool of this fee can have.
const EDGE: i32 = 887_220;

/// Who made the test chain's tokens, and can make more of them.
struct Maker<'a> {
    chain: &'a mut Chain,
    book: &'a Value,
}

fn address_in(value: &Value) -> Address {
    text(value).parse().expect("this is an address")
}

impl Maker<'_> {
    fn token(&self, symbol: &str) -> Address {
        address_in(&self.book["tokens"][symbol]["address"])
    }

    fn factory(&self, name: &str, field: &str) -> Address {
        let all = self.book["factories"].as_array().expect("factories are listed");
        let found = all.iter().find(|factory| factory["name"] == name);
        address_in(&found.expect("it is listed")[field])
    }

    fn me(&self) -> Address {
        address_in(&self.book["accounts"][0]["address"])
    }

    /// Sends a transaction and demands that it succeeds.
    fn send(&mut self, to: Address, call: &impl SolCall, value: U256) {
        let transaction = json!({
            "from": self.me(), "to": to, "value": value, "gas": U256::from(8_000_000),
            "data": Bytes::from(call.abi_encode()),
        });
        let hash = self.chain.ask("eth_sendTransaction", &json!([transaction]));
        let receipt = wait_for("a receipt", || {
            let receipt = self.chain.ask("eth_getTransactionReceipt", &json!([hash]));
            (!receipt.is_null()).then_some(receipt)
        });
        assert_eq!(receipt["status"], "0x1", "{receipt}");
    }

    fn view<C: SolCall>(&mut self, to: Address, call: &C) -> C::Return {
        let data = Bytes::from(call.abi_encode());
        let answer = self.chain.ask("eth_call", &json!([{ "to": to, "data": data }, "latest"]));
        let answer: Bytes = serde_json::from_value(answer).expect("this is data");
        C::abi_decode_returns(&answer).expect("it answers")
    }

    /// Has so much of a token, and lets `spender` take it.
    fn obtain(&mut self, token: Address, value: U256, spender: Address) {
        if token == self.token("WETH") {
            self.send(token, &depositCall {}, value);
        } else {
            self.send(token, &mintCall { to: self.me(), value }, U256::ZERO);
        }
        self.send(token, &approveCall { spender, value }, U256::ZERO);
    }

    /// A token that did not exist: a copy of one that does.
    fn new_token(&mut self) -> Address {
        let token = Address::repeat_byte(0x7e);
        let code = self.chain.ask("eth_getCode", &json!([self.token("DAI"), "latest"]));
        self.chain.ask("anvil_setCode", &json!([token, code]));
        token
    }

    /// What Uniswap's pair of two tokens holds of them: the market's price.
    fn price(&mut self, [first, second]: [Address; 2]) -> [U256; 2] {
        let factory = self.factory("uniswap", "address");
        let pair = self.view(factory, &getPairCall { first, second });
        let held = self.view(pair, &getReservesCall {});
        let held = [U256::from(held.first), U256::from(held.second)];
        if first < second { held } else { [held[1], held[0]] }
    }

    /// A new pair, by its factory's router.
    fn pair(&mut self, name: &str, [first, second]: [Address; 2], amounts: [U256; 2]) -> Address {
        let router = self.factory(name, "router");
        self.obtain(first, amounts[0], router);
        self.obtain(second, amounts[1], router);
        let call = addLiquidityCall {
            first,
            second,
            firstAmount: amounts[0],
            secondAmount: amounts[1],
            firstLeast: U256::ZERO,
            secondLeast: U256::ZERO,
            to: self.me(),
            deadline: U256::from(u64::MAX),
        };
        self.send(router, &call, U256::ZERO);
        let factory = self.factory(name, "address");
        self.view(factory, &getPairCall { first, second })
    }

    /// A new V3 pool with liquidity everywhere.
    fn ranged(&mut self, tokens: [Address; 2], amounts: [U256; 2]) -> Address {
        let is_sorted = tokens[0] < tokens[1];
        let sorted = |[first, second]: [U256; 2]| {
            if is_sorted { [first, second] } else { [second, first] }
        };
        let ([first, second], amounts) =
            (if is_sorted { tokens } else { [tokens[1], tokens[0]] }, sorted(amounts));
        let manager = address_in(&self.book["v3"]["position_manager"]);
        self.obtain(first, amounts[0], manager);
        self.obtain(second, amounts[1], manager);
        let price: U256 = (amounts[1] << 128_usize) / amounts[0];
        let (price, fee) = (U160::from(price.root(2) << 32_usize), U24::from(FEE));
        let create = Manager::createAndInitializePoolIfNecessaryCall { first, second, fee, price };
        self.send(manager, &create, U256::ZERO);
        let edge = I24::try_from(EDGE).expect("a tick has 24 bits");
        let position = Manager::Position {
            first,
            second,
            fee,
            lower: -edge,
            upper: edge,
            firstAmount: amounts[0],
            secondAmount: amounts[1],
            firstLeast: U256::ZERO,
            secondLeast: U256::ZERO,
            to: self.me(),
            deadline: U256::from(u64::MAX),
        };
        self.send(manager, &Manager::mintCall { position }, U256::ZERO);
        self.view(address_in(&self.book["v3"]["factory"]), &getPoolCall { first, second, fee })
    }
}

/// Whether a trade through this pool has landed.
fn has_landed_through(journal: &[Value], pool: Address) -> bool {
    let legs = |line: &Value| line["plan"]["legs"].as_array().cloned().unwrap_or_default();
    let is_there = |leg: &Value| leg["pool"].as_str().and_then(|it| it.parse().ok()) == Some(pool);
    let submitted = journal.iter().filter(|line| line["kind"] == "submitted");
    let through = submitted.filter(|line| legs(line).iter().any(is_there));
    through.into_iter().any(|line| {
        let mut ends = journal.iter().filter(|end| end["kind"] == "outcome");
        ends.any(|end| end["hash"] == line["hash"] && end["status"] == "landed")
    })
}

fn wait_for_trade(bot: &mut Bot<'_>, what: &str, pool: Address) {
    bot.wait(&format!("a trade through {what}, {pool}"), |journal| {
        has_landed_through(journal, pool)
    });
}

#[test]
fn pools_that_are_created_in_flight_are_traded_and_kept_for_the_next_start() {
    let folder = Folder::new("growth");
    let field = Field::new(&folder);
    let mut chain = field.node.chain();
    let snapshot = format!("runtime.snapshot=\"{}\"", folder.file("first.snapshot").display());
    let often = ["--set", "universe.new_pools_every_s=1", "--set", &snapshot];
    let summary =
        |name: &str| format!("--json={}", folder.file(&format!("{name}.summary")).display());
    let first = summary("first");
    let mut bot = field.fly(&folder, "first", &[&often[..], &[&first]].concat());
    bot.wait_until_fresh();

    let mut book = field.node.book.clone();
    let mut maker = Maker { chain: &mut chain, book: &field.node.book };
    let [weth, usdc, usdt, dai] = ["WETH", "USDC", "USDT", "DAI"].map(|it| maker.token(it));
    let tilt = |[first, second]: [U256; 2]| {
        let part = |amount: U256| amount / U256::from(4_000);
        [part(first) * U256::from(1_000), part(second) * U256::from(SKEW)]
    };

    // Two tokens that are known.
    let amounts = tilt(maker.price([usdc, usdt]));
    let stable = maker.pair("sushi", [usdc, usdt], amounts);
    wait_for_trade(&mut bot, "a new pair", stable);

    // A V3 pool.
    let amounts = tilt(maker.price([weth, dai]));
    let ranged = maker.ranged([weth, dai], amounts);
    wait_for_trade(&mut bot, "a new concentrated pool", ranged);

    // A token that was not there: two pairs of it are needed.
    let token = maker.new_token();
    let ether = U256::from(10).pow(U256::from(18));
    let amounts = [ether * U256::from(300), ether * U256::from(900_000)];
    let one = maker.pair("uniswap", [weth, token], amounts);
    let other = maker.pair("sushi", [weth, token], [amounts[0], amounts[1] * U256::from(2)]);
    wait_for_trade(&mut bot, "the first pair of a new token", one);
    assert!(has_landed_through(&bot.journal(), other), "through both of them");

    let flown = bot.end("TERM");
    flown.assert_ended();
    assert_eq!(flown.summary["new_pools"], 4, "{}", flown.stdout);
    assert_eq!(flown.summary["audit"]["drifted"], 0);
    assert_eq!(flown.summary["reverted"], 0);
    let pair = |pool: Address| json!({ "address": pool });
    let pairs = book["pairs"].as_array_mut().expect("pairs are listed");
    pairs.extend([stable, one, other].map(pair));
    let pools = book["v3"]["pools"].as_array_mut().expect("pools are listed");
    pools.push(pair(ranged));
    let kept: Value = serde_json::from_str(&folder.read("first.snapshot")).expect("it is JSON");
    chain.assert_same_reserves("first", &book, &kept);

    // The next run knows them from its start, and does not take them for new.
    let second = summary("second");
    let mut bot = field.fly(&folder, "second", &[&often[..], &[&second]].concat());
    bot.wait_until_fresh();
    assert!(bot.stderr().contains("taking up what an earlier run kept"), "{}", bot.stderr());
    let before = amount(&chain.ask("eth_blockNumber", &json!([])));
    chain.next_blocks(3);
    let flown = bot.end("TERM");
    flown.assert_ended();
    assert_eq!(flown.summary["new_pools"], 0);
    assert!(flown.summary["block"].as_u64().map(U256::from) >= Some(before));
    let standings = flown.summary["pools"].as_object().expect("standings are counted");
    let all: u64 = standings.values().filter_map(Value::as_u64).sum();
    let known = kept["pools"].as_object().expect("a snapshot lists pools").len();
    assert_eq!(all, known as u64);
}
