//! A page of presignatures, in memory that stays with this process.
//!
//! It is wiped in a child that is forked, kept out of core dumps and out of swap. Read as
//! presignatures, wiped memory is empty.
//!
//! Temperature: warm.

use std::fmt;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use gannet_engine::sign::presign::{Maker, Presignature, SLOT_BYTES};
use memmap2::{Advice, MmapMut};
use rustix::mm::{Advice as Advised, madvise};
use rustix::rand::{GetRandomFlags, getrandom};
use zeroize::{Zeroize, Zeroizing};

/// The smallest page of any system.
const SLAB_BYTES: usize = 4_096;
/// Presignatures that a slab holds.
pub(super) const SLOTS: usize = SLAB_BYTES / SLOT_BYTES;
/// Presignatures that are older are thrown away: a copy of the process that was made before holds
/// nothing that is still in use.
const LIFETIME: Duration = Duration::from_secs(30);
/// Older ones are replaced while nobody waits for them.
const FRESH: Duration = Duration::from_secs(15);
/// How far the two clocks may have moved apart: a step of the wall clock, or a stop of this machine
/// from which it, or a copy of it, went on.
const DRIFT: Duration = Duration::from_millis(200);

/// A time by both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) monotonic: Instant,
    pub(super) wall: SystemTime,
}

impl Moment {
    pub(super) fn now() -> Self {
        Self { monotonic: Instant::now(), wall: SystemTime::now() }
    }
}

/// Presignatures that were made at one time.
pub(super) struct Slab {
    memory: MmapMut,
    /// Slots before this one are empty.
    next: usize,
    made: Moment,
}

impl fmt::Debug for Slab {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Slab({} left)", self.left())
    }
}

impl Drop for Slab {
    fn drop(&mut self) {
        self.wipe();
    }
}

impl Slab {
    /// An empty one.
    ///
    /// # Errors
    /// When the system does not keep its memory in this process.
    #[cold]
    pub(super) fn new() -> Result<Self> {
        let mut memory = MmapMut::map_anon(SLAB_BYTES).context("taking memory")?;
        memory.lock().context("keeping memory out of swap: raise the limit (ulimit -l)")?;
        memory.advise(Advice::DontDump).context("keeping memory out of core dumps")?;
        wipe_on_fork(&mut memory).context("keeping memory from forked children")?;
        Ok(Self { memory, next: SLOTS, made: Moment::now() })
    }

    /// How many presignatures there are.
    pub(super) const fn left(&self) -> usize {
        SLOTS - self.next
    }

    /// Whether what it holds may be used at this time.
    pub(super) fn is_good(&self, now: Moment) -> bool {
        self.is_younger(now, LIFETIME)
    }

    /// Whether it need not be replaced yet.
    pub(super) fn is_fresh(&self, now: Moment) -> bool {
        self.is_younger(now, FRESH)
    }

    fn is_younger(&self, now: Moment, limit: Duration) -> bool {
        let age = now.monotonic.saturating_duration_since(self.made.monotonic);
        // An error says that the wall clock was set back.
        let by_wall = now.wall.duration_since(self.made.wall);
        by_wall.is_ok_and(|by_wall| by_wall.abs_diff(age) <= DRIFT) && age <= limit
    }

    /// Moves the next one out.
    pub(super) fn take(&mut self) -> Option<Presignature> {
        let slot = self.memory.get_mut(self.next * SLOT_BYTES..)?.first_chunk_mut()?;
        self.next = (self.next + 1).min(SLOTS);
        Presignature::take(slot)
    }

    /// Whether the next one is there.
    pub(super) fn is_next_full(&self) -> bool {
        self.memory.get(self.next * SLOT_BYTES).is_some_and(|first| *first != 0)
    }

    /// Fills it anew.
    ///
    /// # Errors
    /// When the system gives no randomness.
    #[cold]
    pub(super) fn fill(&mut self, maker: &mut Maker) -> Result<()> {
        self.wipe();
        // Taken before the first is made: they are older than they say, never younger.
        self.made = Moment::now();
        let since = self.made.wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut entropy = Zeroizing::new([0; 32]);
        for slot in self.memory.as_chunks_mut().0.iter_mut().take(SLOTS) {
            let read =
                getrandom(entropy.as_mut_slice(), GetRandomFlags::empty()).context("randomness")?;
            anyhow::ensure!(read == entropy.len(), "the system gives too little randomness");
            maker.make(&entropy, since.as_nanos()).put(slot);
        }
        self.next = 0;
        Ok(())
    }

