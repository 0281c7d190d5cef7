//! Following the chain: open and sealed blocks, gaps, reorgs.
//!
//! A head opens a block. Its logs are applied as they come; the node's own list of the block's
//! logs, asked for by hash the moment the head arrives, decides what belongs to it and seals it. A
//! head whose bloom filter excludes our topic is sealed at once. A head whose parent is unknown
//! waits, and the parent is asked for. A head that forks off an earlier sealed block takes the
//! world back there.
//!
//! Temperature: warm.

mod choice;
mod seal;
mod state;

pub use self::choice::Word;
pub use self::state::{BlockRef, Follower, Included, LogFate, Progress};
use self::state::{Orphan, RETRY_NS, Sealed};
use super::{Stale, Tip, World};
use crate::decode::DecodeError;
use crate::decode::head::Head;
use crate::decode::log::Log;
use crate::ids::{NodeId, PoolId};
use crate::input::Loaded;
use crate::limits::REORG_BLOCKS_MAX;
use crate::query::{Queries, Query};
use crate::units::{BlockNumber, Nanos};
use crate::world::nodes::NodeSet;

impl World {
    /// The transactions that touched our pools, in block order, of the blocks sealed since
    /// [`World::clear_included`].
    #[must_use]
    pub fn included(&self) -> &[Included] {
        &self.follower.included
    }

    /// Whether this block is in the chain that the world follows, as far as it remembers: what is
    /// older than its oldest block is taken to be.
    #[must_use]
    pub fn holds(&self, block: &BlockRef) -> bool {
        let oldest = self.follower.sealed.first().map_or(0, |sealed| sealed.tip.number.0);
        block.number.0 < oldest || self.follower.depth_of(&block.hash).is_some()
    }

    /// Starts a new list of included transactions.
    pub fn clear_included(&mut self) {
        self.follower.included.clear();
    }

    /// Reorgs played backwards since the start, and the deepest of them in blocks.
    #[must_use]
    pub const fn reorgs(&self) -> (u64, u64) {
        (self.follower.reorgs, self.follower.reorg_depth_max)
    }

    /// Follows a head, wherever it came from (subscription or reply).
    ///
    /// # Errors
    /// When its height is not one more than its parent's; it is not believed then.
    pub fn on_head(
        &mut self,
        head: &Head,
        word: Word,
        at: Nanos,
        queries: &mut Queries,
    ) -> Result<Progress, DecodeError> {
        let node = word.node();
        let is_known = self.follower.knows(&head.hash);
        if !is_known && self.follower.denies(head) {
            return Err(DecodeError::Contradiction);
        }
        if matches!(word, Word::Announced(_)) {
            self.nodes.arrive(node, &head.hash, at);
        }
        let oldest = self.follower.sealed.first().map_or(0, |sealed| sealed.tip.number.0);
        let is_below = !is_known && head.number <= oldest;
        if is_below && (self.is_held(Some(node)) || !self.is_branch(head)) {
            return Ok(Progress::None);
        }
        let progress = if is_known {
            // It says where the node stands; but one that stands still says so for ever, and ends
            // no silence.
            self.follower.vouch(&head.hash, node, at);
            self.take_word(head, word);
            self.advance(at, queries)
        } else {
            self.follower.last_head_at = at;
            self.follower.is_silent = false;
            self.take_head(head, word, at, queries)
        };
        self.review(queries);
        Ok(progress)
    }

    fn take_word(&mut self, head: &Head, word: Word) {
        if word.is_newest() {
            let Head { number, hash, .. } = *head;
            self.seat(word.node(), BlockRef { number: BlockNumber(number), hash });
        }
    }

