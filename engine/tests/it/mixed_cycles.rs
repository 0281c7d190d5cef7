//! x
//!
//! Temperature: cold.
