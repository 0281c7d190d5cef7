//! Gannet's deterministic core: bytes in, signed bytes out.
//!
//! ```text
//!            ┌───────────────────── Engine::on_input ─────────────────────┐
//! frame ───► │ decode ─► world ─► strategies ─► risk ─► sign ─► outbox    │ ───► raw transaction
//!            └─────────────│──────────────────────────────│───────────────┘
//!                          └─► queries (to the node)      └─► notes (to the journal)
//! ```
//!
//! Read in this order: [`pipeline`] is the whole path on one screen; [`input`] is what goes in and
//! [`outbox`] what comes out; [`strategy`] is the contract that a strategy fulfils and [`plan`]
//! what it proposes; [`world`] is the state, [`amm`] its arithmetic and [`search`] how cycles are
//! found; [`risk`], [`sign`] and [`settle`](pipeline) take a plan to its end.
//!
//! Three laws, which hold for every file here:
//! 1. **No I/O, no clock, no environment.** The crate is `no_std`. Time and the node's answers are
//!    inputs, so a recorded run replays bit for bit.
//! 2. **One writer.** Only the pipeline changes the world, every change has its inverse in the undo
//!    log, and strategies see sealed blocks only.
//! 3. **No heap after start-up.** Every capacity is named in [`limits`]; a full table is a counted
//!    outcome, never a reallocation.
//!
//! Temperature: hot.
#![no_std]
#![deny(clippy::iter_over_hash_type, clippy::print_stdout, clippy::print_stderr)]
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

extern crate alloc;
#[cfg(test)]
extern crate std;
// What tests of several crates share names this one as the others do.
#[cfg(test)]
extern crate self as gannet_engine;

#[cfg(feature = "serde")]
#[doc(hidden)]
pub use serde;

pub mod limits;

pub mod ids;
pub mod units;

pub mod input;
pub mod keccak;
pub mod wire;

pub mod decode;

pub mod chain;
pub mod mempool;
pub mod tally;
pub mod target;
pub mod world;

pub mod amm;
pub mod lending;
pub mod loans;
pub mod search;

pub mod plan;
pub mod strategy;

pub mod flight;
pub mod gas;
pub mod guard;
pub mod risk;
pub mod sign;
pub mod wallet;

pub mod books;
pub mod finality;
pub mod note;
pub mod outbox;
mod prefetch;
pub mod query;
mod rehearsal;

pub mod growth;
pub mod pipeline;

mod apply;
mod cancel;
mod memo;
mod reserve;
mod senders;
mod settle;
mod taken;
mod targets;
mod verdict;
mod waiting;
