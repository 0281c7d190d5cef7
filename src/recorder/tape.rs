//! The hot thread's end of a recording: a ring of bytes that every input is copied into.
//!
//! A full ring is counted, never waited for; what follows the loss says that there was one. An
//! order that cannot be kept is such a loss, too.
//!
//! Temperature: hot.

use gannet_engine::input::{Command, Happening, Input, Source};
use rtrb::{Consumer, Producer, RingBuffer};

use super::orders;

/// Bytes on their way to the disk: some blocks of mainnet.
const RING_BYTES: usize = 1 << 26;
/// Before each input: its length, and its [`Kind`].
pub(super) const PREFIX_BYTES: usize = 5;
/// Time and sequence number.
pub(super) const STAMP_BYTES: usize = 16;

/// What an entry of a tape is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Frame,
    Truncated,
    Tick,
    Link,
    Order,
    /// Inputs were lost: how many.
    Gap,
}

impl Kind {
    pub(super) const ALL: [Self; 6] =
        [Self::Frame, Self::Truncated, Self::Tick, Self::Link, Self::Order, Self::Gap];
}

/// Takes every input.
#[derive(Debug)]
pub(crate) struct Tape {
    ring: Producer<u8>,
    /// Inputs that were not taken since the last that was.
    unsaid: u64,
    /// All that did not.
    lost: u64,
}

impl Tape {
    /// A tape, and where it is read.
    pub(super) fn new() -> (Self, Consumer<u8>) {
        let (mut ring, reader) = RingBuffer::new(RING_BYTES);
        if let Ok(mut all) = ring.write_chunk(RING_BYTES) {
            // Has the system hand over the memory now, and not while it flies.
            let (first, second) = all.as_mut_slices();
            first.fill(0);
            second.fill(0);
        }
        (Self { ring, unsaid: 0, lost: 0 }, reader)
    }

    /// Inputs that did not fit or cannot be kept.
    pub(crate) const fn lost(&self) -> u64 {
        self.lost
    }

    /// Copies an input.
    pub(crate) fn take(&mut self, input: &Input<'_>) {
        if self.unsaid > 0 {
            let lost = self.unsaid.to_le_bytes();
            if self.put(Kind::Gap, input, &[&lost]) {
                self.unsaid = 0;
            }
        }
        let is_taken = match &input.what {
            Happening::Frame { node, source, bytes, has_more } => {
                let head = [node.0, *source as u8, u8::from(*has_more)];
                self.put(Kind::Frame, input, &[&head, bytes])
            }
            Happening::Truncated { node, source } => {
                self.put(Kind::Truncated, input, &[&[node.0, *source as u8]])
            }
            Happening::Tick => self.put(Kind::Tick, input, &[]),
            Happening::Link { node, source, is_up } => {
                self.put(Kind::Link, input, &[&[node.0, *source as u8, u8::from(*is_up)]])
            }
            Happening::Command(order) => self.order(input, order),
            // Recordings give them, and none is recorded again.
            Happening::Block { .. } => false,
        };
        self.unsaid += u64::from(!is_taken);
        self.lost += u64::from(!is_taken);
    }

    /// Orders are rare, and none of them is waited for. One that cannot be kept is lost.
    #[cold]
    fn order(&mut self, input: &Input<'_>, order: &Command) -> bool {
        let bytes = orders::write(order);
        let is_put = bytes.is_some_and(|bytes| self.put(Kind::Order, input, &[&bytes]));
        // What is left out of it is lost, and told as such.
        is_put && !orders::is_partial(order)
    }

    fn put(&mut self, kind: Kind, input: &Input<'_>, parts: &[&[u8]]) -> bool {
        let body = STAMP_BYTES + parts.iter().map(|part| part.len()).sum::<usize>();
        let Ok(length) = u32::try_from(body) else { return false };
        let Ok(mut room) = self.ring.write_chunk(PREFIX_BYTES + body) else { return false };
        let (first, second) = room.as_mut_slices();
        let mut gap = Gap { first, second };
        gap.copy(&length.to_le_bytes());
        gap.copy(&[kind as u8]);
        gap.copy(&input.at.0.to_le_bytes());
        gap.copy(&input.seq.to_le_bytes());
        parts.iter().for_each(|part| gap.copy(part));
        room.commit_all();
        true
    }
}

/// Room in the ring, which may lie over its end.
struct Gap<'a> {
    first: &'a mut [u8],
    second: &'a mut [u8],
}

impl Gap<'_> {
    fn copy(&mut self, bytes: &[u8]) {
        let split = bytes.len().min(self.first.len());
        let (now, then) = bytes.split_at(split);
        let (taken, rest) = std::mem::take(&mut self.first).split_at_mut(split);
        taken.copy_from_slice(now);
        self.first = rest;
        let (taken, rest) = std::mem::take(&mut self.second).split_at_mut(then.len());
        taken.copy_from_slice(then);
        self.second = rest;
    }
}

/// A connection by the number that it is written as.
pub(super) fn source_of(number: u8) -> Option<Source> {
    Source::ALL.into_iter().find(|source| *source as u8 == number)
}
