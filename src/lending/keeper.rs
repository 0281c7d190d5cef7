//! Reads anew, in flight, what no event tells of loans: balances that moved, prices that are not
//! modelled, what prices come from, and what vaults hold that lend.
//!
//! ```text
//! hot thread, after a seal: asks ─► ring ─► cold thread: the same, read at that block
//! hot thread: Lend ◄──────────────────────── what was read
//! ```
//!
//! An answer is of use only as long as the world stands at its block, so what was asked about older
//! blocks is not read, and the connection is kept.
//!
//! Temperature: cold.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, park};
use std::time::Instant;

use anyhow::{Context, Result};
use gannet_engine::chain::ChainSpec;
use gannet_engine::loans::Loans;
use gannet_engine::loans::reread::Reread;
use gannet_engine::world::{BlockRef, Tip, World};
use rtrb::{Consumer, Producer, RingBuffer};

use super::asks::{Ask, Asker, RING};
use super::live::{Lenders, Wanted};
use crate::bootstrap::{self, Naming, Reader};
use crate::config::Node;
use crate::feed::rpc::Rpc;

/// Answers on their way; there is one a block.
const ANSWERS: usize = 8;

/// The hot thread's end.
#[derive(Debug)]
pub(crate) struct LoanKeeper {
    asker: Asker,
    asks: Producer<Ask>,
    answers: Consumer<Answer>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What was read, and of which loans.
#[derive(Debug)]
struct Answer {
    serial: u64,
    read: Box<Reread>,
}

impl LoanKeeper {
    /// Starts the thread, if any loans are followed.
    pub(crate) fn start(
        nodes: &[Node],
        chain: ChainSpec,
        lenders: Option<Lenders>,
    ) -> Result<Option<Self>> {
        let Some(lenders) = lenders else { return Ok(None) };
        let (asks, incoming) = RingBuffer::new(RING);
        let (outgoing, answers) = RingBuffer::new(ANSWERS);
        let is_over = Arc::new(AtomicBool::new(false));
        let desk = Desk {
            line: Line { nodes: nodes.to_vec(), chain, open: None },
            lenders,
            asks: incoming,
            answers: outgoing,
            batch: Batch::default(),
            owes_whole: false,
            is_failing: false,
            is_over: Arc::clone(&is_over),
        };
        let thread = std::thread::Builder::new()
            .name("gannet-loans".to_owned())
            .spawn(move || desk.work())
            .context("starting the thread that reads loans anew")?;
        let (asker, thread) = (Asker::default(), Some(thread));
        Ok(Some(Self { asker, asks, answers, is_over, thread }))
    }

    /// Asks for what is to be read, if the world stands at another block.
    pub(crate) fn work(&mut self, world: &World) {
        if self.asker.work(world, &mut self.asks) {
            self.wake();
        }
    }

    /// Whoever can be liquidated waits for what it reads, so it is not to look now and then.
    fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }

    /// What was read of these loans, which are the world's.
    pub(crate) fn next(&mut self, loans: &Loans) -> Option<Box<Reread>> {
        while let Ok(Answer { serial, read }) = self.answers.pop() {
            if serial == loans.serial() {
                return Some(read);
            }
        }
        None
    }
}

impl Drop for LoanKeeper {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.wake();
        // One that waits for its node is left behind; the process is ending.
        if let Some(thread) = self.thread.take()
            && thread.is_finished()
            && thread.join().is_err()
        {
            tracing::error!("the thread that reads loans anew had panicked");
        }
    }
}

/// What was asked about one block.
#[derive(Debug)]
struct Closed {
    block: BlockRef,
    serial: u64,
    wanted: Wanted,
}

/// Asks that wait for their end.
#[derive(Debug, Default)]
struct Batch(Wanted);

impl Batch {
    /// Takes an ask; what was asked, if it was the last of its block.
    fn take(&mut self, ask: Ask) -> Option<Closed> {
        let Self(wanted) = self;
        match ask {
            Ask::Want(book, want) => wanted.wants.push((book, want)),
            Ask::Price(price) => wanted.prices.push(price),
            Ask::End { block, is_whole, serial } => {
                wanted.is_whole = is_whole;
                return Some(Closed { block, serial, wanted: std::mem::take(wanted) });
            }
        }
        None
    }
}

/// The connection, with how blocks are named on it.
struct Line {
    nodes: Vec<Node>,
    chain: ChainSpec,
    open: Option<(Rpc, Naming)>,
}

