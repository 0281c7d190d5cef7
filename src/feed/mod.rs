//! The feed: three connections to the node, kept up by a cold thread, read by the hot one.
//!
//! ```text
//! cold: connect ─► subscribe ─┐                    ┌── request: connect again (back-off, jitter)
//!                             ▼ rings              │
//! hot:            rpc ─► chain ─► pending ─► engine┘
//! ```
//!
//! Three connections, so that a flood of pending transactions never delays a head or a reply,
//! unless the node announces hashes only: their bodies are fetched where replies come in.
//!
//! Temperature: hot.

pub(crate) mod connect;
pub(crate) mod keeper;
pub(crate) mod loopback;
pub(crate) mod rpc;
pub(crate) mod socket;
pub(crate) mod transcript;
pub(crate) mod wire;
