//! What is to be read anew after which block: what the books want, the prices and the vaults that
//! no event tells of, and now and then all prices with all that they come from.
//!
//! Runs on the hot thread behind everything that an input has to do, once a block; what it asks is
//! copied into a ring, and whoever reads it is woken.
//!
//! Temperature: warm.

use gannet_engine::lending::price::PriceId;
use gannet_engine::loans::Want;
use gannet_engine::units::BlockNumber;
use gannet_engine::world::{BlockRef, World};
use rtrb::Producer;

/// Parts of books and prices that are asked for after one block; the others wait for the next.
const WANTS_MAX: usize = 256;
const PRICES_MAX: usize = 512;
/// What one block can ask: its asks, and their end.
const BATCH_MAX: usize = WANTS_MAX + PRICES_MAX + 1;
/// Asks on their way.
pub(super) const RING: usize = 1_024;
const _: () = assert!(RING >= BATCH_MAX, "the ring takes what one block can ask");
/// Blocks after which all prices are held against the chain: none of what they come from changes
/// often, and each change but those of caps and aggregators is told by an event, too.
const WHOLE_EVERY: u64 = 16;

/// One thing to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// A part of a book, by its number.
    Want(u8, Want),
    /// A price.
    Price(PriceId),
    /// What was asked before this is to be read at this block.
    End {
        block: BlockRef,
        /// Whether all prices are, and what they come from.
        is_whole: bool,
        /// Which load's loans are meant.
        serial: u64,
    },
}

/// Asks once a block.
#[derive(Debug, Default)]
pub(super) struct Asker {
    /// The block that was asked about last, and of which load's loans.
    asked_at: Option<(BlockRef, u64)>,
    /// The block at which all is due again.
    whole_at: BlockNumber,
    /// The price at which the next block's asks begin.
    cursor: u16,
}

impl Asker {
    /// Asks if the world stands fresh at a block that was not asked about yet; whether it did.
    pub(super) fn work(&mut self, world: &World, ring: &mut Producer<Ask>) -> bool {
        let loans = &world.loans;
        if loans.is_empty() {
            return false;
        }
        let tip = world.tip();
        let block = BlockRef { number: tip.number, hash: tip.hash };
        let is_standing = world.open_block().is_none() && world.freshness().is_fresh();
        // As long as there is no room, what was asked before is not read yet.
        let asked_at = Some((block, loans.serial()));
        if self.asked_at == asked_at || !is_standing || ring.slots() < BATCH_MAX {
            return false;
        }
        self.asked_at = asked_at;
        // A chain that began anew, far below, does not end this.
        let is_due = tip.number >= self.whole_at || tip.number.plus(WHOLE_EVERY) < self.whole_at;
        let is_whole = is_due || loans.doubts_prices();
        if is_whole {
            self.whole_at = tip.number.plus(WHOLE_EVERY);
        }
        let mut wants = 0;
        loans.wants(|book, want| {
            if wants < WANTS_MAX && ring.push(Ask::Want(book, want)).is_ok() {
                wants += 1;
            }
        });
        let prices = if is_whole { 0 } else { self.ask_prices(world, ring) };
        // Vaults are read with whatever is, and in each block.
        let asks = wants + prices > 0 || is_whole || !loans.vaults().is_empty();
        if asks {
            let end = Ask::End { block, is_whole, serial: loans.serial() };
            let is_closed = ring.push(end).is_ok();
            debug_assert!(is_closed, "there was room for all that a block can ask");
        }
        asks
    }

