//! Gannet's integration tests, in one binary.
//!
//! [`tidy`] and [`upkeep`] hold the repository against the house rules that no lint knows;
//! [`tree`] is the repository as those rules read it.
//!
//! Temperature: cold.
#![expect(clippy::expect_used, reason = "what cannot be set up fails its test")]

mod tidy;
mod tree;
mod upkeep;
