//! Risk: admits a plan or rejects it with one reason, and sets its price.
//!
//! Nothing is signed that did not pass [`Risk::admit`]. An arbitrage's bid is bounded so that even
//! a program that uses its whole gas limit in the dearest block in which it may land costs no more
//! than its profit. A follower's bid is the target's; what it is expected to use in that block must
//! cost no more than its profit.
//!
//! Temperature: hot.
#![deny(clippy::arithmetic_side_effects, clippy::float_arithmetic)]

mod floor;

use alloc::vec::Vec;

use alloy_primitives::U256;

use crate::amm::{Amm, Pool};
use crate::flight::{Admitted, Fees, Flights};
use crate::gas::{GasUnits, Shape, Tables, Work, liquidations};
use crate::guard::{Guard, GuardLimits};
use crate::ids::WalletId;
use crate::limits::BASE_TOKENS_MAX;
use crate::loans::Order;
use crate::plan::{Bid, Leg, Plan};
use crate::sign::liquidation::Funding as Borrowed;
use crate::taken::{Memory, fingerprint};
use crate::units::Wei;
use crate::wallet::WalletState;
use crate::world::World;

/// Why a plan was turned down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Reject {
    /// The world may be behind the chain.
    StaleWorld,
    /// A block is open: its end is not known yet.
    OpenBlock,
    /// The process is ending.
    Draining,
    /// The kill switch stands.
    Halted,
    /// What an earlier run left behind has not been looked at yet.
    Resuming,
    /// Too many submissions in a row reverted.
    RevertsPause,
    /// What may land in the next block could lose more than the configured budget.
    LossPerBlock,
    /// The day's budget of losses is used, or could be by what is on its way.
    LossPerDay,
    /// This opportunity was taken, and nobody else has moved its pools since.
    AlreadyTaken,
    /// A pool of it is used by a submission that is on its way.
    PoolsBusy,
    /// After gas and tip it brings less than the configured minimum.
    BelowMinProfit,
    /// A unit of gas would cost more than the configured cap.
    GasPriceCap,
    /// Its input is worth more than the configured cap.
    NotionalCap,
    /// A pool of it is quarantined.
    Quarantined,
    /// Every wallet has a submission on its way.
    NonceBusy,
    /// No free wallet can pay the gas.
    WalletEmpty,
    /// The table of submissions is full.
    TableFull,
    /// It could not be signed or did not fit its buffer.
    Unsignable,
    /// Pending swaps that pay more and may stand before it would leave it without profit.
    Outbid,
    /// Somebody is about to pay back, or to add collateral: the borrower is left alone.
    Rescued,
    /// Nobody lends its input, and the executor may not pay it, or cannot.
    Unfunded,
    /// What it follows is not what was announced.
    Forged,
}

impl Reject {
    /// Every reason, in the order of their numbers.
    pub const ALL: [Self; 22] = [
        Self::StaleWorld,
        Self::OpenBlock,
        Self::Draining,
        Self::Halted,
        Self::Resuming,
        Self::RevertsPause,
        Self::LossPerBlock,
        Self::LossPerDay,
        Self::AlreadyTaken,
        Self::PoolsBusy,
        Self::BelowMinProfit,
        Self::GasPriceCap,
        Self::NotionalCap,
        Self::Quarantined,
        Self::NonceBusy,
        Self::WalletEmpty,
        Self::TableFull,
        Self::Unsignable,
        Self::Outbid,
        Self::Rescued,
        Self::Unfunded,
        Self::Forged,
    ];

    /// The name used in the journal and in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::StaleWorld => "stale-world",
            Self::OpenBlock => "open-block",
            Self::Draining => "draining",
            Self::Halted => "halted",
            Self::Resuming => "resuming",
            Self::RevertsPause => "reverts-pause",
            Self::LossPerBlock => "loss-per-block",
            Self::LossPerDay => "loss-per-day",
            Self::AlreadyTaken => "already-taken",
            Self::PoolsBusy => "pools-busy",
            Self::BelowMinProfit => "below-min-profit",
            Self::GasPriceCap => "gas-price-cap",
            Self::NotionalCap => "notional-cap",
            Self::Quarantined => "quarantined",
            Self::NonceBusy => "nonce-busy",
            Self::WalletEmpty => "wallet-empty",
            Self::TableFull => "table-full",
            Self::Unsignable => "unsignable",
            Self::Outbid => "outbid",
            Self::Rescued => "rescued",
            Self::Unfunded => "unfunded",
            Self::Forged => "forged",
        }
    }
}

/// Where the input of a program comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Funding {
    /// Always a flash swap: the executor needs no funds.
    Flash,
    /// The executor's own funds where they suffice (less gas), otherwise a flash swap.
    Own,
}

