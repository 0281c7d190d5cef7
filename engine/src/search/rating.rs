//! Rates of edges and paths follow the gas and the market.
//!
//! They are made for what a cycle must be worth and for what hubs are worth at most. Where either
//! has come far from that they say little, or nothing, and a search has to look at more: then they
//! are made anew, some pairs at a time.
//!
//! Invariants: while old and new rates stand side by side, what holds for both is what is believed
//! of them: they speak of cycles worth the more of both, through hubs worth no more than the less.
//!
//! Temperature: hot.

#[cfg(test)]
extern crate std;

use super::cycles::CycleIndex;
use super::prices::{Prices, VALUE_MARGIN};
use super::tables::Tables;
use crate::limits::BASE_TOKENS_MAX;

/// Rates are made for this part of what is asked, so that gas may get cheaper.
pub(super) const RATED_PART: f64 = 0.6;
/// They are made anew when more than this many times what they are for is asked.
const ASKED_MOST: f64 = 3.0;
/// A hub may lose so much of its value before they are.
const FALL_MOST: f64 = 1.5;
const _: () = assert!(RATED_PART < 1.0 && RATED_PART * ASKED_MOST > 1.0 && FALL_MOST > 1.0);

impl Tables {
    /// Makes rates anew for up to `most` pairs, if a search that asks at least `asked` of a cycle
    /// is not what they were made for.
    pub(super) fn rate(&mut self, asked: f64, most: usize) {
        let Self { index, prices, to_native, .. } = self;
        if prices.unrated.is_empty() {
            let mut native = [0.0; BASE_TOKENS_MAX];
            for (price, way) in native.iter_mut().zip(&*to_native).take(index.bases().len()) {
                *price = way.price(prices);
            }
            if !prices.is_outdated(index, asked, &native) {
                return;
            }
            prices.begin_rating(index, asked, &native);
        }
        prices.rate(index, most);
    }
}

impl Prices {
    fn is_outdated(&self, index: &CycleIndex, asked: f64, native: &[f64]) -> bool {
        let rated = self.returns.rated_for();
        let is_off = |(hub, rated): (usize, &f64)| {
            let value = self.value_of(index, hub, native);
            value > *rated || value * (VALUE_MARGIN * FALL_MOST) < *rated
        };
        asked < rated
            || asked > rated * ASKED_MOST
            || self.rated_values.iter().enumerate().any(is_off)
    }

    fn begin_rating(&mut self, index: &CycleIndex, asked: f64, native: &[f64]) {
        self.returns.rate_for(asked * RATED_PART);
        for hub in 0..self.values.len() {
            let value = VALUE_MARGIN * self.value_of(index, hub, native);
            self.rated_values[hub] = value;
            self.values[hub] = f64::min(self.values[hub], value);
        }
        self.unrated = 0..index.pair_count();
    }

    fn rate(&mut self, index: &CycleIndex, most: usize) {
        // Every path has an edge that is not between hubs, and comes with that.
        for _ in 0..most {
            let Some(pair) = self.unrated.next() else { break };
            self.renew(index, pair);
        }
        if self.unrated.is_empty() {
            self.end_rating();
        }
    }

    /// Whether edges and paths are judged alike by both.
    #[cfg(test)]
    pub(super) fn is_rated_as(&self, other: &Self) -> bool {
        let rates = |prices: &Self| {
            let Self { best, returns, values, rated_values, .. } = prices;
            std::format!("{best:?} {returns:?} {values:?} {rated_values:?}")
        };
        rates(self) == rates(other)
    }

    /// All rates are new.
    pub(super) fn end_rating(&mut self) {
        self.unrated = 0..0;
        self.values.copy_from_slice(&self.rated_values);
        self.returns.end_rating();
    }
}
