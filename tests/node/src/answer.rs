//! Answers to questions, as a node of the field gives them.
//!
//! Temperature: cold.

use std::sync::Arc;

use alloy::sol;
use alloy::sol_types::{SolCall, SolValue};
use alloy_primitives::{Address, B256, Bytes, U256};
use serde_json::{Value, json};

use crate::json::{self, hex};
use crate::lens::{self, Concentrated, Contracts};
use crate::model::{Block, Chain, Market};

/// What a call may use, as geth has it.
const CALL_GAS: u64 = 50_000_000;

sol! {
    function allPairsLength();
    function allPairs(uint256 place);
    function token0();
    function token1();
    function factory();
    function getReserves();
    function decimals();
    function symbol();
    function balanceOf(address account);
    function WETH();
    function owner();
    function operators(address account);
    function sweepAbove(address token);
}

/// A JSON-RPC error object.
pub type Refusal = Value;

fn refusal(code: i64, words: &str) -> Refusal {
    json!({ "code": code, "message": words })
}

/// The answer to a question that changes nothing, from the newest block; or the error object.
///
/// # Errors
/// When the question is none that a node answers.
pub fn answer_of(chain: &Chain, method: &str, params: &Value) -> Result<Value, Refusal> {
    View { chain, behind: 0 }.answer(method, params)
}

/// The chain as one question sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    pub(crate) chain: &'a Chain,
    /// Newest blocks that it does not see.
    pub(crate) behind: u64,
}

