//! The kill switch: a file. While it is there, no bot of that chain sends anything new; what is in
//! flight is followed to its end. Whoever can make a file can stop the bots, and a restart does not
//! start them again.
//!
//! A cold thread looks for the file and listens to SIGUSR1, which makes it; the hot thread reads
//! one atomic.
//!
//! Temperature: cold.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use crate::clock::utc_now;
use crate::config::Place;

/// How often the file is looked for.
const LOOK: Duration = Duration::from_millis(200);

/// The file of a chain's kill switch.
pub(crate) fn path(place: &Place) -> PathBuf {
    place.state_dir.join(format!("{}.kill", place.chain_id))
}

/// Whether the switch stands. What cannot be looked at is taken to stand: not to trade is safe.
pub(crate) fn stands(path: &Path) -> bool {
    path.try_exists().unwrap_or(true)
}

/// Engages the switch: the file is there whole, or not at all. False if it stood already.
pub(crate) fn engage(place: &Place, by: &str) -> Result<bool> {
    let path = path(place);
    if path.try_exists().unwrap_or(false) {
        return Ok(false);
    }
    place.make()?;
    let draft = path.with_extension(format!("kill-{}", std::process::id()));
    let write = || {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        writeln!(file, "{by}, {}", utc_now())?;
        file.sync_all()?;
        std::fs::rename(&draft, &path)
    };
    write().with_context(|| format!("making the kill switch's file {}", path.display()))?;
    Ok(true)
}

/// Releases the switch; false if it did not stand.
pub(crate) fn release(place: &Place) -> Result<bool> {
    let path = path(place);
    match std::fs::remove_file(&path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).with_context(|| format!("removing {}", path.display())),
    }
}

/// The hot thread's end.
#[derive(Debug)]
pub(crate) struct Switch {
    is_on: Arc<AtomicBool>,
    is_over: Arc<AtomicBool>,
}

impl Switch {
    /// Looks at the switch, and goes on looking. From now on SIGUSR1 engages it.
    pub(crate) fn watch(place: Place) -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("starting the kill switch")?;
        let orders = {
            let _within = runtime.enter();
            signal(SignalKind::user_defined1()).context("listening to SIGUSR1")?
        };
        let is_on = Arc::new(AtomicBool::new(false));
        let is_over = Arc::new(AtomicBool::new(false));
        let path = path(&place);
        let mut guard = Guard {
            place,
            path,
            is_on: Arc::clone(&is_on),
            is_owed: false,
            is_over: Arc::clone(&is_over),
        };
        guard.look();
        std::thread::Builder::new()
            .name("gannet-switch".to_owned())
            .spawn(move || runtime.block_on(guard.work(orders)))
            .context("starting the kill switch's thread")?;
        Ok(Self { is_on, is_over })
    }

    pub(crate) fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        // It ends at its next look; nothing waits for it.
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// The cold thread's end.
struct Guard {
    place: Place,
    path: PathBuf,
    is_on: Arc<AtomicBool>,
    is_over: Arc<AtomicBool>,
    /// Whether a signal's file could not be made yet.
    is_owed: bool,
}

impl Guard {
    async fn work(mut self, mut orders: Signal) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.is_over.load(Ordering::Relaxed) {
            tokio::select! { biased;
                _ = orders.recv() => self.obey(),
                _ = looks.tick() => {}
            }
            self.look();
        }
    }

    /// SIGUSR1: the switch stands at once, and after a restart too.
    fn obey(&mut self) {
        self.is_owed = true;
        tracing::warn!("SIGUSR1 engages the kill switch");
    }

    fn look(&mut self) {
        if self.is_owed {
            // A full disk must not release it; it is tried again at every look.
            self.is_owed = engage(&self.place, "SIGUSR1").is_err();
        }
        let is_on = self.is_owed || stands(&self.path);
        let was_on = self.is_on.swap(is_on, Ordering::Relaxed);
        let file = self.path.display();
        match (was_on, is_on) {
            (false, true) => tracing::warn!(
                %file, "the kill switch stands: nothing new is sent until `gannet resume`"
            ),
            (true, false) => tracing::warn!(%file, "the kill switch is released: trading"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_switch_is_a_file_that_stands_until_it_is_removed() {
        let folder = std::env::temp_dir().join(format!("gannet-switch-{}", std::process::id()));
        let place = Place { chain_id: 7, state_dir: folder.join("state") };
        let path = path(&place);
        assert!(!stands(&path) && !release(&place).unwrap());
        assert!(engage(&place, "a test").unwrap());
        assert!(stands(&path) && !engage(&place, "a test").unwrap());
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("a test, 20"));
        let other = Place { chain_id: 8, ..place.clone() };
        assert!(!stands(&super::path(&other)), "another chain goes on");
        assert!(release(&place).unwrap() && !stands(&path));
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_switch_that_cannot_be_looked_at_stands() {
        assert!(stands(Path::new("/dev/null/7.kill")));
    }
}