    /// Takes in a head that is new.
    fn take_head(&mut self, head: &Head, word: Word, at: Nanos, queries: &mut Queries) -> Progress {
        let oldest = self.follower.sealed.first().map_or(0, |sealed| sealed.tip.number.0);
        let newest = self.tip.number.plus(REORG_BLOCKS_MAX as u64).0;
        let is_full = self.follower.waiting.len() == REORG_BLOCKS_MAX;
        if head.number <= oldest || head.number > newest || is_full {
            // Deeper than the undo log, or a gap longer than we fill block by block.
            self.take_word(head, word);
            self.lose();
            return Progress::None;
        }
        self.follower.drop_false_children(head);
        let first = word.node();
        let by = NodeSet::of(first);
        self.follower.waiting.push(Orphan { head: *head, denials: 0, denied_at: at, by, first });
        self.take_word(head, word);
        let was_held = self.is_held(None);
        let progress = self.advance(at, queries);
        if was_held && self.follower.way_to(&head.hash).is_fork() {
            self.nodes.disagree(first);
        }
        // The parents of the others were asked for when they came, and time repeats it.
        if self.follower.is_waiting(&head.hash) && !self.follower.knows(&head.parent_hash) {
            queries.ask_of(first, Query::Head(head.parent_hash));
        }
        progress
    }

    /// Whether a head at or below the oldest block that we know tells of a chain that we are not
    /// on: a fork that we follow descends from it, the chain has begun anew far below, or nothing
    /// else says where it stands. Otherwise a node that lags behind says what is true, and over.
    fn is_branch(&self, head: &Head) -> bool {
        let is_parent =
            self.follower.waiting.iter().any(|child| child.head.parent_hash == head.hash);
        let is_far = BlockNumber(head.number).plus(REORG_BLOCKS_MAX as u64) < self.tip.number;
        is_parent || is_far || self.freshness.has(Stale::Silent)
    }

    /// Applies a log from the subscription, if it belongs to the open block. One of the block that
    /// was sealed last which the node's own list did not have shows that the list was wrong.
    ///
    /// # Errors
    /// When the log is not what its event says.
    pub fn on_log(&mut self, log: &Log<'_>) -> Result<LogFate, DecodeError> {
        if log.removed {
            return Ok(LogFate::Removed);
        }
        if !self.follower.is_open_block(&log.block_hash) {
            if self.follower.lacks(log) && self.hear(log)?.is_some() {
                self.lose();
            }
            return Ok(LogFate::OtherBlock);
        }
        if self.follower.has_applied(log.log_index) {
            return Ok(LogFate::Duplicate);
        }
        // Out of order would leave an older value in place; the seal puts it right.
        if self.follower.open.highest.is_some_and(|highest| log.log_index < highest) {
            return Ok(LogFate::OtherBlock);
        }
        self.apply_log(log)
    }

    fn apply_log(&mut self, log: &Log<'_>) -> Result<LogFate, DecodeError> {
        let Some(heard) = self.hear(log)? else {
            return Ok(LogFate::Foreign);
        };
        if !self.follower.first_time(log.log_index) {
            return Ok(LogFate::Duplicate);
        }
        let open = &mut self.follower.open;
        open.applied_count += 1;
        open.highest = Some(log.log_index.max(open.highest.unwrap_or(0)));
        self.apply_heard(&heard);
        Ok(LogFate::Applied)
    }

    /// The node does not know the block that a question was about, by the [`short`] of its hash.
    /// A head of its own whose parent it never knows is dropped, and the chain's own is asked for.
    ///
    /// [`short`]: crate::query::short
    pub fn on_head_unknown(&mut self, block: (NodeId, u32), at: Nanos, queries: &mut Queries) {
        let nodes = &mut self.nodes;
        if self.follower.deny(block, at, |dropped| nodes.unseat_from(dropped)) {
            self.note_gap(at);
            // What waits on the one that was dropped has no parent either now.
            self.ask_for_parents(queries);
            self.review(queries);
            queries.ask_of(block.0, Query::LatestHead);
        }
    }

