//! Questions to the node, written without allocation, and the ids by which replies find their way.
//!
//! The engine never waits: it writes a question into [`Queries`], the shell sends it, and the reply
//! comes back as a frame. The JSON-RPC id says what was asked, so nothing has to be remembered.
//!
//! Temperature: warm.

use core::fmt::{self, Write as _};

use alloy_primitives::{Address, B256};

use crate::flight::Attempt;
use crate::ids::{NodeId, WalletId};
use crate::limits::QUERIES_MAX;
use crate::loans::Followed;
use crate::world::nodes::NodeSet;

/// Longest question, in bytes.
pub const QUERY_BYTES_MAX: usize = 8_192;

/// One question to the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Query {
    /// The newest block's header.
    LatestHead,
    /// A block's header, by hash.
    Head(B256),
    /// A block's logs of the events that the engine follows, by hash; `open` is the open block's
    /// number in the engine's own count, so that a late reply is recognised.
    BlockLogs {
        /// The block.
        block: B256,
        /// The engine's own count of opened blocks.
        open: u32,
        /// What is followed.
        followed: Followed,
    },
    /// A pending transaction's body, by hash.
    Transaction(B256),
    /// Our own transaction's receipt.
    Receipt(Attempt, B256),
    /// Whether the node still knows our own transaction.
    Known(Attempt, B256),
    /// Whether the node still knows the transaction that a submission follows.
    Followed {
        /// The submission, by its ticket.
        ticket: u32,
        /// The transaction that it follows.
        hash: B256,
    },
    /// Where the transaction that a submission follows was mined.
    Place {
        /// The submission, by its ticket.
        ticket: u32,
        /// The transaction that it follows.
        hash: B256,
    },
    /// A wallet's next nonce, counting mined transactions only.
    Nonce(WalletId, Address),
    /// A wallet's next nonce, counting what waits in the node's pool.
    PendingNonce(WalletId, Address),
    /// A wallet's balance.
    Balance(WalletId, Address),
    /// The next nonce of a pending swap's sender, counting mined transactions only.
    SenderNonce {
        /// The engine's own number of the sender.
        serial: u32,
        /// The sender.
        sender: Address,
    },
    /// What the executor holds of the base token with this rank.
    Holding {
        /// Place in the list of base tokens.
        rank: u8,
        /// The token.
        token: Address,
        /// The executor.
        holder: Address,
    },
}

/// What a reply answers, read back from its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// [`Query::Head`] with the [`short`] of its hash, or [`Query::LatestHead`] with 0.
    Head(u32),
    /// [`Query::BlockLogs`], with the count of opened blocks.
    BlockLogs(u32),
    /// [`Query::Transaction`].
    Transaction,
    /// [`Query::Receipt`].
    Receipt(Attempt),
    /// [`Query::Known`].
    Known(Attempt),
    /// [`Query::Followed`], with the ticket.
    Followed(u32),
    /// [`Query::Place`], with the ticket.
    Place(u32),
    /// [`Query::Nonce`].
    Nonce(WalletId),
    /// [`Query::PendingNonce`].
    PendingNonce(WalletId),
    /// [`Query::Balance`].
    Balance(WalletId),
    /// [`Query::SenderNonce`], with the serial.
    SenderNonce(u32),
    /// [`Query::Holding`], with the base token's rank.
    Holding(u8),
    /// A transaction that was sent.
    Sent(Attempt),
    /// Nothing that this engine asked (subscriptions are the shell's).
    Other,
}

const KIND_SHIFT: u32 = 40;
const KIND_HEAD: u64 = 1;
const KIND_BLOCK_LOGS: u64 = 2;
const KIND_TRANSACTION: u64 = 3;
const KIND_RECEIPT: u64 = 4;
const KIND_KNOWN: u64 = 5;
const KIND_NONCE: u64 = 6;
const KIND_BALANCE: u64 = 7;
const KIND_HOLDING: u64 = 8;
const KIND_SENT: u64 = 9;
const KIND_FOLLOWED: u64 = 10;
const KIND_SENDER_NONCE: u64 = 11;
const KIND_PLACE: u64 = 12;
const KIND_PENDING_NONCE: u64 = 13;

const fn id(kind: u64, low: u32) -> u64 {
    (kind << KIND_SHIFT) | low as u64
}

const fn attempt_id(kind: u64, Attempt { ticket, number }: Attempt) -> u64 {
    id(kind, ticket) | ((number as u64) << 32)
}

/// What an id has room for of a block's hash.
#[must_use]
pub const fn short(hash: &B256) -> u32 {
    let [.., a, b, c, d] = hash.0;
    u32::from_be_bytes([a, b, c, d])
}

/// The id under which a transaction of ours is sent.
#[must_use]
pub const fn sent_id(attempt: Attempt) -> u64 {
    attempt_id(KIND_SENT, attempt)
}

