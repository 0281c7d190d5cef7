//! What the node answers, method by method.
//!
//! Temperature: cold.

use std::fmt::Display;
use std::sync::atomic::Ordering;

use alloy::rpc::types::{Filter, FilterBlockOption, Log};
use alloy_primitives::{Address, B256, Bytes, U256};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::hub::{Line, Topic};
use super::ledger::{Held, Missing};
use super::node::Node;
use super::{call, render, submit};

/// Questions of one batch.
const BATCH_MAX: usize = 1_000;
/// Logs of one answer.
const LOGS_MAX: usize = 20_000;
/// Bytes of one message that answers a batch.
const ANSWER_BYTES_MAX: usize = 16 << 20;

const PARSE_ERROR: i32 = -32_700;
const INVALID_REQUEST: i32 = -32_600;
const METHOD_UNKNOWN: i32 = -32_601;
const INVALID_PARAMS: i32 = -32_602;
const REFUSED: i32 = -32_000;
/// EIP-1474: what was asked for is not there.
const NOT_FOUND: i32 = -32_001;
/// EIP-1474: too much was asked for.
const LIMIT: i32 = -32_005;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    code: i32,
    words: String,
}

impl Refusal {
    pub(super) fn refused(words: impl Into<String>) -> Self {
        Self { code: REFUSED, words: words.into() }
    }

    pub(super) fn params(words: impl Into<String>) -> Self {
        Self { code: INVALID_PARAMS, words: words.into() }
    }
}

impl From<Missing> for Refusal {
    fn from(missing: Missing) -> Self {
        Self { code: NOT_FOUND, words: missing.to_string() }
    }
}

type Answer = Result<Value, Refusal>;

/// The answer to a message: a question or a batch of them. None if nobody waits for one. Without a
/// line there is nowhere to bring news to.
pub(super) fn message(node: &Node, line: Option<&Line>, text: &[u8]) -> Option<String> {
    let asked: Value = match serde_json::from_slice(text) {
        Ok(asked) => asked,
        Err(error) => return Some(failed(&Value::Null, PARSE_ERROR, error)),
    };
    let Value::Array(batch) = asked else { return one(node, line, &asked) };
    if batch.is_empty() {
        return Some(failed(&Value::Null, INVALID_REQUEST, "a batch without a question"));
    }
    if batch.len() > BATCH_MAX {
        let words = format!("found {} questions; wanted at most {BATCH_MAX}", batch.len());
        return Some(failed(&Value::Null, LIMIT, words));
    }
    let mut answers = String::from("[");
    for question in &batch {
        let Some(answer) = one(node, line, question) else { continue };
        if answers.len() + answer.len() > ANSWER_BYTES_MAX {
            return Some(failed(&Value::Null, LIMIT, "the answers to this batch are too long"));
        }
        if answers.len() > 1 {
            answers.push(',');
        }
        answers.push_str(&answer);
    }
    answers.push(']');
    (answers.len() > 2).then_some(answers)
}

fn failed(id: &Value, code: i32, words: impl Display) -> String {
    let error = json!({ "code": code, "message": words.to_string() });
    json!({ "jsonrpc": "2.0", "id": id, "error": error }).to_string()
}

fn one(node: &Node, line: Option<&Line>, question: &Value) -> Option<String> {
    let id = question.get("id");
    let is_id = id.is_none_or(|id| id.is_number() || id.is_string() || id.is_null());
    let method = question.get("method").and_then(Value::as_str);
    let params = question.get("params").unwrap_or(&Value::Null);
    let is_list = params.is_null() || params.is_array();
    let Some(method) = method.filter(|_| is_id && is_list) else {
        let words = "wanted an object with a method, a list of params and an id";
        let id = id.filter(|_| is_id).unwrap_or(&Value::Null);
        return Some(failed(id, INVALID_REQUEST, words));
    };
    node.questions.fetch_add(1, Ordering::Relaxed);
    let answer = answer(node, line, method, params);
    let id = id?;
    Some(match answer {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }).to_string(),
        Err(Refusal { code, words }) => failed(id, code, words),
    })
}

