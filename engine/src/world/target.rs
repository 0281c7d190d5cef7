//! Pending swaps as if they had landed: the world runs a [`Route`] with the routers' own
//! arithmetic.
//!
//! What a router holds at the start is taken to be nothing but what is sent along. Whoever finds
//! more there may take it, so that it rarely is more.
//!
//! Temperature: hot.

use alloy_primitives::U256;

use super::{Mark, TooFarBack, Unfit, World};
use crate::amm::{Exact, Pool, Swapped};
use crate::limits::TARGET_TOKENS_MAX;
use crate::loans::pending::Pending;
use crate::target::{Part, Payer, Route, Share, Slot, Step, Target, TargetHop, Way};

/// What the router holds, by slot.
type Held = [u128; TARGET_TOKENS_MAX];

/// What went into a path, and what came out.
#[derive(Clone, Copy)]
struct Moved {
    paid: u128,
    taken: u128,
}

impl World {
    /// Applies a pending swap as if it had just landed, and returns the mark to take it back.
    /// Its pools are in [`World::supposed`] then.
    ///
    /// # Errors
    /// When it would not land on this state; nothing is changed then.
    pub fn apply_target(&mut self, target: &Target) -> Result<Mark, Unfit> {
        self.suppose_nothing();
        self.apply_next_target(target)
    }

    /// Applies one more pending swap behind those that were applied before it; its pools join
    /// theirs in [`World::supposed`].
    ///
    /// # Errors
    /// When it would not land on this state; nothing is changed then.
    pub fn apply_next_target(&mut self, target: &Target) -> Result<Mark, Unfit> {
        let route = &target.route;
        if target.follow.max_fee < self.tip.next_base_fee {
            return Err(Unfit::Underpriced);
        }
        // The next block comes one block time later, or after a missed slot.
        let next = self.tip.timestamp.saturating_add((self.chain.block_time_ms / 1_000).max(1));
        if route.deadline < next || route.parent.is_some_and(|parent| parent != self.tip.hash) {
            return Err(Unfit::PastDeadline);
        }
        let mark = self.undo.mark();
        match self.apply_route(route) {
            Ok(()) => Ok(mark),
            Err(unfit) => {
                self.undo_to(mark)?;
                Err(unfit)
            }
        }
    }

    /// A handful of changes: the log always reaches back that far.
    fn undo_to(&mut self, mark: Mark) -> Result<(), Unfit> {
        self.roll_back(mark).map_err(|TooFarBack| Unfit::TooLong)
    }

    fn apply_route(&mut self, route: &Route) -> Result<(), Unfit> {
        let mut held = [0; TARGET_TOKENS_MAX];
        held[Slot::NATIVE.index()] = route.value;
        let mut steps = route.steps();
        // Each round takes one step or more.
        while let Some((step, rest)) = steps.split_first() {
            steps = rest;
            let Step::Try { count } = step else {
                self.apply_step(route, step, &mut held)?;
                continue;
            };
            let (tried, rest) = rest.split_at(usize::from(*count).min(rest.len()));
            steps = rest;
            let (mark, before) = (self.undo.mark(), held);
            let done = tried.iter().try_for_each(|step| self.apply_step(route, step, &mut held));
            if done.is_err() {
                self.undo_to(mark)?;
                held = before;
            }
        }
        Ok(())
    }

    fn apply_step(&mut self, route: &Route, step: &Step, held: &mut Held) -> Result<(), Unfit> {
        match *step {
            Step::Swap(part) => self.apply_part(route, &part, held),
            Step::Get { slot, amount } => add(held, slot, amount),
            Step::Give { from, share, to } => {
                let has = held[from.index()];
                let amount = match share {
                    Share::Exactly(amount) => amount,
                    Share::All(least) if has < least => return Err(Unfit::LimitMissed),
                    Share::All(_) => has,
                    Share::Bips(bips) => {
                        has.checked_mul(bips.into()).ok_or(Unfit::NoLiquidity)? / 10_000
                    }
                };
                take(held, from, amount)?;
                to.map_or(Ok(()), |to| add(held, to, amount))
            }
            Step::Loan(pending) => self.apply_to_loans(&pending),
            // No attempt stands within another.
            Step::Try { .. } => Err(Unfit::TooLong),
        }
    }

    fn apply_to_loans(&mut self, pending: &Pending) -> Result<(), Unfit> {
        let at = self.loan_time();
        let Self { loans, undo, .. } = self;
        let mut keep = |inverse| undo.remember_loan(inverse);
        match *pending {
            Pending::Report(report) => {
                loans.suppose(&report, &mut keep);
                Ok(())
            }
            // Who has nothing is helped by nothing.
            Pending::Relief(loan, reserve, relief) => loans
                .relieve(loan, (reserve, relief), at, &mut keep)
                .map_err(|_fault| Unfit::NoLiquidity),
        }
    }

