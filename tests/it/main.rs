//! Gannet's integration tests, in one binary.
//!
//! [`feed`], [`dry_run`], [`recordings`], [`replay`], [`live`], [`safety`], [`situations`],
//! [`secrets`] and [`commands`] fly the binary on real nodes, [`positions`] on one that lends;
//! [`nodes`], [`bot`] and [`relay`] are what they fly it with. [`faults`] flies it on a node that
//! does everything wrong, [`overload`] on one that says too much. [`mistakes`] needs no node.
//! [`tidy`] and [`upkeep`] hold the repository against the house rules that no lint knows; [`tree`]
//! is the repository as those rules read it.
//!
//! Temperature: cold.
#![expect(clippy::expect_used, reason = "what cannot be set up fails its test")]

mod bot;
mod commands;
mod dry_run;
mod faults;
mod feed;
mod growth;
mod live;
mod mistakes;
mod nodes;
mod overload;
mod positions;
mod recordings;
mod relay;
mod replay;
mod safety;
mod secrets;
mod situations;
mod starts;
mod tidy;
mod tree;
mod upkeep;
