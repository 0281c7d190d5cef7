//! `gannet positions` on a chain that lends: every borrower stands as the chain says.
//!
//! Temperature: cold.

use std::fmt::Debug;
use std::process::Command;
use std::str::FromStr;

use alloy::sol;
use alloy::sol_types::SolCall as _;
use alloy_primitives::{Bytes, I256, U256};
use serde_json::{Value, json};

use crate::bot::{Said, gannet};
use crate::nodes::{Chain, Folder, Node, amount, root, text};

/// The tokens whose prices fall.
const FALLING: [&str; 2] = ["WETH", "WBTC"];

/// Liquidations on Aave that are made, so that all fit into one block.
const AAVE_MAX: usize = 6;
/// What one of them may use.
const GAS: u64 = 700_000;

sol! {
    struct MarketParams {
        address loan_token;
        address collateral_token;
        address oracle;
        address irm;
        uint256 lltv;
    }

    function latestAnswer() returns (uint256 price);
    function approve(address spender, uint256 most);
    function liquidationCall(
        address collateral,
        address debt,
        address user,
        uint256 amount,
        bool receivesAToken
    );
    function liquidate(
        MarketParams params,
        address user,
        uint256 seized,
        uint256 shares,
        bytes data
    );
}

/// What the chain says about lending.
fn ask_chain(folder: &Folder, arguments: &[&str]) -> Value {
    let said = Command::new("node")
        .arg(root().join("scripts/chain/lending-audit.mjs"))
        .arg("--book")
        .arg(folder.file("book.json"))
        .args(arguments)
        .output()
        .expect("node can be started");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    serde_json::from_slice(&said.stdout).expect("an audit is JSON")
}

/// What it says of every borrower at a block.
fn audit(folder: &Folder, block: &Value) -> Vec<Value> {
    list(&ask_chain(folder, &["--block", &block.to_string()])["positions"])
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().expect("this is a list").clone()
}

/// What `gannet positions --json` says.
fn told(folder: &Folder, node: &Node, more: &[&str]) -> Value {
    let url = format!("node.url={}", node.url());
    let said = gannet(folder, &[&["positions", "--json", "--set", &url], more].concat(), &[]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    serde_json::from_str(&said.stdout).expect("stdout is one JSON value")
}

fn said(folder: &Folder, node: &Node, more: &[&str]) -> Said {
    let url = format!("node.url={}", node.url());
    gannet(folder, &[&["positions", "--set", &url], more].concat(), &[])
}

/// The position that an audit's one is.
fn same<'a>(positions: &'a [Value], audited: &Value) -> &'a Value {
    let is_same = |one: &&Value| {
        let is_user = text(&one["user"]).eq_ignore_ascii_case(text(&audited["user"]));
        is_user && one["protocol"] == audited["protocol"] && one["market"] == audited["market_id"]
    };
    positions.iter().find(is_same).expect("everybody of the audit is told")
}

/// The only amount of a list of holdings.
fn only(holdings: &Value) -> Value {
    let holdings = list(holdings);
    assert_eq!(holdings.len(), 1, "{holdings:?}");
    holdings[0]["amount"].clone()
}

/// Demands that holdings are those of a map from symbols.
fn assert_same_holdings(book: &Value, holdings: &Value, audited: &Value) {
    let reserves = &book["lending"]["aave"]["reserves"];
    let audited = audited.as_object().expect("amounts by symbol");
    let held = list(holdings);
    assert_eq!(held.len(), audited.len(), "{holdings} and {audited:?}");
    for (symbol, amount) in audited {
        let token = text(&reserves[symbol]["underlying"]);
        let one = held.iter().find(|one| text(&one["token"]).eq_ignore_ascii_case(token));
        assert_eq!(one.map(|one| &one["amount"]), Some(amount), "{symbol}");
    }
}

/// Demands that everybody stands as the chain says, to the wei.
fn assert_as_audited(book: &Value, told: &Value, audited: &[Value]) {
    let positions = list(&told["positions"]);
    assert_eq!(positions.len(), audited.len());
    for audited in audited {
        let one = same(&positions, audited);
        assert_eq!(one["fault"], Value::Null, "{one}");
        assert_eq!(one["health_at_block"], audited["health"], "{one}\n{audited}");
        if audited["protocol"] == "aave" {
            assert_same_holdings(book, &one["debt"], &audited["debt"]);
            assert_same_holdings(book, &one["collateral"], &audited["collateral"]);
        } else {
            assert_eq!(only(&one["debt"]), audited["borrowed"]);
            assert_eq!(only(&one["collateral"]), audited["collateral"]);
        }
    }
}

