//! Names are asked for once, and none is ever missing.
//!
//! Temperature: cold.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::sync::{Arc, Mutex};

use alloy_primitives::{Bloom, keccak256};
use gannet_engine::units::BlockNumber;
use gannet_engine::world::Tip;
use serde_json::Value;

use super::*;
use crate::feed::rpc::Rpc;

const TOPIC: B256 = B256::repeat_byte(7);
const POOL: Address = Address::repeat_byte(1);
const DEPLOYED: u64 = 100;

/// Whoever an event's data names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Seen(BTreeSet<Bytes>);

impl Named for Seen {
    const TOPICS: &'static [B256] = &[TOPIC];

    fn take(&mut self, log: &Log) {
        assert_eq!(log.topics, [TOPIC]);
        self.0.insert(log.data.clone());
    }
}

/// A chain, as far as it is asked about.
#[derive(Clone, Debug)]
struct Chain {
    height: u64,
    /// Names, by the blocks that they are in.
    events: Vec<(u64, u8)>,
    /// The first block that was replaced.
    replaced_from: u64,
    /// The first block whose logs there still are.
    pruned_to: u64,
    refuses_whole_blocks: bool,
    /// The first and last blocks of the ranges that were asked for.
    asked: Arc<Mutex<Vec<(u64, u64)>>>,
}

