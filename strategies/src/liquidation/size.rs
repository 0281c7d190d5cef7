//! How a loan is best liquidated: which debt for which collateral, how much of it, paid from where,
//! and sold through which pools.
//!
//! Temperature: warm.

use gannet_engine::gas::worth_least;
use gannet_engine::ids::{LoanId, StrategyId, TokenId};
use gannet_engine::lending::sizing::best_amount;
use gannet_engine::limits::HOPS_MAX;
use gannet_engine::loans::{FlashLender, Order, Size, Sizes, Way};
use gannet_engine::plan::{Bid, Leg, Plan};
use gannet_engine::search::native_value;
use gannet_engine::search::route::{Around, Route};
use gannet_engine::sign::liquidation::Funding;
use gannet_engine::units::{BlockNumber, Wei};
use gannet_engine::world::World;

/// A debt that is repaid whole has grown by so much at most when the transaction lands: one part in
/// so many, which is the interest of minutes.
const GROWTH_PART: u128 = 500_000;
/// Parts of a loan that pools are looked for, each a quarter of the one before.
const PARTS_MAX: u32 = 6;

/// Ways to liquidate one loan that are sized, those that repay most.
const WAYS_MAX: usize = 6;

/// The swaps around a liquidation.
#[derive(Clone, Copy)]
struct Paths {
    profit_token: TokenId,
    exit: Route,
    /// From the profit token to the debt's, unless they are the same.
    entry: Option<Route>,
}

/// One way to liquidate a loan, before its amount is chosen.
struct Choice<'w> {
    world: &'w World,
    around: Around<'w>,
    loan: LoanId,
    way: Way,
    sizes: Sizes,
    /// The debt's token and the collateral's.
    tokens: [TokenId; 2],
    at: u64,
}

/// The plan that brings most, through pools that are not to be avoided; `None` if none brings
/// anything.
pub(super) fn best(
    around: Around<'_>,
    loan: LoanId,
    (bid, last_block): (Bid, BlockNumber),
) -> Option<Plan> {
    let world = around.world;
    let at = world.loan_time();
    let mut best: Option<Plan> = None;
    // Whoever has many kinds of collateral and of debt is not looked at for each pair of them.
    let mut least = 0;
    let mut worths = [0; WAYS_MAX + 1];
    each_worth(world, loan, |worth| {
        worths[WAYS_MAX] = worth.unwrap_or(0);
        worths.sort_unstable_by(|left, right| right.cmp(left));
        least = worths[WAYS_MAX - 1];
    });
    let mut tried = 0;
    world.loans.ways(loan, |way, tokens| {
        let Ok(sizes) = world.loans.sizes(loan, way, at) else { return };
        let choice = Choice { world, around, loan, way, sizes, tokens, at };
        if tried == WAYS_MAX || choice.worth().unwrap_or(0) < least {
            return;
        }
        tried += 1;
        for profit_token in choice.profit_tokens().into_iter().flatten() {
            let plan = choice.plan(profit_token, (bid, last_block));
            if let Some(plan) = plan
                && best.is_none_or(|best| plan.profit_wei > best.profit_wei)
            {
                best = Some(plan);
            }
        }
    });
    best
}

/// What a liquidation moves, by its worth in the native token: how much it is worth looking at.
pub(super) fn worth(world: &World, loan: LoanId) -> u128 {
    let mut most = 0;
    each_worth(world, loan, |worth| most = worth.unwrap_or(0).max(most));
    most
}

/// The same in a fraction of the time, about and at most: of what is owed, not all can be repaid.
pub(super) fn rank(world: &World, loan: LoanId) -> u128 {
    match world.loans.owes(loan, world.loan_time()) {
        Some((token, owed)) => native_value(&world.pools, world.native, token, owed).unwrap_or(0),
        None => worth(world, loan),
    }
}

