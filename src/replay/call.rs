//! Calls and accounts: answered from what a run kept of its pools, or from the state that a block
//! is recorded with; else an error that says what is missing.
//!
//! Temperature: cold.

use alloy::sol;
use alloy::sol_types::{SolCall, SolValue as _};
use alloy_primitives::{Address, Bytes, U256};
use gannet_engine::decode::topics::PAIR_CREATED;

use super::answer::{Asked, Refusal};
use super::ledger::{Held, Missing};
use super::lens;
use super::node::Node;
use super::pools::{Pools, State, Track};
use crate::bootstrap::Reading;
use crate::evm::{Replay, Scene};
use crate::recorder::History;
use crate::recording::Account;
use crate::recording::rows::LogRow;

sol! {
    /// What the pools of all kinds and tokens are asked.
    interface Views {
        function token0() returns (address);
        function token1() returns (address);
        function factory() returns (address);
        function getReserves() returns (uint112, uint112, uint32);
        function fee() returns (uint24);
        function tickSpacing() returns (int24);
        function liquidity() returns (uint128);
        function tickBitmap(int16 word) returns (uint256);
        function stable() returns (bool);
        function decimals() returns (uint8);
    }
}

/// The answer to a call at the end of a block.
///
/// # Errors
/// When the recording does not know it, or the call reverts.
pub(super) fn call(node: &Node, asked: &Asked, place: usize) -> Result<Bytes, Refusal> {
    let held = &node.ledger.blocks[place];
    let number = held.number();
    let data = asked.input.as_ref().or(asked.data.as_ref()).cloned().unwrap_or_default();
    let Some(to) = asked.to else {
        let pools = node.pools.as_ref().filter(|pools| number >= pools.anchor);
        let answer = pools.map(|pools| lens::answer(pools, number, &data)).transpose()?.flatten();
        let words = "what this creation code returns takes state that is";
        return answer.ok_or_else(|| Missing(words.to_owned()).into());
    };
    if let Some(pools) = node.pools.as_ref().filter(|pools| number >= pools.anchor)
        && let Some(answer) = view(pools, number, to, &data)?
    {
        return Ok(answer);
    }
    if let Some(count) = pair_count(node, number, to, &data) {
        return Ok(U256::from(count).abi_encode().into());
    }
    if held.block.state.is_some() {
        return execute(node, held, to, &data);
    }
    let selector = Bytes::copy_from_slice(data.get(..4).unwrap_or(&data));
    let words = format!("the state that {to} answers {selector} from at block {number} is");
    Err(Missing(words).into())
}

/// How many pairs a factory lists: as it was when the run began, with those that it made since.
fn pair_count(node: &Node, number: u64, factory: Address, data: &[u8]) -> Option<u64> {
    let history = node.ledger.history.as_ref().filter(|_| History::is_count(data))?;
    let count = *history.pair_counts.get(&factory)?;
    let since = history.blocks.1.saturating_add(1)..=number;
    let mut made: u64 = 0;
    for held in node.ledger.blocks.iter().filter(|held| since.contains(&held.number())) {
        // Otherwise one could be missing.
        held.block.has_all_logs().then_some(())?;
        let announces =
            |log: &&LogRow| log.address == factory && log.topics.first() == Some(&PAIR_CREATED);
        made += held.block.logs.iter().filter(announces).count() as u64;
    }
    (number >= history.blocks.1).then_some(count.saturating_add(made))
}

/// Runs a call in the EVM, behind the transactions of a block that is recorded with its state.
fn execute(node: &Node, held: &Held, to: Address, data: &Bytes) -> Result<Bytes, Refusal> {
    let refused = |unknown: crate::evm::Unknown| Refusal::refused(unknown.to_string());
    let scene = Scene::new(&held.block, &node.codes);
    let scene = scene.ok_or_else(|| Missing(format!("the state of block {} is", held.number())))?;
    let mut replay = Replay::new(&scene).map_err(refused)?;
    replay.run_to(held.block.transactions.len()).map_err(refused)?;
    let receipt = replay.fork().call(to, data.to_vec()).map_err(refused)?;
    receipt.answer.map_err(|why| Refusal::refused(format!("execution reverted: {why}")))
}

/// A view of a pool or token of the run; none if it is none of them, or asked for something else.
fn view(pools: &Pools, number: u64, to: Address, data: &[u8]) -> Result<Option<Bytes>, Missing> {
    let Some(selector) = data.first_chunk::<4>() else { return Ok(None) };
    if *selector == Views::decimalsCall::SELECTOR && pools.knows_token(&to) {
        let told = pools.decimals(&to)?;
        return Ok(told.map(|decimals| U256::from(decimals).abi_encode().into()));
    }
    if !pools.has(&to) {
        return Ok(None);
    }
    let track = pools.get(&to)?;
    let Some(state) = track.at(number) else { return Ok(None) };
    let answer = match *selector {
        Views::token0Call::SELECTOR => track.known.tokens[0].abi_encode(),
        Views::token1Call::SELECTOR => track.known.tokens[1].abi_encode(),
        Views::factoryCall::SELECTOR => track.factory.abi_encode(),
        _ => match state_of(track, state, *selector, data)? {
            Some(answer) => answer,
            None => return Ok(None),
        },
    };
    Ok(Some(answer.into()))
}

