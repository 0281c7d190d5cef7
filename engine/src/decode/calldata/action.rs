//! What one call of a router does, thing by thing, in its own order.
//!
//! Temperature: hot.

use alloy_primitives::{Address, B256, U256};

use super::abi::{narrow, saturated};
use super::path::Path;
use crate::decode::DecodeError;
use crate::limits::TARGET_STEPS_MAX;
use crate::target::Way;
use crate::world::RouterKind;

/// Calls or commands that are read in one transaction, those within others included. A list may
/// hold the same call many times over, which may again hold a list.
const CALLS_MAX: u8 = 32;
/// Lists of calls within each other.
const NESTED_MAX: u8 = 3;

/// How much of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// So much, in its smallest unit.
    Exactly(u128),
    /// All that the router holds.
    Held,
}

/// Who receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// Who sent the transaction.
    Sender,
    /// The router keeps it, for what comes next.
    Router,
    /// An address, which may be that of the router or of a pool.
    Other(Address),
}

/// A swap of a router that does several things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoutedSwap<'a> {
    /// What is fixed, and in which order its pools swap.
    pub way: Way,
    /// What is exact, of the first token or of the last.
    pub amount: Amount,
    /// Least output or most input; saturates.
    pub limit: u128,
    /// The tokens, and in V3 the pools' fees.
    pub path: Path<'a>,
    /// V3's `sqrtPriceLimitX96`, at which the pool stops; zero: none.
    pub price_limit: U256,
    /// Whether the router pays, from what it holds; otherwise the sender does.
    pub is_paid_by_router: bool,
    /// Who receives.
    pub to: Recipient,
}

/// One thing that a router does. A token at the zero address is the native one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action<'a> {
    /// Swaps.
    Swap(RoutedSwap<'a>),
    /// Wraps native that the router holds.
    Wrap {
        /// How much.
        amount: Amount,
        /// Who receives the wrapped token.
        to: Recipient,
    },
    /// Unwraps all that the router holds.
    Unwrap {
        /// The least that it must be.
        least: u128,
        /// Who receives the native one.
        to: Recipient,
    },
    /// Takes a token from the sender.
    Pull {
        /// Of which token.
        token: Address,
        /// How much.
        amount: u128,
        /// Who receives it.
        to: Recipient,
    },
    /// Pays a token that the router holds.
    Pay {
        /// Of which token.
        token: Address,
        /// How much.
        amount: Amount,
        /// Who receives it.
        to: Recipient,
    },
    /// Pays a part of what the router holds of a token.
    PayPortion {
        /// Of which token.
        token: Address,
        /// How many ten-thousandths.
        bips: u16,
        /// Who receives it.
        to: Recipient,
    },
    /// Pays all that the router holds of a token.
    Sweep {
        /// Of which token.
        token: Address,
        /// The least that it must be.
        least: u128,
        /// Who receives it.
        to: Recipient,
    },
    /// The next things may fail, all of them or none.
    Try {
        /// How many they are.
        count: u8,
    },
}

/// What one transaction has a router do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Actions<'a> {
    list: [Action<'a>; TARGET_STEPS_MAX],
    count: u8,
    /// The last timestamp, in seconds, at which the router accepts it; saturates.
    pub deadline: u64,
    /// The block right behind which the router accepts it, if it names one.
    pub parent: Option<B256>,
}

impl<'a> Actions<'a> {
    /// In their order.
    #[must_use]
    #[inline]
    pub fn list(&self) -> &[Action<'a>] {
        &self.list[..usize::from(self.count).min(TARGET_STEPS_MAX)]
    }
}

/// Collects what is read, and says when it is too much.
pub(super) struct Reader<'a> {
    pub(super) found: Actions<'a>,
    pub(super) kind: RouterKind,
    calls_left: u8,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(kind: RouterKind) -> Self {
        let list = [Action::Try { count: 0 }; TARGET_STEPS_MAX];
        let found = Actions { list, count: 0, deadline: u64::MAX, parent: None };
        Self { found, kind, calls_left: CALLS_MAX }
    }

    /// One more thing.
    pub(super) fn push(&mut self, action: Action<'a>) -> Result<(), DecodeError> {
        let place = self.found.list.get_mut(usize::from(self.found.count));
        *place.ok_or(DecodeError::TooMuch)? = action;
        self.found.count += 1;
        Ok(())
    }

    /// How many things there are.
    pub(super) const fn count(&self) -> u8 {
        self.found.count
    }

    /// Says how many things behind this place belong to the attempt that stands there.
    pub(super) fn close_try(&mut self, place: u8) {
        let count = self.found.count.saturating_sub(place).saturating_sub(1);
        if let Some(action) = self.found.list.get_mut(usize::from(place)) {
            *action = Action::Try { count };
        }
    }

    /// Enters one more call or command.
    pub(super) fn enter(&mut self) -> Result<(), DecodeError> {
        self.calls_left = self.calls_left.checked_sub(1).ok_or(DecodeError::TooMuch)?;
        Ok(())
    }

    /// Goes one list of calls deeper.
    pub(super) const fn deeper(depth: u8) -> Result<u8, DecodeError> {
        if depth < NESTED_MAX { Ok(depth + 1) } else { Err(DecodeError::TooMuch) }
    }

    /// The first of several deadlines is the one that counts.
    pub(super) fn not_after(&mut self, deadline: u64) {
        self.found.deadline = self.found.deadline.min(deadline);
    }

    /// The block behind which it must land; two different ones cannot be.
    pub(super) fn behind(&mut self, parent: B256) -> Result<(), DecodeError> {
        if self.found.parent.is_some_and(|held| held != parent) {
            return Err(DecodeError::Contradiction);
        }
        self.found.parent = Some(parent);
        Ok(())
    }

    /// An amount in which one number stands for all that the router holds.
    pub(super) fn amount(word: U256, held: U256) -> Result<Amount, DecodeError> {
        if word == held { Ok(Amount::Held) } else { narrow(word).map(Amount::Exactly) }
    }

    /// Pays all of a token that is held, if it is at least so much.
    pub(super) fn sweep(
        &mut self,
        token: Address,
        least: U256,
        to: Recipient,
    ) -> Result<(), DecodeError> {
        self.push(Action::Sweep { token, least: saturated(least), to })
    }
}