/// Mines the block that the healths were told for, and demands that they are right.
fn assert_right_in_the_next_block(folder: &Folder, chain: &mut Chain, told: &Value) {
    chain.ask("evm_setNextBlockTimestamp", &json!([told["next_timestamp"]]));
    chain.mine(1);
    let block = told["block"].as_u64().expect("a block has a number") + 1;
    let positions = list(&told["positions"]);
    for audited in audit(folder, &json!(block)) {
        let one = same(&positions, &audited);
        assert_eq!(one["health"], audited["health"], "{one}\n{audited}");
        assert_eq!(one["is_liquidatable"], audited["is_liquidatable"], "{one}");
    }
}

/// Makes a feed answer five per cent less than it does, whichever question it is asked: that is the
/// first word of one answer, and the second of the other.
fn fall(chain: &mut Chain, feed: &Value) {
    let data = Bytes::from(latestAnswerCall {}.abi_encode());
    let answer = chain.ask("eth_call", &json!([{ "to": feed, "data": data }, "latest"]));
    let less = amount(&answer) * U256::from(95) / U256::from(100);
    let mut code = Vec::new();
    for place in 0..5 {
        // PUSH32 price, PUSH1 offset, MSTORE.
        code.push(0x7f);
        code.extend_from_slice(&less.to_be_bytes::<32>());
        code.extend_from_slice(&[0x60, 32 * place, 0x52]);
    }
    // Return all five words.
    code.extend_from_slice(&[0x60, 160, 0x60, 0, 0xf3]);
    chain.ask("anvil_setCode", &json!([feed, Bytes::from(code)]));
}

/// Whether a fall of both prices is a fall of all that he has, and of nothing that he owes.
fn is_all_that_falls(book: &Value, one: &Value) -> bool {
    let tokens = &book["lending"]["aave"]["reserves"];
    let falls = |holding: &Value| {
        let token = text(&holding["token"]);
        FALLING.iter().any(|symbol| token.eq_ignore_ascii_case(text(&tokens[symbol]["underlying"])))
    };
    list(&one["collateral"]).iter().all(falls) && !list(&one["debt"]).iter().any(falls)
}

/// Demands that a check of a run that liquidates tells of the borrowers.
fn assert_checked(folder: &Folder, node: &Node) {
    let url = format!("node.url={}", node.url());
    let liquidates = ["--set", "strategy.liquidation.valid_blocks=2"];
    let asked = [&["check", "--json", "--set", &url], &liquidates[..]].concat();
    let said = gannet(folder, &asked, &[]);
    let report: Value = serde_json::from_str(&said.stdout).expect("a report is JSON");
    let loans = list(&report["findings"]).into_iter().find(|one| one["name"] == "loans");
    let loans = loans.expect("it tells of loans");
    let is_fit = loans["level"] == "ok" && text(&loans["detail"]).contains("borrowers; of");
    assert!(is_fit, "{loans}");
}

#[test]
fn every_borrower_stands_as_the_chain_says_now_and_in_the_next_block() {
    let folder = Folder::new("positions");
    let node = Node::anvil(&folder, &["--lending", "--no-market", "--block-time", "0"]);
    let mut chain = node.chain();
    let everybody = told(&folder, &node, &[]);
    let audited = audit(&folder, &everybody["block"]);
    assert!(audited.len() >= 50, "{} borrowers", audited.len());
    assert_as_audited(&node.book, &everybody, &audited);
    assert_checked(&folder, &node);
    assert_right_in_the_next_block(&folder, &mut chain, &everybody);
    for one in list(&everybody["positions"]) {
        // Who is healthy is so until a price moves, and then may be liquidated for a bonus.
        let falls = list(&one["deals"]);
        assert!(falls.iter().all(|deal| deal["fall_per_cent"] != 0), "{one}");
        let moves = list(&one["moves"]);
        assert!(moves.iter().any(|one| one["percent"].is_string()), "{one}");
    }

    for symbol in FALLING {
        fall(&mut chain, &node.book["lending"]["feeds"][symbol]["proxy"]);
    }
    approve(&mut chain, &node.book);
    chain.mine(1);
    let later = told(&folder, &node, &[]);
    assert_as_audited(&node.book, &later, &audit(&folder, &later["block"]));
    let positions = list(&later["positions"]);
    assert_deals_pay(&positions);
    assert_foreseen(&node.book, &list(&everybody["positions"]), &positions);
    assert_filtered(&folder, &node, &positions);
    assert_liquidated_as_foreseen(&folder, &mut chain, &node.book, &later);
}

