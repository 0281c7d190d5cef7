//! Every capacity of the engine, with its unit, and the relations between them.
//!
//! A full table is a counted, handled outcome, never a reallocation. Memory is taken once, from
//! these numbers, before the first frame is read.
//!
//! Temperature: cold.

/// Pools in the universe when it is chosen.
pub const POOLS_MAX: usize = 65_536;
/// Tokens in the universe.
pub const TOKENS_MAX: usize = 65_536;
/// Factories that pools come from.
pub const FACTORIES_MAX: usize = 32;
/// Routers that have a table of their own.
pub const ROUTERS_MAX: usize = 32;
/// Base tokens: what profit is kept in.
pub const BASE_TOKENS_MAX: usize = 8;
/// Nodes that feed one world.
pub const NODES_MAX: usize = 8;
/// Wallets that may sign.
pub const WALLETS_MAX: usize = 16;

/// Longest cycle that is searched, in swaps. Each hop costs a quote per size that is tried.
pub const HOPS_MAX: usize = 4;
/// Longest path of a pending swap that is decoded, in tokens.
pub const PATH_TOKENS_MAX: usize = 6;
/// Swaps of one pending transaction that are applied to the world, in all its paths together.
pub const TARGET_HOPS_MAX: usize = 12;
/// Things that one pending transaction has a router do: a path of swaps is one, a payment another.
pub const TARGET_STEPS_MAX: usize = 10;
/// Tokens of which a router's balance is followed through one pending transaction, the native one
/// and its wrapped form among them.
pub const TARGET_TOKENS_MAX: usize = 8;
/// Plans that one event may propose; the best are kept.
pub const PLANS_MAX: usize = 16;
/// Tokens with so many neighbours that the search treats them as hubs.
pub const HUBS_MAX: usize = 128;
/// Most neighbours of a token that is not a hub, as long as there is room for hubs.
pub const TAIL_DEGREE_MAX: usize = 16;
/// Paths from hub to hub, through one or two other tokens, that the search keeps up to date.
pub const PATHS_MAX: usize = 1 << 20;
/// Pools that one sealed block may touch before the rest of its list is "all of them".
pub const TOUCHED_MAX: usize = 4_096;

/// Pools that the universe may grow by: a day's new pairs on mainnet are fewer.
pub const NEW_POOLS_MAX: usize = 1 << 14;
/// Pools that it grows by at once.
pub const GROWTH_POOLS_MAX: usize = 64;
/// Pools that new tables of a search read at once, or pairs that are judged anew, so that heads and
/// replies get their turn.
pub const FILL_POOLS_MAX: usize = 64;

/// Loans that one sealed block may change before the rest of its list is "all of them".
pub const LOANS_TOUCHED_MAX: usize = 4_096;
/// Feeds that are told apart of those that one sealed block moves.
pub const FEEDS_MOVED_MAX: usize = 256;
/// Loans that stand to be liquidated and are looked at in every block.
pub const LOANS_OPEN_MAX: usize = 1_024;
/// Loans that one oracle update may strike.
pub const LOANS_STRUCK_MAX: usize = 4_096;

/// Blocks that can be played backwards.
pub const REORG_BLOCKS_MAX: usize = 64;
/// Changes to the world that can be played backwards.
pub const UNDO_ENTRIES_MAX: usize = 1 << 16;
/// Log indices of one block that are told apart (mainnet's largest known block has 10,041 logs).
pub const LOGS_PER_BLOCK_MAX: usize = 1 << 16;
/// Pending transactions remembered for deduplication.
pub const PENDING_MAX: usize = 1 << 15;
/// Pending swaps that have not landed yet and are kept, those that move most.
pub const PENDING_QUEUE_MAX: usize = 256;
/// Pending swaps that are looked at after one input, so that heads and replies get their turn.
pub const LOOKS_PER_INPUT_MAX: usize = 8;
/// Senders of pending swaps whose next nonce is remembered.
pub const SENDERS_MAX: usize = 1 << 13;
/// Senders of pending swaps that the node is asked about between two seals.
pub const SENDERS_ASKED_MAX: usize = 1_024;
/// Senders of pending swaps that are asked about again after a seal: the most valuable swaps'.
pub const SENDERS_ASKED_AGAIN_MAX: usize = 32;
/// Pending swaps of one sender that may have to land before the one that is followed.
pub const PREDECESSORS_MAX: usize = 4;

/// Submissions on their way.
pub const FLIGHTS_MAX: usize = 64;
/// Attempts to take one submission back.
pub const CANCELS_MAX: usize = 3;
/// Submissions that ended in blocks which are not final yet. Every wallet can have one in each
/// block of the longest wait for finality.
pub const SETTLED_MAX: usize = WALLETS_MAX * REORG_BLOCKS_MAX;
/// Opportunities remembered so that none is taken twice.
pub const TAKEN_MAX: usize = 1 << 14;
/// Questions to the node that one input may raise.
pub const QUERIES_MAX: usize = 512;
/// Notes to the journal that one input may raise.
pub const NOTES_MAX: usize = 256;

/// Longest raw transaction that is re-encoded, in bytes (geth's pool refuses more than 128 KiB).
pub const RAW_TX_BYTES_MAX: usize = 128 * 1_024;
/// Longest transaction of our own, in bytes.
pub const OWN_TX_BYTES_MAX: usize = 1_024;

/// Executor calldata: selector and header, in bytes.
pub const CALLDATA_HEADER_BYTES: usize = 81;
/// Executor calldata: one leg, in bytes.
pub const LEG_BYTES: usize = 45;
/// Longest executor calldata, in bytes.
pub const CALLDATA_BYTES_MAX: usize = CALLDATA_HEADER_BYTES + HOPS_MAX * LEG_BYTES;
/// A liquidation's calldata: selector, header and what is called, up to its exit, in bytes.
pub const LIQUIDATION_HEADER_BYTES: usize = 243;
/// A liquidation's calldata: an exit or an entry without its legs, in bytes.
pub const PATH_HEADER_BYTES: usize = 68;
/// Longest calldata of a liquidation, in bytes: with an exit and an entry.
pub const LIQUIDATION_BYTES_MAX: usize =
    LIQUIDATION_HEADER_BYTES + 2 * (PATH_HEADER_BYTES + HOPS_MAX * LEG_BYTES);

const _: () = assert!(NODES_MAX <= 8, "a set of nodes is a byte");
const _: () = assert!(HOPS_MAX >= 2, "a cycle has at least two swaps");
const _: () = assert!(
    OWN_TX_BYTES_MAX >= CALLDATA_BYTES_MAX + 256 && OWN_TX_BYTES_MAX >= LIQUIDATION_BYTES_MAX + 256,
    "an envelope is at most 256 bytes more than its calldata"
);
const _: () = assert!(HUBS_MAX >= BASE_TOKENS_MAX, "every base token is a hub");
const _: () = assert!(TARGET_HOPS_MAX >= PATH_TOKENS_MAX - 1, "the longest path fits");
const _: () = assert!(POOLS_MAX + NEW_POOLS_MAX <= u32::MAX as usize, "a pool id is a u32");
const _: () = assert!(LOGS_PER_BLOCK_MAX.is_multiple_of(64), "log indices are kept in a bit set");
const _: () = assert!(SENDERS_MAX.is_power_of_two(), "a sender's place is its serial's low bits");
const _: () = assert!(FLIGHTS_MAX >= WALLETS_MAX, "every wallet can have one submission in flight");