    fn apply_part(&mut self, route: &Route, part: &Part, held: &mut Held) -> Result<(), Unfit> {
        let amount = match part.payer {
            Payer::Sender | Payer::Router => part.amount,
            Payer::RouterAll => held[part.paid.index()],
        };
        let hops = route.hops_of(part);
        let Moved { paid, taken } = match part.way {
            Way::ExactIn if part.has_price_limit => {
                self.stopped(hops, Exact::In(amount), route.price_limit)?
            }
            Way::ExactOut if part.has_price_limit => {
                self.stopped(hops, Exact::Out(amount), route.price_limit)?
            }
            Way::ExactIn => self.forwards(hops, amount)?,
            Way::ExactOut => self.backwards(hops, amount)?,
            Way::ExactOutForward => {
                let paid = self.asked_for(hops, amount)?;
                self.forwards(hops, paid)?
            }
        };
        let is_within = match part.way {
            Way::ExactIn => taken >= part.limit,
            Way::ExactOut | Way::ExactOutForward => paid <= part.limit,
        };
        if !is_within {
            return Err(Unfit::LimitMissed);
        }
        let is_native =
            route.wraps_itself && part.paid == Slot::WRAPPED && held[Slot::NATIVE.index()] >= paid;
        let keep = |held: &mut Held| part.kept.map_or(Ok(()), |kept| add(held, kept, taken));
        let pay = |held: &mut Held| match part.payer {
            _ if is_native => take(held, Slot::NATIVE, paid),
            Payer::Router | Payer::RouterAll => take(held, part.paid, paid),
            Payer::Sender => Ok(()),
        };
        match part.way {
            Way::ExactIn | Way::ExactOutForward => pay(held).and_then(|()| keep(held)),
            // A V3 pool gives before it asks: what comes out last may pay for what goes in first.
            Way::ExactOut => keep(held).and_then(|()| pay(held)),
        }
    }

    fn forwards(&mut self, hops: &[TargetHop], paid: u128) -> Result<Moved, Unfit> {
        let mut amount = paid;
        for hop in hops {
            amount = self.swap(*hop, Exact::In(amount))?;
        }
        Ok(Moved { paid, taken: amount })
    }

    fn backwards(&mut self, hops: &[TargetHop], taken: u128) -> Result<Moved, Unfit> {
        let mut amount = taken;
        for hop in hops.iter().rev() {
            amount = self.swap(*hop, Exact::Out(amount))?;
        }
        Ok(Moved { paid: amount, taken })
    }

    /// What the first pool asks for, for `taken` out of the last, before anything is swapped.
    fn asked_for(&self, hops: &[TargetHop], taken: u128) -> Result<u128, Unfit> {
        let asked = hops.iter().rev().try_fold(taken, |needed, hop| {
            self.pools.view(hop.pool).quote_in(needed, hop.direction)
        });
        asked.ok_or(Unfit::NoLiquidity)
    }

    /// What a pool in quarantine would give is not known.
    fn demand_trust(&self, hop: TargetHop) -> Result<(), Unfit> {
        if self.pools.get(hop.pool).is_quarantined { Err(Unfit::Doubted) } else { Ok(()) }
    }

    /// Swaps in one pool, and returns the amount that was not fixed.
    fn swap(&mut self, hop: TargetHop, exact: Exact) -> Result<u128, Unfit> {
        self.demand_trust(hop)?;
        let view = self.pools.view(hop.pool);
        let swapped = match exact {
            Exact::In(paid) => view.swap_in(paid, hop.direction),
            Exact::Out(taken) => view.swap_out(taken, hop.direction),
        };
        let swapped = swapped.ok_or(Unfit::NoLiquidity)?;
        self.move_to(hop, swapped.after);
        Ok(match exact {
            Exact::In(_) => swapped.amount_out,
            Exact::Out(_) => swapped.amount_in,
        })
    }

    /// Swaps in one V3 pool as far as a price: what it leaves of the amount nobody pays, and the
    /// routers do not mind what it leaves of an output.
    fn stopped(
        &mut self,
        hops: &[TargetHop],
        exact: Exact,
        price_limit: U256,
    ) -> Result<Moved, Unfit> {
        let &[hop] = hops else { return Err(Unfit::TooLong) };
        self.demand_trust(hop)?;
        let view = self.pools.view(hop.pool);
        let Pool::Concentrated(pool) = view.pool else { return Err(Unfit::NoLiquidity) };
        if !pool.is_ahead(price_limit, hop.direction) {
            return Err(Unfit::LimitMissed);
        }
        let swapped = pool.swap_to(view.ticks, exact, hop.direction, price_limit);
        // Where there is no liquidity on the way nothing is to be paid, which the routers refuse.
        let swapped = swapped.filter(|swapped| swapped.amount_in > 0);
        let Swapped { amount_in, amount_out, after } = swapped.ok_or(Unfit::NoLiquidity)?;
        self.move_to(hop, after.into());
        Ok(Moved { paid: amount_in, taken: amount_out })
    }

    fn move_to(&mut self, hop: TargetHop, after: Pool) {
        let entry = self.pools.entry_mut(hop.pool);
        self.undo.remember(hop.pool, entry);
        entry.state = after;
        self.supposed.push(hop.pool);
    }
}

fn add(held: &mut Held, slot: Slot, amount: u128) -> Result<(), Unfit> {
    let has = &mut held[slot.index()];
    *has = has.checked_add(amount).ok_or(Unfit::NoLiquidity)?;
    Ok(())
}

/// What a router does not hold it cannot pay.
fn take(held: &mut Held, slot: Slot, amount: u128) -> Result<(), Unfit> {
    let has = &mut held[slot.index()];
    *has = has.checked_sub(amount).ok_or(Unfit::LimitMissed)?;
    Ok(())
}