/// Demands that some can be liquidated on both protocols, and that each brings something.
fn assert_deals_pay(positions: &[Value]) {
    let liquidatable = positions.iter().filter(|one| one["is_liquidatable"] == true);
    let protocols: Vec<&str> = liquidatable.clone().map(|one| text(&one["protocol"])).collect();
    assert!(protocols.contains(&"aave") && protocols.contains(&"morpho"), "{protocols:?}");
    for one in liquidatable {
        let deals = list(&one["deals"]);
        assert_eq!(deals.len(), 4, "now and after three falls: {one}");
        assert_eq!(deals[0]["fall_per_cent"], 0);
        let profit: I256 = text(&deals[0]["profit"]).parse().expect("a signed amount");
        let repaid: U256 = text(&deals[0]["repaid"]).parse().expect("an amount");
        assert!(profit.is_positive() && !repaid.is_zero(), "{one}");
        assert!(deals[0]["profit_wei"].is_string(), "the pools have a price: {one}");
        assert!(deals[0]["profit_through_pools"].is_string(), "{one}");
    }
}

/// Demands that those can be liquidated now of whom it was said before the fall, and nobody else.
fn assert_foreseen(book: &Value, before: &[Value], after: &[Value]) {
    for one in before {
        let foreseen = list(&one["deals"]).iter().any(|deal| deal["fall_per_cent"] == 5);
        if is_all_that_falls(book, one) {
            let is_same =
                |later: &&Value| later["user"] == one["user"] && later["market"] == one["market"];
            let later = after.iter().find(is_same).expect("nobody has gone");
            assert_eq!(later["is_liquidatable"], foreseen, "{one}\n{later}");
        }
    }
}

fn parse<T: FromStr<Err: Debug>>(value: &Value) -> T {
    text(value).parse().expect("this is what it should be")
}

/// Sends a transaction of the account that liquidates.
fn send(chain: &mut Chain, book: &Value, to: &Value, data: Vec<u8>) {
    let from = &book["accounts"][15]["address"];
    let (data, gas) = (Bytes::from(data), U256::from(GAS));
    let transaction = json!({ "from": from, "to": to, "data": data, "gas": gas });
    chain.ask("eth_sendTransaction", &json!([transaction]));
}

/// Lets both protocols take the liquidator's tokens.
fn approve(chain: &mut Chain, book: &Value) {
    let lending = &book["lending"];
    for reserve in lending["aave"]["reserves"].as_object().expect("reserves by symbol").values() {
        for spender in [&lending["aave"]["pool"], &lending["morpho"]["address"]] {
            let call = approveCall { spender: parse(spender), most: U256::MAX };
            send(chain, book, &reserve["underlying"], call.abi_encode());
        }
    }
}