fn state_of(
    track: &Track,
    state: &State,
    selector: [u8; 4],
    data: &[u8],
) -> Result<Option<Vec<u8>>, Missing> {
    let pool = track.known.address;
    Ok(Some(match (selector, state.reading) {
        (
            Views::getReservesCall::SELECTOR,
            Reading::Pair { reserves } | Reading::Solidly { reserves, .. },
        ) => {
            let time = state.written_at;
            let time = time.ok_or_else(|| Missing(format!("when {pool} was last written is")))?;
            // Uniswap's pairs keep the lowest 32 bits of it.
            let time = match state.reading {
                Reading::Solidly { .. } => U256::from(time),
                Reading::Pair { .. } | Reading::Concentrated { .. } => {
                    U256::from(time & u64::from(u32::MAX))
                }
            };
            (reserves.map(U256::from), time).abi_encode_params()
        }
        (Views::feeCall::SELECTOR, Reading::Concentrated { fee_pips, .. }) => {
            U256::from(fee_pips).abi_encode()
        }
        (Views::tickSpacingCall::SELECTOR, Reading::Concentrated { tick_spacing, .. }) => {
            tick_spacing.abi_encode()
        }
        (Views::liquidityCall::SELECTOR, Reading::Concentrated { liquidity, .. }) => {
            U256::from(liquidity).abi_encode()
        }
        (Views::tickBitmapCall::SELECTOR, Reading::Concentrated { tick_spacing, .. }) => {
            let Ok(asked) = Views::tickBitmapCall::abi_decode(data) else { return Ok(None) };
            let mut word = U256::ZERO;
            for tick in state.ticks.iter() {
                let place = tick.index.div_euclid(tick_spacing.max(1));
                if place >> 8 == i32::from(asked.word) {
                    word |= U256::ONE << usize::try_from(place & 0xff).unwrap_or_default();
                }
            }
            word.abi_encode()
        }
        (Views::stableCall::SELECTOR, Reading::Solidly { .. }) => track.is_stable().abi_encode(),
        _ => return Ok(None),
    }))
}

/// An account at the end of a block, as the block behind it was recorded to find it.
fn account(node: &Node, address: Address, place: usize) -> Option<&Account> {
    let number = node.ledger.blocks.get(place)?.number();
    let next = node.ledger.blocks.get(place + 1)?;
    let follows = next.number() == number + 1;
    let state = next.block.state.as_ref().filter(|_| follows)?;
    state.accounts.get(&address)
}

/// The next nonce of an account at the end of a block.
///
/// # Errors
/// When nothing recorded tells it.
pub(super) fn nonce(node: &Node, address: Address, place: usize) -> Result<u64, Missing> {
    let sent = node.ledger.sent_by(&address);
    let (before, after) = sent.split_at(sent.partition_point(|(block, _)| *block <= place));
    // A contract's nonce moves without transactions of its own; who sends some is no contract.
    let told = before.last().map(|(_, nonce)| nonce.saturating_add(1));
    let told = told.or_else(|| after.first().map(|(_, nonce)| *nonce));
    let told = told.or_else(|| account(node, address, place).map(|account| account.nonce));
    let told = told.or_else(|| {
        let start = node.ledger.start.as_ref()?;
        let number = node.ledger.blocks.get(place)?.number();
        let knows_all = node.ledger.knows_transactions(start.height(), number);
        let wallets = start.wallets();
        let mut wallets = wallets.iter().filter(|_| knows_all || number == start.height());
        wallets.find(|wallet| wallet.address == address).map(|wallet| wallet.nonce)
    });
    let number = node.ledger.blocks.get(place).map_or(0, Held::number);
    told.ok_or_else(|| Missing(format!("the nonce of {address} at block {number} is")))
}

/// The balance of an account at the end of a block.
///
/// # Errors
/// When nothing recorded tells it.
pub(super) fn balance(node: &Node, address: Address, place: usize) -> Result<U256, Missing> {
    let number = node.ledger.blocks.get(place).map_or(0, Held::number);
    let recorded = account(node, address, place).map(|account| account.balance);
    let told = recorded.or_else(|| {
        let start = node.ledger.start.as_ref().filter(|start| start.height() == number)?;
        let wallets = start.wallets();
        let wallet = wallets.iter().find(|wallet| wallet.address == address)?;
        Some(U256::from(wallet.balance.0))
    });
    told.ok_or_else(|| Missing(format!("the balance of {address} at block {number} is")))
}

/// The code of an account at the end of a block.
///
/// # Errors
/// When it is not recorded.
pub(super) fn code(node: &Node, address: Address, place: usize) -> Result<Bytes, Missing> {
    let number = node.ledger.blocks.get(place).map_or(0, Held::number);
    let missing = || Missing(format!("the code of {address} at block {number} is"));
    let account = account(node, address, place).ok_or_else(missing)?;
    let Some(hash) = account.code_hash else { return Ok(Bytes::new()) };
    node.codes.get(&hash).cloned().ok_or_else(missing)
}
