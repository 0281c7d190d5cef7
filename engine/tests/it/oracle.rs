//! Oracle updates as real aggregators take them, and as they landed in real blocks.
//!
//! Temperature: cold.

use std::collections::BTreeMap;
use std::path::PathBuf;

use alloy::primitives::{Address, B256, I256, Log as EvmLog, U256, hex, keccak256};
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use gannet_engine::decode::log::{Data, Log};
use gannet_engine::lending::price::{
    ANSWER_UPDATED, Answered, FeedSpec, NEW_TRANSMISSION_OCR1, NEW_TRANSMISSION_OCR2, Node,
    PriceLimits, Prices,
};
use gannet_engine::lending::transmission::{
    FORWARD, Route, TRANSMIT_OCR1, TRANSMIT_OCR2, TRANSMIT_SECONDARY, Transmission,
};
use serde_json::Value;

use crate::codes::{code_with, folder, json};
use crate::evm::{Chain, STRANGER};
use crate::universe::Chance;

alloy::sol! {
    function latestAnswer() external view returns (int256);
}

const AGGREGATOR: Address = Address::repeat_byte(0x0a);
const TRANSMITTER: Address = Address::repeat_byte(0x7a);
const CONFIG: B256 = B256::repeat_byte(0xc0);
/// Faulty oracles that the configuration bears: one signature more is wanted.
const FAULTY: u64 = 5;

/// A log of the EVM as a node would tell it; its data is written to `text`.
fn told<'a>(log: &EvmLog, text: &'a mut String) -> Log<'a> {
    *text = hex::encode_prefixed(&log.data.data);
    let mut topics = [B256::ZERO; 4];
    topics[..log.topics().len()].copy_from_slice(log.topics());
    Log {
        address: log.address,
        topics,
        topic_count: u8::try_from(log.topics().len()).expect("at most four"),
        data: Data::Hex(text.as_bytes()),
        block_number: 1,
        block_hash: B256::ZERO,
        tx_hash: B256::ZERO,
        tx_index: 0,
        log_index: 0,
        removed: false,
    }
}

/// A feed with this aggregator, and its price.
struct Followed {
    prices: Prices,
    price: gannet_engine::lending::price::PriceId,
}

impl Followed {
    fn new(aggregator: Address) -> Self {
        let limits = PriceLimits { feeds: 4, nodes: 2, prices: 1, leaves: 1 };
        let mut prices = Prices::new(limits);
        let spec = FeedSpec {
            proxy: STRANGER,
            aggregator,
            route: Route::Primary,
            weight: 1,
            answer: I256::ZERO,
        };
        let feed = prices.add_feed(&spec).expect("there is room");
        let node = prices.add_node(Node::Feed(feed)).expect("there is room");
        let price = prices.add_price(Some(node), 1).expect("there is room");
        Self { prices, price }
    }

    /// Applies each log by itself to a feed that knows nothing; how many of them were its own.
    fn hears(&self, logs: &[EvmLog], aggregator: Address, answer: I256) -> usize {
        let mut heard = 0;
        for log in logs {
            let mut text = String::new();
            let log = told(log, &mut text);
            let Some(found) = Answered::parse(&log).expect("a real log decodes") else { continue };
            assert_eq!((found.aggregator, found.answer), (aggregator, answer));
            let mut fresh = Self::new(aggregator);
            fresh.prices.apply(&log, &mut |_| ()).expect("it decodes");
            assert_eq!(fresh.prices.value(self.price, 1), Ok(answer.into_raw()));
            heard += 1;
        }
        heard
    }
}

fn word(value: u64) -> [u8; 32] {
    U256::from(value).to_be_bytes()
}

/// `transmit` of an OCR2 report, signed by the first `FAULTY + 1` oracles.
fn transmit(round: u64, observations: &[u64], signers: &[PrivateKeySigner]) -> Vec<u8> {
    let mut report = [word(1_799_999_999), [7; 32], word(128), word(1_000)].concat();
    report.extend_from_slice(&word(observations.len() as u64));
    observations.iter().for_each(|seen| report.extend_from_slice(&word(*seen)));
    let context = [CONFIG.0, word(round), [0; 32]].concat();
    let hash = keccak256([&keccak256(&report)[..], &context].concat());
    let wanted = usize::try_from(FAULTY).expect("small") + 1;
    let mut halves = [word(FAULTY + 1).to_vec(), word(FAULTY + 1).to_vec()];
    let mut parities = [0; 32];
    for (place, signer) in signers.iter().take(wanted).enumerate() {
        let signature = signer.sign_hash_sync(&hash).expect("a signature");
        halves[0].extend_from_slice(&signature.r().to_be_bytes::<32>());
        halves[1].extend_from_slice(&signature.s().to_be_bytes::<32>());
        parities[place] = u8::from(signature.v());
    }
    let [rs, ss] = halves;
    let (length, part) = (report.len() as u64, rs.len() as u64);
    let mut data = [&TRANSMIT_OCR2[..], &context].concat();
    for head in [word(224), word(256 + length), word(256 + length + part), parities] {
        data.extend_from_slice(&head);
    }
    [data, word(length).to_vec(), report, rs, ss].concat()
}

