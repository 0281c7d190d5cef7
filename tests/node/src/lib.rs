//! A node that does what a file says: a loopback server with a model chain behind it, and every
//! fault that a feed can have.
//!
//! ```text
//! scenario file ─► script ─► play ─► node ─► model     blocks, pairs, the executor, the pool
//!                                     │  └─► faults    what is wrong at the moment
//!                                     └────► server    heads, logs, answers ─► the bot
//! ```
//!
//! Temperature: cold.

mod answer;
pub mod archive;
mod faults;
mod flood;
pub mod json;
mod judge;
pub mod lens;
pub mod model;
mod node;
mod play;
mod probe;
mod record;
pub mod script;
mod server;
pub mod subject;
mod wire;

pub use self::answer::{Refusal, answer_of, is_wanted};
pub use self::faults::{Shape, Style};
pub use self::flood::Flood;
pub use self::judge::{Account, is_equal};
pub use self::node::{FalseHead, Flaw, Node, Setup};
pub use self::play::{Bot, Failed, Player};
pub use self::record::{Record, Sent};
pub use self::script::Script;
pub use self::wire::{Kind, frame};