    /// What time brings: repeated questions, silence.
    pub fn on_tick(&mut self, at: Nanos, silent_after_ns: u64, queries: &mut Queries) {
        if self.follower.is_open && at > self.follower.open.ask_at {
            self.ask_for_logs(at, queries);
            self.freshness.set(Stale::SealLate, true);
        }
        let follower = &mut self.follower;
        if at.since(follower.last_head_at.max(follower.silent_at)) > silent_after_ns {
            // Asked again as long as it lasts: the subscription may be what is silent.
            queries.ask_all(Query::LatestHead);
            follower.silent_at = at;
            follower.is_silent = true;
            self.freshness.set(Stale::Silent, true);
        } else if self.freshness.has(Stale::Silent) {
            self.ask_for_word(at, queries);
        }
        let gap_asked_at = self.follower.gap_asked_at;
        if self.freshness.has(Stale::Gap) && at.since(gap_asked_at) > RETRY_NS {
            self.follower.gap_asked_at = at;
            // The one that announced the child may hang.
            for (_, parent) in self.follower.unknown_parents() {
                queries.ask_all(Query::Head(*parent));
            }
            queries.ask_all(Query::LatestHead);
        }
    }

    /// Loads the world anew: `loaded` are the pools at `anchor`, in the order of handles.
    #[cold]
    pub fn reload(&mut self, anchor: &Tip, loaded: &[Loaded], queries: &mut Queries) {
        for (index, Loaded { state, ticks }) in loaded.iter().enumerate().take(self.pools.len()) {
            let pool = PoolId(u32::try_from(index).unwrap_or(u32::MAX));
            // What does not fit the tables is not traded with.
            let is_whole = self.pools.load_ticks(pool, ticks).is_ok();
            let entry = self.pools.entry_mut(pool);
            entry.version = entry.version.wrapping_add(1);
            entry.chain = *state;
            entry.is_quarantined = !is_whole;
            let overlay = entry.overlay;
            let state = state.with_overlay(self.pools.ticks(pool), overlay);
            self.pools.entry_mut(pool).state = state;
            self.touched.push(pool);
        }
        // Those that the reader did not know yet may have moved before the anchor.
        for pool in (loaded.len()..self.pools.len()).filter_map(|index| u32::try_from(index).ok()) {
            self.pools.entry_mut(PoolId(pool)).is_quarantined = true;
            self.touched.push(PoolId(pool));
        }
        // Ticks were replaced, so nothing older can be undone.
        self.undo.forget();
        self.tip = *anchor;
        self.follower.restart(*anchor, self.undo.mark());
        self.freshness.set(Stale::Lost, false);
        self.freshness.set(Stale::Gap, false);
        self.freshness.set(Stale::SealLate, false);
        // It took time to read, and heads that came meanwhile are forgotten: whether the anchor is
        // still the newest block, only a head can say.
        self.nodes.unseat_all();
        self.review(queries);
        queries.ask_all(Query::LatestHead);
    }

    /// Takes back what has been applied of a block that is open: the pools are as the last sealed
    /// block left them. For the end of a run; nothing is to be fed to the world afterwards.
    ///
    /// # Errors
    /// When that cannot be undone any more; the pools are then at no block's state.
    #[cold]
    pub fn leave_open_block(&mut self) -> Result<(), super::TooFarBack> {
        if self.follower.is_open {
            self.roll_back(self.follower.open.mark)?;
            self.follower.forget_applied();
            self.follower.is_open = false;
            self.touch_all();
        }
        Ok(())
    }

    fn progress(&self) -> Progress {
        let is_ahead = |child: &Orphan| !self.follower.way_to(&child.head.hash).is_fork();
        if self.follower.is_open || self.follower.waiting.iter().any(is_ahead) {
            Progress::CatchingUp
        } else {
            Progress::AtHead
        }
    }

    /// Opens what can be opened, until a block waits for its logs or nothing fits.
    fn advance(&mut self, at: Nanos, queries: &mut Queries) -> Progress {
        let mut has_sealed = false;
        // Each round takes one head off the list.
        for _ in 0..=REORG_BLOCKS_MAX {
            let Some((place, depth)) = self.next_waiting() else { break };
            // In order, for what was announced last counts more.
            let child = self.follower.waiting.remove(place);
            let head = &child.head;
            if self.fork_at(depth).is_err() {
                self.lose();
                return Progress::None;
            }
            self.open(&child);
            if self.may_move(head) {
                self.ask_for_logs(at, queries);
                break;
            }
            self.seal();
            has_sealed = true;
        }
        self.note_gap(at);
        if has_sealed { self.progress() } else { Progress::None }
    }