fn answer(node: &Node, line: Option<&Line>, method: &str, params: &Value) -> Answer {
    match method {
        "eth_chainId" => Ok(quantity(node.ledger.chain_id)),
        "net_version" => Ok(json!(node.ledger.chain_id.to_string())),
        "web3_clientVersion" => Ok(json!(concat!("gannet-replay/", env!("CARGO_PKG_VERSION")))),
        "eth_syncing" => Ok(json!(false)),
        "eth_blockNumber" => Ok(quantity(node.newest().number())),
        "eth_getBlockByNumber" => match genesis(node, params) {
            Some(genesis) => Ok(genesis.clone()),
            None => block(block_at(node, param(params, 0)?)?, optional(params, 1)?),
        },
        "eth_getBlockByHash" => block(of_hash(node, &param(params, 0)?), optional(params, 1)?),
        "eth_getLogs" => logs(node, &param(params, 0)?),
        "eth_getBlockReceipts" => match block_at(node, param(params, 0)?)? {
            Some(held) => Ok(Value::Array(render::receipts(held)?)),
            None => Ok(Value::Null),
        },
        "eth_getTransactionReceipt" => receipt(node, &param(params, 0)?),
        "eth_getTransactionByHash" => transaction(node, &param(params, 0)?),
        "eth_getTransactionCount" => {
            let (account, at) = (param(params, 0)?, place(node, params, 1)?);
            Ok(quantity(call::nonce(node, account, at)?))
        }
        "eth_getBalance" => {
            let (account, at) = (param(params, 0)?, place(node, params, 1)?);
            Ok(json!(call::balance(node, account, at)?))
        }
        "eth_getCode" => {
            let (account, at) = (param(params, 0)?, place(node, params, 1)?);
            Ok(json!(call::code(node, account, at)?))
        }
        "eth_call" => {
            let at = place(node, params, 1)?;
            Ok(json!(call::call(node, &param(params, 0)?, at)?))
        }
        "eth_sendRawTransaction" => Ok(json!(submit::take(node, &param(params, 0)?)?)),
        "eth_subscribe" => subscribe(node, line, params),
        "eth_unsubscribe" => {
            let id: U256 = param(params, 0)?;
            let id = u64::try_from(id).unwrap_or_default();
            Ok(json!(line.is_some_and(|line| node.hub.unsubscribe(line, id))))
        }
        other => {
            let words = format!("{} is none of this node's methods", short(other));
            Err(Refusal { code: METHOD_UNKNOWN, words })
        }
    }
}

/// The start of what a stranger wrote.
fn short(text: &str) -> String {
    const SHOWN: usize = 64;
    text.chars().take(SHOWN).collect()
}

fn quantity(number: u64) -> Value {
    json!(U256::from(number))
}

/// A parameter by its place.
fn param<T: DeserializeOwned>(params: &Value, place: usize) -> Result<T, Refusal> {
    let given = params.get(place).cloned().unwrap_or(Value::Null);
    serde_json::from_value(given)
        .map_err(|error| Refusal::params(format!("parameter {place}: {error}")))
}

/// The same, where it may be left out.
fn optional<T: DeserializeOwned + Default>(params: &Value, place: usize) -> Result<T, Refusal> {
    match params.get(place) {
        None | Some(Value::Null) => Ok(T::default()),
        Some(_) => param(params, place),
    }
}

/// A block that the node has come to; none if there is no such block, or it is yet to come.
fn block_at(node: &Node, named: Value) -> Result<Option<&Held>, Refusal> {
    let hash = |text: &str| (text.len() == 66).then(|| text.parse::<B256>().ok()).flatten();
    match named {
        Value::Object(fields) => {
            if let Some(hash) = fields.get("blockHash") {
                let hash: B256 = serde_json::from_value(hash.clone())
                    .map_err(|error| Refusal::params(format!("blockHash: {error}")))?;
                return Ok(of_hash(node, &hash));
            }
            let number = fields.get("blockNumber").cloned();
            let number = number.filter(|number| !number.is_object());
            let number = number.ok_or_else(|| Refusal::params("wanted a block"))?;
            block_at(node, number)
        }
        Value::String(text) => match (text.as_str(), hash(&text)) {
            (_, Some(hash)) => Ok(of_hash(node, &hash)),
            (tag, None) => {
                let number = number_of(node, tag)?;
                if number > node.newest().number() {
                    return Ok(None);
                }
                Ok(Some(&node.ledger.blocks[node.ledger.known(number)?]))
            }
        },
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_)) => {
            Err(Refusal::params(format!("found {}; wanted a block", short(&other.to_string()))))
        }
    }
}

