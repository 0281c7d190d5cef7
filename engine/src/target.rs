//! What a pending transaction swaps: a short program over handles, which the world can run.
//!
//! A router does several things one after another: it swaps along paths, wraps, takes and pays, and
//! some of its amounts are what it holds by then. A [`Route`] is that list with everything looked
//! up, so that [`World::apply_target`](crate::world::World::apply_target) needs no calldata.
//!
//! Invariants: a route is bounded and holds no reference; its parts' hops lie one behind another.
//!
//! Temperature: hot.

use alloy_primitives::{Address, B256, U256};

use crate::ids::{Direction, LoanId, PoolId};
use crate::limits::{TARGET_HOPS_MAX, TARGET_STEPS_MAX, TARGET_TOKENS_MAX};
use crate::loans::pending::Pending;
use crate::plan::Follow;

/// One swap of a pending transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetHop {
    /// The pool that it goes through.
    pub pool: PoolId,
    /// Which way.
    pub direction: Direction,
}

/// What a path fixes, and in which order its pools swap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Way {
    /// What goes into the first pool; each pool gets what the one before gave.
    ExactIn,
    /// What comes out of the last pool, which swaps first; each pool gives what the one behind it
    /// asks for.
    ExactOut,
    /// What comes out of the last pool; what the first asks for that is computed beforehand, and
    /// then swapped forwards (the newer routers through V2 pairs: what comes out may be a little
    /// more).
    ExactOutForward,
}

/// Who pays what goes into a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Payer {
    /// The sender of the transaction.
    Sender,
    /// The router, from what it holds.
    Router,
    /// The router, all that it holds; the part's amount is nothing.
    RouterAll,
}

/// A token of which the router's balance is followed, by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(pub u8);

impl Slot {
    /// The native token.
    pub const NATIVE: Self = Self(0);
    /// The token that wraps it.
    pub const WRAPPED: Self = Self(1);

    pub(crate) const fn index(self) -> usize {
        self.0 as usize % TARGET_TOKENS_MAX
    }
}

/// A path of swaps with its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// What is exact, in the smallest unit of the first token or of the last.
    pub amount: u128,
    /// The least output or the most input.
    pub limit: u128,
    /// What is fixed.
    pub way: Way,
    /// Who pays.
    pub payer: Payer,
    /// Where its hops begin, in the route's.
    pub first_hop: u8,
    /// How many they are.
    pub hop_count: u8,
    /// The token that is paid.
    pub paid: Slot,
    /// The token that is received, if the router keeps it.
    pub kept: Option<Slot>,
    /// Whether the pool must stop at the route's `price_limit`.
    pub has_price_limit: bool,
}

/// How much of what the router holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// So much, which it must hold.
    Exactly(u128),
    /// All of it, which must be at least so much.
    All(u128),
    /// So many ten-thousandths of it.
    Bips(u16),
}

/// One thing that a router does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Swaps along a path.
    Swap(Part),
    /// Gets a token from the sender.
    Get {
        /// Which.
        slot: Slot,
        /// How much.
        amount: u128,
    },
    /// Pays, wraps or unwraps what it holds.
    Give {
        /// Which token.
        from: Slot,
        /// How much of it.
        share: Share,
        /// What the router holds more of by it, if anything.
        to: Option<Slot>,
    },
    /// Moves a feed, or helps a borrower.
    Loan(Pending),
    /// The next steps are done all or not at all, and the rest in any case.
    Try {
        /// How many they are.
        count: u8,
    },
}

/// What a pending transaction does to pools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    hops: [TargetHop; TARGET_HOPS_MAX],
    steps: [Step; TARGET_STEPS_MAX],
    hop_count: u8,
    step_count: u8,
    /// Whether the router wraps native by itself where the wrapped token is to be paid (V3's
    /// periphery).
    pub wraps_itself: bool,
    /// Native that is sent along, in wei.
    pub value: u128,
    /// The square root of the price, in 2⁻⁹⁶, at which the one part that has a limit stops.
    pub price_limit: U256,
    /// The last timestamp, in seconds, at which the router accepts it.
    pub deadline: u64,
    /// The block right behind which it must land, if it names one.
    pub parent: Option<B256>,
}

impl Route {
    const NO_HOP: TargetHop = TargetHop { pool: PoolId(0), direction: Direction::OneForZero };

