//! The node on the bundled recording, and on real blocks with their state.
//!
//! Temperature: cold.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use alloy::sol_types::SolValue as _;
use alloy_primitives::{Address, B256, Bytes, U256};
use gannet_engine::decode::topics::{SYNC, TRANSFER};
use serde_json::{Value, json};

use super::answer::message;
use super::hub::{Hub, Line, OUTBOX_BYTES_MAX, OUTBOX_MAX, SUBSCRIPTIONS_MAX, Topic};
use super::ledger::{self, Ledger};
use super::node::Node;
use crate::bootstrap::{Kind, Reading};
use crate::contracts::{Lens, Probe};
use crate::import::witness;

const MISSING: i64 = -32_001;

/// A node that stands at the first block of the bundled recording.
fn sample() -> Node {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings/sample");
    let (recording, ledger) = ledger::open(&folder, (0, u64::MAX)).expect("the bundled recording");
    Node::new(ledger, recording.codes)
}

fn say(node: &Node, text: &str) -> Value {
    let answer = message(node, None, text.as_bytes()).expect("an answer");
    serde_json::from_str(&answer).expect("an answer is JSON")
}

/// The whole answer to one question.
fn ask(node: &Node, method: &str, params: &Value) -> Value {
    let question = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
    let answer = say(node, &question.to_string());
    assert_eq!(answer["id"], 7, "{answer}");
    answer
}

fn result(node: &Node, method: &str, params: &Value) -> Value {
    let mut answer = ask(node, method, params);
    assert!(answer["error"].is_null(), "{method} {params}: {answer}");
    answer["result"].take()
}

fn error(node: &Node, method: &str, params: &Value) -> i64 {
    let answer = ask(node, method, params);
    answer["error"]["code"].as_i64().unwrap_or_else(|| panic!("{method} {params}: {answer}"))
}

fn hex(number: u64) -> Value {
    json!(U256::from(number))
}

#[test]
fn the_chain_is_there_as_far_as_the_node_has_come() {
    let node = sample();
    let (first, last) = (node.ledger.first(), node.ledger.last());
    assert_eq!(result(&node, "eth_chainId", &json!([])), "0x7a69");
    assert_eq!(result(&node, "net_version", &json!([])), "31337");
    assert_eq!(result(&node, "eth_blockNumber", &json!([])), hex(first));
    assert_eq!(result(&node, "eth_getBlockByNumber", &json!([hex(last), false])), Value::Null);
    assert_eq!(error(&node, "eth_getBlockByNumber", &json!([hex(first - 1), false])), MISSING);
    node.come_to(node.ledger.blocks.len() - 1);
    let block = result(&node, "eth_getBlockByNumber", &json!(["latest", false]));
    assert_eq!(block["number"], hex(last));
    let by_hash = result(&node, "eth_getBlockByHash", &json!([block["hash"], false]));
    assert_eq!(block, by_hash);
    let parent = result(&node, "eth_getBlockByHash", &json!([block["parentHash"]]));
    assert_eq!(parent["number"], hex(last - 1));
}