/// The slot of an address in a mapping.
fn mapped(address: Address, slot: u64) -> U256 {
    keccak256([address.into_word().0, word(slot)].concat()).into()
}

/// A real aggregator's code, configured for our oracles by its storage: transmitters are a mapping
/// at slot 2, signers at 3, the configuration is at 10, and what changes with each round at 11.
fn aggregator(code: Vec<u8>, signers: &[PrivateKeySigner]) -> Chain {
    let mut chain = Chain::new();
    chain.set_code(AGGREGATOR, code);
    let active = |index: usize| U256::from(1 | (index << 8));
    chain.set_slot(AGGREGATOR, mapped(TRANSMITTER, 2), active(3));
    for (index, signer) in signers.iter().enumerate() {
        chain.set_slot(AGGREGATOR, mapped(signer.address(), 3), active(index));
    }
    chain.set_slot(AGGREGATOR, U256::from(10), CONFIG.into());
    chain.set_slot(AGGREGATOR, U256::from(11), U256::from(FAULTY));
    chain
}

#[test]
fn a_real_aggregator_answers_what_was_read_from_the_pending_transmission() {
    let signers: Vec<_> =
        (1..=31).map(|key| PrivateKeySigner::from_slice(&[key; 32]).expect("a key")).collect();
    // "OCR2Aggregat": a dual aggregator's code calls itself otherwise.
    let Some(code) = code_with("4f4352324167677265676174") else { return };
    let mut chain = aggregator(code, &signers);
    let mut chance = Chance(11);
    let mut unsorted = 0;
    for round in 1..=200 {
        let count = FAULTY + 1 + chance.below(31 - FAULTY);
        let mut seen: Vec<_> = (0..count).map(|_| 1 + (chance.bits() >> 8)).collect();
        if round % 4 == 0 {
            unsorted += 1;
        } else {
            seen.sort_unstable();
        }
        let data = transmit(round, &seen, &signers);
        let pending = Transmission::parse(AGGREGATOR, &data).expect("a transmission");
        let mut followed = Followed::new(AGGREGATOR);
        followed.prices.suppose(&pending, &mut |_| ());
        let landed = chain.send(TRANSMITTER, AGGREGATOR, data).lands();
        let answer = chain.read(AGGREGATOR, &latestAnswerCall {}).expect("it answers");
        assert_eq!(pending.answer, answer, "round {round}");
        assert_eq!(followed.prices.value(followed.price, 1), Ok(answer.into_raw()));
        assert_eq!(u64::from(pending.observations), count);
        let epoch_and_round = (u64::from(pending.epoch) << 8) | u64::from(pending.round);
        assert_eq!((epoch_and_round, pending.config), (round, CONFIG));
        assert_eq!(followed.hears(&landed.logs, AGGREGATOR, answer), 2);
    }
    let stale = transmit(1, &[5; 9], &signers);
    assert!(chain.peek(TRANSMITTER, AGGREGATOR, stale).answer.is_err(), "it is judged");
    let other = transmit(500, &[5; 9], &signers[1..]);
    assert!(chain.peek(STRANGER, AGGREGATOR, other).answer.is_err(), "by whom it is sent, too");
    println!("200 transmissions taken ({unsorted} in no order), all as read");
}

/// A transaction of a real block, and the logs that it left.
struct Landed {
    block: String,
    from: Address,
    to: Address,
    data: Vec<u8>,
    logs: Vec<EvmLog>,
}

fn text<'a>(value: &'a Value, names: &[&str]) -> &'a str {
    names.iter().find_map(|name| value[name].as_str()).unwrap_or("0x")
}

fn log_of(value: &Value) -> EvmLog {
    let address = text(value, &["a"]).parse().expect("an address");
    let topics = value["t"].as_array().expect("topics").iter();
    let topics = topics.map(|topic| topic.as_str().expect("text").parse().expect("a topic"));
    let data = hex::decode(text(value, &["d"])).expect("data");
    EvmLog::new_unchecked(address, topics.collect(), data.into())
}

