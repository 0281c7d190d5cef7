//! A bot of one's own: Gannet with one more strategy, `two-pools`, beside those that it brings.
//!
//! Temperature: cold.

mod two_pools;

use anyhow::{Context, Result};
use gannet::Config;
use gannet::strategies::{Arbitrage, Backrun};

gannet::engine::strategies! {
    /// The strategies of this bot, in the order in which they run.
    pub struct Mine { two_pools: two_pools::TwoPools, arbitrage: Arbitrage, backrun: Backrun }
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().unwrap_or_else(|| "config.toml".to_owned());
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    // All further arguments change the file: strategy.two-pools.amount_in="2 ether"
    let overrides: Vec<String> = arguments.collect();
    let config = Config::parse(&text, &overrides)?;
    println!("{}", gannet::run::<Mine>(config)?);
    Ok(())
}