impl View<'_> {
    /// The answer to a question that changes nothing.
    pub(crate) fn answer(&self, method: &str, params: &Value) -> Result<Value, Refusal> {
        let chain = self.chain;
        let tip = chain.behind(self.behind);
        Ok(match method {
            "eth_chainId" => json!(hex(chain.id)),
            "net_version" => json!(chain.id.to_string()),
            "web3_clientVersion" => json!("scripted-node/v1.0"),
            "eth_syncing" => json!(false),
            "eth_blockNumber" => json!(hex(tip.header.number)),
            "eth_gasPrice" => json!(hex(Chain::next_base_fee(&tip) + 1_000_000_000)),
            "eth_maxPriorityFeePerGas" => json!(hex(1_000_000_000_u64)),
            "eth_getBlockByNumber" | "eth_getBlockByHash" => {
                let found = self.block(&params[0]);
                let is_full = params[1].as_bool().unwrap_or_default();
                found.map_or(Value::Null, |block| json::block(&block, is_full))
            }
            "eth_getLogs" => self.logs(&params[0])?,
            "eth_call" => {
                let block = self.block(&params[1]).ok_or_else(header_not_found)?;
                let data: Bytes =
                    field(&params[0], "data").or_else(|_| field(&params[0], "input"))?;
                if params[0]["to"].is_null() {
                    let held = Held { market: &chain.market, block: &block };
                    let answer = lens::answer(&data, &held, CALL_GAS);
                    json!(answer.ok_or_else(|| refusal(3, "execution reverted"))?)
                } else {
                    json!(self.call(field(&params[0], "to")?, &data, &block)?)
                }
            }
            "eth_getBalance" => {
                let block = self.block(&params[1]).ok_or_else(header_not_found)?;
                json!(block.state.balance(&read(&params[0])?))
            }
            "eth_getTransactionCount" => {
                let account = read(&params[0])?;
                let block = self.block(&params[1]).ok_or_else(header_not_found)?;
                let mined = block.state.nonce(&account);
                let is_pending = params[1] == "pending";
                json!(hex(if is_pending { chain.pool.next_nonce(&account, mined) } else { mined }))
            }
            "eth_getCode" => {
                let account = read(&params[0])?;
                match self.is_contract(&account) {
                    true if account == chain.market.executor => json!(chain.market.executor_code()),
                    true => json!("0x60806040"),
                    false => json!("0x"),
                }
            }
            "eth_getStorageAt" => json!(B256::ZERO),
            "eth_getTransactionByHash" => self.transaction(&read(&params[0])?),
            "eth_getTransactionReceipt" => {
                let found = chain.place_of(&read(&params[0])?);
                let found = found.filter(|(block, _)| self.sees(block));
                found.map_or(Value::Null, |(block, place)| json::receipt(&block, place))
            }
            _ => {
                let words = format!("the method {method} does not exist/is not available");
                return Err(refusal(-32_601, &words));
            }
        })
    }

    fn sees(&self, block: &Block) -> bool {
        block.header.number <= self.chain.behind(self.behind).header.number
    }

    /// The block that a tag, a number, a hash, or an object with one of these (EIP-1898) names.
    fn block(&self, named: &Value) -> Option<Arc<Block>> {
        let chain = self.chain;
        let text = match named {
            Value::Object(named) => {
                named.get("blockHash").or(named.get("blockNumber"))?.as_str()?
            }
            Value::String(text) => text,
            Value::Null => "latest",
            Value::Bool(_) | Value::Number(_) | Value::Array(_) => return None,
        };
        let found = match text {
            "latest" | "pending" | "safe" | "finalized" => Some(chain.behind(self.behind)),
            // The heights between the first block and the next are made up.
            "earliest" | "0x0" => chain.blocks().next().cloned(),
            hash if hash.len() == 66 => chain.by_hash(&hash.parse().ok()?),
            number => {
                let digits = number.strip_prefix("0x")?;
                chain.by_number(u64::from_str_radix(digits, 16).ok()?)
            }
        };
        found.filter(|block| self.sees(block))
    }

    fn transaction(&self, hash: &B256) -> Value {
        let mined = self.chain.place_of(hash).filter(|(block, _)| self.sees(block));
        if let Some((block, place)) = mined {
            return json::tx(&block.mined[place].tx, Some((&block, place)));
        }
        self.chain.pool.get(hash).map_or(Value::Null, |tx| json::tx(tx, None))
    }

    fn logs(&self, filter: &Value) -> Result<Value, Refusal> {
        let blocks: Vec<Arc<Block>> = if filter["blockHash"].is_string() {
            let block = self.block(&filter["blockHash"]);
            vec![block.ok_or_else(|| refusal(-32_000, "unknown block"))?]
        } else {
            let bounds = ["fromBlock", "toBlock"].map(|bound| self.block(&filter[bound]));
            let [Some(from), Some(to)] = bounds else { return Ok(json!([])) };
            let (from, to) = (from.header.number, to.header.number);
            (from..=to).filter_map(|number| self.chain.by_number(number)).collect()
        };
        let mut logs = Vec::new();
        for block in &blocks {
            let wanted = block.logs.iter().filter(|log| is_wanted(filter, log));
            logs.extend(wanted.map(|log| json::log(block, log, false)));
        }
        Ok(Value::Array(logs))
    }

    fn is_contract(&self, account: &Address) -> bool {
        let market = &self.chain.market;
        market.executor == *account
            || market.pair_at(account).is_some()
            || market.tokens.iter().any(|token| token.address == *account)
            || market
                .factories
                .iter()
                .any(|held| held.address == *account || held.router == *account)
    }

    /// The answer of a view call.
    fn call(&self, to: Address, data: &Bytes, block: &Block) -> Result<Bytes, Refusal> {
        let market = &self.chain.market;
        if !self.is_contract(&to) {
            return Ok(Bytes::new());
        }
        let selector = data.get(..4).unwrap_or_default();
        let is = |wanted: [u8; 4]| selector == wanted;
        let answer = if let Some(factory) = market.factories.iter().position(|f| f.address == to) {
            let mut pairs = market.pairs.iter().filter(|pair| pair.factory == factory);
            if is(allPairsLengthCall::SELECTOR) {
                Some(U256::from(pairs.count()).abi_encode())
            } else {
                let place = allPairsCall::abi_decode(data).ok();
                let place = place.and_then(|call| usize::try_from(call.place).ok());
                place.and_then(|place| pairs.nth(place)).map(|pair| pair.address.abi_encode())
            }
        } else if let Some(place) = market.pair_at(&to) {
            let pair = &market.pairs[place];
            let tokens = pair.tokens.map(|token| market.tokens[token].address);
            let reserves = block.state.reserves[place];
            match () {
                () if is(token0Call::SELECTOR) => Some(tokens[0].abi_encode()),
                () if is(token1Call::SELECTOR) => Some(tokens[1].abi_encode()),
                () if is(factoryCall::SELECTOR) => {
                    Some(market.factories[pair.factory].address.abi_encode())
                }
                () if is(getReservesCall::SELECTOR) => {
                    let [first, second] = reserves.map(U256::from);
                    Some((first, second, U256::from(block.header.timestamp)).abi_encode())
                }
                () => None,
            }
        } else if to == market.executor {
            self.call_executor(data)
        } else {
            self.call_token(to, data, block)
        };
        answer.map(Bytes::from).ok_or_else(|| refusal(3, "execution reverted"))
    }

    fn call_executor(&self, data: &[u8]) -> Option<Vec<u8>> {
        let market = &self.chain.market;
        if data.starts_with(&WETHCall::SELECTOR) {
            return Some(market.weth().abi_encode());
        }
        if data.starts_with(&ownerCall::SELECTOR) {
            return Some(market.owner.abi_encode());
        }
        if data.starts_with(&sweepAboveCall::SELECTOR) {
            return Some(U256::ZERO.abi_encode());
        }
        let account = operatorsCall::abi_decode(data).ok()?.account;
        Some(market.wallets.iter().any(|wallet| wallet.address() == account).abi_encode())
    }

    fn call_token(&self, to: Address, data: &[u8], block: &Block) -> Option<Vec<u8>> {
        let market = &self.chain.market;
        let token = market.tokens.iter().find(|token| token.address == to)?;
        if data.starts_with(&decimalsCall::SELECTOR) {
            return Some(U256::from(token.decimals).abi_encode());
        }
        if data.starts_with(&symbolCall::SELECTOR) {
            return Some(token.name.abi_encode());
        }
        let account = balanceOfCall::abi_decode(data).ok()?.account;
        let is_ours = account == market.executor;
        Some(if is_ours { block.state.held(&to) } else { U256::ZERO }.abi_encode())
    }
}

