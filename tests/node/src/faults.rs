//! What is wrong at the moment: how announcements, frames and answers differ from what they should
//! be.
//!
//! Temperature: cold.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How bytes are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Messages come in fragments of so many bytes.
    pub fragment: Option<usize>,
    /// Bytes come so many at a time.
    pub trickle: Option<usize>,
}

/// What an answer is instead of the right one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `null`.
    Null,
    /// An empty list.
    Empty,
    /// A list without its last entry.
    Incomplete,
    /// The logs of another block.
    OtherBlock,
    /// A list in the opposite order.
    Backwards,
    /// Right, and then once more.
    Twice,
    /// Right, under an id that nobody asked with.
    UnknownId,
    /// None at all.
    Lost,
    /// One that is no JSON.
    Garbage,
    /// geth: it has no such header (yet).
    GethHeaderNotFound,
    /// reth: it has no such block (yet).
    RethBlockNotFound,
    /// anvil: past its newest block.
    AnvilOutOfRange,
    /// A pruned or a syncing node.
    MissingTrieNode,
    /// A provider: too many questions.
    RateLimit,
    /// It does not know the method.
    UnknownMethod,
    /// An error of a mebibyte.
    HugeError,
    /// An error whose code is text.
    TextCode,
    /// An error that is text.
    TextError,
}

impl Shape {
    /// Every shape, with its name in a scenario.
    pub const ALL: [(&'static str, Self); 18] = [
        ("null", Self::Null),
        ("an empty list", Self::Empty),
        ("an incomplete list", Self::Incomplete),
        ("the list of another block", Self::OtherBlock),
        ("the list backwards", Self::Backwards),
        ("the answer twice", Self::Twice),
        ("an unknown id", Self::UnknownId),
        ("nothing", Self::Lost),
        ("garbage", Self::Garbage),
        ("the header not found of geth", Self::GethHeaderNotFound),
        ("the block not found of reth", Self::RethBlockNotFound),
        ("the out of range of anvil", Self::AnvilOutOfRange),
        ("a missing trie node", Self::MissingTrieNode),
        ("a rate limit", Self::RateLimit),
        ("an unknown method", Self::UnknownMethod),
        ("a huge error", Self::HugeError),
        ("an error whose code is text", Self::TextCode),
        ("an error that is text", Self::TextError),
    ];

    /// The error object of this shape, if it is one: the question then has no effect.
    pub(crate) fn error(self) -> Option<Value> {
        let error = |code: i64, words: &str| Some(json!({ "code": code, "message": words }));
        match self {
            Self::Null
            | Self::Empty
            | Self::Incomplete
            | Self::OtherBlock
            | Self::Backwards
            | Self::Twice
            | Self::UnknownId
            | Self::Lost
            | Self::Garbage => None,
            Self::GethHeaderNotFound => error(-32_000, "header not found"),
            Self::RethBlockNotFound => error(-32_001, "block not found: hash 0x00"),
            Self::AnvilOutOfRange => {
                error(-32_602, "BlockOutOfRangeError: block height is 10 but requested was 20")
            }
            Self::MissingTrieNode => error(
                -32_000,
                "missing trie node 5a1d (path ) state 0x5a1d is not available, not found",
            ),
            Self::RateLimit => Some(json!({
                "code": -32_005, "message": "daily request count exceeded, request rate limited",
                "data": { "rate": { "allowed_rps": 10, "backoff_seconds": 1 } },
            })),
            Self::UnknownMethod => error(-32_601, "the method does not exist/is not available"),
            Self::HugeError => error(-32_000, &"x".repeat(1 << 20)),
            Self::TextCode => {
                Some(json!({ "code": "SERVER_ERROR", "message": "could not process request" }))
            }
            Self::TextError => Some(json!("upstream request timeout")),
        }
    }
}

/// The faults that are played.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// Heads and logs that are left to be lost, doubled, or called removed.
    pub(crate) lose_heads: usize,
    pub(crate) lose_logs: usize,
    pub(crate) double_heads: usize,
    pub(crate) double_logs: usize,
    pub(crate) removed_logs: usize,
    /// Blocks whose logs come before the head, backwards, or late.
    pub(crate) logs_first: usize,
    pub(crate) logs_backwards: usize,
    pub(crate) logs_late: (usize, Duration),
    /// How far behind the chain this node is, with everything or with every other answer.
    pub(crate) behind: u64,
    pub(crate) flips_behind: u64,
    pub(crate) questions: u64,
    pub(crate) style: Style,
    /// Answers to a method that are left to have a shape.
    pub(crate) answers: Vec<(String, usize, Shape)>,
    /// Answers to a method, or to all, that come late.
    pub(crate) late: Vec<(Option<String>, Duration)>,
    pub(crate) refuses_bodies: bool,
    /// Whether it has the subscription `transactionReceipts`.
    pub(crate) has_receipts: bool,
    /// Blocks left whose receipts are not announced.
    pub(crate) lose_receipts: usize,
    pub(crate) batch_max: Option<usize>,
    /// Nothing is read until then; nobody is let in until then.
    pub(crate) reads_from: Option<Instant>,
    pub(crate) listens_from: Option<Instant>,
    /// Nobody is let in until that is over.
    pub(crate) is_closed: bool,
    /// Blocks that are left to take nothing from the pool.
    pub(crate) leave_out: usize,
}

/// Takes one off a count; whether there was one.
pub(crate) const fn take_one(count: &mut usize) -> bool {
    let is_left = *count > 0;
    *count -= is_left as usize;
    is_left
}

impl Faults {
    /// The shape of the next answer to a method, if it is not the right one.
    pub(crate) fn shape_of(&mut self, method: &str) -> Option<Shape> {
        let (_, left, shape) =
            self.answers.iter_mut().find(|(held, left, _)| held == method && *left > 0)?;
        *left -= 1;
        Some(*shape)
    }

    /// How late an answer to a method comes.
    pub(crate) fn lateness_of(&self, method: &str) -> Option<Duration> {
        let named = |held: &Option<String>| held.as_deref().is_none_or(|held| held == method);
        self.late.iter().rev().find(|(held, _)| named(held)).map(|(_, late)| *late)
    }

    /// How many blocks below the tip the next question is answered at.
    pub(crate) const fn depth_of_next(&mut self) -> u64 {
        self.questions += 1;
        if self.flips_behind > 0 && self.questions.is_multiple_of(2) {
            self.flips_behind
        } else {
            self.behind
        }
    }
}
