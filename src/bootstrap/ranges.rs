//! Logs of many blocks: in ranges of the size that the node takes, several on their way at once.
//!
//! Every provider has limits of its own (blocks, logs, bytes, time) and words of its own for them,
//! so any refusal of more than one block halves the range.
//!
//! Temperature: cold.

use std::collections::{HashMap, VecDeque};
use std::ops::RangeInclusive;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::feed::rpc::{NodeError, Rpc};
use crate::progress::Progress;

/// Blocks that are asked for first.
const START: u64 = 2_000;
/// Blocks that are asked for at most: what a node of one's own answers within a second.
const MOST: u64 = 1 << 16;
/// Questions on their way at once: hides the way there and back, and stays below what providers
/// count as a flood.
const WINDOW: usize = 8;
/// Whole ranges after which a larger one is tried, once the node has shown its limit.
const CALM: u32 = 16;
/// Times that one block is asked for before its refusal is believed, and the pause before each.
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(150);

/// What logs are searched for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sought {
    /// What the progress line says.
    pub(crate) label: &'static str,
    /// The key of the configuration that says where to begin.
    pub(crate) key: &'static str,
}

impl Sought {
    /// Pools of factories.
    pub(super) const POOLS: Self =
        Self { label: "blocks searched for pools", key: "factory.deployed_block" };
}

/// What is still to be asked, and in what pieces.
#[derive(Debug)]
pub(super) struct Ranges {
    /// Blocks that were not answered yet, in order, each piece with both ends.
    pieces: VecDeque<(u64, u64)>,
    size: u64,
    /// The node has refused a range.
    has_limit: bool,
    calm: u32,
}

impl Ranges {
    pub(super) fn new(blocks: &RangeInclusive<u64>) -> Self {
        let whole = (!blocks.is_empty()).then(|| (*blocks.start(), *blocks.end()));
        Self { pieces: whole.into_iter().collect(), size: START, has_limit: false, calm: 0 }
    }

    /// The next range to ask for, both ends included.
    pub(super) fn take(&mut self) -> Option<(u64, u64)> {
        let (from, to) = self.pieces.pop_front()?;
        let end = to.min(from.saturating_add(self.size - 1));
        if end < to {
            self.pieces.push_front((end + 1, to));
        }
        Some((from, end))
    }

    /// A range was answered.
    pub(super) fn answered(&mut self, (from, to): (u64, u64)) {
        if to - from + 1 < self.size {
            return;
        }
        self.calm += 1;
        if !self.has_limit || self.calm >= CALM {
            self.size = (self.size * 2).min(MOST);
            self.calm = 0;
        }
    }

    /// A range was refused; false if it is one block, which no smaller range can help.
    pub(super) fn refused(&mut self, (from, to): (u64, u64)) -> bool {
        let blocks = to - from + 1;
        if blocks == 1 {
            return false;
        }
        (self.has_limit, self.calm) = (true, 0);
        self.size = self.size.min(blocks / 2);
        self.pieces.push_front((from, to));
        true
    }
}

/// Every log of `blocks` that fits; `filter` makes the filter of a range but for its two ends.
/// They come in no order.
pub(super) fn logs<L: DeserializeOwned>(
    rpc: &mut Rpc,
    sought: &Sought,
    blocks: RangeInclusive<u64>,
    filter: impl Fn(u64) -> Value,
    mut each: impl FnMut(L),
) -> Result<()> {
    let total = blocks.end().saturating_add(1).saturating_sub(*blocks.start());
    let mut progress = Progress::new(Some(sought.label), usize::try_from(total).unwrap_or(0));
    let mut ranges = Ranges::new(&blocks);
    let mut on_their_way: HashMap<u64, (u64, u64)> = HashMap::new();
    let mut refusals: HashMap<u64, u32> = HashMap::new();
    loop {
        while on_their_way.len() < WINDOW
            && let Some((from, to)) = ranges.take()
        {
            let mut wanted = filter(to);
            wanted["fromBlock"] = json!(format!("{from:#x}"));
            wanted["toBlock"] = json!(format!("{to:#x}"));
            on_their_way.insert(rpc.send("eth_getLogs", &json!([wanted]))?, (from, to));
        }
        if on_their_way.is_empty() {
            return Ok(());
        }
        let (id, reply) = rpc.next_reply::<Vec<L>>()?;
        let Some(range) = on_their_way.remove(&id) else { continue };
        match reply {
            Ok(logs) => {
                ranges.answered(range);
                progress.advance(usize::try_from(range.1 - range.0 + 1).unwrap_or(0));
                logs.into_iter().for_each(&mut each);
            }
            Err(error) => refuse(&mut ranges, range, (error, sought.key), &mut refusals)?,
        }
    }
}

