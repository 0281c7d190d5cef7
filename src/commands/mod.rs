//! Commands other than `run`.
//!
//! Temperature: cold.

pub(crate) mod check;
pub(crate) mod deploy;
pub(crate) mod kill;
