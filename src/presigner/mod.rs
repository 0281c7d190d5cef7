//! Presignatures for the hot thread: made on a cold one, used once, never kept for long.
//!
//! ```text
//! cold thread: make ─► slab of 63 ─► ring ─► hot thread: take one for each submission
//!           ▲                                     │
//!           └─────────── empty, or old ◄──────────┘
//! ```
//!
//! What is given away, and to whom. A presignature holds the inverse of a nonce: who reads it and
//! later sees the signature that it became has the wallet's key; who makes two signatures of it
//! gives the key to everybody.
//!
//! - *Used twice by this program*: it is moved, never copied; its slot is wiped as it is taken.
//! - *A weak random generator*: nonces are drawn from keys, randomness, time and a counter at once.
//! - *A crash, a core dump*: nothing is kept in files; slabs are kept out of dumps and of swap.
//! - *A forked child*: the system wipes slabs there; wiped, they are empty.
//! - *A copy of the machine* (a snapshot that is restored, a migration): slabs live 30 s, and none
//!   outlives a step between the wall and the monotonic clock.
//!
//! The last one is a net with a hole: two copies that go on within 0.2 s of one state, with clocks
//! that say nothing, would both use what they hold. Whoever takes snapshots of running machines
//! sets `runtime.presignatures = 0`: each signature is then made as a whole, by RFC 6979, 40 µs
//! later. So it is too whenever there is no presignature to be had.
//!
//! Temperature: warm.

mod slab;

use std::fmt;
use std::hint::black_box;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, park, park_timeout};
use std::time::Duration;

use anyhow::{Context, Result};
use gannet_engine::sign::WalletKey;
use gannet_engine::sign::presign::{Maker, Presignature};
use rtrb::{Consumer, Producer, RingBuffer};
use serde::Serialize;

use self::slab::{Moment, SLOTS, Slab};

/// A slab that could not be filled is tried again after this.
const PAUSE: Duration = Duration::from_millis(50);

/// What became of presignatures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PresignCounts {
    /// Submissions signed with one.
    pub used: u64,
    /// Submissions signed without, because there was none.
    pub missed: u64,
    /// Slabs thrown away because the clocks had moved apart, or nobody had replaced them in time.
    pub discarded: u64,
    /// The fewest that were ready when one was wanted.
    pub fewest: u64,
}

impl fmt::Display for PresignCounts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { used, missed, fewest, .. } = self;
        write!(out, "{used} half made ahead, {missed} made as a whole")?;
        if used + missed > 0 {
            write!(out, "; at least {fewest} were ready")?;
        }
        Ok(())
    }
}

/// The hot thread's end.
#[derive(Debug)]
pub(crate) struct Presigner {
    current: Option<Slab>,
    full: Consumer<Slab>,
    spent: Producer<Slab>,
    /// A slab was given back or taken, and nobody has been woken to fill one: that is a call of the
    /// system, and no signature should wait for it.
    owes_wake: bool,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    counts: PresignCounts,
}

impl Presigner {
    /// Starts the thread that keeps at least `depth` presignatures ready; none if that is 0.
    ///
    /// # Errors
    /// When the system does not keep their memory in this process.
    #[cold]
    pub(crate) fn start(keys: &[WalletKey], depth: usize) -> Result<Self> {
        let slabs = depth.div_ceil(SLOTS);
        let (mut outgoing, full) = RingBuffer::new(slabs.max(1));
        let (spent, incoming) = RingBuffer::new(slabs.max(1) + 1);
        let is_over = Arc::new(AtomicBool::new(false));
        let mut maker = Maker::new(keys);
        // One more than the ring holds, which the hot thread takes from.
        let all: Vec<Slab> = match slabs {
            0 => Vec::new(),
            count => (0..=count).map(|_| Slab::new()).collect::<Result<_>>()?,
        };
        let mut empty = all;
        let over = Arc::clone(&is_over);
        let work = move || refill(&mut maker, &mut empty, (incoming, &mut outgoing), &over);
        let thread = match slabs {
            0 => None,
            _ => {
                let named = std::thread::Builder::new().name("gannet-presign".to_owned());
                Some(named.spawn(work).context("starting the thread that makes presignatures")?)
            }
        };
        let counts = PresignCounts { fewest: u64::MAX, ..PresignCounts::default() };
        Ok(Self { current: None, full, spent, owes_wake: false, is_over, thread, counts })
    }

