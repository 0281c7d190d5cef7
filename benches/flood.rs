//! A flood of pending transactions, on a schedule that waits for nobody: how late the bot is with
//! what it is told, at 20,000, 50,000 and 100,000 of them a second.
//!
//! One in eight is a swap by somebody new, the others are transfers and calls of who knows what. A
//! ping right behind every fiftieth tells how late it is: the bot answers it when it is done with
//! everything before. What counts is from when the transaction before it was due, to that answer.
//! Blocks come once a second meanwhile.
//!
//! Temperature: cold.

mod bot;
#[expect(dead_code, reason = "not all of it is wanted here")]
mod measure;
mod rig;

use std::collections::{BTreeMap, VecDeque};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use alloy::consensus::TxEip1559;
use alloy_primitives::{TxKind, U256};
use gannet::strategies::Standard;
use gannet_scripted_node::json;
use gannet_scripted_node::model::Tx;
use gannet_scripted_node::model::chain::Terms;
use serde_json::{Value, json};

use self::bot::{Bot, NODE_CORE, ROLE, on_core, warm_up};
use self::measure::{Options, Times, title};
use self::rig::{PAUSE, Rig};

#[global_allocator]
static ALLOCATOR: gannet::Counting<tikv_jemallocator::Jemalloc> =
    gannet::Counting::new(tikv_jemallocator::Jemalloc);

/// Tokens of the node's market; each has two pools.
const TOKENS: usize = 256;
/// One in so many is a swap.
const SWAP_ONE_IN: usize = 8;
/// A ping stands behind one in so many.
const PING_ONE_IN: usize = 50;
/// Other transactions, announced over and over.
const OTHERS: usize = 4_096;
/// Frames that are written at once, at most.
const BATCH: usize = 64;
const BLOCK: Duration = Duration::from_secs(1);

/// The frames of a flood, in order.
struct Frames {
    swaps: Vec<Vec<u8>>,
    others: Vec<Vec<u8>>,
    ping: Vec<u8>,
}

impl Frames {
    fn make(rig: &mut Rig, count: usize) -> Self {
        let tip = rig.chain.tip();
        let mut frames = Self { swaps: Vec::new(), others: Vec::new(), ping: Rig::ping_frame() };
        for _ in 0..count.div_ceil(SWAP_ONE_IN) {
            let (sender, trade) = (rig.chain.stranger(), rig.chain.small_trade());
            let tx = rig.chain.swap(&trade, &tip.state, sender, Terms::default());
            frames.swaps.push(rig.pending_frame(&json::tx(&tx, None)));
        }
        for length in [0, 68, 68, 68, 132, 228, 356, 68].into_iter().cycle().take(OTHERS) {
            let (sender, to) = (rig.chain.stranger(), rig.chain.stranger());
            let body = TxEip1559 {
                chain_id: rig.chain.id,
                gas_limit: 100_000,
                max_fee_per_gas: 50_000_000_000,
                max_priority_fee_per_gas: 1_000_000_000,
                to: TxKind::Call(to),
                value: U256::from(length),
                input: vec![0x5a; length].into(),
                ..TxEip1559::default()
            };
            frames.others.push(rig.pending_frame(&json::tx(&Tx::made_up(body, sender), None)));
        }
        frames
    }

    /// Number `place`, and whether a ping follows.
    fn put(&self, place: usize, out: &mut Vec<u8>) -> bool {
        let list = if place.is_multiple_of(SWAP_ONE_IN) {
            &self.swaps[place / SWAP_ONE_IN]
        } else {
            &self.others[place % self.others.len()]
        };
        out.extend_from_slice(list);
        let is_pinged = place.is_multiple_of(PING_ONE_IN);
        if is_pinged {
            out.extend_from_slice(&self.ping);
        }
        is_pinged
    }
}

/// What a rate did to the bot.
struct Score {
    times: Times,
    dropped: u64,
    allocations: u64,
}

fn play(rate: u64, time: Duration) -> Result<Score, String> {
    let mut rig = Rig::start(TOKENS)?;
    let bot = Bot::start(&rig, &format!("flood-{rate}"), true)?;
    on_core(NODE_CORE, || play_on(&mut rig, bot, rate, time))
}

fn play_on(rig: &mut Rig, bot: Bot, rate: u64, time: Duration) -> Result<Score, String> {
    warm_up(rig)?;
    let count =
        usize::try_from(time.as_millis()).unwrap_or(0) * usize::try_from(rate / 1_000).unwrap_or(0);
    let frames = Frames::make(rig, count);
    rig.serve_for(PAUSE);

    let mut times = Times::new();
    let mut asked: VecDeque<Instant> = VecDeque::new();
    let mut batch = Vec::with_capacity(1 << 20);
    let gap = nanos(Duration::from_secs(1)) / rate;
    let (mut place, mut block_due) = (0, BLOCK);
    rig.pongs.clear();
    let start = Instant::now();
    // Whoever is far behind by then does not hold the rate.
    while (place < count || !asked.is_empty()) && start.elapsed() < time * 2 + BLOCK {
        let due = nanos(start.elapsed()) / gap + 1;
        let end = count.min(usize::try_from(due).unwrap_or(count)).min(place + BATCH);
        batch.clear();
        for number in place..end {
            if frames.put(number, &mut batch) {
                asked.push_back(start + Duration::from_nanos(gap * number as u64));
            }
        }
        if !batch.is_empty() {
            rig.announce(&batch);
        }
        place = end;
        rig.serve_one();
        for at in std::mem::take(&mut rig.pongs) {
            if let Some(due) = asked.pop_front() {
                times.add(at.duration_since(due));
            }
        }
        if start.elapsed() > block_due {
            rig.mine();
            block_due += BLOCK;
        }
    }
    rig.serve_for(PAUSE * 4);
    let summary = bot.end(rig)?;
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let announced = rig.announced + count as u64;
    Ok(Score {
        times,
        dropped: announced.saturating_sub(number(&summary["pending"]["messages"])),
        allocations: number(&summary["hot_allocations"]["count"]),
    })
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn measure(options: &Options) -> Result<(), String> {
    let time = Duration::from_millis(options.pick(200, 2_000, 10_000));
    println!("{}", title("frames a second"));
    let mut section = BTreeMap::new();
    for rate in options.pick(&[20_000][..], &[20_000, 50_000, 100_000], &[20_000, 50_000, 100_000])
    {
        let Score { times, dropped, allocations } = play(*rate, time)?;
        println!("{} {dropped} dropped", times.line(&rate.to_string()));
        if allocations > 0 {
            println!("the bot allocated {allocations} times while it worked on messages");
        }
        options.add("allocations", allocations)?;
        let mut figures = times.to_json(&["p50_ns", "p99_ns", "p999_ns"]);
        figures["dropped"] = json!(dropped);
        section.insert(rate.to_string(), figures);
    }
    options.put("flood", json!(section))
}

fn main() -> ExitCode {
    if std::env::var(ROLE).is_ok() {
        return gannet::cli::main::<Standard>();
    }
    measure::main(measure)
}