impl Answers {
    /// Reads a reply's id. Ids stay below 2^53, which every JSON reader keeps exactly.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the id's low 32 bits are the payload")]
    pub const fn from_id(id: u64) -> Self {
        let low = id as u32;
        let attempt = Attempt { ticket: low, number: (id >> 32) as u8 };
        match id >> KIND_SHIFT {
            KIND_HEAD => Self::Head(low),
            KIND_BLOCK_LOGS => Self::BlockLogs(low),
            KIND_TRANSACTION => Self::Transaction,
            KIND_RECEIPT => Self::Receipt(attempt),
            KIND_KNOWN => Self::Known(attempt),
            KIND_NONCE => Self::Nonce(WalletId(low as u8)),
            KIND_PENDING_NONCE => Self::PendingNonce(WalletId(low as u8)),
            KIND_BALANCE => Self::Balance(WalletId(low as u8)),
            KIND_HOLDING => Self::Holding(low as u8),
            KIND_SENT => Self::Sent(attempt),
            KIND_FOLLOWED => Self::Followed(low),
            KIND_PLACE => Self::Place(low),
            KIND_SENDER_NONCE => Self::SenderNonce(low),
            _ => Self::Other,
        }
    }
}

impl Query {
    /// The JSON-RPC id of this question.
    #[must_use]
    pub const fn id(&self) -> u64 {
        match self {
            Self::LatestHead => id(KIND_HEAD, 0),
            Self::Head(hash) => id(KIND_HEAD, short(hash)),
            Self::BlockLogs { open, .. } => id(KIND_BLOCK_LOGS, *open),
            Self::Transaction(_) => id(KIND_TRANSACTION, 0),
            Self::SenderNonce { serial, .. } => id(KIND_SENDER_NONCE, *serial),
            Self::Receipt(attempt, _) => attempt_id(KIND_RECEIPT, *attempt),
            Self::Known(attempt, _) => attempt_id(KIND_KNOWN, *attempt),
            Self::Followed { ticket, .. } => id(KIND_FOLLOWED, *ticket),
            Self::Place { ticket, .. } => id(KIND_PLACE, *ticket),
            Self::Nonce(wallet, _) => id(KIND_NONCE, wallet.0 as u32),
            Self::PendingNonce(wallet, _) => id(KIND_PENDING_NONCE, wallet.0 as u32),
            Self::Balance(wallet, _) => id(KIND_BALANCE, wallet.0 as u32),
            Self::Holding { rank, .. } => id(KIND_HOLDING, *rank as u32),
        }
    }

