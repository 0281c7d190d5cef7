//! Who can lend a token: the pools that have most of it.
//!
//! Temperature: cold.

use std::collections::HashMap;

use alloy_primitives::Address;

use super::probe::{Lender, Shape};
use crate::bootstrap::{Kind, Known, Roster};

/// Pools that are remembered for each token: one is the pool that is tried, and some do not lend.
const KEPT: usize = 4;
/// A trial takes this part of what a lender has at most.
const LENT: u128 = 4;

/// A pool that can lend, and how much.
#[derive(Clone, Copy, Debug)]
struct Place {
    place: usize,
    is_first: bool,
    held: u128,
}

/// The pools that have most of each token.
#[derive(Debug, Default)]
pub(super) struct Lenders(HashMap<Address, Vec<Place>>);

impl Lenders {
    pub(super) fn of(roster: &Roster) -> Self {
        let mut lenders: HashMap<Address, Vec<Place>> = HashMap::new();
        for (place, (known, held)) in roster.pools().enumerate() {
            for (token, is_first) in [(0, true), (1, false)] {
                let of_token = lenders.entry(known.tokens[token]).or_default();
                of_token.push(Place { place, is_first, held: held[token] });
                if of_token.len() > KEPT {
                    of_token.sort_by_key(|lender| std::cmp::Reverse(lender.held));
                    of_token.truncate(KEPT);
                }
            }
        }
        lenders.values_mut().for_each(|of_token| {
            of_token.sort_by_key(|lender| std::cmp::Reverse(lender.held));
        });
        Self(lenders)
    }

    /// The best lender of a token after `skipped` others that is not the pool at `place` itself,
    /// and the most that it is asked for.
    pub(super) fn nth(
        &self,
        roster: &Roster,
        token: &Address,
        (place, skipped): (usize, usize),
    ) -> Option<(Lender, u128)> {
        let mut others = self.0.get(token)?.iter().filter(|lender| lender.place != place);
        let Place { place, is_first, held } = *others.nth(skipped)?;
        let pool = roster.known(place)?;
        Some((Lender { pool: pool.address, shape: shape_of(pool), is_first }, held / LENT))
    }
}

pub(super) const fn shape_of(pool: &Known) -> Shape {
    match pool.kind {
        Kind::Pair => Shape::Pair,
        Kind::Concentrated { .. } => Shape::Concentrated,
        Kind::Solidly { .. } => Shape::Solidly,
    }
}
