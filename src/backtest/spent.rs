//! Where the time of a flight over columns goes.
//!
//! Temperature: cold.

use std::fmt;
use std::ops::AddAssign;
use std::time::Duration;

use serde::Serialize;

/// Time by stage, summed over the threads that flew.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Spent {
    /// From the disk to the columns of a batch: read, unpacked.
    #[serde(serialize_with = "seconds")]
    pub(crate) read: Duration,
    /// From the columns to the logs of a block: addresses that nobody follows are passed over.
    #[serde(serialize_with = "seconds")]
    pub(crate) rows: Duration,
    /// Logs change the world, and plans in flight are settled.
    #[serde(serialize_with = "seconds")]
    pub(crate) world: Duration,
    /// Strategies look at what moved.
    #[serde(serialize_with = "seconds")]
    pub(crate) strategies: Duration,
    /// Risk, signatures, and what is left of a block.
    #[serde(serialize_with = "seconds")]
    pub(crate) trade: Duration,
    /// Pools read, tables of cycles built: once a segment.
    #[serde(serialize_with = "seconds")]
    pub(crate) start: Duration,
    /// From the first block to the last, by the clock on the wall: threads work beside each other.
    #[serde(serialize_with = "seconds")]
    pub(crate) wall: Duration,
    /// Blocks that this is of.
    pub(crate) blocks: u64,
    /// The most memory that the process has had, in kilobytes, where the system says so.
    pub(crate) peak_rss_kb: Option<u64>,
}

fn seconds<S: serde::Serializer>(time: &Duration, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_f64(time.as_secs_f64())
}

impl Spent {
    /// Notes the wall's time, and the memory.
    pub(super) fn end(&mut self, wall: Duration) {
        self.wall = wall;
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        self.peak_rss_kb = peak.and_then(|text| text.split_whitespace().next()?.parse().ok());
    }

    /// Every stage and its name.
    const fn stages(&self) -> [(&'static str, Duration); 6] {
        [
            ("read", self.read),
            ("rows", self.rows),
            ("world", self.world),
            ("strategies", self.strategies),
            ("trade", self.trade),
            ("start", self.start),
        ]
    }
}

/// The wall's time is not summed.
impl AddAssign for Spent {
    fn add_assign(&mut self, other: Self) {
        self.read += other.read;
        self.rows += other.rows;
        self.world += other.world;
        self.strategies += other.strategies;
        self.trade += other.trade;
        self.start += other.start;
        self.blocks += other.blocks;
    }
}

impl fmt::Display for Spent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wall = self.wall.as_secs_f64();
        let blocks = f64::from(u32::try_from(self.blocks).unwrap_or(u32::MAX));
        let rate = if wall > 0.0 { blocks / wall } else { 0.0 };
        write!(out, "{rate:.0} blocks a second;")?;
        for (place, (stage, time)) in self.stages().into_iter().enumerate() {
            let micros = time.as_secs_f64() * 1e6 / blocks.max(1.0);
            let comma = if place == 0 { "" } else { "," };
            write!(out, "{comma} {stage} {micros:.1}")?;
        }
        write!(out, " µs a block")?;
        match self.peak_rss_kb {
            Some(peak) => write!(out, "; at most {} MB of memory", peak >> 10),
            None => Ok(()),
        }
    }
}
