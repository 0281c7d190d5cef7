//! The state's file as memory: what is put there is the file's at once, for every process that
//! reads it later, and costs no call of the system.
//!
//! After the system has put a page on the disk, the first change to it faults, which takes longer
//! than the whole rest of a submission, and most while the disk is at work. So every record has a
//! page of its own, only pages of records that stand are put on the disk when it is asked to
//! ([`Memory::save`]), and those of the next ones are made ready again and again
//! ([`Memory::ready`]): both by a cold thread.
//!
//! Memory does not say when the disk takes no more. The cold thread asks, by a write and by what
//! making pages ready comes to; as long as the answer is no, nothing is put, and plain writes tell.
//!
//! Invariants: nobody holds a reference into the file, so that others may change it. Whoever cuts
//! it shorter while it is mapped, and a disk that is gone before the next look of the cold thread,
//! ends the process (`SIGBUS`): nothing has been sent then that is not written down.
//!
//! Temperature: warm.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use gannet_engine::limits::WALLETS_MAX;
use memmap2::{Advice, MmapRaw};
use rustix::io::Errno;

use super::{FILE_BYTES, PLACE_BYTES, PLACES, PLACES_AT};

/// Places whose pages are made ready at a time: a record for each wallet, twice. More are seldom
/// written until the next time, for a wallet has one submission on its way; the first write of a
/// page that is not ready is late.
const AHEAD: usize = 2 * WALLETS_MAX;
/// What a processor reads at a time.
const LINE_BYTES: usize = 64;
const BITS: usize = u64::BITS as usize;

/// The mapped file, and what the hot thread says of it.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Where the file system has shared memory.
    map: Option<MmapRaw>,
    /// Where the next record will be.
    next: AtomicUsize,
    /// Places that were written and not put on the disk, a bit each.
    written: [AtomicU64; PLACES.div_ceil(BITS)],
    /// Whether the same holds of what stands before the places.
    has_books: AtomicBool,
    /// Whether a plain write was refused.
    is_full: AtomicBool,
    /// Whether the pages of the next records could not be made ready.
    is_gone: AtomicBool,
}

impl Memory {
    /// Maps a file of the whole size; the next record will be at `next`.
    ///
    /// # Errors
    /// When its file system has no shared memory.
    #[cold]
    pub(super) fn of(file: &File, next: usize) -> io::Result<Self> {
        let map = MmapRaw::map_raw(file)?;
        if map.len() != FILE_BYTES {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Self { map: Some(map), next: AtomicUsize::new(next), ..Self::default() })
    }