    /// Asks for the prices that are read in each block, in turn where they are too many; how many.
    fn ask_prices(&mut self, world: &World, ring: &mut Producer<Ask>) -> usize {
        let (all, mut asked) = (world.loans.prices.price_count(), 0);
        for _ in 0..all {
            if asked == PRICES_MAX {
                break;
            }
            self.cursor = if self.cursor + 1 < all { self.cursor + 1 } else { 0 };
            let price = PriceId(self.cursor);
            if world.loans.prices.own_feed(price).is_some() && ring.push(Ask::Price(price)).is_ok()
            {
                asked += 1;
            }
        }
        asked
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::Address;
    use gannet_engine::lending::aave::table::{Capacity, Contracts, Market};
    use gannet_engine::loans::aave::AaveBook;
    use gannet_engine::loans::reread::VaultState;
    use gannet_engine::loans::{Book, Loans, Vault};
    use gannet_engine::world::Stale;
    use gannet_engine::world::pools::PoolTable;
    use rtrb::{Consumer, RingBuffer};

    use super::*;
    use crate::fixture;

    const ACCOUNTS_MAX: u16 = 300;

    /// A world that stands fresh at a block, with so many accounts that are to be read, and so many
    /// prices that nobody has modelled.
    fn world(number: u64, accounts: u16, prices: u16) -> World {
        let capacity = Capacity { accounts: ACCOUNTS_MAX.into(), entries: 4 };
        let mut market = Market::new(Contracts::default(), 11, capacity);
        for account in 1..=accounts {
            let account = Address::left_padding_from(&account.to_be_bytes());
            market.add_account(account, &mut drop).unwrap();
        }
        let book = Book::Aave(AaveBook::new(market, ACCOUNTS_MAX.into(), 5, true));
        let mut world = fixture::world(1, PoolTable::new(1, 0), number);
        drop(world.lend(Loans::new(fixture::prices(prices), vec![book], Vec::new())));
        world
    }

    /// What is in the ring: parts of books, prices, and the ends of batches.
    fn taken(ring: &mut Consumer<Ask>) -> (usize, Vec<u16>, Vec<(u64, bool, u64)>) {
        let (mut wants, mut prices, mut ends) = (0, Vec::new(), Vec::new());
        while let Ok(ask) = ring.pop() {
            match ask {
                Ask::Want(book, _) => wants += usize::from(book == 0),
                Ask::Price(price) => prices.push(price.0),
                Ask::End { block, is_whole, serial } => {
                    ends.push((block.number.0, is_whole, serial));
                }
            }
        }
        (wants, prices, ends)
    }

    #[test]
    fn each_block_is_asked_about_once_and_all_prices_now_and_then() {
        let (mut ring, mut out) = RingBuffer::new(RING);
        let mut asker = Asker::default();
        for number in 100..100 + 2 * WHOLE_EVERY {
            let world = world(number, 3, 2);
            assert!(asker.work(&world, &mut ring), "{number}: whoever reads is to be woken");
            assert!(!asker.work(&world, &mut ring), "{number}: and once");
            let is_whole = number % WHOLE_EVERY == 100 % WHOLE_EVERY;
            let (wants, mut prices, ends) = taken(&mut out);
            prices.sort_unstable();
            assert_eq!((wants, ends), (3, vec![(number, is_whole, 0)]), "{number}");
            assert_eq!(prices, if is_whole { vec![] } else { vec![0, 1] }, "{number}");
        }
        // The chain began anew.
        asker.work(&world(5, 0, 0), &mut ring);
        assert_eq!(taken(&mut out).2, [(5, true, 0)]);
    }

    #[test]
    fn nothing_is_asked_if_there_is_nothing_to_ask_or_nobody_to_trust() {
        let (mut ring, mut out) = RingBuffer::new(RING);
        let mut asker = Asker { whole_at: BlockNumber(110), ..Asker::default() };
        assert!(!asker.work(&world(100, 0, 0), &mut ring));
        let mut stale = world(101, 3, 0);
        stale.set_stale(Stale::Lost, true);
        asker.work(&stale, &mut ring);
        let mut empty = world(102, 3, 0);
        drop(empty.lend(Loans::none()));
        asker.work(&empty, &mut ring);
        assert_eq!(taken(&mut out), (0, vec![], vec![]));
    }

    #[test]
    fn what_one_block_cannot_ask_waits_for_the_next_and_for_room() {
        const PRICES: u16 = 700;
        let (mut ring, mut out) = RingBuffer::new(RING);
        let mut asker = Asker { whole_at: BlockNumber(110), ..Asker::default() };
        asker.work(&world(100, ACCOUNTS_MAX, PRICES), &mut ring);
        // The thread has not come to it yet.
        asker.work(&world(101, ACCOUNTS_MAX, PRICES), &mut ring);
        let (wants, mut seen, ends) = taken(&mut out);
        assert_eq!((wants, seen.len(), ends.len()), (WANTS_MAX, PRICES_MAX, 1));
        asker.work(&world(101, ACCOUNTS_MAX, PRICES), &mut ring);
        seen.extend(taken(&mut out).1);
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), usize::from(PRICES), "in turn");
    }

    #[test]
    fn vaults_are_read_after_each_block_even_if_nothing_else_is() {
        let (mut ring, mut out) = RingBuffer::new(RING);
        let mut asker = Asker { whole_at: BlockNumber(110), ..Asker::default() };
        for number in [100, 101] {
            let mut world = world(number, 0, 0);
            let vault = Vault::new(Address::ZERO, &[], &VaultState::default());
            world.loans = world.lend(Loans::none()).with_vaults(vec![vault]);
            asker.work(&world, &mut ring);
            assert_eq!(taken(&mut out), (0, vec![], vec![(number, false, 0)]));
        }
    }

    #[test]
    fn loans_that_were_loaded_anew_are_asked_about_at_once() {
        let (mut ring, mut out) = RingBuffer::new(RING);
        let mut asker = Asker { whole_at: BlockNumber(110), ..Asker::default() };
        asker.work(&world(100, 1, 0), &mut ring);
        let mut world = world(100, 2, 0);
        world.loans = world.lend(Loans::none()).with_serial(1);
        asker.work(&world, &mut ring);
        let (wants, _, ends) = taken(&mut out);
        assert_eq!((wants, ends), (3, vec![(100, false, 0), (100, false, 1)]));
    }
}
