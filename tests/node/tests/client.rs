//! The node as a client sees it that is not the bot.
//!
//! Temperature: cold.
#![expect(clippy::expect_used, reason = "what cannot be set up fails its test")]

use std::net::TcpStream;
use std::time::Duration;

use alloy::consensus::TxEip1559;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use gannet_scripted_node::model::chain::Trade;
use gannet_scripted_node::model::{Market, Tx};
use gannet_scripted_node::{Node, Setup, Shape};
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

fn node() -> Node {
    let names = ["WETH", "USDC"].map(str::to_owned);
    let market = Market::new(2, &names).expect("two pools fit");
    Node::start(market, &Setup::default()).expect("loopback has a free port")
}

struct Client(WebSocket<TcpStream>);

impl Client {
    fn of(node: &Node) -> Self {
        let stream = TcpStream::connect(node.url().trim_start_matches("ws://"));
        let stream = stream.expect("the node listens");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket can be set");
        Self(tungstenite::client(node.url(), stream).expect("the node speaks").0)
    }

    fn say(&mut self, method: &str, params: &Value) {
        let question = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
        self.0.send(Message::text(question.to_string())).expect("the node listens");
    }

    fn next(&mut self) -> Value {
        let message = self.0.read().expect("the node answers");
        serde_json::from_str(message.to_text().expect("text")).expect("JSON")
    }

    fn ask(&mut self, method: &str, params: &Value) -> Value {
        self.say(method, params);
        let mut answer = self.next();
        assert_eq!(answer["id"], 7, "{answer}");
        answer["result"].take()
    }

    fn refusal(&mut self, raw: &Bytes) -> String {
        self.say("eth_sendRawTransaction", &json!([raw]));
        self.next()["error"]["message"].as_str().unwrap_or("taken").to_owned()
    }
}

/// A transaction of the first wallet, with fees in gwei.
fn tx(node: &Node, nonce: u64, gwei: u128, to: Address, input: Bytes) -> Tx {
    let chain = node.chain();
    let body = TxEip1559 {
        chain_id: chain.id,
        nonce,
        gas_limit: 200_000,
        max_fee_per_gas: gwei * 1_000_000_000,
        max_priority_fee_per_gas: gwei * 1_000_000_000,
        to: TxKind::Call(to),
        input,
        ..TxEip1559::default()
    };
    Tx::signed(body, &chain.market.wallets[0].signer).expect("a wallet signs")
}

fn transfer(node: &Node, nonce: u64, gwei: u128) -> Bytes {
    let own = node.chain().market.wallets[0].address();
    tx(node, nonce, gwei, own, Bytes::new()).raw()
}

#[test]
fn heads_and_logs_are_announced_and_hash_to_what_they_say() {
    let node = node();
    let mut client = Client::of(&node);
    assert_eq!(client.ask("eth_chainId", &json!([])), "0x7a69");
    client.ask("eth_subscribe", &json!(["newHeads"]));
    let sync = keccak256("Sync(uint112,uint112)");
    client.ask("eth_subscribe", &json!(["logs", { "topics": [sync] }]));

    let block = node.mine(&node.small_trades(2));
    let head = client.next()["params"]["result"].take();
    assert_eq!(head["hash"], json!(block.header.hash_slow()));
    assert_eq!(head["parentHash"], json!(node.chain().behind(1).hash));
    let logs: Vec<Value> = (0..2).map(|_| client.next()["params"]["result"].take()).collect();
    let listed = client.ask("eth_getLogs", &json!([{ "blockHash": block.hash, "topics": [sync] }]));
    assert_eq!(json!(logs), listed);

    // A pair's last log is what it holds.
    let pool = &logs[1]["address"];
    let call = json!([{ "to": pool, "data": "0x0902f1ac" }, { "blockHash": block.hash }]);
    let held = client.ask("eth_call", &call);
    let [held, log] =
        [&held, &logs[1]["data"]].map(|text| text.as_str().expect("data")[..130].to_owned());
    assert_eq!(held, log);
    assert_eq!(node.record().questions["eth_getLogs"], 1);
    assert_eq!(node.record().reactions_us.len(), 1);
}

