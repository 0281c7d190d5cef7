//! The strategies that Gannet brings, one folder each.
//!
//! A strategy sees the [`World`](gannet_engine::world::World) after each change and proposes
//! plans; the engine decides, signs and sends. Here are ideas only: no arithmetic of pools, no
//! fees, no keys. `README.md` beside this crate says how to write one.
//!
//! Temperature: hot.
#![no_std]
#![deny(clippy::iter_over_hash_type, clippy::print_stdout, clippy::print_stderr)]
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod arbitrage;
pub mod backrun;
pub mod liquidation;

mod keys;
#[cfg(test)]
mod market;

pub use arbitrage::Arbitrage;
pub use backrun::Backrun;
pub use liquidation::Liquidation;

// ADD A STRATEGY HERE: copy the folder `arbitrage/`, and name the new one in this list and in a
// `pub mod` above. It is then on wherever the configuration has a table `[strategy.NAME]`.
gannet_engine::strategies! {
    /// The strategies that Gannet brings, in the order in which they run.
    pub struct Standard { arbitrage: Arbitrage, backrun: Backrun, liquidation: Liquidation }
}

#[cfg(test)]
mod tests {
    use gannet_engine::strategy::StrategySet;

    use super::*;

    fn enable(set: &mut Standard, name: &str, text: &str) -> Option<bool> {
        let config = toml::Deserializer::parse(text).unwrap();
        set.enable(name, config).map(|outcome| outcome.is_ok())
    }

    #[test]
    fn a_strategy_is_on_once_its_table_is_read() {
        let mut set = Standard::default();
        assert_eq!(set.enabled_count(), 0);
        assert_eq!(enable(&mut set, "arbitrage", "hops_max = 2"), Some(true));
        assert_eq!(enable(&mut set, "backrun", ""), Some(true));
        assert_eq!(set.enabled_count(), 2);
    }

    #[test]
    fn an_unknown_key_or_strategy_is_refused() {
        let mut set = Standard::default();
        assert_eq!(enable(&mut set, "arbitrage", "hop_max = 2"), Some(false));
        assert_eq!(enable(&mut set, "sandwich", ""), None);
        assert_eq!(set.enabled_count(), 0);
    }
}