/// A height, or the name of one.
fn number_of(node: &Node, tag: &str) -> Result<u64, Refusal> {
    match tag {
        "latest" | "pending" => Ok(node.newest().number()),
        "earliest" => Ok(0),
        "safe" | "finalized" => Err(Missing(format!("which block was {tag} is")).into()),
        number => {
            let digits =
                number.strip_prefix("0x").and_then(|hex| u64::from_str_radix(hex, 16).ok());
            digits.ok_or_else(|| {
                Refusal::params(format!("found {:?}; wanted a block", short(number)))
            })
        }
    }
}

fn of_hash<'n>(node: &'n Node, hash: &B256) -> Option<&'n Held> {
    let place = node.ledger.of_hash(hash).filter(|place| *place <= node.tip())?;
    node.ledger.blocks.get(place)
}

/// The place of the block at whose end a question is about; the newest if it names none.
fn place(node: &Node, params: &Value, at: usize) -> Result<usize, Refusal> {
    let named = match params.get(at) {
        None | Some(Value::Null) => return Ok(node.tip()),
        Some(named) => named.clone(),
    };
    let held = block_at(node, named)?;
    let place = held.and_then(|held| node.ledger.at(held.number()));
    place.ok_or_else(|| Refusal { code: NOT_FOUND, words: "header not found".to_owned() })
}

/// The chain's first block, where it is recorded beside the run and asked for without its
/// transactions.
fn genesis<'n>(node: &'n Node, params: &Value) -> Option<&'n Value> {
    let is_first = params.get(0).is_some_and(|named| named == "0x0" || named == "earliest");
    let is_full = params.get(1).and_then(Value::as_bool).unwrap_or(false);
    let history = node.ledger.history.as_ref()?;
    Some(&history.genesis).filter(|genesis| is_first && !is_full && genesis.is_object())
}

fn block(held: Option<&Held>, is_full: bool) -> Answer {
    Ok(held.map_or(Ok(Value::Null), |held| render::block(held, is_full))?)
}

fn logs(node: &Node, filter: &Filter) -> Answer {
    let tip = node.newest().number();
    let mut found: Vec<Log> = Vec::new();
    let blocks = match filter.block_option {
        FilterBlockOption::AtBlockHash(hash) => {
            let held = of_hash(node, &hash);
            let held =
                held.ok_or_else(|| Refusal { code: NOT_FOUND, words: "unknown block".into() })?;
            std::slice::from_ref(held)
        }
        FilterBlockOption::Range { from_block, to_block } => {
            let number = |tag: Option<alloy::eips::BlockNumberOrTag>| {
                tag.map_or(Ok(tip), |tag| number_of(node, &tag.to_string()))
            };
            let (from, to) = (number(from_block)?, number(to_block)?.min(tip));
            if from > to {
                return Err(Refusal::params(format!("block {from} is behind block {to}")));
            }
            let from = match before(node, filter, (from, to)) {
                Some(logs) => {
                    found = logs;
                    node.ledger.first()
                }
                None => from,
            };
            if from > to {
                return Ok(json!(found));
            }
            let (first, last) = (node.ledger.known(from)?, node.ledger.known(to)?);
            let blocks = node.ledger.blocks.get(first..=last).unwrap_or_default();
            if (blocks.len() as u64) != to - from + 1 {
                return Err(Missing(format!("some block between {from} and {to} is")).into());
            }
            blocks
        }
    };
    for held in blocks {
        knows_logs(held, filter)?;
        let logs = held.block.logs.iter().map(|row| render::log(held, row));
        found.extend(logs.filter(|log| filter.matches(&log.inner)));
        if found.len() > LOGS_MAX {
            let words = format!("more than {LOGS_MAX} logs: ask for fewer blocks");
            return Err(Refusal { code: LIMIT, words });
        }
    }
    Ok(json!(found))
}