    /// Writes the JSON-RPC request into `out` and returns its length.
    #[must_use]
    pub fn write(&self, out: &mut [u8; QUERY_BYTES_MAX]) -> usize {
        let mut text = Text { out, len: 0 };
        let written = write!(text, r#"{{"jsonrpc":"2.0","id":{},"method":"#, self.id())
            .and_then(|()| self.write_call(&mut text))
            .and_then(|()| text.write_str("}"));
        debug_assert!(written.is_ok(), "every question fits QUERY_BYTES_MAX");
        text.len
    }

    fn write_call(&self, text: &mut Text<'_>) -> fmt::Result {
        match self {
            Self::LatestHead => {
                text.write_str(r#""eth_getBlockByNumber","params":["latest",false]"#)
            }
            Self::Head(hash) => write!(text, r#""eth_getBlockByHash","params":["{hash}",false]"#),
            Self::BlockLogs { block, followed, .. } => {
                write!(text, r#""eth_getLogs","params":[{{"blockHash":"{block}","topics":[["#)?;
                for (place, topic) in followed.topics().enumerate() {
                    write!(text, r#"{}"{topic}""#, if place == 0 { "" } else { "," })?;
                }
                text.write_str("]]}]")
            }
            Self::Transaction(hash) | Self::Known(_, hash) | Self::Followed { hash, .. } => {
                write!(text, r#""eth_getTransactionByHash","params":["{hash}"]"#)
            }
            Self::Receipt(_, hash) | Self::Place { hash, .. } => {
                write!(text, r#""eth_getTransactionReceipt","params":["{hash}"]"#)
            }
            Self::Nonce(_, address) | Self::SenderNonce { sender: address, .. } => {
                write!(text, r#""eth_getTransactionCount","params":["{address:#x}","latest"]"#)
            }
            Self::PendingNonce(_, address) => {
                write!(text, r#""eth_getTransactionCount","params":["{address:#x}","pending"]"#)
            }
            Self::Balance(_, address) => {
                write!(text, r#""eth_getBalance","params":["{address:#x}","latest"]"#)
            }
            // balanceOf(address) has the selector 0x70a08231.
            Self::Holding { token, holder, .. } => {
                let holder = HexDigits(holder);
                write!(text, r#""eth_call","params":[{{"to":"{token:#x}","#)?;
                write!(text, r#""data":"0x70a08231{holder:0>64}"}},"latest"]"#)
            }
        }
    }
}

/// An address as 40 digits without the prefix, padded on request.
struct HexDigits<'a>(&'a Address);

impl fmt::Display for HexDigits<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for _ in 40..out.width().unwrap_or(40) {
            out.write_char('0')?;
        }
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

struct Text<'a> {
    out: &'a mut [u8; QUERY_BYTES_MAX],
    len: usize,
}

impl fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len.checked_add(text.len()).ok_or(fmt::Error)?;
        let space = self.out.get_mut(self.len..end).ok_or(fmt::Error)?;
        space.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

/// The questions that one input raised, in order.
#[derive(Debug)]
pub struct Queries {
    list: [Query; QUERIES_MAX],
    nodes: [NodeId; QUERIES_MAX],
    count: usize,
    /// The node that is asked where it does not matter which.
    pub(crate) lead: NodeId,
    /// The nodes that can be asked.
    pub(crate) up: NodeSet,
    /// Questions that did not fit, since the start. Ticks and seals ask again for what trading
    /// depends on.
    pub dropped: u64,
}

impl Default for Queries {
    fn default() -> Self {
        Self {
            list: [Query::LatestHead; QUERIES_MAX],
            nodes: [NodeId(0); QUERIES_MAX],
            count: 0,
            lead: NodeId(0),
            up: NodeSet::default(),
            dropped: 0,
        }
    }
}

impl Queries {
    /// Asks the node that leads.
    pub fn ask(&mut self, query: Query) {
        self.ask_of(self.lead, query);
    }

    /// Asks one node.
    pub fn ask_of(&mut self, node: NodeId, query: Query) {
        match (self.list.get_mut(self.count), self.nodes.get_mut(self.count)) {
            (Some(place), Some(whom)) => {
                (*place, *whom) = (query, node);
                self.count += 1;
            }
            (None, _) | (_, None) => self.dropped += 1,
        }
    }

    /// Asks every node that can be asked.
    pub fn ask_all(&mut self, query: Query) {
        for node in self.up.iter() {
            self.ask_of(node, query);
        }
    }

    /// The node that is asked where it does not matter which.
    #[must_use]
    pub const fn lead(&self) -> NodeId {
        self.lead
    }

    /// Each question, and whom it is for.
    pub fn iter(&self) -> impl Iterator<Item = (NodeId, &Query)> {
        self.nodes.iter().copied().zip(self.as_slice())
    }

    /// What is to be asked.
    #[must_use]
    pub fn as_slice(&self) -> &[Query] {
        &self.list[..self.count]
    }

    /// Forgets what was asked.
    pub const fn clear(&mut self) {
        self.count = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> [Query; 13] {
        let (hash, address) = (B256::repeat_byte(0xab), Address::repeat_byte(0xcd));
        let attempt = Attempt { ticket: u32::MAX, number: 3 };
        [
            Query::LatestHead,
            Query::Head(hash),
            Query::BlockLogs { block: hash, open: u32::MAX, followed: Followed::LoansAndTransfers },
            Query::Transaction(hash),
            Query::Receipt(attempt, hash),
            Query::Known(attempt, hash),
            Query::Nonce(WalletId(3), address),
            Query::Balance(WalletId(3), address),
            Query::Holding { rank: 2, token: address, holder: address },
            Query::Followed { ticket: 7, hash },
            Query::Place { ticket: 7, hash },
            Query::SenderNonce { serial: u32::MAX, sender: address },
            Query::PendingNonce(WalletId(3), address),
        ]
    }

    #[test]
    fn every_question_is_json_and_carries_its_id() {
        for query in all() {
            let mut out = [0; QUERY_BYTES_MAX];
            let len = query.write(&mut out);
            let json: serde_json::Value = serde_json::from_slice(&out[..len]).unwrap();
            assert_eq!(json["id"].as_u64(), Some(query.id()), "{json}");
            assert!(query.id() < 1 << 53);
            assert_ne!(Answers::from_id(query.id()), Answers::Other);
        }
    }

    #[test]
    fn an_attempt_comes_back_whole() {
        for attempt in [Attempt { ticket: u32::MAX, number: 0 }, Attempt { ticket: 0, number: 3 }] {
            let query = Query::Receipt(attempt, B256::ZERO);
            assert_eq!(Answers::from_id(query.id()), Answers::Receipt(attempt));
            assert_eq!(Answers::from_id(sent_id(attempt)), Answers::Sent(attempt));
        }
    }

    #[test]
    fn a_holding_is_asked_with_a_padded_address() {
        let mut out = [0; QUERY_BYTES_MAX];
        let len = all()[8].write(&mut out);
        let json: serde_json::Value = serde_json::from_slice(&out[..len]).unwrap();
        let data = json["params"][0]["data"].as_str().unwrap();
        assert_eq!(data.len(), 2 + 8 + 64);
        assert!(data.starts_with("0x70a08231000000000000000000000000cdcd"), "{data}");
    }

    #[test]
    fn too_many_questions_are_counted() {
        let mut queries = Queries::default();
        for _ in 0..=QUERIES_MAX {
            queries.ask(Query::LatestHead);
        }
        assert_eq!((queries.as_slice().len(), queries.dropped), (QUERIES_MAX, 1));
    }
}