    /// One presignature, if there is one that may be used.
    pub(crate) fn take(&mut self) -> Option<Presignature> {
        self.thread.as_ref()?;
        let now = Moment::now();
        let taken = self.take_at(now);
        self.counts.used += u64::from(taken.is_some());
        self.counts.missed += u64::from(taken.is_none());
        taken
    }

    /// Looks at where the next one is, so that it is in the caches; it stays there.
    pub(crate) fn rehearse(&self) {
        let now = Moment::now();
        if let Some(slab) = self.current.as_ref().filter(|slab| slab.is_good(now)) {
            black_box(slab.is_next_full());
        }
    }

    fn take_at(&mut self, now: Moment) -> Option<Presignature> {
        let ready = self.current.as_ref().map_or(0, Slab::left) + self.full.slots() * SLOTS;
        self.counts.fewest = self.counts.fewest.min(u64::try_from(ready).unwrap_or(u64::MAX));
        loop {
            if let Some(slab) = self.current.as_mut().filter(|slab| slab.is_good(now))
                && let Some(taken) = slab.take()
            {
                return Some(taken);
            }
            self.turn_over(now);
            self.current.as_ref()?;
        }
    }

    /// Gives an old slab back before anybody waits for what is in it, and has others filled. One at
    /// a time: the next ones are about as old, so all that is to be ready is ready again before
    /// another one goes.
    pub(crate) fn renew(&mut self) {
        self.renew_at(Moment::now());
    }

    fn renew_at(&mut self, now: Moment) {
        let ready = self.full.slots();
        let may_go = match &self.current {
            Some(slab) => !slab.is_fresh(now) && ready == self.full.buffer().capacity(),
            None => ready > 0,
        };
        if may_go {
            self.turn_over(now);
        }
        self.wake();
    }

    fn wake(&mut self) {
        if mem::take(&mut self.owes_wake)
            && let Some(thread) = &self.thread
        {
            thread.thread().unpark();
        }
    }

    /// The next slab, in the place of this one.
    fn turn_over(&mut self, now: Moment) {
        if let Some(slab) = self.current.take() {
            self.counts.discarded += u64::from(slab.left() > 0 && !slab.is_good(now));
            // There is room for each; were there none, it would be wiped here.
            drop(self.spent.push(slab));
        }
        self.current = self.full.pop().ok();
        self.owes_wake = true;
    }

    pub(crate) fn counts(&self) -> Option<PresignCounts> {
        self.thread.as_ref()?;
        let fewest = Some(self.counts.fewest).filter(|fewest| *fewest < u64::MAX);
        Some(PresignCounts { fewest: fewest.unwrap_or_default(), ..self.counts })
    }
}

impl Drop for Presigner {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // Its secrets are wiped when it ends.
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!("the thread that makes presignatures had panicked");
            }
        }
    }
}