fn number(value: &Value) -> u64 {
    u64::from_str_radix(value.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

impl Chain {
    fn new(events: &[(u64, u8)]) -> Self {
        let (height, events) = (1_000, events.to_vec());
        Self {
            height,
            events,
            replaced_from: u64::MAX,
            pruned_to: 0,
            refuses_whole_blocks: false,
            asked: Arc::default(),
        }
    }

    fn header(&self, block: u64) -> Value {
        let is_replaced = block >= self.replaced_from;
        let has_logs = self.events.iter().any(|(at, _)| *at == block);
        let bloom = if has_logs { Bloom::repeat_byte(1) } else { Bloom::ZERO };
        json!({ "hash": keccak256(format!("{block} {is_replaced}")), "logsBloom": bloom })
    }

    fn refuses(&self, asked: &Value) -> bool {
        let is_whole = asked["method"] == "eth_getLogs" && asked["params"][0]["address"].is_null();
        self.refuses_whole_blocks && is_whole
    }

    fn answer(&self, asked: &Value) -> Value {
        let params = &asked["params"];
        match asked["method"].as_str().unwrap() {
            "eth_getBalance" => json!("0x0"),
            "eth_getBlockByNumber" => self.header(number(&params[0])),
            "eth_getLogs" => {
                let filter = &params[0];
                let [from, to] = ["fromBlock", "toBlock"].map(|end| number(&filter[end]));
                if filter["address"].is_string() {
                    self.asked.lock().unwrap().push((from, to));
                }
                let is_found = |at: u64| (from..=to).contains(&at) && at >= self.pruned_to;
                let found = self.events.iter().filter(|(at, _)| is_found(*at));
                let data = |name: u8| Bytes::copy_from_slice(&[name]);
                let log = |name| json!({ "topics": [TOPIC], "data": data(name) });
                found.map(|(_, name)| log(*name)).collect()
            }
            other => panic!("{other} is asked"),
        }
    }

    /// Who is named, and the ranges that were asked for.
    fn named(&self, roll: &mut Roll) -> (Result<Vec<u8>>, Vec<(u64, u64)>) {
        let (mut rpc, stream) = Rpc::paired(1 << 20).unwrap();
        let chain = self.clone();
        let node = std::thread::spawn(move || {
            let mut out = stream.try_clone().unwrap();
            // Whoever has seen enough leaves.
            for line in BufReader::new(stream).lines().map_while(std::io::Result::ok) {
                let asked: Value = serde_json::from_str(&line).unwrap();
                let answer = if chain.refuses(&asked) {
                    json!({ "id": asked["id"], "error": { "code": -32005, "message": "no" } })
                } else {
                    json!({ "id": asked["id"], "result": chain.answer(&asked) })
                };
                if writeln!(out, "{answer}").is_err() {
                    break;
                }
            }
        });
        let anchor = Tip { number: BlockNumber(self.height), ..Tip::default() };
        let mut reader = Reader::new(&mut rpc, anchor).unwrap();
        let deployment =
            Deployment { name: "it".to_owned(), address: POOL, deployed_block: DEPLOYED };
        let named = roll.named::<Seen>(&mut reader, &deployment);
        drop(rpc);
        node.join().unwrap();
        let named = named.map(|Seen(seen)| seen.iter().map(|name| name[0]).collect());
        let mut asked = std::mem::take(&mut *self.asked.lock().unwrap());
        asked.sort_unstable();
        (named, asked)
    }
}

#[test]
fn blocks_are_searched_once_but_for_those_that_may_be_replaced() {
    let mut chain = Chain::new(&[(50, 1), (100, 2), (936, 3), (937, 4), (1_000, 5), (1_001, 6)]);
    let mut roll = Roll::default();
    let (named, asked) = chain.named(&mut roll);
    assert_eq!(named.unwrap(), [2, 3, 4, 5], "from its first block on, and up to the reader's");
    assert_eq!(asked, [(100, 936), (937, 1_000)]);
    // The same again, and a little later.
    assert_eq!(chain.named(&mut roll).1, [(937, 1_000)]);
    chain.height = 1_010;
    let (named, asked) = chain.named(&mut roll);
    assert_eq!(named.unwrap(), [2, 3, 4, 5, 6]);
    assert_eq!(asked, [(937, 946), (947, 1_010)]);
}

#[test]
fn whoever_was_named_in_a_block_that_was_replaced_is_not_named_any_more() {
    let mut chain = Chain::new(&[(900, 1), (950, 2)]);
    let mut roll = Roll::default();
    assert_eq!(chain.named(&mut roll).0.unwrap(), [1, 2]);
    (chain.replaced_from, chain.events) = (940, vec![(900, 1), (960, 3)]);
    assert_eq!(chain.named(&mut roll).0.unwrap(), [1, 3]);
    // Further back than any reorganisation: it is another chain.
    (chain.replaced_from, chain.events) = (110, vec![(120, 4), (960, 3)]);
    let (named, asked) = chain.named(&mut roll);
    assert_eq!(named.unwrap(), [3, 4]);
    assert_eq!(asked, [(100, 936), (937, 1_000)], "all is searched again");
}

#[test]
fn a_node_that_is_behind_or_a_protocol_that_begins_earlier_is_searched_as_a_whole() {
    let mut chain = Chain::new(&[(100, 1), (900, 2)]);
    let mut roll = Roll::default();
    chain.named(&mut roll).0.unwrap();
    chain.height = 500;
    let (named, asked) = chain.named(&mut roll);
    assert_eq!((named.unwrap(), asked), (vec![1], vec![(100, 436), (437, 500)]));
    chain.height = 1_000;
    roll.chapters.get_mut(&POOL).unwrap().search.from = 50;
    assert_eq!(chain.named(&mut roll).1, [(100, 936), (937, 1_000)]);
    // A chain that is younger than what is kept of any.
    chain.height = 60;
    assert!(chain.named(&mut Roll::default()).0.unwrap().is_empty());
}

#[test]
fn a_node_without_the_logs_is_an_error_and_not_a_market_without_borrowers() {
    // The first logs come long after the first block.
    let mut chain = Chain::new(&[(227, 1), (940, 2)]);
    chain.pruned_to = 950;
    let mut roll = Roll::default();
    let why = format!("{:#}", chain.named(&mut roll).0.unwrap_err());
    assert!(why.contains("it: its borrowers") && why.contains("block 227"), "{why}");
    assert_eq!(roll, Roll::default());
    chain.pruned_to = 0;
    chain.named(&mut roll).0.unwrap();
    chain.pruned_to = 950;
    let why = format!("{:#}", chain.named(&mut roll).0.unwrap_err());
    assert!(why.contains("block 940"), "{why}");
    // One that does not tell the logs of whole blocks may have those of the protocol.
    chain.refuses_whole_blocks = true;
    assert_eq!(chain.named(&mut roll).0.unwrap(), [1]);
}

#[test]
fn everything_is_searched_again_once_in_a_while_and_if_nobody_was_found() {
    let mut chain = Chain::new(&[]);
    let mut roll = Roll::default();
    assert!(chain.named(&mut roll).0.unwrap().is_empty());
    assert_eq!(roll, Roll::default(), "nobody is not kept");
    chain.events = vec![(900, 1)];
    chain.named(&mut roll).0.unwrap();
    roll.expire(1_000 + SEARCH_BLOCKS_MAX);
    assert_eq!(chain.named(&mut roll).1, [(937, 1_000)]);
    roll.expire(1_001 + SEARCH_BLOCKS_MAX);
    assert_eq!(chain.named(&mut roll).1, [(100, 936), (937, 1_000)]);
    // A release that names more by other events does not believe what this one has found.
    roll.chapters.get_mut(&POOL).unwrap().search.topics = B256::ZERO;
    assert_eq!(chain.named(&mut roll).1, [(100, 936), (937, 1_000)]);
}

#[test]
fn a_roll_is_kept_from_run_to_run_beside_what_others_found() {
    let state_dir = std::env::temp_dir().join(format!("gannet-roll-{}", std::process::id()));
    let file = RollFile::of(Place { chain_id: 5, state_dir: state_dir.clone() });
    assert_eq!(file.take_up(), Roll::default());
    let mut roll = Roll::default();
    file.keep(&roll);
    assert!(!state_dir.exists(), "nothing is worth no file");
    let chain = Chain::new(&[(900, 1)]);
    chain.named(&mut roll).0.unwrap();
    file.keep(&roll);
    assert_eq!(file.take_up(), roll);
    let mut other = Roll::default();
    other.chapters.insert(Address::repeat_byte(2), roll.chapters[&POOL].clone());
    file.keep(&other);
    let mut both = file.take_up();
    assert_eq!(both.chapters.len(), 2);
    assert_eq!(chain.named(&mut both).1, [(937, 1_000)], "it need not be searched again");

    let whole = fs::read(&file.path).unwrap();
    for place in 0..whole.len() {
        let mut changed = whole.clone();
        changed[place] ^= 1;
        fs::write(&file.path, changed).unwrap();
        assert_eq!(file.take_up(), Roll::default(), "byte {place} was changed");
    }
    file.keep(&roll);
    assert_eq!(file.take_up(), roll, "what cannot be read is replaced");
    fs::remove_dir_all(state_dir).unwrap();
}