    #[cold]
    fn wipe(&mut self) {
        self.memory.zeroize();
        self.next = SLOTS;
    }
}

#[expect(unsafe_code, reason = "the one advice that no safe call gives")]
fn wipe_on_fork(memory: &mut MmapMut) -> rustix::io::Result<()> {
    // SAFETY: the range is a private anonymous mapping that `memory` owns; what this advice changes
    // is the memory of a forked child, in which nothing of this program runs on.
    unsafe { madvise(memory.as_mut_ptr().cast(), memory.len(), Advised::LinuxWipeOnFork) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::Command;
    use std::sync::Arc;

    use gannet_engine::sign::WalletKey;

    use super::*;

    fn maker() -> Maker {
        Maker::new(&[WalletKey::new(&[1; 32]).unwrap()])
    }

    fn full() -> Slab {
        let mut slab = Slab::new().unwrap();
        slab.fill(&mut maker()).unwrap();
        slab
    }

    #[test]
    fn a_slab_gives_each_presignature_once_and_keeps_no_byte_of_it() {
        let mut slab = full();
        assert_eq!(slab.left(), SLOTS);
        assert!(slab.memory.iter().any(|byte| *byte != 0));
        for left in (0..SLOTS).rev() {
            assert!(slab.take().is_some());
            assert_eq!(slab.left(), left);
        }
        assert!(slab.take().is_none() && slab.take().is_none());
        assert!(slab.memory.iter().all(|byte| *byte == 0));
    }

    #[test]
    fn a_slab_is_thrown_away_when_it_is_old_or_the_clocks_disagree() {
        let slab = full();
        let made = slab.made;
        let later = |monotonic: u64, wall: i64| {
            let step = Duration::from_millis(wall.unsigned_abs());
            Moment {
                monotonic: made.monotonic + Duration::from_millis(monotonic),
                wall: if wall < 0 { made.wall - step } else { made.wall + step },
            }
        };
        assert!(slab.is_fresh(later(0, 0)) && slab.is_good(later(30_000, 30_000)));
        assert!(!slab.is_fresh(later(15_001, 15_001)));
        assert!(!slab.is_good(later(30_001, 30_001)), "it is old");
        assert!(slab.is_good(later(1_000, 1_150)), "a clock is corrected all the time");
        assert!(!slab.is_good(later(1_000, 1_300)), "the machine was stopped, or copied");
        assert!(!slab.is_good(later(1_000, 700)));
        assert!(!slab.is_good(later(0, -1)), "the wall clock was set back");
    }

    #[test]
    fn its_memory_is_wiped_on_fork_and_kept_out_of_dumps_and_swap() {
        let slab = full();
        let start = format!("{:x}-", slab.memory.as_ptr().addr());
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let of_slab = maps.lines().skip_while(|line| !line.starts_with(&start));
        let flags = of_slab.into_iter().find_map(|line| line.strip_prefix("VmFlags:"));
        let flags: Vec<&str> = flags.expect("the mapping is listed").split_whitespace().collect();
        for wanted in ["lo", "dd", "wf"] {
            assert!(flags.contains(&wanted), "no {wanted} in {flags:?}");
        }
    }

    #[test]
    #[expect(unsafe_code, reason = "what runs in a forked child can be had no other way")]
    fn a_forked_child_finds_the_slab_empty() {
        let slab = Arc::new(full());
        let before = slab.left();
        let mut command = Command::new("true");
        let held = Arc::clone(&slab);
        let look = move || match held.memory.iter().all(|byte| *byte == 0) {
            true => Ok(()),
            false => Err(std::io::ErrorKind::InvalidData.into()),
        };
        // SAFETY: the closure only reads memory, and makes an error without a message.
        let child = unsafe { command.pre_exec(look) };
        assert!(child.status().expect("the child finds nothing").success());
        assert_eq!(slab.left(), before, "here all is as it was");
        assert!(slab.memory.iter().any(|byte| *byte != 0));
    }
}
