//! The engine against the contracts' own bytecode, run by revm.
//!
//! [`evm`] is a chain in memory with real pairs, the real router and the compiled executor, and an
//! engine's world that mirrors it. [`differential`] holds the arithmetic and the calldata against
//! it at random; [`executor`] is what the executor promises, one promise a test. [`pipeline`],
//! [`pending`] and [`money`] are what the engine promises on a [`stage`] without contracts: the
//! path, what is followed, and what it does with a wallet's money when the world does the wrong
//! thing. [`aave`], [`comet`] and [`morpho`] hold the lending arithmetic against the protocols, and
//! [`morpho_mirror`] and [`comet_book`] what is followed of one; [`loans`] is the path of a
//! liquidation; [`oracle`] has price updates judged by real aggregators; [`liquidator`] is what the
//! executor promises of liquidations. [`scale`] is the search over a made-up [`universe`] of
//! mainnet's size.
//!
//! Temperature: cold.
#![expect(clippy::expect_used, clippy::panic, reason = "what cannot be set up fails its test")]
#![expect(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    reason = "tests print what they measured, and take a seed"
)]

mod aave;
mod aave_bench;
mod aave_new;
mod codes;
mod comet;
mod comet_book;
mod differential;
mod evm;
mod executor;
mod growth;
mod lenders;
mod liquidator;
mod liquidator_raids;
mod loans;
#[expect(dead_code, reason = "the unit tests use all of it")]
#[path = "../../src/loans/fixture.rs"]
mod loans_fixture;
mod mixed;
mod mixed_cycles;
mod mixed_pools;
mod money;
mod morpho;
mod morpho_mirror;
mod oracle;
mod pending;
mod pipeline;
mod routers;
mod scale;
mod solidly;
mod stage;
#[expect(dead_code, reason = "the benchmarks use all of it")]
#[path = "../../../benches/universe.rs"]
mod universe;
mod v3;