    /// Puts bytes at a place of the file; false if they cannot be put there.
    #[expect(unsafe_code, reason = "a shared file can be written by its address only")]
    pub(super) fn put(&self, at: usize, bytes: &[u8]) -> bool {
        let Some(there) = self.place(at, bytes.len()) else { return false };
        // SAFETY: so many bytes from there on are mapped and writable, and what is borrowed from
        // elsewhere does not overlap them.
        unsafe { there.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        true
    }

    /// Looks at so many bytes of the file, so that they are in the caches; what it saw means
    /// nothing.
    #[expect(unsafe_code, reason = "a shared file can be read by its address only")]
    pub(super) fn look(&self, at: usize, length: usize) -> u8 {
        let Some(there) = self.place(at, length) else { return 0 };
        (0..length).step_by(LINE_BYTES).fold(0, |seen, offset| {
            // SAFETY: so many bytes from there on are mapped.
            seen ^ unsafe { there.wrapping_add(offset).read_volatile() }
        })
    }

    /// Where so many bytes at a place of the file are mapped, if the disk takes them.
    fn place(&self, at: usize, length: usize) -> Option<*mut u8> {
        if self.is_full.load(Ordering::Relaxed) || self.is_gone.load(Ordering::Relaxed) {
            return None;
        }
        let map = self.map.as_ref()?;
        let is_inside = at.checked_add(length)? <= map.len();
        is_inside.then(|| map.as_mut_ptr().wrapping_add(at))
    }

    /// A record was written at `place`; the next one will be at `next`.
    pub(super) fn note(&self, place: usize, next: usize) {
        self.note_place(place);
        self.next.store(next, Ordering::Relaxed);
    }

    /// The books were written.
    pub(super) fn note_books(&self) {
        self.has_books.store(true, Ordering::Release);
    }

    /// Puts on the disk what was written since the last time; how many parts of the file that were.
    /// What the disk refuses is tried again the next time.
    ///
    /// # Errors
    /// When it refuses one of them, or a write.
    #[cold]
    pub(super) fn save(&self, file: &File) -> io::Result<usize> {
        // Behind the last record, where nothing stands.
        let asked = file.write_all_at(&[0], FILE_BYTES as u64 - 1);
        self.is_full.store(asked.is_err(), Ordering::Relaxed);
        let parts = self.parts();
        let count = parts.len();
        let mut done = asked.map(|()| count);
        let Some(map) = &self.map else {
            if count > 0
                && let Err(error) = file.sync_data()
            {
                parts.into_iter().for_each(|part| self.note_part(part));
                done = Err(error);
            }
            return done;
        };
        for part in parts {
            if let Err(error) = map.flush_range(part.start, part.len()) {
                // The system takes these pages for saved, until they are written anew.
                drop(map.advise_range(Advice::PopulateWrite, part.start, part.len()));
                self.note_part(part);
                done = Err(error);
            }
        }
        done
    }

    /// What was written since the last time; what is side by side goes at one go.
    fn parts(&self) -> Vec<Range<usize>> {
        let mut parts = Vec::new();
        if self.has_books.swap(false, Ordering::Acquire) {
            parts.push(0..PLACES_AT);
        }
        for (word, first) in self.written.iter().zip((0..).step_by(BITS)) {
            let bits = word.swap(0, Ordering::Acquire);
            for place in (0..BITS).filter(|bit| (bits >> bit) & 1 != 0).map(|bit| first + bit) {
                let Range { start, end } = range_of(place);
                match parts.last_mut() {
                    Some(last) if last.end == start && start != PLACES_AT => last.end = end,
                    Some(_) | None => parts.push(start..end),
                }
            }
        }
        parts
    }

    /// This part is still to be put on the disk.
    fn note_part(&self, part: Range<usize>) {
        let Some(places) = part.start.checked_sub(PLACES_AT) else { return self.note_books() };
        let first = places / PLACE_BYTES;
        for place in first..first + part.len() / PLACE_BYTES {
            self.note_place(place);
        }
    }

    fn note_place(&self, place: usize) {
        if let Some(word) = self.written.get(place / BITS) {
            word.fetch_or(1 << (place % BITS), Ordering::Release);
        }
    }

    /// Makes the pages of the next records ready to be written.
    #[cold]
    pub(super) fn ready(&self) {
        let Some(map) = &self.map else { return };
        let start = self.next.load(Ordering::Relaxed).min(PLACES);
        let end = (start + AHEAD).min(PLACES);
        let is_gone = [start..end, 0..AHEAD - (end - start)].into_iter().any(|places| {
            let (at, length) = (PLACES_AT + places.start * PLACE_BYTES, places.len() * PLACE_BYTES);
            // Where the system does not know this advice, the first write of a page is late.
            let advised = map.advise_range(Advice::PopulateWrite, at, length);
            advised.is_err_and(|error| error.raw_os_error() == Some(Errno::FAULT.raw_os_error()))
        });
        self.is_gone.store(is_gone, Ordering::Relaxed);
    }
}

/// The bytes of a place.
const fn range_of(place: usize) -> Range<usize> {
    let start = PLACES_AT + place * PLACE_BYTES;
    start..start + PLACE_BYTES
}
