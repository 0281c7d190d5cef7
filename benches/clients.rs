//! What stands beside the bot in `wire_to_wire`: echoes, which are the kernel's own floor, and bots
//! made of stock parts. Each is a process of its own.
//!
//! Temperature: cold.

use std::collections::HashMap;
use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use alloy::consensus::{SignableTransaction, Transaction, TxEip1559};
use alloy::eips::eip2718::Encodable2718;
use alloy::providers::{Provider, ProviderBuilder, WsConnect};
use alloy::signers::SignerSync;
use alloy::sol_types::SolCall;
use alloy_primitives::{Address, TxKind, U256};
use futures_util::StreamExt;
use gannet_engine::wire::websocket::{self, HEADER_BYTES_MAX, Opcode};
use gannet_scripted_node::model::Market;
use gannet_scripted_node::model::execution::{quote, swapExactTokensForTokensCall};
use gannet_scripted_node::model::market::FEE_PIPS;

type Done = Result<(), Box<dyn Error + Send + Sync>>;

/// Bytes of a raw transaction with a program of two legs.
const RAW_BYTES: usize = 295;
/// Bytes of that program.
const PROGRAM_BYTES: usize = 171;
const MASK: [u8; 4] = [0x5a, 0xa5, 0x3c, 0xc3];

fn dial(url: &str) -> Result<TcpStream, Box<dyn Error + Send + Sync>> {
    let address = url.trim_start_matches("ws://");
    let socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    let (accepted, _) = tungstenite::client(url, socket.try_clone()?)?;
    drop(accepted);
    Ok(socket)
}

fn masked(text: &str) -> Vec<u8> {
    let mut frame = vec![0; HEADER_BYTES_MAX];
    let size = websocket::encode_header(Opcode::Text, text.len(), MASK, &mut frame);
    frame.truncate(size);
    frame.extend_from_slice(text.as_bytes());
    websocket::mask(&mut frame[size..], MASK);
    frame
}

fn question(method: &str, params: &str) -> Vec<u8> {
    masked(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":[{params}]}}"#))
}

/// Reads announcements, and answers each with bytes that were made beforehand.
pub(crate) fn echo(url: &str, is_spinning: bool) -> Done {
    let (mut ear, mut mouth) = (dial(url)?, dial(url)?);
    ear.write_all(&question("eth_subscribe", r#""newPendingTransactions",true"#))?;
    ear.set_nonblocking(is_spinning)?;
    let raw = "5a".repeat(RAW_BYTES);
    let answer = question("eth_sendRawTransaction", &format!("\"0x{raw}\""));
    let mut reader = websocket::Reader::new(1 << 20);
    let mut is_subscribed = false;
    loop {
        let count = match ear.read(reader.spare()) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        reader.filled(count);
        while let Some(message) = reader.next() {
            message.map_err(|error| format!("{error:?}"))?;
            // The first message is the subscription's own answer.
            if std::mem::replace(&mut is_subscribed, true) {
                mouth.write_all(&answer)?;
            }
        }
    }
}

/// A bot made of stock parts: it decodes announcements, finds the best input into two pools in
/// closed form, signs, and waits until its transaction is taken.
pub(crate) async fn stock(url: &str, tokens: usize) -> Done {
    let market = Market::star(tokens, 2)?;
    let places = places(&market);
    let signer = market.wallets.first().ok_or("there is a wallet")?.signer.clone();
    let provider = ProviderBuilder::new().connect_ws(WsConnect::new(url)).await?;
    let mut nonce = provider.get_transaction_count(signer.address()).await?;
    let subscription = provider.subscribe_full_pending_transactions().await?;
    let mut announced = subscription.into_stream();
    while let Some(tx) = announced.next().await {
        let Some(program) = program_behind(&places, tx.to(), tx.input()) else { continue };
        let body = TxEip1559 {
            chain_id: 31_337,
            nonce,
            gas_limit: 400_000,
            max_fee_per_gas: tx.max_fee_per_gas(),
            max_priority_fee_per_gas: tx.max_priority_fee_per_gas().unwrap_or_default(),
            to: TxKind::Call(market.executor),
            value: U256::ZERO,
            access_list: Default::default(),
            input: program.into(),
        };
        let signature = signer.sign_hash_sync(&body.signature_hash())?;
        let raw = body.into_signed(signature).encoded_2718();
        let _pending = provider.send_raw_transaction(&raw).await?;
        nonce += 1;
    }
    Ok(())
}

/// By router and path: what the pool on the way holds, and the other pool of the pair.
type Places = HashMap<(Address, [Address; 2]), [[u128; 2]; 2]>;

fn places(market: &Market) -> Places {
    let mut places = HashMap::new();
    for (factory, held) in market.factories.iter().enumerate() {
        for pair in market.pairs.iter().filter(|pair| pair.factory == factory) {
            let [first, second] = pair.tokens.map(|token| market.tokens[token].address);
            let Some((far, _)) = market.pair_of(1 - factory, &first, &second) else { continue };
            let reserves = [pair.start, market.pairs[far].start];
            places.insert((held.router, [first, second]), reserves);
            places.insert((held.router, [second, first]), reserves.map(|[a, b]| [b, a]));
        }
    }
    places
}

/// The program that takes what a swap opens between the two pools of its pair, if it opens
/// anything.
fn program_behind(places: &Places, to: Option<Address>, input: &[u8]) -> Option<Vec<u8>> {
    let call = swapExactTokensForTokensCall::abi_decode(input).ok()?;
    let [from, into] = *call.path.as_slice() else { return None };
    let [[mut paid, mut got], [other_in, other_out]] = *places.get(&(to?, [from, into]))?;
    let amount = u128::try_from(call.amountIn).ok()?;
    let out = quote(amount, [paid, got], FEE_PIPS)?;
    (paid, got) = (paid + amount, got - out);
    // What was sold became cheap: it is sold in the other pool, and bought back behind the swap.
    let kept = 1.0 - f64::from(FEE_PIPS) / 1e6;
    let [a, b, c, d] = [other_in, other_out, got, paid].map(float);
    let best = ((a * b * c * d).sqrt() * kept - a * c) / (kept * (c + kept * b));
    let best = whole(best).filter(|best| *best > 0)?;
    let middle = quote(best, [other_in, other_out], FEE_PIPS)?;
    let profit = quote(middle, [got, paid], FEE_PIPS)?.checked_sub(best)?;
    let mut program = vec![0; PROGRAM_BYTES];
    program[..4].copy_from_slice(&[0x61, 0x46, 0x19, 0x54]);
    program[33..49].copy_from_slice(&best.to_be_bytes());
    program[49..65].copy_from_slice(&profit.to_be_bytes());
    Some(program)
}

#[expect(clippy::cast_precision_loss, reason = "a first guess")]
const fn float(value: u128) -> f64 {
    value as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is above 0")]
fn whole(value: f64) -> Option<u128> {
    (value > 0.0).then_some(value as u128)
}