    /// Takes the world back to the sealed block `depth` blocks below the tip.
    fn fork_at(&mut self, depth: usize) -> Result<(), super::TooFarBack> {
        let is_open = self.follower.is_open;
        if depth == 0 && !is_open {
            return Ok(());
        }
        let keep = self.follower.sealed.len() - depth;
        let Some(ancestor) = self.follower.sealed[..keep].last().copied() else {
            return Err(super::TooFarBack);
        };
        self.roll_back(ancestor.mark)?;
        self.follower.sealed.truncate(keep);
        self.follower.is_open = false;
        self.tip = ancestor.tip;
        self.follower.reorgs += 1;
        let blocks = depth as u64 + u64::from(is_open);
        self.follower.reorg_depth_max = self.follower.reorg_depth_max.max(blocks);
        // Undone pools moved too: whoever keeps figures of them must look again.
        self.touch_all();
        Ok(())
    }

    fn open(&mut self, Orphan { head, by, first, .. }: &Orphan) {
        let follower = &mut self.follower;
        debug_assert!(!follower.is_open, "one block is open at a time");
        follower.forget_applied();
        follower.open.head = *head;
        follower.open.mark = self.undo.mark();
        (follower.open.by, follower.open.first, follower.open.asked) = (*by, *first, None);
        follower.open.is_doubted = false;
        follower.open.is_awaited = false;
        follower.is_open = true;
        follower.opened = follower.opened.wrapping_add(1);
    }

    fn seal(&mut self) {
        let head = self.follower.open.head;
        let tip = Tip {
            number: BlockNumber(head.number),
            hash: head.hash,
            timestamp: head.timestamp,
            next_base_fee: self.chain.next_base_fee(&head),
        };
        debug_assert!(head.parent_hash == self.tip.hash, "blocks are sealed in chain order");
        self.tip = tip;
        self.loans.age(tip.number);
        let follower = &mut self.follower;
        if follower.sealed.len() > REORG_BLOCKS_MAX {
            follower.sealed.remove(0);
        }
        follower.sealed.push(Sealed { tip, mark: self.undo.mark() });
        follower.is_open = false;
        follower.drop_left_behind(tip.number);
        self.freshness.set(Stale::SealLate, false);
    }

    fn ask_for_parents(&self, queries: &mut Queries) {
        for (node, parent) in self.follower.unknown_parents() {
            queries.ask_of(node, Query::Head(*parent));
        }
    }

    fn note_gap(&mut self, at: Nanos) {
        let has_gap = self.follower.unknown_parents().next().is_some();
        if has_gap && !self.freshness.has(Stale::Gap) {
            self.follower.gap_asked_at = at;
        }
        self.freshness.set(Stale::Gap, has_gap);
    }

    fn lose(&mut self) {
        self.follower.waiting.clear();
        self.freshness.set(Stale::Lost, true);
    }

    /// Whether a block may have an event of what we follow, by its head.
    fn may_move(&self, head: &Head) -> bool {
        self.loans.followed().topics().any(|topic| head.may_contain_topic(topic))
    }

    fn touch_all(&mut self) {
        self.loans.touch_all();
        for index in 0..self.pools.len().min(crate::limits::TOUCHED_MAX) {
            self.touched.push(PoolId(u32::try_from(index).unwrap_or(u32::MAX)));
        }
    }
}

/// Called while a block is replayed; see [`World::on_block_logs`].
pub type Visitor<'a> = dyn FnMut(&mut World, Option<Included>) + 'a;

#[cfg(test)]
mod choice_tests;
#[cfg(test)]
mod tests;