#[test]
fn what_a_run_without_receipts_has_not_heard_is_said_to_be_missing() {
    let node = sample();
    let last = node.ledger.last();
    node.come_to(node.ledger.blocks.len() - 1);
    let full = node.ledger.blocks.iter().find(|held| !held.block.logs.is_empty());
    let full = hex(full.expect("something was traded").number());
    assert_eq!(error(&node, "eth_getBlockByNumber", &json!([full, true])), MISSING);
    assert_eq!(error(&node, "eth_getBlockReceipts", &json!([full])), MISSING);
    let block = result(&node, "eth_getBlockByNumber", &json!([full, false]));
    assert!(block["transactions"].is_null() && block["gasUsed"] != "0x0", "{block}");
    let range = json!({ "fromBlock": hex(node.ledger.first() + 1), "toBlock": hex(last) });
    let with = |topic: B256| {
        let mut filter = range.clone();
        filter["topics"] = json!([[topic]]);
        json!([filter])
    };
    let synced = result(&node, "eth_getLogs", &with(SYNC));
    assert!(synced.as_array().is_some_and(|logs| logs.len() > 10));
    assert_eq!(error(&node, "eth_getLogs", &with(TRANSFER)), MISSING);
    assert_eq!(error(&node, "eth_getLogs", &json!([range])), MISSING);
    assert_eq!(error(&node, "eth_getLogs", &json!([{ "fromBlock": "0x0" }])), MISSING);
    let somebody = Address::repeat_byte(0xab);
    assert_eq!(error(&node, "eth_getBalance", &json!([somebody, "latest"])), MISSING);
    assert_eq!(error(&node, "eth_getTransactionCount", &json!([somebody, "latest"])), MISSING);
    let call = json!([{ "to": somebody, "data": "0x12345678" }, "latest"]);
    assert_eq!(error(&node, "eth_call", &call), MISSING);
    let probe = json!([{ "data": Bytes::from_static(&Probe::BYTECODE) }, "latest"]);
    assert_eq!(error(&node, "eth_call", &probe), MISSING);
}

#[test]
fn the_lens_reads_the_pools_that_the_run_began_with() {
    let node = sample();
    let start = node.ledger.start.as_ref().expect("it is a run's");
    let last = node.ledger.last();
    node.come_to(node.ledger.blocks.len() - 1);
    let asked = |kind: u8, questions: &[u8], number: u64| {
        let questions = Bytes::from([&[kind], questions].concat());
        let data = Bytes::from([&Lens::BYTECODE[..], &(questions,).abi_encode_params()].concat());
        let answer = result(&node, "eth_call", &json!([{ "data": data }, hex(number)]));
        serde_json::from_value::<Bytes>(answer).expect("data")
    };
    let number = start.height().max(node.ledger.first());
    let (mut pairs, mut wanted) = (Vec::new(), vec![0]);
    for read in start.universe().pools() {
        if let Reading::Pair { reserves } = read.reading {
            pairs.extend(read.known.address.as_slice());
            wanted.push(1);
            reserves.iter().for_each(|reserve| wanted.extend(reserve.to_be_bytes()));
        }
    }
    if number == start.height() {
        assert_eq!(asked(0, &pairs, number), wanted);
    }
    // They have moved since.
    assert_ne!(asked(0, &pairs, last), wanted);
    let ranged = start.universe().pools().iter().find_map(|read| match read.known.kind {
        Kind::Concentrated { tick_spacing } => Some((read, tick_spacing)),
        Kind::Pair | Kind::Solidly { .. } => None,
    });
    let (read, spacing) = ranged.expect("there is a V3 pool");
    let words = [i16::MIN.to_be_bytes(), i16::MAX.to_be_bytes()].concat();
    let slice = [read.known.address.as_slice(), &spacing.to_be_bytes()[1..], &words].concat();
    let answer = asked(4, &slice, number);
    let count = read.ticks.as_ref().map_or(0, Vec::len);
    assert_eq!((answer[1], usize::from(answer[5])), (1, count), "all ticks, in one answer");
}

