//! Commands other than `run`.
//!
//! Temperature: cold.

pub(crate) mod check;
pub(crate) mod deploy;
mod host;
pub(crate) mod kill;
pub(crate) mod positions;
pub(crate) mod replay;