/// Whether all that could be repaid is worth no more than the gas of it, or nothing can be had for
/// it that is in the universe.
pub(super) fn is_dust(world: &World, loan: LoanId) -> bool {
    let least = worth_least(world.tip().next_base_fee, 2).0;
    let mut is_dust = true;
    each_worth(world, loan, |worth| is_dust &= worth.is_some_and(|worth| worth <= least));
    is_dust
}

/// Visits what is repaid by each way of liquidating a loan, in the native token; `None` if that is
/// not known.
fn each_worth(world: &World, loan: LoanId, mut visit: impl FnMut(Option<u128>)) {
    let at = world.loan_time();
    world.loans.ways(loan, |way, tokens| {
        let Ok(sizes) = world.loans.sizes(loan, way, at) else { return visit(None) };
        visit(Choice { world, around: world.into(), loan, way, sizes, tokens, at }.worth());
    });
}

impl Choice<'_> {
    /// What all of it repays, in the native token; `None` if that is not known.
    fn worth(&self) -> Option<u128> {
        let Self { world, sizes: Sizes { most, .. }, tokens: [debt, _], .. } = *self;
        if amount_of(most) == 0 {
            return Some(0);
        }
        let deal = world.loans.deal(self.loan, (self.way, most), self.at).ok()?;
        native_value(&world.pools, world.native, debt, deal.paid)
    }

    /// The tokens that profit may be kept in: the debt's own, or the collateral's, or else any
    /// base.
    fn profit_tokens(&self) -> [Option<TokenId>; 2] {
        let is_base = |token: &&TokenId| self.world.tokens.base_rank(**token).is_some();
        match self.tokens.iter().find(is_base) {
            Some(base) => [Some(*base), None],
            None => [0, 1].map(|rank| self.world.bases.get(rank).copied()),
        }
    }

    fn plan(&self, profit_token: TokenId, place: (Bid, BlockNumber)) -> Option<Plan> {
        let (paths, lent) = self.paths(profit_token)?;
        let lender = self.lender(&paths, lent);
        let worth = |amount| self.gain(&paths, lender, amount);
        let Sizes { part_most, whole_least, most, .. } = self.sizes;
        let most = amount_of(most);
        let part = best_amount((1, part_most), worth);
        let whole = whole_least.and_then(|least| best_amount((least, most), worth));
        let (amount, _) = [part, whole].into_iter().flatten().max_by_key(|(_, worth)| *worth)?;
        self.finish(&paths, amount, place)
    }

    /// The pools that pay most for all of it, or for as large a part as there are pools for; and
    /// what is to be lent for so much.
    fn paths(&self, profit_token: TokenId) -> Option<(Paths, u128)> {
        let [debt, collateral] = self.tokens;
        let parts = (0..PARTS_MAX).map(|part| amount_of(self.sizes.most) >> (2 * part));
        let mut amounts = parts.chain([self.sizes.part_most]).filter(|amount| *amount > 0);
        amounts.find_map(|amount| {
            let size = self.sizes.most.with(amount);
            let deal = self.world.loans.deal(self.loan, (self.way, size), self.at).ok()?;
            let exit = Route::sell(self.around, [collateral, profit_token], deal.seized)?;
            let most = self.paid_most(deal.paid)?;
            let entry = if debt == profit_token {
                None
            } else {
                Some(Route::buy(self.around, [profit_token, debt], most)?)
            };
            let lent = entry.map_or(most, |entry| entry.amount_in);
            Some((Paths { profit_token, exit, entry }, lent))
        })
    }

    /// What the market may take for what comes to this now: a debt goes on growing until then.
    fn paid_most(&self, paid: u128) -> Option<u128> {
        if self.sizes.pays_exactly {
            return Some(paid);
        }
        paid.checked_add(paid / GROWTH_PART)?.checked_add(1)
    }

    /// What pays until the collateral is sold: the market itself, where it gives before it takes
    /// and the profit token is what it takes; else whoever lends so much for least.
    fn lender(&self, paths: &Paths, lent: u128) -> FlashLender {
        let gives_first = !matches!(self.sizes.most, Size::Debt(_));
        if gives_first && paths.entry.is_none() {
            return FlashLender::free(Funding::Market);
        }
        let lender = self.world.loans.lender(paths.profit_token, lent);
        lender.unwrap_or(FlashLender::free(Funding::Own))
    }

    /// What an amount brings, in the profit token; `None` if it cannot be had.
    fn gain(&self, paths: &Paths, lender: FlashLender, amount: u128) -> Option<i128> {
        let size = self.sizes.most.with(amount);
        let deal = self.world.loans.deal(self.loan, (self.way, size), self.at).ok()?;
        let had = match paths.exit.legs() {
            [] => deal.seized,
            _ => paths.exit.with_amount(self.world, deal.seized)?.amount_out,
        };
        let spent = match &paths.entry {
            Some(entry) => entry.cost_of(self.world, deal.paid)?,
            None => deal.paid,
        };
        let spent = spent.checked_add(lender.premium(spent)?)?;
        i128::try_from(had).ok()?.checked_sub_unsigned(spent)
    }

    /// The plan for an amount, with the pools that pay most for just that.
    fn finish(
        &self,
        paths: &Paths,
        amount: u128,
        (bid, last_block): (Bid, BlockNumber),
    ) -> Option<Plan> {
        let Self { world, loan, way, .. } = *self;
        let (size, [debt, collateral]) = (self.sizes.most.with(amount), self.tokens);
        let deal = world.loans.deal(loan, (way, size), self.at).ok()?;
        let profit_token = paths.profit_token;
        // What is asked for in debt and is not all of it is taken as it is.
        let is_exact = matches!(size, Size::Debt(_)) && size != self.sizes.most;
        let paid_most = if is_exact { deal.paid } else { self.paid_most(deal.paid)? };
        let exit = Route::sell(self.around, [collateral, profit_token], deal.seized)?;
        let entry = match paths.entry {
            Some(_) => Some(Route::buy(self.around, [profit_token, debt], paid_most)?),
            None => None,
        };
        let lent = entry.map_or(paid_most, |entry| entry.amount_in);
        // Of less than was asked for at first there may be a lender.
        let lender = self.lender(paths, lent);
        let amount_in = if lender.funding == Funding::Market { 0 } else { lent };
        let premium = lender.premium(amount_in)?;
        let spent = entry.map_or(deal.paid, |entry| entry.amount_in);
        let profit = exit.amount_out.checked_sub(spent)?.checked_sub(premium)?;
        let mut legs = [Leg::NONE; HOPS_MAX];
        let entry_legs = entry.as_ref().map_or(&[][..], Route::legs);
        let all = exit.legs().iter().chain(entry_legs);
        let mut leg_count = 0_u8;
        for leg in all {
            *legs.get_mut(usize::from(leg_count))? = *leg;
            leg_count += 1;
        }
        // No pool is asked twice: its second answer is not what was quoted.
        let used = &legs[..usize::from(leg_count)];
        let is_twice = |place: usize| used[..place].iter().any(|leg| leg.pool == used[place].pool);
        if (1..used.len()).any(is_twice) {
            return None;
        }
        let worth = native_value(&world.pools, world.native, profit_token, profit)?;
        let order = Order {
            loan,
            way,
            size,
            debt,
            collateral,
            funding: lender.funding,
            paid_most,
            premium,
            exit_count: u8::try_from(exit.legs().len()).ok()?,
        };
        (profit > 0).then_some(Plan {
            // Set when it is proposed.
            strategy: StrategyId(0),
            legs,
            leg_count,
            profit_token,
            amount_in,
            profit,
            profit_wei: Wei(worth),
            bid,
            last_block,
            order: Some(order),
        })
    }
}

const fn amount_of(size: Size) -> u128 {
    match size {
        Size::Debt(amount) | Size::Shares(amount) | Size::Seized(amount) => amount,
    }
}