/// What the market's contracts hold at a block.
struct Held<'a> {
    market: &'a Market,
    block: &'a Block,
}

impl Contracts for Held<'_> {
    fn reserves(&self, pool: &Address) -> Option<[u128; 2]> {
        self.market.pair_at(pool).map(|place| self.block.state.reserves[place])
    }

    fn decimals(&self, token: &Address) -> Option<u8> {
        let token = self.market.tokens.iter().find(|held| held.address == *token);
        token.map(|token| token.decimals)
    }

    fn listed(&self, factory: &Address, place: u32) -> Option<[Address; 3]> {
        let market = self.market;
        let factory = market.factories.iter().position(|held| held.address == *factory)?;
        let mut pairs = market.pairs.iter().filter(|pair| pair.factory == factory);
        let pair = pairs.nth(usize::try_from(place).ok()?)?;
        let [first, second] = pair.tokens.map(|token| market.tokens[token].address);
        Some([pair.address, first, second])
    }

    fn concentrated(&self, _pool: &Address) -> Option<&Concentrated> {
        None
    }

    fn solidly_fee(&self, _pool: &Address) -> Option<u16> {
        None
    }

    fn keep_fee(&self) -> bool {
        self.market.keeps_fee
    }
}

/// Whether a log fits a filter's address and topics.
#[must_use]
pub fn is_wanted(filter: &Value, log: &crate::model::Log) -> bool {
    let fits = |wanted: &Value, held: Value| match wanted {
        Value::Null => true,
        Value::Array(any) => any.is_empty() || any.contains(&held),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => *wanted == held,
    };
    let lower = |value: &Value| value.as_str().map(|text| json!(text.to_lowercase()));
    let address = lower(&filter["address"]).unwrap_or_else(|| filter["address"].clone());
    let written = json!(format!("{:#x}", log.event.address));
    let topics = filter["topics"].as_array().map(Vec::as_slice).unwrap_or_default();
    fits(&address, written)
        && topics.iter().enumerate().all(|(place, wanted)| {
            let held = log.event.topics.get(place);
            wanted.is_null() || held.is_some_and(|held| fits(wanted, json!(held)))
        })
}

fn header_not_found() -> Refusal {
    refusal(-32_000, "header not found")
}

fn field<R: std::str::FromStr>(value: &Value, name: &str) -> Result<R, Refusal> {
    read(&value[name])
}

pub(crate) fn read<R: std::str::FromStr>(value: &Value) -> Result<R, Refusal> {
    let read = value.as_str().and_then(|text| text.parse().ok());
    read.ok_or_else(|| refusal(-32_602, "invalid argument 0: cannot be read"))
}
