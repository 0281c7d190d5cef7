//! Counts what the hot thread allocates while it works on messages: it should be nothing. What the
//! TLS library takes for its records is counted by itself, for nobody can have it do without.
//!
//! A binary that installs [`Counting`] as its global allocator has the count in its summary. The
//! watch is kept by thread, so other threads cost a count and a look at a flag.
//!
//! Temperature: warm.

use std::alloc::{GlobalAlloc, Layout};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::sync::OnceLock;

use serde::Serialize;

thread_local! {
    static IS_WATCHED: Cell<bool> = const { Cell::new(false) };
    static IS_IN_TLS: Cell<bool> = const { Cell::new(false) };
    static COUNT: Cell<u64> = const { Cell::new(0) };
    static BY_TLS: Cell<u64> = const { Cell::new(0) };
    /// All allocations of this thread: says whether they are counted at all.
    static ALL: Cell<u64> = const { Cell::new(0) };
}

/// Frames of a call site that are kept.
const FRAMES: usize = 10;
/// Where the first one came from; looked up in builds with debug assertions only.
static FIRST: OnceLock<String> = OnceLock::new();

/// An allocator that counts, in front of another one.
#[derive(Debug, Default)]
pub struct Counting<A>(A);

impl<A> Counting<A> {
    /// In front of `inner`.
    pub const fn new(inner: A) -> Self {
        Self(inner)
    }
}

#[expect(unsafe_code, reason = "an allocator is unsafe by its contract")]
// SAFETY: every call is passed on as it came; counting touches thread-local cells that need no
// memory and no destructor.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Counting<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of the same call.
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of the same call.
        unsafe { self.0.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of the same call.
        unsafe { self.0.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of the same call.
        unsafe { self.0.dealloc(block, layout) }
    }
}

#[inline]
fn count() {
    // Nothing may fail here, not even for a thread that is ending.
    let is_watched = ALL.try_with(|all| all.set(all.get().wrapping_add(1))).is_ok()
        && IS_WATCHED.try_with(Cell::get).unwrap_or_default();
    if is_watched {
        note();
    }
}

#[cold]
fn note() {
    if IS_IN_TLS.get() {
        BY_TLS.set(BY_TLS.get().saturating_add(1));
        return;
    }
    COUNT.set(COUNT.get().saturating_add(1));
    if cfg!(debug_assertions) && FIRST.get().is_none() {
        // Looking it up allocates.
        IS_WATCHED.set(false);
        FIRST.get_or_init(|| call_site(&Backtrace::force_capture()));
        IS_WATCHED.set(true);
    }
}

/// The frames above the allocator's own.
#[cold]
fn call_site(trace: &Backtrace) -> String {
    let text = trace.to_string();
    let lines: Vec<&str> = text.lines().collect();
    // The compiler's entry to the allocator, with the line that says where it is.
    let is_entry = |line: &&str| line.contains("__rust_alloc") || line.contains("__rust_realloc");
    let own = lines.iter().rposition(is_entry);
    let above = lines.iter().skip(own.map_or(0, |own| own + 2)).take(FRAMES * 2);
    above.map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

/// What is allocated meanwhile is the TLS library's.
pub(crate) fn by_tls<T>(work: impl FnOnce() -> T) -> T {
    IS_IN_TLS.set(true);
    let done = work();
    IS_IN_TLS.set(false);
    done
}

/// What tells of trouble, once, is not watched: its words take memory.
#[cold]
pub(crate) fn aside(work: impl FnOnce()) {
    let was_watched = IS_WATCHED.replace(false);
    work();
    IS_WATCHED.set(was_watched);
}

/// Watches this thread until it is dropped.
#[derive(Debug)]
pub(crate) struct Watch(());

impl Watch {
    /// Begins, if `is_on`.
    #[inline]
    pub(crate) fn begin(is_on: bool) -> Self {
        IS_WATCHED.set(is_on);
        Self(())
    }
}

impl Drop for Watch {
    #[inline]
    fn drop(&mut self) {
        IS_WATCHED.set(false);
    }
}

/// What was allocated by a thread while it was watched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HotAllocations {
    /// How often.
    pub count: u64,
    /// How often by the TLS library, which is not part of `count`.
    pub by_tls: u64,
    /// The call site of the first, where that is looked up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<&'static str>,
}

impl HotAllocations {
    /// Of this thread; `None` if nobody counts.
    #[cold]
    pub(crate) fn of_this_thread() -> Option<Self> {
        let before = ALL.get();
        drop(std::hint::black_box(Box::new(before)));
        let is_counted = ALL.get() != before;
        let first = FIRST.get().map(String::as_str);
        is_counted.then(|| Self { count: COUNT.get(), by_tls: BY_TLS.get(), first })
    }
}

#[cfg(test)]
mod tests {
    use std::alloc::System;
    use std::hint::black_box;

    use super::*;

    #[global_allocator]
    static COUNTED: Counting<System> = Counting::new(System);

    fn allocate() {
        let mut list: Vec<u64> = black_box(Vec::with_capacity(4));
        list.reserve_exact(black_box(8));
        drop(black_box(vec![0_u64; black_box(4)]));
        drop(black_box(list));
    }

    #[test]
    fn only_what_is_allocated_under_watch_is_counted_and_its_call_site_told() {
        let count = || HotAllocations::of_this_thread().unwrap().count;
        allocate();
        assert_eq!(count(), 0);
        let watch = Watch::begin(false);
        allocate();
        drop(watch);
        assert_eq!(count(), 0, "the watch was off");
        let watch = Watch::begin(true);
        allocate();
        drop(watch);
        assert_eq!(count(), 3, "taken, moved, taken with zeros");
        allocate();
        assert_eq!(count(), 3);
        let first = HotAllocations::of_this_thread().unwrap().first.unwrap();
        assert!(first.contains("at ./src/allocation.rs"), "{first}");
        let watch = Watch::begin(true);
        by_tls(allocate);
        aside(allocate);
        drop(watch);
        let now = HotAllocations::of_this_thread().unwrap();
        assert_eq!((now.count, now.by_tls), (3, 3));
    }
}