#[test]
fn messages_that_are_no_questions_are_answered_with_errors() {
    let node = sample();
    for (text, code) in [
        ("", -32_700),
        ("{", -32_700),
        ("\u{0}", -32_700),
        (&"[".repeat(100_000), -32_700),
        ("7", -32_600),
        ("{}", -32_600),
        ("[]", -32_600),
        (r#"{"id":1,"method":7}"#, -32_600),
        (r#"{"id":{},"method":"eth_chainId"}"#, -32_600),
        (r#"{"id":1,"method":"eth_chainId","params":"x"}"#, -32_600),
        (r#"{"id":1,"method":"eth_nothing"}"#, -32_601),
        (r#"{"id":1,"method":"eth_getBlockByNumber"}"#, -32_602),
        (r#"{"id":1,"method":"eth_getBlockByNumber","params":["0x"]}"#, -32_602),
        (r#"{"id":1,"method":"eth_getBlockByNumber","params":["0xffffffffffffffffff"]}"#, -32_602),
        (r#"{"id":1,"method":"eth_getBlockByNumber","params":["latest","yes"]}"#, -32_602),
        (r#"{"id":1,"method":"eth_getLogs","params":[{"topics":[[],[],[],[],[]]}]}"#, -32_602),
        (
            r#"{"id":1,"method":"eth_getLogs","params":[{"fromBlock":"0x17","toBlock":"0x1"}]}"#,
            -32_602,
        ),
        (r#"{"id":1,"method":"eth_sendRawTransaction","params":["0x02"]}"#, -32_602),
        (r#"{"id":1,"method":"eth_subscribe","params":["newHeads"]}"#, -32_000),
    ] {
        let answer = say(&node, text);
        let shown: String = text.chars().take(80).collect();
        assert_eq!(answer["error"]["code"], code, "{shown}: {answer}");
    }
    let long = format!(r#"{{"id":1,"method":"{}"}}"#, "x".repeat(1_000_000));
    assert!(say(&node, &long).to_string().len() < 300, "what is wrong is told in short");
}

#[test]
fn a_batch_is_answered_in_order_and_without_its_notifications() {
    let node = sample();
    let batch = json!([
        { "id": "a", "method": "eth_chainId" },
        { "method": "eth_blockNumber" },
        { "id": 2, "method": "eth_nothing" },
        5,
    ]);
    let answers = say(&node, &batch.to_string());
    let ids: Vec<&Value> =
        answers.as_array().expect("a list").iter().map(|answer| &answer["id"]).collect();
    assert_eq!(ids, [&json!("a"), &json!(2), &Value::Null]);
    let quiet = json!([{ "method": "eth_chainId" }]).to_string();
    assert_eq!(message(&node, None, quiet.as_bytes()), None);
    let many = vec![json!({ "id": 1, "method": "eth_chainId" }); 1_001];
    assert_eq!(say(&node, &json!(many).to_string())["error"]["code"], -32_005);
}

#[test]
fn who_does_not_take_its_news_is_let_go_and_the_others_are_not() {
    let hub = Hub::default();
    let (slow, _never_read) = Line::new();
    let (quick, mut read) = Line::new();
    for line in [&slow, &quick] {
        assert!(hub.enter(line));
        assert!(hub.subscribe(line, Topic::Heads).is_some());
    }
    let mut count = 0;
    for _head in 0..=OUTBOX_MAX {
        hub.publish(|_| vec![Cow::Borrowed("{}")]);
        while let Ok(text) = read.try_recv() {
            quick.is_written(text.len());
            count += 1;
        }
    }
    assert_eq!((hub.dropped.load(Ordering::Relaxed), count), (1, OUTBOX_MAX + 1));
    // Few messages are too much as well, if they are long.
    let (large, _never_read) = Line::new();
    assert!(hub.enter(&large) && hub.subscribe(&large, Topic::Receipts).is_some());
    let long = "x".repeat(OUTBOX_BYTES_MAX / 2);
    for _list in 0..3 {
        hub.publish(|topic| match topic {
            Topic::Receipts => vec![Cow::Borrowed(long.as_str())],
            Topic::Heads | Topic::Logs(_) | Topic::Pending { .. } => Vec::new(),
        });
    }
    assert_eq!(hub.dropped.load(Ordering::Relaxed), 2);
}

#[test]
fn a_connection_has_so_many_subscriptions_and_ends_its_own_only() {
    let hub = Hub::default();
    let [(ours, _a), (theirs, _b)] = [Line::new(), Line::new()];
    let ids: Vec<_> =
        (0..SUBSCRIPTIONS_MAX).filter_map(|_| hub.subscribe(&ours, Topic::Heads)).collect();
    assert_eq!(ids.len(), SUBSCRIPTIONS_MAX);
    assert_eq!(hub.subscribe(&ours, Topic::Heads), None);
    assert!(!hub.unsubscribe(&theirs, ids[0]));
    assert!(hub.unsubscribe(&ours, ids[0]) && !hub.unsubscribe(&ours, ids[0]));
}

/// The folder of real blocks; `None` on a machine that lacks it, which CI may not.
fn real_blocks() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let folder = std::env::var_os("GANNET_DATA").map_or_else(beside, PathBuf::from);
    let folder = folder.join("witness");
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(std::env::var_os("CI").is_none(), "{} must be there in CI", folder.display());
    println!("skipped: there are no blocks in {}", folder.display());
    None
}

#[test]
fn on_recorded_state_calls_are_executed_and_what_is_sent_lands_as_it_did() {
    let Some(folder) = real_blocks() else { return };
    let codes = witness::codes(&folder, |_all| true).expect("contracts' code");
    let files = witness::files_in(&folder).expect("a folder of blocks");
    // Two that follow each other.
    let pair = files.iter().find_map(|(number, file)| {
        let next = files.get(&(number + 1))?;
        Some([file, next].map(|file| witness::read(file).expect("a block")))
    });
    let [before, mut block] = pair.expect("two blocks that follow each other");
    let held = Ledger::of(1, vec![before.clone(), block.clone()]);
    let recorded = super::render::receipts(&held.blocks[1]).expect("its receipts are known");
    let last = block.transactions.pop().expect("it has transactions");
    let synced = block.logs.iter().rev().find(|log| log.topics.first() == Some(&SYNC));
    let synced = synced.cloned();
    block.logs.retain(|log| u64::from(log.transaction_index) != last.transaction_index);
    let node = Node::new(Ledger::of(1, vec![before, block]), codes);

    let raw = last.raw.clone().expect("its signed bytes are recorded");
    let hash = result(&node, "eth_sendRawTransaction", &json!([raw]));
    assert_eq!(hash, json!(last.transaction_hash));
    assert_eq!(error(&node, "eth_sendRawTransaction", &json!([raw])), -32_000, "already known");
    let pending = result(&node, "eth_getTransactionByHash", &json!([hash]));
    assert_eq!((&pending["hash"], &pending["blockNumber"]), (&hash, &Value::Null));
    let early = result(&node, "eth_getTransactionReceipt", &json!([hash]));
    assert_eq!(early, Value::Null, "its block is yet to come");
    node.come_to(1);
    let receipt = result(&node, "eth_getTransactionReceipt", &json!([hash]));
    assert_eq!(receipt["wouldHaveLanded"], true, "{receipt}");
    let was = recorded.last().expect("it had a receipt");
    for key in ["status", "gasUsed", "from", "to", "effectiveGasPrice", "blockNumber"] {
        assert_eq!(receipt[key], was[key], "{key}: {receipt}");
    }

    if let Some(log) = synced {
        let asked = json!([{ "to": log.address, "data": "0x0902f1ac" }, "latest"]);
        let answer: Bytes =
            serde_json::from_value(result(&node, "eth_call", &asked)).expect("data");
        assert_eq!(answer[..64], log.data[..64], "the pair's reserves are those of its last log");
    }
    let nowhere = json!([{ "to": Address::repeat_byte(0xab), "data": "0x0902f1ac" }, "latest"]);
    let words = ask(&node, "eth_call", &nowhere)["error"]["message"].to_string();
    assert!(words.contains("is not in the recording"), "{words}");
}

#[test]
fn a_stranger_s_transaction_stays_pending_where_nothing_is_known_of_it() {
    let node = Node::new(sample().ledger, BTreeMap::new());
    for (raw, code) in [("0x", -32_602), ("0xc0", -32_602), ("0x02c0", -32_602)] {
        assert_eq!(error(&node, "eth_sendRawTransaction", &json!([raw])), code, "{raw}");
    }
    let long = Bytes::from(vec![0; 200_000]);
    assert_eq!(error(&node, "eth_sendRawTransaction", &json!([long])), -32_000);
}
