//! Senders of pending swaps, and the nonce that each uses next, as far as it is known.
//!
//! Learnt from the node's answers and from swaps that a sealed block included; a reorg makes all of
//! it unknown. Bounded: the oldest gives way, and is asked for again when it matters.
//!
//! Temperature: hot.

use alloc::vec::Vec;

use alloy_primitives::Address;
use hashbrown::HashMap;

use crate::limits::{SENDERS_ASKED_MAX, SENDERS_MAX};
use crate::query::Query;
use crate::reserve;
use crate::units::BlockNumber;
use crate::world::hash::FixedState;

#[derive(Clone, Copy, Debug)]
struct Sender {
    address: Address,
    /// Its place in the order of arrival: tells an answer about it from one about the sender
    /// whose place it took.
    serial: u32,
    /// The nonce of its next transaction, and the block that was newest when that was learnt.
    next: Option<(u64, BlockNumber)>,
    /// The block that was newest when it was asked for last.
    asked_at: Option<BlockNumber>,
}

const NOBODY: Sender = Sender { address: Address::ZERO, serial: 0, next: None, asked_at: None };

/// A bounded table of senders.
#[derive(Debug)]
pub(crate) struct Senders {
    ring: Vec<Sender>,
    /// Serials of the senders that are known.
    by_address: HashMap<Address, u32, FixedState>,
    next_serial: u32,
    /// Questions since the last seal.
    asked_count: usize,
}

impl Default for Senders {
    fn default() -> Self {
        let address = |number: u64| Address::left_padding_from(&number.to_be_bytes());
        let by_address = reserve::table(SENDERS_MAX, address);
        Self { ring: alloc::vec![NOBODY; SENDERS_MAX], by_address, next_serial: 0, asked_count: 0 }
    }
}

impl Senders {
    /// The nonce of a sender's next transaction.
    pub(crate) fn next_nonce(&self, sender: &Address) -> Option<u64> {
        Some(self.get(sender)?.next?.0)
    }

    /// Whether that was learnt when `tip` was the newest block.
    pub(crate) fn is_known_at(&self, sender: &Address, tip: BlockNumber) -> bool {
        let next = self.get(sender).and_then(|known| known.next);
        next.is_some_and(|(_, learnt_at)| learnt_at == tip)
    }

    /// A block was sealed: as many may be asked for again.
    pub(crate) const fn start_block(&mut self) {
        self.asked_count = 0;
    }

    /// The question for a sender's next nonce: once a block, and not for too many in one.
    pub(crate) fn ask(&mut self, sender: &Address, tip: BlockNumber) -> Option<Query> {
        let has_room = self.asked_count < SENDERS_ASKED_MAX;
        let known = self.get_or_insert(sender);
        if known.asked_at == Some(tip) || !has_room {
            return None;
        }
        known.asked_at = Some(tip);
        let serial = known.serial;
        self.asked_count += 1;
        Some(Query::SenderNonce { serial, sender: *sender })
    }

    /// The answer to it; says whom it is about, if that is still known.
    pub(crate) fn answer(&mut self, serial: u32, next: u64, tip: BlockNumber) -> Option<Address> {
        let address = self.ring[place(serial)].address;
        if self.by_address.get(&address) != Some(&serial) {
            return None;
        }
        self.learn(&address, next, tip);
        Some(address)
    }

    /// All of a sender's nonces below `next` are used.
    pub(crate) fn learn(&mut self, sender: &Address, next: u64, tip: BlockNumber) {
        let known = self.get_or_insert(sender);
        // An answer may be older than what a block has shown since.
        let next = known.next.map_or(next, |(before, _)| before.max(next));
        known.next = Some((next, tip));
    }

    /// Forgets everything; answers to what was asked before mean nothing any more.
    pub(crate) fn forget(&mut self) {
        self.by_address.clear();
    }

    fn get(&self, sender: &Address) -> Option<&Sender> {
        self.by_address.get(sender).map(|serial| &self.ring[place(*serial)])
    }