/// Asks again for what was refused, in halves, or for one block after a pause.
fn refuse(
    ranges: &mut Ranges,
    range: (u64, u64),
    (error, key): (NodeError, &str),
    refusals: &mut HashMap<u64, u32>,
) -> Result<()> {
    tracing::debug!(from = range.0, to = range.1, %error, "the node refuses a range of logs");
    if ranges.refused(range) {
        return Ok(());
    }
    let count = refusals.entry(range.0).or_default();
    *count += 1;
    if *count < ATTEMPTS {
        // It may limit how often it is asked.
        std::thread::sleep(PAUSE * *count);
        ranges.pieces.push_front(range);
        return Ok(());
    }
    Err(error).with_context(|| {
        format!(
            "the node refuses the logs of block {} alone: start from a node that has them, or \
             from a later {key}",
            range.0
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays a node that refuses what `takes` says no to; gives the questions and the blocks seen.
    fn play(blocks: RangeInclusive<u64>, takes: impl Fn(u64, u64) -> bool) -> (usize, Vec<u64>) {
        let mut ranges = Ranges::new(&blocks);
        let (mut asked, mut seen) = (0, Vec::new());
        while let Some((from, to)) = ranges.take() {
            asked += 1;
            if takes(from, to) {
                ranges.answered((from, to));
                seen.extend(from..=to);
            } else {
                assert!(ranges.refused((from, to)), "one block is refused");
            }
        }
        seen.sort_unstable();
        (asked, seen)
    }

    #[test]
    fn a_node_without_limits_is_asked_in_ranges_that_double() {
        let (asked, seen) = play(5..=1_000_000, |_, _| true);
        assert!(seen.iter().copied().eq(5..=1_000_000));
        assert!(asked <= 22, "{asked}");
    }

    #[test]
    fn whatever_the_limit_every_block_is_seen_once() {
        for limit in [1, 2, 7, 500, 1_999, 2_000, 10_000] {
            let (asked, seen) = play(0..=20_000, |from, to| to - from < limit);
            assert!(seen.iter().copied().eq(0..=20_000), "{limit}");
            let least = 20_001_u64.div_ceil(limit);
            assert!(asked as u64 <= least * 5 / 2 + 12, "{asked} for {least} at {limit}");
        }
    }

    #[test]
    fn a_crowded_stretch_is_passed_in_small_steps_and_left_in_large_ones() {
        let crowded = 300_000..=301_000;
        let count = |from: u64, to: u64| {
            (from.max(*crowded.start())..=to.min(*crowded.end())).count() * 100
        };
        let (asked, seen) = play(0..=2_000_000, |from, to| count(from, to) <= 10_000);
        assert!(seen.iter().copied().eq(0..=2_000_000));
        assert!(asked < 400, "{asked}");
    }

    #[test]
    fn no_range_is_asked_for_where_there_is_no_block() {
        assert_eq!(Ranges::new(&RangeInclusive::new(7, 6)).take(), None);
        assert_eq!(Ranges::new(&(7..=7)).take(), Some((7, 7)));
    }

    #[test]
    fn one_block_that_is_refused_is_an_error_with_what_to_do() {
        let refusal = r#"{"id":ID,"error":{"code":-32005,"message":"limit exceeded"}}"#;
        let answers: String =
            (1..=4).map(|id| refusal.replace("ID", &format!("{id}")) + "\n").collect();
        let (mut rpc, _node) = Rpc::answered(answers.as_bytes()).unwrap();
        let found = logs::<Value>(&mut rpc, &Sought::POOLS, 9..=9, |_| json!({}), |_| {});
        let error = format!("{:#}", found.unwrap_err());
        assert!(error.contains("block 9 alone") && error.contains("deployed_block"), "{error}");
        assert!(error.contains("limit exceeded"), "{error}");
    }

    #[test]
    fn any_text_of_a_refusal_halves_the_range() {
        // What providers say; none of it is read.
        let texts = [
            r#"{"code":-32005,"message":"query returned more than 10000 results"}"#,
            r#"{"code":-32602,"message":"block range too large"}"#,
            r#"{"code":-32000,"message":"query timeout exceeded"}"#,
            r#"{"code":"LIMIT","message":"response size should not greater than 150000000 bytes"}"#,
            r#""exceeded max allowed range""#,
        ];
        for text in texts {
            let answers = format!(
                "{{\"id\":1,\"error\":{text}}}\n{{\"id\":2,\"result\":[1]}}\n\
                 {{\"id\":3,\"result\":[2]}}\n"
            );
            let (mut rpc, _node) = Rpc::answered(answers.as_bytes()).unwrap();
            let mut seen: Vec<u64> = Vec::new();
            logs(&mut rpc, &Sought::POOLS, 0..=1, |_| json!({}), |log| seen.push(log)).unwrap();
            assert_eq!(seen, [1, 2], "{text}");
        }
    }
}