/// Liquidates in the block that the deals were told for, and demands that each was what it was said
/// to be, to the wei. On Morpho one in each market, because it changes what shares are worth.
fn assert_liquidated_as_foreseen(folder: &Folder, chain: &mut Chain, book: &Value, told: &Value) {
    let lending = &book["lending"];
    let audited = audit(folder, &told["block"]);
    let positions = list(&told["positions"]);
    let mut markets = Vec::new();
    let mut foreseen = Vec::new();
    for one in positions.iter().filter(|one| one["is_liquidatable"] == true) {
        let deal = &one["deals"][0];
        if one["protocol"] == "aave" && foreseen.len() - markets.len() < AAVE_MAX {
            let call = liquidationCallCall {
                collateral: parse(&deal["seized"][0]["token"]),
                debt: parse(&deal["debt"]),
                user: parse(&one["user"]),
                amount: parse(&deal["repaid"]),
                receivesAToken: false,
            };
            send(chain, book, &lending["aave"]["pool"], call.abi_encode());
        } else if one["protocol"] == "morpho" && !markets.contains(&&one["market"]) {
            markets.push(&one["market"]);
            let is_same = |other: &&Value| same(&positions, other) == one;
            let audited = audited.iter().find(is_same).expect("the audit has everybody");
            let call = liquidateCall {
                params: params(book, &one["market"]),
                user: parse(&one["user"]),
                seized: U256::ZERO,
                shares: parse(&audited["borrow_shares"]),
                data: Bytes::new(),
            };
            send(chain, book, &lending["morpho"]["address"], call.abi_encode());
        } else {
            continue;
        }
        foreseen.push(one);
    }
    chain.ask("evm_setNextBlockTimestamp", &json!([told["next_timestamp"]]));
    chain.mine(1);
    let block = told["block"].as_u64().expect("a block has a number") + 1;
    let block = block.to_string();
    let done = list(&ask_chain(folder, &["--liquidations", "--from", &block, "--to", &block]));
    assert_eq!(done.len(), foreseen.len(), "each was made");
    assert!(markets.len() > 1 && foreseen.len() - markets.len() > 1, "{foreseen:?}");
    for (one, done) in foreseen.iter().zip(&done) {
        let deal = &one["deals"][0];
        assert!(text(&done["borrower"]).eq_ignore_ascii_case(text(&one["user"])));
        assert_eq!(deal["repaid"], done["repaid"], "{one}");
        assert_eq!(deal["seized"][0]["amount"], done["seized"], "{one}");
    }
}

/// A market's parameters.
fn params(book: &Value, id: &Value) -> MarketParams {
    let markets = list(&book["lending"]["morpho"]["markets"]);
    let market = markets.iter().find(|market| market["id"] == *id).expect("a market of the book");
    MarketParams {
        loan_token: parse(&market["loan_token"]),
        collateral_token: parse(&market["collateral_token"]),
        oracle: parse(&market["oracle"]),
        irm: parse(&market["irm"]),
        lltv: parse(&market["lltv"]),
    }
}

/// Demands that what is left out is left out, and that people are told the same.
fn assert_filtered(folder: &Folder, node: &Node, all: &[Value]) {
    let healths = all
        .iter()
        .map(|one| -> U256 { text(&one["health"]).parse().expect("everybody has a health") });
    let healths: Vec<U256> = healths.collect();
    assert!(healths.is_sorted(), "the riskiest come first");
    let below = U256::from(1_000_000_000_000_000_000_u64);
    let risky = healths.iter().filter(|health| **health < below).count();
    let few = told(folder, node, &["--below", "1"]);
    assert_eq!(list(&few["positions"]).len(), risky);
    let morpho = list(&told(folder, node, &["--protocol", "morpho"])["positions"]);
    assert!(morpho.iter().all(|one| one["protocol"] == "morpho"));
    assert_eq!(morpho.len(), all.iter().filter(|one| one["protocol"] == "morpho").count());

    let shown = said(folder, node, &["--below", "1"]);
    assert_eq!(shown.code, Some(0), "{}", shown.stderr);
    for word in [&format!("{risky} can be liquidated"), "saved by", "profit now", "gas is not"] {
        assert!(shown.stdout.contains(word), "no `{word}` in:\n{}", shown.stdout);
    }
}

#[test]
fn what_is_wrong_with_a_look_at_borrowers_is_told_with_what_to_do() {
    let folder = Folder::new("positions-wrong");
    let node = Node::anvil(&folder, &["--no-market"]);
    let none = ["--set", "lending.aave_v3=[]", "--set", "lending.morpho=[]"];
    let found = said(&folder, &node, &none);
    assert_eq!(found.code, Some(2), "{}", found.stderr);
    assert!(found.stderr.contains("lending: missing; wanted a table"), "{}", found.stderr);
    // This chain does not lend.
    let found = said(&folder, &node, &[]);
    assert_eq!(found.code, Some(1), "{}", found.stderr);
    assert!(found.stderr.contains("[[lending.aave_v3]]"), "{}", found.stderr);
    let found = said(&folder, &node, &["--below", "low"]);
    assert_eq!(found.code, Some(2), "{}", found.stderr);
    assert!(found.stderr.contains("wanted a number such as 1.05"), "{}", found.stderr);
}
