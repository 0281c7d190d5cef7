//! Chains of constant-product swaps as one curve, and the input at which a cycle pays most.
//!
//! Each hop is `out = g·x / (1 + h·x)`. Two of them in a row are again of that form, with
//! `g = g₁·g₂` and `h = h₁ + h₂·g₁`, so a cycle of any length is one curve, and `out − x` is
//! largest at `x* = (√g − 1) / h`, if `g > 1` at all. (In the usual notation `K·x / (M + N·x)` this
//! is `g = K/M`, `h = N/M`; dividing by M keeps the numbers small, so that f64 suffices.)
//!
//! Invariants: floats only; what is found here is a candidate, and [`sizing`](super::sizing) turns
//! it into exact integers.
//!
//! Temperature: hot.

use crate::amm::Mobius;

impl Mobius {
    /// The curve of no swap at all.
    pub const IDENTITY: Self = Self { gain: 1.0, bend: 0.0 };

    /// The curve of a pool that cannot trade.
    pub const CLOSED: Self = Self { gain: 0.0, bend: 0.0 };

    /// This swap and then `next`, as one curve.
    #[must_use]
    #[inline]
    pub const fn then(self, next: Self) -> Self {
        Self { gain: self.gain * next.gain, bend: self.bend + next.bend * self.gain }
    }

    /// What comes out for `amount_in`.
    #[must_use]
    #[inline]
    pub const fn out(self, amount_in: f64) -> f64 {
        self.gain * amount_in / (1.0 + self.bend * amount_in)
    }

    /// What must go in for `amount_out`; negative or infinite if the pool does not have it.
    #[must_use]
    #[inline]
    pub const fn input_for(self, amount_out: f64) -> f64 {
        amount_out / (self.gain - self.bend * amount_out)
    }

    /// The input at which `out − in` is largest; `None` if every input loses.
    #[must_use]
    #[inline]
    pub fn best_input(self) -> Option<f64> {
        if self.gain > 1.0 { Some((libm::sqrt(self.gain) - 1.0) / self.bend) } else { None }
    }

    /// The largest `out − in` for inputs up to `amount_in_max`; 0 if every input loses.
    #[must_use]
    #[inline]
    pub fn best_profit(self, amount_in_max: f64) -> f64 {
        self.best_input().map_or(0.0, |best| {
            let amount_in = best.min(amount_in_max);
            self.out(amount_in) - amount_in
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Mobius = Mobius { gain: 1.5, bend: 0.02 };
    const SECOND: Mobius = Mobius { gain: 0.9, bend: 0.001 };

    #[test]
    fn a_chain_of_curves_is_the_curve_of_the_chain() {
        for amount in [0.1, 1.0, 7.5, 300.0] {
            let chained = SECOND.out(FIRST.out(amount));
            assert!((FIRST.then(SECOND).out(amount) - chained).abs() < 1e-12 * chained);
            assert!((FIRST.input_for(FIRST.out(amount)) - amount).abs() < 1e-12 * amount);
        }
    }

    #[test]
    fn the_best_input_is_better_than_its_neighbours() {
        let cycle = FIRST.then(SECOND);
        let best = cycle.best_input().unwrap();
        let profit = |amount: f64| cycle.out(amount) - amount;
        assert!(profit(best) > profit(best * 0.99) && profit(best) > profit(best * 1.01));
        assert!((cycle.best_profit(f64::INFINITY) - profit(best)).abs() < 1e-12);
        assert!((cycle.best_profit(best / 2.0) - profit(best / 2.0)).abs() < 1e-12);
    }

    #[test]
    fn a_cycle_whose_price_is_not_above_one_has_no_best_input() {
        assert_eq!(Mobius { gain: 1.0, bend: 0.1 }.best_input(), None);
        assert_eq!(Mobius::CLOSED.best_input(), None);
        assert_eq!(FIRST.then(Mobius::CLOSED).best_input(), None);
    }
}
