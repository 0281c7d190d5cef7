//! Opportunities that were seen or taken, so that none is taken or counted twice.
//!
//! Temperature: hot.
#![deny(clippy::arithmetic_side_effects)]

use alloc::vec::Vec;
use core::hash::{BuildHasher, Hasher};

use hashbrown::HashMap;

use crate::limits::TAKEN_MAX;
use crate::plan::Plan;
use crate::reserve;
use crate::world::World;
use crate::world::hash::FixedState;

/// What is remembered of one opportunity.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memento {
    pub(crate) is_taken: bool,
    /// Whether the node has refused it once.
    pub(crate) was_refused: bool,
}

/// Opportunities that were seen or taken, by a fingerprint of their pools and these pools'
/// versions.
#[derive(Debug)]
pub(crate) struct Memory {
    fingerprints: HashMap<u64, Memento, FixedState>,
    ring: Vec<u64>,
    next: usize,
}

impl Memory {
    pub(crate) fn new() -> Self {
        let fingerprints = reserve::table(TAKEN_MAX, |number| number);
        Self { fingerprints, ring: reserve::list(TAKEN_MAX), next: 0 }
    }

    /// Notes that it was seen; true the first time.
    pub(crate) fn see(&mut self, fingerprint: u64) -> bool {
        if self.fingerprints.contains_key(&fingerprint) {
            return false;
        }
        if self.ring.len() < TAKEN_MAX {
            self.ring.push(fingerprint);
        } else {
            let oldest = core::mem::replace(&mut self.ring[self.next], fingerprint);
            self.fingerprints.remove(&oldest);
            self.next = self.next.wrapping_add(1) % TAKEN_MAX;
        }
        self.fingerprints.insert(fingerprint, Memento::default());
        true
    }

    pub(crate) fn is_taken(&self, fingerprint: u64) -> bool {
        self.fingerprints.get(&fingerprint).is_some_and(|held| held.is_taken)
    }

    pub(crate) fn change(&mut self, fingerprint: u64, change: impl FnOnce(&mut Memento)) {
        if let Some(held) = self.fingerprints.get_mut(&fingerprint) {
            change(held);
        }
    }
}

/// An opportunity on a state: a cycle's pools, their order and their versions, or a loan and its
/// version; and the transaction that it follows.
pub(crate) fn fingerprint(plan: &Plan, world: &World) -> u64 {
    let mut hasher = FixedState.build_hasher();
    if let Some(order) = &plan.order {
        let (version, moves) = world.loans.version(order.loan);
        hasher.write_u64((u64::from(order.loan.0) << 32) | u64::from(version));
        hasher.write_u64((u64::from(moves) << 1) | 1);
    }
    // A liquidation is one opportunity, whichever way its collateral is sold.
    for leg in plan.legs().iter().filter(|_| plan.order.is_none()) {
        let version = world.pools.get(leg.pool).version;
        hasher.write_u64((u64::from(leg.pool.0) << 32) | u64::from(version));
        hasher.write_u64(leg.direction as u64);
    }
    if let Some(follow) = plan.follows() {
        hasher.write(follow.hash.as_slice());
    }
    hasher.finish()
}