#[test]
fn nonces_are_kept_as_a_node_keeps_them() {
    let node = node();
    let mut client = Client::of(&node);
    let mut send = |nonce, gwei| client.refusal(&transfer(&node, nonce, gwei));
    assert_eq!(send(1, 10), "taken", "a gap is held");
    node.mine(&[]);
    assert_eq!(node.chain().pool.len(), 1);
    assert_eq!(send(0, 10), "taken");
    assert_eq!(send(0, 10), "already known");
    assert_eq!(send(0, 11), "taken", "a tenth more replaces");
    assert_eq!(send(0, 12), "replacement transaction underpriced");
    let block = node.mine(&[]);
    assert_eq!(block.mined.len(), 2);
    assert!(block.mined.iter().all(|mined| mined.effect.gas_used == 21_000));
    assert_eq!(send(1, 99), "nonce too low: next nonce 2, tx nonce 1");
    let record = node.record();
    assert!(record.sent.iter().all(|sent| sent.tx.as_ref().is_some_and(Tx::is_cancellation)));
}

/// The packed program of the executor: one WETH into one pair and back through the other.
fn program(node: &Node, last_block: u64, least: u128) -> Bytes {
    let chain = node.chain();
    let weth = chain.market.weth();
    let mut packed = keccak256("execute()")[..4].to_vec();
    packed.push(1);
    packed.extend(last_block.to_be_bytes());
    packed.extend(weth);
    for number in [1_000_000_000_000_000_000_u128, least, 0] {
        packed.extend(number.to_be_bytes());
    }
    for (place, sells_weth) in [(1, true), (0, false)] {
        let pair = &chain.market.pairs[place];
        let is_weth_first = chain.market.tokens[pair.tokens[0]].address == weth;
        packed.push(0);
        packed.extend(pair.address);
        packed.extend(&3_000_u32.to_be_bytes()[1..]);
        packed.push(u8::from(is_weth_first == sells_weth));
        // A pair's legs name no token.
        packed.extend([0; 20]);
    }
    packed.into()
}

#[test]
fn a_program_lands_if_it_pays_and_reverts_if_not() {
    let node = node();
    let mut client = Client::of(&node);
    let (executor, is_weth_first) = {
        let chain = node.chain();
        let first = chain.market.pairs[0].tokens[0];
        (chain.market.executor, chain.market.tokens[first].address == chain.market.weth())
    };
    // WETH is made cheap in the first pair, where the program buys it back.
    node.mine(&[Trade { is_forth: is_weth_first, ..Node::gap(0) }]);
    let mut outcomes = Vec::new();
    for (nonce, last_block, least) in [(0, u64::MAX, u128::MAX >> 1), (1, 1, 0), (2, u64::MAX, 1)] {
        let sent = tx(&node, nonce, 50, executor, program(&node, last_block, least));
        assert_eq!(client.refusal(&sent.raw()), "taken");
        node.mine(&[]);
        let receipt = client.ask("eth_getTransactionReceipt", &json!([sent.hash]));
        outcomes.push(receipt["status"].as_str().expect("a status").to_owned());
    }
    assert_eq!(outcomes, ["0x0", "0x0", "0x1"], "below its minimum, past its block, fit");
    let chain = node.chain();
    assert!(chain.tip().state.held(&chain.market.weth()) > U256::ZERO, "the gain is there");
}

#[test]
fn a_reorganised_block_is_no_more_and_own_transactions_come_back() {
    let node = node();
    let mut client = Client::of(&node);
    client.refusal(&transfer(&node, 0, 10));
    let old = node.mine(&[]);
    assert_eq!(old.mined.len(), 1);
    node.reorganise(1, false);
    let chain = node.chain();
    assert_eq!(chain.tip().header.number, old.header.number + 1);
    assert!(chain.by_number(old.header.number).is_some_and(|block| block.hash != old.hash));
    assert!(chain.place_of(&old.mined[0].tx.hash).is_some(), "it was mined anew");
}

#[test]
fn answers_take_the_shapes_they_are_given() {
    let node = node();
    let mut client = Client::of(&node);
    node.shape_answers("eth_getLogs", 1, Shape::RateLimit);
    client.say("eth_getLogs", &json!([{}]));
    assert_eq!(client.next()["error"]["code"], -32_005);
    assert_eq!(client.ask("eth_getLogs", &json!([{}])), json!([]));
    node.shape_answers("eth_blockNumber", 1, Shape::Twice);
    assert_eq!(client.ask("eth_blockNumber", &json!([])), client.next()["result"]);
    assert_eq!(client.ask("eth_getBlockByHash", &json!([B256::ZERO, false])), Value::Null);
    assert_eq!(
        client.ask("eth_getBalance", &json!([Address::ZERO, "latest"])),
        json!(U256::from(10).pow(U256::from(21)))
    );
}