    fn get_or_insert(&mut self, sender: &Address) -> &mut Sender {
        let serial = match self.by_address.get(sender) {
            Some(serial) => *serial,
            None => self.insert(sender),
        };
        &mut self.ring[place(serial)]
    }

    fn insert(&mut self, sender: &Address) -> u32 {
        let serial = self.next_serial;
        self.next_serial = serial.wrapping_add(1);
        let oldest = self.ring[place(serial)];
        if self.by_address.get(&oldest.address) == Some(&oldest.serial) {
            self.by_address.remove(&oldest.address);
        }
        self.ring[place(serial)] = Sender { address: *sender, serial, ..NOBODY };
        self.by_address.insert(*sender, serial);
        serial
    }
}

const fn place(serial: u32) -> usize {
    serial as usize % SENDERS_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIP: BlockNumber = BlockNumber(5);

    fn sender(number: usize) -> Address {
        Address::left_padding_from(&(number as u64 + 1).to_be_bytes())
    }

    fn serial_of(query: Option<Query>) -> u32 {
        let Some(Query::SenderNonce { serial, .. }) = query else { panic!("{query:?}") };
        serial
    }

    #[test]
    fn a_sender_is_asked_for_once_a_block() {
        let mut senders = Senders::default();
        let serial = serial_of(senders.ask(&sender(0), TIP));
        assert_eq!(senders.ask(&sender(0), TIP), None);
        assert_eq!(serial_of(senders.ask(&sender(0), TIP.plus(1))), serial);
        assert_eq!(senders.answer(serial, 7, TIP), Some(sender(0)));
        assert_eq!(senders.next_nonce(&sender(0)), Some(7));
        assert!(senders.is_known_at(&sender(0), TIP));
        assert!(!senders.is_known_at(&sender(0), TIP.plus(1)));
    }

    #[test]
    fn no_more_than_so_many_are_asked_for_between_two_seals() {
        let mut senders = Senders::default();
        for number in 0..SENDERS_ASKED_MAX {
            assert!(senders.ask(&sender(number), TIP).is_some());
        }
        assert_eq!(senders.ask(&sender(SENDERS_ASKED_MAX), TIP), None);
        senders.start_block();
        assert!(senders.ask(&sender(SENDERS_ASKED_MAX), TIP).is_some());
    }

    #[test]
    fn an_answer_that_comes_late_takes_no_nonce_back() {
        let mut senders = Senders::default();
        let serial = serial_of(senders.ask(&sender(0), TIP));
        senders.learn(&sender(0), 9, TIP);
        senders.answer(serial, 8, TIP);
        assert_eq!(senders.next_nonce(&sender(0)), Some(9));
    }

    #[test]
    fn an_answer_from_before_a_reorg_means_nothing() {
        let mut senders = Senders::default();
        let serial = serial_of(senders.ask(&sender(0), TIP));
        senders.forget();
        assert_eq!(senders.answer(serial, 7, TIP), None);
        let again = serial_of(senders.ask(&sender(0), TIP));
        assert_ne!(again, serial);
        assert_eq!(senders.answer(serial, 7, TIP), None);
        assert_eq!(senders.next_nonce(&sender(0)), None);
    }

    #[test]
    fn the_table_stays_bounded_and_forgets_the_oldest() {
        let mut senders = Senders::default();
        let first = serial_of(senders.ask(&sender(0), TIP));
        for number in 0..SENDERS_MAX * 3 {
            senders.learn(&sender(number), 1, TIP);
            assert!(senders.by_address.len() <= SENDERS_MAX);
        }
        assert_eq!(senders.next_nonce(&sender(0)), None);
        assert_eq!(senders.answer(first, 7, TIP), None, "its place is another's");
        assert_eq!(senders.next_nonce(&sender(SENDERS_MAX * 3 - 1)), Some(1));
    }
}