/// The limits that the user set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Least profit after gas and tip.
    pub min_profit: Wei,
    /// Most that a unit of gas may cost.
    pub gas_price_max: Wei,
    /// Most that the input may be worth.
    pub notional_max: Wei,
    /// Where the input comes from.
    pub funding: Funding,
}

/// Admits or rejects plans.
#[derive(Debug)]
pub struct Risk {
    /// The user's limits.
    pub limits: Limits,
    /// Wallets, by handle.
    pub wallets: Vec<WalletState>,
    /// What the executor holds of each base token, by rank.
    pub holdings: [u128; BASE_TOKENS_MAX],
    /// Gas by what a program does.
    pub gas: Tables,
    /// Budgets of losses, and the breaker.
    pub guard: Guard,
    /// Whether the process is ending.
    pub is_draining: bool,
    /// Whether the kill switch stands.
    pub is_halted: bool,
    /// Whether submissions of an earlier run have not been looked at yet.
    pub is_resuming: bool,
    /// Whether a wallet must be able to pay its gas: not in a run that sends nothing.
    pub needs_balance: bool,
    memory: Memory,
}

impl Risk {
    /// Risk with these limits and wallets.
    #[must_use]
    #[cold]
    pub fn new(limits: Limits, guard: GuardLimits, wallets: Vec<WalletState>) -> Self {
        Self {
            limits,
            wallets,
            holdings: [0; BASE_TOKENS_MAX],
            gas: Tables::default(),
            guard: Guard::new(guard),
            is_draining: false,
            is_halted: false,
            is_resuming: false,
            needs_balance: true,
            memory: Memory::new(),
        }
    }

    /// Admits a plan, or says why not. The second value is what the opportunity is [seen] by, if it
    /// is one.
    ///
    /// [seen]: Self::see
    pub fn admit(
        &mut self,
        plan: &Plan,
        world: &World,
        flights: &Flights,
    ) -> (Result<Admitted, Reject>, Option<u64>) {
        if let Err(reject) = self.gate(world) {
            return (Err(reject), None);
        }
        let priced = self.price(plan, world);
        // What does not pay is no opportunity, so it is not remembered as one.
        if let Err(reject @ (Reject::BelowMinProfit | Reject::Quarantined)) = priced {
            return (Err(reject), None);
        }
        // Another way through pools that we are trading already is no opportunity of its own.
        if flights.overlaps(plan) {
            return (Err(Reject::PoolsBusy), None);
        }
        let fingerprint = fingerprint(plan, world);
        if self.memory.is_taken(fingerprint) {
            return (Err(Reject::AlreadyTaken), None);
        }
        let admitted = priced.and_then(|admitted| {
            self.guard.admit(flights.at_risk(), admitted.stake)?;
            self.assign_wallet(&admitted, flights)
        });
        (admitted, Some(fingerprint))
    }

    /// Remembers an opportunity; true if it is new: the same cycle on the same state counts once,
    /// whatever becomes of it.
    pub fn see(&mut self, fingerprint: u64) -> bool {
        self.memory.see(fingerprint)
    }

    /// Remembers that the opportunity was taken.
    pub fn take(&mut self, plan: &Plan, world: &World) {
        let fingerprint = fingerprint(plan, world);
        self.memory.see(fingerprint);
        self.memory.change(fingerprint, |held| held.is_taken = true);
    }

    /// A submission ended without having been mined: its opportunity, if it still stands as it
    /// was, may be taken again. It is not counted again.
    pub fn give_back(&mut self, plan: &Plan, world: &World) {
        self.memory.change(fingerprint(plan, world), |held| held.is_taken = false);
    }

    /// The node refused a submission. Its opportunity may be taken again, but once only: a node
    /// that refuses twice has a reason that another try does not remove.
    pub fn refused(&mut self, plan: &Plan, world: &World) {
        self.memory.change(fingerprint(plan, world), |held| {
            held.is_taken = held.was_refused;
            held.was_refused = true;
        });
    }

    const fn gate(&self, world: &World) -> Result<(), Reject> {
        if self.is_draining {
            return Err(Reject::Draining);
        }
        if self.is_resuming {
            return Err(Reject::Resuming);
        }
        if self.is_halted {
            return Err(Reject::Halted);
        }
        if !world.freshness().is_fresh() {
            return Err(Reject::StaleWorld);
        }
        if world.open_block().is_some() {
            return Err(Reject::OpenBlock);
        }
        Ok(())
    }