/// Fills what is empty, until it is over.
#[cold]
fn refill(
    maker: &mut Maker,
    empty: &mut Vec<Slab>,
    (mut incoming, outgoing): (Consumer<Slab>, &mut Producer<Slab>),
    is_over: &AtomicBool,
) {
    let mut is_failing = false;
    while !is_over.load(Ordering::Relaxed) {
        while let Ok(slab) = incoming.pop() {
            empty.push(slab);
        }
        if outgoing.slots() == 0 || empty.is_empty() {
            park();
            continue;
        }
        let Some(mut slab) = empty.pop() else { continue };
        match slab.fill(maker) {
            Ok(()) => drop(outgoing.push(slab)),
            Err(error) => {
                if !is_failing {
                    let error = format!("{error:#}");
                    tracing::warn!(error, "no presignatures are made: signing takes longer");
                }
                is_failing = true;
                empty.push(slab);
                park_timeout(PAUSE);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use alloy_primitives::B256;

    use super::*;

    fn key() -> WalletKey {
        WalletKey::new(&[7; 32]).unwrap()
    }

    fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
        let start = Instant::now();
        while !is_so() {
            assert!(start.elapsed() < Duration::from_secs(60), "waited in vain for {what}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits until so many slabs are ready, and has those filled that were given back.
    fn wait_for_slabs(presigner: &mut Presigner, count: usize) {
        wait("slabs", || {
            presigner.wake();
            presigner.full.slots() >= count
        });
    }

    #[test]
    fn what_was_used_is_made_anew_and_no_nonce_comes_twice() {
        let mut presigner = Presigner::start(&[key()], 2 * SLOTS).unwrap();
        let mut seen = Vec::new();
        for _ in 0..20 {
            wait_for_slabs(&mut presigner, 1);
            while let Some(taken) = presigner.take() {
                let signature = taken.finish(&key(), &B256::ZERO).unwrap();
                seen.push(signature.r);
            }
        }
        let counts = presigner.counts().unwrap();
        assert_eq!((counts.used, counts.missed), (seen.len() as u64, 20));
        assert_eq!(counts.fewest, 0, "it was emptied");
        let made = seen.len();
        assert!(made >= 20 * SLOTS);
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), made);
    }

    #[test]
    fn a_clock_that_steps_discards_all_that_was_ready() {
        let mut presigner = Presigner::start(&[key()], SLOTS).unwrap();
        wait_for_slabs(&mut presigner, 1);
        assert!(presigner.take().is_some());
        wait_for_slabs(&mut presigner, 1);
        let now = Moment::now();
        let stepped = Moment { wall: now.wall + Duration::from_secs(5), ..now };
        assert!(presigner.take_at(stepped).is_none(), "two slabs, and none of them holds");
        assert_eq!(presigner.counts().unwrap().discarded, 2);
        wait("fresh presignatures", || {
            presigner.wake();
            presigner.take().is_some()
        });
    }

    #[test]
    fn what_grows_old_is_replaced_before_anybody_waits_for_it() {
        let mut presigner = Presigner::start(&[key()], SLOTS).unwrap();
        wait_for_slabs(&mut presigner, 1);
        presigner.renew();
        assert_eq!(presigner.current.as_ref().map(Slab::left), Some(SLOTS));
        assert!(presigner.take().is_some());
        wait_for_slabs(&mut presigner, 1);
        presigner.renew();
        assert_eq!(presigner.current.as_ref().map(Slab::left), Some(SLOTS - 1), "it is fresh");
    }

    #[test]
    fn slabs_that_grow_old_together_go_one_by_one_and_enough_stays_ready() {
        const SLABS: usize = 4;
        let mut presigner = Presigner::start(&[key()], SLABS * SLOTS).unwrap();
        wait_for_slabs(&mut presigner, SLABS);
        presigner.renew();
        wait_for_slabs(&mut presigner, SLABS);
        let now = Moment::now();
        let age = Duration::from_secs(20);
        let later = Moment { monotonic: now.monotonic + age, wall: now.wall + age };
        let mut given_back = 0;
        wait("all of them to be replaced", || {
            let before = presigner.full.slots();
            presigner.renew_at(later);
            let after = presigner.full.slots();
            given_back += usize::from(before == SLABS && after < SLABS);
            let current = presigner.current.as_ref().map_or(0, Slab::left);
            assert!(current + after * SLOTS >= SLABS * SLOTS, "{current} and {after} slabs");
            given_back > SLABS
        });
        assert_eq!(presigner.counts().unwrap().discarded, 0);
    }

    #[test]
    fn a_presigner_that_is_off_has_nothing_and_counts_nothing() {
        let mut presigner = Presigner::start(&[key()], 0).unwrap();
        assert!(presigner.take().is_none());
        presigner.renew();
        assert_eq!(presigner.counts(), None);
    }
}