/// What factories announced before the first block, if that is recorded and is what is asked for.
fn before(node: &Node, filter: &Filter, (from, to): (u64, u64)) -> Option<Vec<Log>> {
    let history = node.ledger.history.as_ref()?;
    let [first, ..] = &filter.topics;
    let (addresses, topics): (Vec<Address>, Vec<B256>) =
        (filter.address.iter().copied().collect(), first.iter().copied().collect());
    let end = node.ledger.first();
    let is_known = from < end && end <= history.blocks.1.saturating_add(1);
    if !is_known || !history.covers(&addresses, &topics, from) {
        return None;
    }
    let range = from..=to.min(end.saturating_sub(1));
    let within = |log: &&Log| {
        log.block_number.is_some_and(|number| range.contains(&number)) && filter.matches(&log.inner)
    };
    Some(history.logs.iter().filter(within).cloned().collect())
}

/// Makes sure that a block's logs are known as far as a filter asks for them.
fn knows_logs(held: &Held, filter: &Filter) -> Result<(), Refusal> {
    let is_empty = held.block.header.gas_used == Some(0);
    // A run without receipts has heard what moves pools.
    let moves = &gannet_engine::decode::topics::MOVES;
    let [first, ..] = &filter.topics;
    let is_heard = !first.is_empty() && first.iter().all(|topic| moves.contains(topic));
    // Data sets that say nothing of it have them all.
    let is_whole = held.block.header.logs_complete != Some(false);
    if is_empty || is_heard || is_whole {
        return Ok(());
    }
    let number = held.number();
    Err(Missing(format!("of block {number}, logs other than those that move pools are")).into())
}

fn receipt(node: &Node, hash: &B256) -> Answer {
    if let Some((block, place)) = node.ledger.of_transaction(hash) {
        if block > node.tip() {
            return Ok(Value::Null);
        }
        let mut receipts = render::receipts(&node.ledger.blocks[block])?;
        return Ok(if place < receipts.len() { receipts.swap_remove(place) } else { Value::Null });
    }
    Ok(submit::receipt(node, hash).unwrap_or(Value::Null))
}

fn transaction(node: &Node, hash: &B256) -> Answer {
    match node.ledger.of_transaction(hash) {
        Some((block, place)) if block <= node.tip() => {
            Ok(render::transaction(&node.ledger.blocks[block], place)?)
        }
        Some(_) | None => {
            let seen = node.ledger.sighting(hash).filter(|place| node.is_seen(*place));
            let body = seen.and_then(|place| node.ledger.pending[place].body.clone());
            Ok(body.or_else(|| submit::body(node, hash)).unwrap_or(Value::Null))
        }
    }
}

fn subscribe(node: &Node, line: Option<&Line>, params: &Value) -> Answer {
    let line = line.ok_or_else(|| Refusal::refused("news come by WebSocket only"))?;
    let topic = match param::<String>(params, 0)?.as_str() {
        "newHeads" => Topic::Heads,
        "logs" => Topic::Logs(Box::new(optional(params, 1)?)),
        "newPendingTransactions" => Topic::Pending { is_full: optional(params, 1)? },
        "transactionReceipts" => {
            // As from a node that has none: whoever asks will do without.
            render::receipts(node.newest())?;
            Topic::Receipts
        }
        other => {
            let words = format!("no {:?} subscription", short(other));
            return Err(Refusal { code: METHOD_UNKNOWN, words });
        }
    };
    let id = node.hub.subscribe(line, topic);
    let id = id.ok_or_else(|| Refusal {
        code: LIMIT,
        words: "this connection has too many subscriptions".to_owned(),
    })?;
    Ok(quantity(id))
}

/// What a call is asked with.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    pub(super) to: Option<Address>,
    pub(super) data: Option<Bytes>,
    pub(super) input: Option<Bytes>,
}
