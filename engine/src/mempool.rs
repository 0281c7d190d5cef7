//! Pending transactions: which announcements are news.
//!
//! A node announces the same transaction many times, and a sender may replace one. [`Mempool`]
//! remembers a bounded number of them: first by hash, then by (sender, nonce), keeping the one that
//! pays more.
//!
//! Temperature: hot.

use alloc::vec::Vec;

use alloy_primitives::{Address, B256};
use hashbrown::HashMap;

use crate::limits::PENDING_MAX;
use crate::plan::Follow;
use crate::reserve;
use crate::units::Wei;
use crate::world::hash::FixedState;

/// Whether an announcement is news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// Never seen.
    New,
    /// Takes the place of this transaction by the same sender with the same nonce.
    Replaces(B256),
    /// Announced before.
    Duplicate,
    /// Pays less than one by the same sender with the same nonce.
    Underpays,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: B256,
    sender: Address,
    nonce: u64,
    max_fee: Wei,
    priority_fee: Wei,
}

/// A bounded memory of pending transactions; the oldest is forgotten first.
#[derive(Debug)]
pub struct Mempool {
    ring: Vec<Entry>,
    next: usize,
    by_hash: HashMap<B256, u32, FixedState>,
    by_sender: HashMap<(Address, u64), u32, FixedState>,
}

impl Default for Mempool {
    fn default() -> Self {
        let hash = |number: u64| B256::left_padding_from(&number.to_be_bytes());
        Self {
            ring: reserve::list(PENDING_MAX),
            next: 0,
            by_hash: reserve::table(PENDING_MAX, hash),
            by_sender: reserve::table(PENDING_MAX, |nonce| (Address::ZERO, nonce)),
        }
    }
}

impl Mempool {
    /// Whether this transaction was announced before.
    #[must_use]
    pub fn knows(&self, hash: &B256) -> bool {
        self.by_hash.contains_key(hash)
    }

    /// Whether a pending swap by this sender with this nonce is remembered.
    #[must_use]
    pub fn has_rival(&self, sender: Address, nonce: u64) -> bool {
        self.by_sender.contains_key(&(sender, nonce))
    }

    /// The sender and the nonce of a swap that was announced.
    #[must_use]
    pub fn sender_of(&self, hash: &B256) -> Option<(Address, u64)> {
        let Entry { sender, nonce, .. } = self.ring[*self.by_hash.get(hash)? as usize];
        Some((sender, nonce))
    }

    /// Takes note of a pending transaction and says whether it is news.
    pub fn announce(&mut self, follow: &Follow, sender: Address, nonce: u64) -> News {
        if self.by_hash.contains_key(&follow.hash) {
            return News::Duplicate;
        }
        let rival = self.by_sender.get(&(sender, nonce)).map(|at| self.ring[*at as usize]);
        let news = match rival {
            None => News::New,
            Some(rival) if pays(follow) > (rival.max_fee, rival.priority_fee) => {
                News::Replaces(rival.hash)
            }
            Some(_) => News::Underpays,
        };
        let (max_fee, priority_fee) = pays(follow);
        self.remember(Entry { hash: follow.hash, sender, nonce, max_fee, priority_fee }, news);
        news
    }

    fn remember(&mut self, entry: Entry, news: News) {
        let at = if self.ring.len() < PENDING_MAX {
            self.ring.push(entry);
            self.ring.len() - 1
        } else {
            let at = self.next;
            self.next = (at + 1) % PENDING_MAX;
            self.forget(at);
            self.ring[at] = entry;
            at
        };
        // PENDING_MAX fits a u32.
        let at = u32::try_from(at).unwrap_or(u32::MAX);
        self.by_hash.insert(entry.hash, at);
        if news != News::Underpays {
            self.by_sender.insert((entry.sender, entry.nonce), at);
        }
    }

    fn forget(&mut self, at: usize) {
        let old = self.ring[at];
        self.by_hash.remove(&old.hash);
        let key = (old.sender, old.nonce);
        if self.by_sender.get(&key).is_some_and(|held| *held as usize == at) {
            self.by_sender.remove(&key);
        }
    }
}

const fn pays(follow: &Follow) -> (Wei, Wei) {
    (follow.max_fee, follow.priority_fee)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(id: u64, max_fee: u128) -> Follow {
        let mut hash = B256::ZERO;
        hash[..8].copy_from_slice(&id.to_be_bytes());
        Follow { hash, max_fee: Wei(max_fee), priority_fee: Wei(1) }
    }

    #[test]
    fn the_same_hash_is_news_once() {
        let mut pool = Mempool::default();
        assert_eq!(pool.announce(&offer(1, 5), Address::ZERO, 0), News::New);
        assert_eq!(pool.announce(&offer(1, 5), Address::ZERO, 0), News::Duplicate);
    }

    #[test]
    fn a_better_paying_replacement_takes_the_place() {
        let mut pool = Mempool::default();
        pool.announce(&offer(1, 5), Address::ZERO, 7);
        assert_eq!(pool.announce(&offer(2, 6), Address::ZERO, 7), News::Replaces(offer(1, 5).hash));
        assert_eq!(pool.announce(&offer(3, 5), Address::ZERO, 7), News::Underpays);
        assert_eq!(pool.announce(&offer(4, 5), Address::ZERO, 8), News::New);
    }

    #[test]
    fn the_table_stays_bounded_and_forgets_the_oldest() {
        let mut pool = Mempool::default();
        for id in 0..(PENDING_MAX as u64 * 3) {
            assert_eq!(pool.announce(&offer(id, 5), Address::ZERO, id), News::New);
        }
        assert!(pool.by_hash.len() <= PENDING_MAX && pool.by_sender.len() <= PENDING_MAX);
        assert!(!pool.knows(&offer(0, 5).hash));
        assert!(pool.knows(&offer(PENDING_MAX as u64 * 3 - 1, 5).hash));
    }
}