impl Line {
    /// Has `read` read at a block. A connection that was kept and is lost is made anew once.
    fn at<R>(
        &mut self,
        block: BlockRef,
        mut read: impl FnMut(&mut Reader<'_>) -> Result<R>,
    ) -> Result<R> {
        let was_kept = self.open.is_some();
        let result = match self.once(block, &mut read) {
            Err(_) if was_kept => self.once(block, &mut read),
            result => result,
        };
        if result.is_err() {
            // It may be behind, or know less than the others: the next block is asked of another.
            let step = self.nodes.len().min(1);
            self.nodes.rotate_left(step);
        }
        result
    }

    fn once<R>(
        &mut self,
        block: BlockRef,
        read: &mut impl FnMut(&mut Reader<'_>) -> Result<R>,
    ) -> Result<R> {
        let anchor = Tip { number: block.number, hash: block.hash, ..Tip::default() };
        let (mut rpc, naming) = match self.open.take() {
            Some((rpc, naming)) => (rpc, Some(naming)),
            None => (bootstrap::connect(&self.nodes, self.chain.id)?, None),
        };
        let mut reader = match naming {
            Some(naming) => Reader::named(&mut rpc, anchor, naming),
            None => Reader::new(&mut rpc, anchor)?,
        };
        let found = read(&mut reader)?;
        let naming = reader.naming();
        match naming {
            // No other block's state was answered.
            Naming::Hash => drop(reader),
            Naming::Number => reader.finish()?,
        }
        self.open = Some((rpc, naming));
        Ok(found)
    }
}

/// The thread's end.
struct Desk {
    line: Line,
    lenders: Lenders,
    asks: Consumer<Ask>,
    answers: Producer<Answer>,
    batch: Batch,
    /// All was to be read, and was not.
    owes_whole: bool,
    is_failing: bool,
    is_over: Arc<AtomicBool>,
}

impl Desk {
    fn work(mut self) {
        while !self.is_over.load(Ordering::Relaxed) {
            let Some(newest) = self.newest() else {
                park();
                continue;
            };
            // Of loans that are gone nothing is to be read.
            let Some(guide) = self.lenders.guide(newest.serial) else { continue };
            let start = Instant::now();
            let Closed { block, wanted, .. } = &newest;
            match self.line.at(*block, |reader| guide.read(reader, *block, wanted)) {
                Ok(read) => {
                    let serial = newest.serial;
                    self.tell(&newest, start);
                    if self.is_failing {
                        tracing::info!("loans are read anew again");
                    }
                    (self.owes_whole, self.is_failing) = (false, false);
                    // A full ring: nobody listens, and it is asked again after the next block.
                    drop(self.answers.push(Answer { serial, read: Box::new(read) }));
                }
                Err(error) => {
                    if !self.is_failing {
                        let error = format!("{error:#}");
                        tracing::warn!(error, "loans are not read anew: after the next block");
                    }
                    (self.owes_whole, self.is_failing) = (newest.wanted.is_whole, true);
                }
            }
        }
    }

    /// What was asked last; what was asked before is of no use any more, and asked again if it is
    /// still wanted. All prices are not, so that is kept in mind.
    fn newest(&mut self) -> Option<Closed> {
        let mut newest = None;
        while let Ok(ask) = self.asks.pop() {
            if let Some(mut closed) = self.batch.take(ask) {
                closed.wanted.is_whole |= self.owes_whole;
                self.owes_whole = closed.wanted.is_whole;
                newest = Some(closed);
            }
        }
        newest
    }

    fn tell(&self, Closed { block, wanted, .. }: &Closed, start: Instant) {
        let (block, took_us) = (block.number.0, start.elapsed().as_micros());
        let Wanted { wants, prices, is_whole } = wanted;
        let (wants, prices) = (wants.len(), prices.len());
        tracing::debug!(block, wants, prices, is_whole, took_us, "loans are read anew");
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, B256};
    use gannet_engine::lending::price::PriceId;
    use gannet_engine::loans::Want;
    use gannet_engine::units::BlockNumber;

    use super::*;

    #[test]
    fn a_batch_is_what_was_asked_up_to_its_end() {
        let mut batch = Batch::default();
        let block = |number| BlockRef { number: BlockNumber(number), hash: B256::ZERO };
        let end = |number, is_whole| Ask::End { block: block(number), is_whole, serial: 7 };
        let want = Want::Account(Address::repeat_byte(1));
        assert!(batch.take(Ask::Want(2, want)).is_none());
        assert!(batch.take(Ask::Price(PriceId(3))).is_none());
        let first = batch.take(end(5, false)).expect("it has ended");
        assert_eq!((first.block, first.serial), (block(5), 7));
        assert_eq!(first.wanted.wants, [(2, want)]);
        assert_eq!((first.wanted.prices, first.wanted.is_whole), (vec![PriceId(3)], false));
        let second = batch.take(end(6, true)).expect("it has ended");
        assert_eq!((second.wanted.wants.len(), second.wanted.prices.len()), (0, 0));
        assert!(second.wanted.is_whole);
    }
}
