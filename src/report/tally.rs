//! What the plans came to: all of them, and each strategy's.
//!
//! Temperature: cold.

use std::collections::BTreeMap;

use super::PlanLine;

/// What became of a plan.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    Won,
    Contested,
    Vanished,
    Reverted,
    Unknown,
}

impl Outcome {
    pub(super) fn of(plan: &PlanLine) -> Self {
        match &*plan.outcome {
            "won" => Self::Won,
            "contested" => Self::Contested,
            "vanished" => Self::Vanished,
            "reverted" => Self::Reverted,
            _ => Self::Unknown,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Won => "won",
            Self::Contested => "contested",
            Self::Vanished => "vanished",
            Self::Reverted => "reverted",
            Self::Unknown => "unknown",
        }
    }
}

/// Plans by outcome, and what they earned.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) found: u64,
    pub(super) won: u64,
    pub(super) contested: u64,
    pub(super) vanished: u64,
    pub(super) reverted: u64,
    pub(super) unknown: u64,
    /// What those that won brought.
    pub(super) won_wei: i128,
    /// What those that reverted cost; never more than zero.
    pub(super) reverted_wei: i128,
}

impl Tally {
    pub(super) fn of<'a>(plans: impl IntoIterator<Item = &'a PlanLine>) -> Self {
        let mut tally = Self::default();
        for plan in plans {
            tally.add(plan);
        }
        tally
    }

    fn add(&mut self, plan: &PlanLine) {
        self.found += 1;
        match Outcome::of(plan) {
            Outcome::Won => {
                self.won += 1;
                self.won_wei = self.won_wei.saturating_add(plan.profit_wei);
            }
            Outcome::Contested => self.contested += 1,
            Outcome::Vanished => self.vanished += 1,
            Outcome::Reverted => {
                self.reverted += 1;
                self.reverted_wei = self.reverted_wei.saturating_add(plan.profit_wei.min(0));
            }
            Outcome::Unknown => self.unknown += 1,
        }
    }

    /// What was earned in all.
    pub(super) const fn profit_wei(&self) -> i128 {
        self.won_wei.saturating_add(self.reverted_wei)
    }

    /// Plans that were sent and whose end is known: what the win rate is a share of.
    pub(super) const fn decided(&self) -> u64 {
        self.won + self.contested + self.vanished + self.reverted
    }
}

/// Series that charts tell apart by colour. One more is grey.
const COLOURS: usize = 4;

/// The plans of one strategy, or of all that have no colour of their own.
#[derive(Debug)]
pub(super) struct Series<'a> {
    pub(super) name: String,
    pub(super) plans: Vec<&'a PlanLine>,
    pub(super) tally: Tally,
}

impl<'a> Series<'a> {
    fn new(name: String, plans: Vec<&'a PlanLine>) -> Self {
        let tally = Tally::of(plans.iter().copied());
        Self { name, plans, tally }
    }
}

/// Every strategy, the one with the most plans first.
pub(super) fn by_strategy(plans: &[PlanLine]) -> Vec<Series<'_>> {
    let mut by_name = BTreeMap::<&str, Vec<&PlanLine>>::new();
    for plan in plans {
        by_name.entry(&plan.strategy).or_default().push(plan);
    }
    let each = by_name.into_iter().map(|(name, plans)| Series::new(name.to_owned(), plans));
    let mut all: Vec<_> = each.collect();
    all.sort_by_key(|series| std::cmp::Reverse(series.tally.found));
    all
}

/// The same with few enough series to tell apart: the last of them holds all that are left.
pub(super) fn for_charts(plans: &[PlanLine]) -> Vec<Series<'_>> {
    let mut all = by_strategy(plans);
    if all.len() > COLOURS + 1 {
        let rest = all.split_off(COLOURS);
        let name = format!("{} others", rest.len());
        let plans = rest.into_iter().flat_map(|series| series.plans).collect();
        all.push(Series::new(name, plans));
    }
    all
}