    /// What a plan would cost and must bring.
    pub(crate) fn price(&self, plan: &Plan, world: &World) -> Result<Admitted, Reject> {
        if plan.legs().iter().any(|leg| !world.pools.get(leg.pool).is_tradable()) {
            return Err(Reject::Quarantined);
        }
        let is_flash = !self.can_fund(plan, world);
        let funded = if is_flash { *plan } else { from_own_funds(plan) };
        let plan = &funded;
        let work = work_of(plan, world, is_flash).ok_or(Reject::Unsignable)?;
        let gas_limit = self.gas.limit(&work).min(world.chain.tx_gas_max);
        let gas = self.gas.expected(&work);
        let gas_units = GasUnits { limit: gas_limit, expected: gas };
        let offer = Offer::of(plan, world, gas_units, self.limits.gas_price_max)?;
        let net_wei = plan.profit_wei.less(offer.expected.times_gas(gas));
        let net_wei = net_wei.ok_or(Reject::BelowMinProfit)?;
        if net_wei < self.limits.min_profit {
            return Err(Reject::BelowMinProfit);
        }
        // Even in the dearest block in which it may land it must pay its gas.
        let worst_cost = offer.worst.times_gas(gas);
        if worst_cost > plan.profit_wei {
            return Err(Reject::BelowMinProfit);
        }
        // A follower's cap is the target's: what it may cost later counts too.
        if offer.max_fee(self.limits.gas_price_max) > self.limits.gas_price_max {
            return Err(Reject::GasPriceCap);
        }
        if is_flash && plan.order.is_some_and(|order| order.funding == Borrowed::Own) {
            return Err(Reject::Unfunded);
        }
        if notional(plan) > self.limits.notional_max {
            return Err(Reject::NotionalCap);
        }
        let least_profit = in_profit_token(plan, worst_cost);
        let fees = Fees {
            max_fee: offer.max_fee(self.limits.gas_price_max),
            priority_fee: offer.priority,
            gas_limit,
        };
        Ok(Admitted {
            plan: *plan,
            wallet: WalletId(0),
            nonce: 0,
            fees,
            least_profit,
            net_wei,
            gas_price: offer.expected,
            stake: offer.worst.times_gas(work.revert().min(gas_limit)),
            is_flash,
            work,
        })
    }

    fn can_fund(&self, plan: &Plan, world: &World) -> bool {
        match self.limits.funding {
            Funding::Flash => false,
            Funding::Own => {
                let rank = world.bases.iter().position(|base| *base == plan.profit_token);
                let held = rank.and_then(|rank| self.holdings.get(rank)).copied();
                // Where the market itself pays first, there is nothing to be funded.
                let is_lent = plan.order.is_none_or(|order| order.funding != Borrowed::Market);
                is_lent && held.is_some_and(|held| held >= plan.amount_in)
            }
        }
    }

    fn assign_wallet(
        &mut self,
        admitted: &Admitted,
        flights: &Flights,
    ) -> Result<Admitted, Reject> {
        let most = admitted.fees.max_fee.times_gas(admitted.fees.gas_limit);
        let mut reject = Reject::NonceBusy;
        for (index, wallet) in self.wallets.iter_mut().enumerate() {
            let Ok(index) = u8::try_from(index) else { break };
            let id = WalletId(index);
            if flights.uses_wallet(id) || wallet.mined < wallet.waits_for {
                continue;
            }
            if self.needs_balance && wallet.balance < most {
                wallet.lacks = Some(most);
                reject = Reject::WalletEmpty;
                continue;
            }
            return Ok(Admitted { wallet: id, nonce: wallet.nonce, ..*admitted });
        }
        Err(reject)
    }
}

/// The plan, paid from what the executor holds: nobody takes a premium.
const fn from_own_funds(plan: &Plan) -> Plan {
    let Some(order) = plan.order else { return *plan };
    let profit = plan.profit.saturating_add(order.premium);
    // Worth a little more in wei, too: what is not known exactly is left out.
    Plan { profit, order: Some(Order { funding: Borrowed::Own, premium: 0, ..order }), ..*plan }
}

/// What the gas of a plan depends on; `None` if its loan is not there any more.
fn work_of(plan: &Plan, world: &World, is_flash: bool) -> Option<Work> {
    let Some(order) = &plan.order else {
        return Some(Work::Swaps(shape_of(plan.legs(), world, is_flash)));
    };
    let (exit, entry) = order.paths(plan);
    let swaps = shape_of(exit, world, false).and(&shape_of(entry, world, false));
    let program = order.program(plan, 0, world)?;
    Some(Work::Liquidation(liquidations::Shape::of(&program, swaps)))
}

/// What the gas of some swaps depends on.
fn shape_of(legs: &[Leg], world: &World, is_flash: bool) -> Shape {
    let kinds = legs.iter().map(|leg| world.pools.get(leg.pool).state.kind());
    let crossings = legs.iter().map(|leg| crossings_of(leg, world)).fold(0, u8::saturating_add);
    let transfers = legs.iter().map(|leg| transfer_gas(leg, world));
    Shape {
        transfers: transfers.fold(0, u32::saturating_add),
        ..Shape::of(kinds, crossings, is_flash)
    }
}

