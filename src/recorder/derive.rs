//! Blocks and logs out of a run's inputs, for whoever asks the recording questions.
//!
//! Temperature: cold.

use std::collections::BTreeMap;

use alloy_primitives::{B256, Bytes, hex};
use gannet_engine::decode::head::Head;
use gannet_engine::decode::list::List;
use gannet_engine::decode::log::{Data, Log};
use gannet_engine::decode::message::{self, Item, Message};
use gannet_engine::query::Answers;
use gannet_engine::wire::json::Value;

use super::entry::{Entry, entries};
use super::tape::Kind;
use crate::recording::RecordedBlock;
use crate::recording::rows::{BlockRow, LogRow};

/// Blocks below the newest that are taken to stay.
const DEPTH: u64 = 3;

/// The blocks on a tape. What was not sealed yet is left out.
pub(crate) fn blocks_of(tape: &[u8]) -> Vec<RecordedBlock> {
    let mut deriver = Deriver::default();
    entries(tape).for_each(|entry| deriver.take(&entry));
    deriver.blocks(true)
}

/// What is known of blocks that may still be left.
#[derive(Debug, Default)]
pub(super) struct Deriver {
    /// By height, the header that came last.
    heads: BTreeMap<u64, Head>,
    logs: BTreeMap<B256, Vec<LogRow>>,
    /// The highest block that was given out.
    given: Option<u64>,
    /// The highest block that was told as settled.
    settled: Option<u64>,
}

impl Deriver {
    /// Whether there is a block that stays.
    pub(super) fn has_blocks(&self) -> bool {
        let ends = self.heads.first_key_value().zip(self.heads.last_key_value());
        ends.is_some_and(|((first, _), (last, _))| first.saturating_add(DEPTH) <= *last)
    }

    /// The hashes of blocks that stay by now, or of all at the end; each is told once.
    pub(super) fn settled(&mut self, is_last: bool) -> Vec<B256> {
        let newest = self.heads.keys().next_back().copied().unwrap_or(0);
        let first = self.settled.map_or(0, |height| height.saturating_add(1));
        let stays = |height: u64| is_last || height.saturating_add(DEPTH) <= newest;
        let settled = self.heads.range(first..).take_while(|(height, _)| stays(**height));
        let settled: Vec<(u64, B256)> =
            settled.map(|(height, head)| (*height, head.hash)).collect();
        self.settled = settled.last().map(|(height, _)| *height).or(self.settled);
        settled.into_iter().map(|(_, hash)| hash).collect()
    }

    fn head(&mut self, head: &Head, is_news: bool) {
        // A height that no chain has would not fit the tables.
        let is_over = self.given.is_some_and(|given| head.number <= given);
        let is_known = self.heads.get(&head.number).is_some_and(|known| known.hash == head.hash);
        if is_over || is_known || u32::try_from(head.number).is_err() {
            return;
        }
        if is_news {
            // What stands above it is on a branch that was left.
            self.heads.split_off(&head.number);
        }
        self.heads.entry(head.number).or_insert(*head);
    }

    /// Looks at an input.
    pub(super) fn take(&mut self, entry: &Entry<'_>) {
        if entry.kind != Kind::Frame {
            return;
        }
        // A node, a connection, and whether more is behind it.
        let Some(frame) = entry.body.get(3..) else { return };
        match message::parse(frame) {
            Ok(Message::Notification { item: Item::Head(head), .. }) => {
                self.head(&head, true);
            }
            Ok(Message::Notification { item: Item::Receipts(list), .. }) => {
                self.list(List::Receipts(list));
            }
            Ok(Message::Reply { id, result: Value::Array(list) })
                if matches!(Answers::from_id(id), Answers::BlockLogs(_)) =>
            {
                self.list(List::Logs(list));
            }
            Ok(Message::Reply { id, result: Value::Object(span) })
                if matches!(Answers::from_id(id), Answers::Head(_)) =>
            {
                if let Ok(head) = Head::parse(span) {
                    self.head(&head, false);
                }
            }
            // What is no list and no head says nothing of a block.
            Ok(_) | Err(_) => {}
        }
    }

    fn list(&mut self, list: List<'_>) {
        let mut logs: BTreeMap<B256, Vec<LogRow>> = BTreeMap::new();
        let read = list.each(|log| {
            logs.entry(log.block_hash).or_default().push(row_of(log));
            Ok(())
        });
        if read.is_ok() {
            self.logs.extend(logs);
        }
    }

    /// The blocks that stay, or all at the end, in order.
    pub(super) fn blocks(&mut self, is_last: bool) -> Vec<RecordedBlock> {
        let newest = self.heads.keys().next_back().copied().unwrap_or(0);
        let mut blocks = Vec::new();
        while let Some(first) = self.heads.first_entry() {
            if !is_last && first.key().saturating_add(DEPTH) > newest {
                break;
            }
            let head = first.remove();
            let logs = self.logs.remove(&head.hash).unwrap_or_default();
            self.given = Some(head.number);
            blocks.push(block_of(&head, logs));
        }
        // Of blocks that were left.
        let given = self.given.unwrap_or(0);
        self.logs.retain(|_, logs| logs.first().is_some_and(|log| log.block_number > given));
        blocks
    }
}

fn row_of(log: &Log<'_>) -> LogRow {
    let data = match log.data {
        Data::Hex(text) => hex::decode(text).unwrap_or_default(),
        Data::Binary(bytes) => bytes.to_vec(),
    };
    LogRow {
        block_number: log.block_number,
        transaction_index: log.tx_index,
        log_index: log.log_index,
        transaction_hash: log.tx_hash,
        address: log.address,
        topics: log.topics().to_vec(),
        data: data.into(),
    }
}

fn block_of(head: &Head, logs: Vec<LogRow>) -> RecordedBlock {
    let header = BlockRow {
        logs_bloom: Some(Bytes::copy_from_slice(head.bloom.as_slice())),
        // Nodes are asked for the logs that move pools, and for no others.
        logs_complete: Some(false),
        ..BlockRow::of_head(head, 0)
    };
    RecordedBlock { header, transactions: Vec::new(), logs, state: None }
}