/// The transmissions of all blocks that there are.
fn landed(folder: &std::path::Path) -> Vec<Landed> {
    let mut found = vec![];
    for kind in ["logs_only", "mevinspect", "witness"] {
        let entries = std::fs::read_dir(folder.join(kind)).expect("a folder");
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
        paths.retain(|path| !path.ends_with("codes.json.gz"));
        paths.sort();
        for path in paths {
            let block = json(&path);
            let mut logs = BTreeMap::<u64, Vec<EvmLog>>::new();
            for receipt in block["receipts"].as_array().into_iter().flatten() {
                let all = receipt["logs"].as_array().into_iter().flatten().map(log_of);
                logs.entry(receipt["i"].as_u64().expect("an index")).or_default().extend(all);
            }
            for log in block["logs"].as_array().into_iter().flatten() {
                logs.entry(log["ti"].as_u64().expect("an index")).or_default().push(log_of(log));
            }
            for tx in block["txs"].as_array().expect("transactions") {
                let data = hex::decode(text(tx, &["input", "data"])).expect("data");
                let selectors = [FORWARD, TRANSMIT_OCR1, TRANSMIT_OCR2, TRANSMIT_SECONDARY];
                if !selectors.iter().any(|selector| data.starts_with(selector)) {
                    continue;
                }
                let index = tx["i"].as_u64().expect("an index");
                found.push(Landed {
                    block: path.display().to_string(),
                    from: text(tx, &["from"]).parse().expect("an address"),
                    to: text(tx, &["to"]).parse().expect("an address"),
                    data,
                    logs: logs.remove(&index).unwrap_or_default(),
                });
            }
        }
    }
    found
}

#[test]
fn every_transmission_in_a_real_block_left_the_answer_that_is_read_from_it() {
    let Some(folder) = folder() else { return };
    let (mut first, mut second, mut silent) = (0, 0, 0);
    for Landed { block, to, data, logs, .. } in landed(&folder) {
        let read = Transmission::parse(to, &data);
        let read = read.unwrap_or_else(|error| panic!("{block}: {to}: {error:?}"));
        let own = |log: &&EvmLog| log.address == read.aggregator;
        let new = logs
            .iter()
            .filter(own)
            .find(|log| [NEW_TRANSMISSION_OCR1, NEW_TRANSMISSION_OCR2].contains(&log.topics()[0]));
        let Some(new) = new else {
            silent += 1;
            continue;
        };
        let is_first = new.topics()[0] == NEW_TRANSMISSION_OCR1;
        *(if is_first { &mut first } else { &mut second }) += 1;
        // The context is the first protocol's fifth word; the second's eighth is its last bytes.
        let place = if is_first { 4 } else { 7 };
        let context = U256::from_be_slice(&new.data.data[place * 32..][..32]);
        let epoch_and_round = (U256::from(read.epoch) << 8) | U256::from(read.round);
        assert_eq!(context & U256::from((1_u64 << 40) - 1), epoch_and_round, "{block}");
        let followed = Followed::new(read.aggregator);
        let mut logs = logs;
        logs.retain(|log| log.address == read.aggregator);
        assert_eq!(followed.hears(&logs, read.aggregator, read.answer), 2, "{block}");
    }
    println!("in real blocks: {first} OCR1, {second} OCR2, {silent} without a log; all as read");
    assert!(first + second > 0, "there are some");
}

#[test]
fn a_forwarded_transmission_with_its_real_signatures_is_taken_by_the_real_contracts() {
    let Some(folder) = folder() else { return };
    let codes = json(&folder.join("witness/codes.json.gz"));
    let mut count = 0;
    for Landed { block, from, to, data, .. } in landed(&folder) {
        if !data.starts_with(&FORWARD) {
            continue;
        }
        let read = Transmission::parse(to, &data).expect("a transmission");
        let state = &json(block.as_ref())["pre_state"];
        let mut chain = Chain::new();
        for contract in [to, read.aggregator] {
            let account = &state[format!("{contract:#x}")];
            let code = codes[account["code_hash"].as_str().expect("a hash")].as_str();
            chain.set_code(contract, hex::decode(code.expect("its code")).expect("hexadecimal"));
            for (slot, value) in account["storage"].as_object().expect("storage") {
                let [slot, value] = [slot, value.as_str().expect("text")]
                    .map(|number| number.parse().expect("a number"));
                chain.set_slot(contract, slot, value);
            }
        }
        let landed = chain.send(from, to, data).lands();
        let answer = chain.read(read.aggregator, &latestAnswerCall {}).expect("it answers");
        assert_eq!((read.answer, read.forwarder), (answer, Some(to)));
        let topics: Vec<_> = landed.logs.iter().map(|log| log.topics()[0]).collect();
        assert!(topics.contains(&NEW_TRANSMISSION_OCR2) && topics.contains(&ANSWER_UPDATED));
        count += 1;
    }
    println!("{count} forwarded transmissions ran with their real signatures, and answer as read");
}