/// What the token that a leg brings uses beyond a plain token's transfer.
fn transfer_gas(leg: &Leg, world: &World) -> u32 {
    let token = world.pools.get(leg.pool).tokens[leg.direction.index_out()];
    world.tokens.get(token).transfer_gas
}

/// How many initialised ticks a leg crosses.
fn crossings_of(leg: &Leg, world: &World) -> u8 {
    let view = world.pools.view(leg.pool);
    let Pool::Concentrated(before) = view.pool else { return 0 };
    let Some(swapped) = before.swap_in(view.ticks, leg.amount_in, leg.direction) else { return 0 };
    let place = |tick| view.ticks.above(tick);
    let crossed = place(before.tick()).abs_diff(place(swapped.after.tick()));
    u8::try_from(crossed).unwrap_or(u8::MAX)
}

/// How far above what it should pay an arbitrage's fee cap stands; a base fee at its fastest needs
/// twelve blocks to get there.
const STRANDING_MARGIN: u128 = 4;

/// The price of a unit of gas, as offered.
struct Offer {
    priority: Wei,
    /// In the next block, the likeliest.
    expected: Wei,
    /// In the dearest block in which the plan may land.
    worst: Wei,
    /// Whether the cap is the target's.
    is_copied: bool,
    copied_cap: Wei,
}

impl Offer {
    fn of(plan: &Plan, world: &World, gas: GasUnits, cap: Wei) -> Result<Self, Reject> {
        let next = world.tip().next_base_fee;
        let ahead = plan.last_block.0.saturating_sub(world.next_block().0);
        let dearest = world.chain.base_fee_bound(next, ahead);
        match plan.bid {
            Bid::Behind(follow) => Ok(Self {
                priority: follow.priority_fee.min(follow.max_fee),
                expected: next.plus(follow.priority_fee).min(follow.max_fee),
                worst: dearest.plus(follow.priority_fee).min(follow.max_fee),
                is_copied: true,
                copied_cap: follow.max_fee,
            }),
            Bid::Share(share) => {
                let left = plan.profit_wei.less(next.times_gas(gas.expected));
                let left = left.ok_or(Reject::BelowMinProfit)?;
                let wished = share.of(left.0).checked_div(u128::from(gas.expected.0)).unwrap_or(0);
                let afforded = plan.profit_wei.0.checked_div(u128::from(gas.limit.0)).unwrap_or(0);
                let bounded = Wei(afforded).less(dearest).ok_or(Reject::BelowMinProfit)?;
                let allowed = cap.less(dearest).ok_or(Reject::GasPriceCap)?;
                let priority = Wei(wished).min(bounded).min(allowed);
                Ok(Self {
                    priority,
                    expected: next.plus(priority),
                    worst: dearest.plus(priority),
                    is_copied: false,
                    copied_cap: Wei(0),
                })
            }
        }
    }

    /// `maxFeePerGas`: the target's own behind a target. Otherwise well above the dearest block in
    /// which the plan may land, which costs nothing there (base fee and tip are what is paid), and
    /// keeps a rise of the base fee from stranding the transaction and its wallet with it. Later it
    /// can only revert, for less than a quarter of its gas limit.
    fn max_fee(&self, cap: Wei) -> Wei {
        if self.is_copied {
            return self.copied_cap;
        }
        Wei(self.worst.0.saturating_mul(STRANDING_MARGIN)).min(cap).max(self.worst)
    }
}

/// What the input is worth in wei, in the proportion in which the profit is.
fn notional(plan: &Plan) -> Wei {
    // What the market lends by paying first counts as what is repaid.
    let paid = plan.order.filter(|_| plan.amount_in == 0).map(|order| order.paid_most);
    let worth = U256::from(paid.unwrap_or(plan.amount_in))
        .checked_mul(U256::from(plan.profit_wei.0))
        .and_then(|product| product.checked_div(U256::from(plan.profit)));
    Wei(worth.and_then(|worth| u128::try_from(worth).ok()).unwrap_or(u128::MAX))
}

/// `cost` in the profit token's smallest unit, rounded up, in the proportion of the plan's profit.
fn in_profit_token(plan: &Plan, cost: Wei) -> u128 {
    let profit_wei = U256::from(plan.profit_wei.0.max(1));
    let least = U256::from(cost.0)
        .checked_mul(U256::from(plan.profit))
        .map(|product| product.div_ceil(profit_wei));
    least.and_then(|least| u128::try_from(least).ok()).unwrap_or(u128::MAX).min(plan.profit)
}