    /// A route that does nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            hops: [Self::NO_HOP; TARGET_HOPS_MAX],
            steps: [Step::Try { count: 0 }; TARGET_STEPS_MAX],
            hop_count: 0,
            step_count: 0,
            wraps_itself: false,
            value: 0,
            price_limit: U256::ZERO,
            deadline: u64::MAX,
            parent: None,
        }
    }

    /// What does nothing but this to loans.
    #[must_use]
    pub const fn of_loans(pending: Pending) -> Self {
        let mut route = Self::new();
        route.steps[0] = Step::Loan(pending);
        route.step_count = 1;
        route
    }

    /// One path that the sender pays and receives; `None` if it is too long.
    #[must_use]
    pub fn path(hops: &[TargetHop], way: Way, amount: u128, limit: u128) -> Option<Self> {
        let mut route = Self::new();
        for hop in hops {
            route.push_hop(*hop)?;
        }
        route.push(Step::Swap(Part {
            amount,
            limit,
            way,
            payer: Payer::Sender,
            first_hop: 0,
            hop_count: route.hop_count,
            paid: Slot::NATIVE,
            kept: None,
            has_price_limit: false,
        }))?;
        Some(route)
    }

    /// One more swap; `None` if there is no room.
    pub(crate) fn push_hop(&mut self, hop: TargetHop) -> Option<()> {
        *self.hops.get_mut(usize::from(self.hop_count))? = hop;
        self.hop_count += 1;
        Some(())
    }

    /// One more step; `None` if there is no room.
    pub(crate) fn push(&mut self, step: Step) -> Option<()> {
        *self.steps.get_mut(usize::from(self.step_count))? = step;
        self.step_count += 1;
        Some(())
    }

    /// Says that the steps behind this place belong to the attempt that stands there.
    pub(crate) fn close_try(&mut self, place: usize) {
        let count = usize::from(self.step_count).saturating_sub(place + 1);
        if let (Some(step), Ok(count)) = (self.steps.get_mut(place), u8::try_from(count)) {
            *step = Step::Try { count };
        }
    }

    /// All its swaps, in the order of its paths.
    #[must_use]
    pub fn hops(&self) -> &[TargetHop] {
        &self.hops[..usize::from(self.hop_count).min(TARGET_HOPS_MAX)]
    }

    /// What it does, in order.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps[..usize::from(self.step_count).min(TARGET_STEPS_MAX)]
    }

    /// Its paths, in order.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.steps().iter().filter_map(|step| match step {
            Step::Swap(part) => Some(part),
            Step::Get { .. } | Step::Give { .. } | Step::Loan(_) | Step::Try { .. } => None,
        })
    }

    /// What it does to loans, in order.
    pub fn loans(&self) -> impl Iterator<Item = &Pending> {
        self.steps().iter().filter_map(|step| match step {
            Step::Loan(pending) => Some(pending),
            Step::Swap(_) | Step::Get { .. } | Step::Give { .. } | Step::Try { .. } => None,
        })
    }

    /// Whether it brings an oracle update.
    #[must_use]
    pub fn has_report(&self) -> bool {
        self.loans().any(|pending| matches!(pending, Pending::Report(_)))
    }

    /// Whether it helps this borrower.
    #[must_use]
    pub fn relieves(&self, loan: LoanId) -> bool {
        self.loans().any(|pending| matches!(pending, Pending::Relief(of, ..) if *of == loan))
    }

    /// The swaps of one of its parts, in the order of its path.
    #[must_use]
    pub fn hops_of(&self, part: &Part) -> &[TargetHop] {
        let first = usize::from(part.first_hop);
        self.hops().get(first..first + usize::from(part.hop_count)).unwrap_or(&[])
    }
}

impl Default for Route {
    fn default() -> Self {
        Self::new()
    }
}

/// A pending transaction that swaps through known pools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its hash and fees: what a follower needs.
    pub follow: Follow,
    /// Who sent it.
    pub sender: Address,
    /// The sender's nonce.
    pub nonce: u64,
    /// What it does.
    pub route: Route,
}

impl Target {
    /// All its swaps, in the order of its paths.
    #[must_use]
    pub fn hops(&self) -> &[TargetHop] {
        self.route.hops()
    }
}

const _: () = assert!(size_of::<Target>() <= 1_024, "hundreds of them wait, and are copied");
