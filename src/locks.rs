//! One process a wallet: two would send two transactions with one nonce.
//!
//! The lock is the kernel's, on an open file: it is gone with the process, however that ends. What
//! is written in the file is for people only. The file itself stays, for one that is deleted and
//! made anew could be locked twice.
//!
//! Temperature: cold.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use alloy_primitives::Address;
use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::clock::utc_now;
use crate::config::Place;

/// How long a lock may be held by one that only looks (`gannet check`) or is just about to end.
const PATIENCE: Duration = Duration::from_millis(500);
const LOOK: Duration = Duration::from_millis(50);

/// Who has a wallet, by its own account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Holder {
    pub(crate) wallet: Address,
    pub(crate) pid: u32,
    since: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { wallet, pid, since } = self;
        write!(out, "wallet {wallet} is in use by process {pid} since {since}")
    }
}

/// A wallet that is this process's for as long as this lives.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes a wallet, or says who has it.
    pub(crate) fn take(place: &Place, wallet: Address) -> Result<Self> {
        place.make()?;
        let path = path(place, wallet);
        let mut tries = PATIENCE.as_millis() / LOOK.as_millis();
        loop {
            match Self::attempt(&path)? {
                Some(lock) => return Ok(lock),
                None if tries == 0 => break,
                None => tries -= 1,
            }
            sleep(LOOK);
        }
        match read(&path, wallet) {
            Some(holder) => bail!("{holder}: end it first, or give this run another wallet"),
            None => bail!("wallet {wallet} is in use by another process: {}", path.display()),
        }
    }

    fn attempt(path: &Path) -> Result<Option<Self>> {
        let shown = path.display();
        let mut file = open(path).with_context(|| format!("opening the lock {shown}"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("taking the lock {shown}"));
            }
        }
        let text = format!("{} {}\n", std::process::id(), utc_now());
        let written = file.set_len(0).and_then(|()| file.rewind());
        // The lock holds without it: a full disk takes only the name from the next one's message.
        if let Err(error) = written.and_then(|()| file.write_all(text.as_bytes())) {
            tracing::warn!(%error, "the lock {shown} cannot say whose it is");
        }
        Ok(Some(Self { _file: file }))
    }
}

/// Who has a wallet, if anybody has.
pub(crate) fn holder(place: &Place, wallet: Address) -> Result<Option<Holder>> {
    let path = path(place, wallet);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(error).with_context(|| format!("opening the lock {}", path.display()));
        }
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => Ok(Some(read(&path, wallet).unwrap_or(Holder {
            wallet,
            pid: 0,
            since: "an unknown time".to_owned(),
        }))),
        Err(TryLockError::Error(error)) => Err(error).context("looking at a lock"),
    }
}

/// Everybody who has a wallet of a chain; a lock that cannot be looked at, another user's say, is
/// told on the log.
pub(crate) fn holders(place: &Place) -> Vec<Holder> {
    let mut holders = Vec::new();
    let prefix = format!("{}-", place.chain_id);
    let Ok(files) = std::fs::read_dir(&place.state_dir) else { return holders };
    for file in files.flatten() {
        let name = file.file_name();
        let wallet = name.to_str().and_then(|name| {
            name.strip_prefix(&prefix)?.strip_suffix(".lock")?.parse::<Address>().ok()
        });
        match wallet.map(|wallet| holder(place, wallet)) {
            Some(Ok(found)) => holders.extend(found),
            Some(Err(error)) => tracing::warn!("who has a wallet cannot be told: {error:#}"),
            None => {}
        }
    }
    holders.sort_by_key(|holder| holder.wallet);
    holders
}

fn path(place: &Place, wallet: Address) -> PathBuf {
    place.state_dir.join(format!("{}-{wallet}.lock", place.chain_id))
}

fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn read(path: &Path, wallet: Address) -> Option<Holder> {
    let mut text = String::new();
    File::open(path).ok()?.take(100).read_to_string(&mut text).ok()?;
    let (pid, since) = text.trim().split_once(' ')?;
    Some(Holder { wallet, pid: pid.parse().ok()?, since: since.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wallet_is_taken_once_and_free_again_afterwards() {
        let folder = std::env::temp_dir().join(format!("gannet-locks-{}", std::process::id()));
        let place = Place { chain_id: 7, state_dir: folder.join("state") };
        let [one, other] = [1, 2].map(Address::with_last_byte);
        assert_eq!(holders(&place), []);
        let lock = Lock::take(&place, one).unwrap();
        let kept = Lock::take(&place, other).unwrap();
        let refused = format!("{:#}", Lock::take(&place, one).unwrap_err());
        assert!(refused.contains(&one.to_string()), "{refused}");
        assert!(refused.contains(&std::process::id().to_string()), "{refused}");
        // Another chain's wallet is another wallet.
        drop(Lock::take(&Place { chain_id: 8, ..place.clone() }, one).unwrap());
        assert_eq!(holders(&place).len(), 2);
        // A lock that cannot be looked at hides nobody else's.
        let unseen = path(&place, Address::ZERO);
        std::os::unix::fs::symlink(&unseen, &unseen).unwrap();
        assert_eq!(holders(&place).len(), 2);
        drop(lock);
        assert_eq!(holder(&place, one).unwrap(), None);
        let [left] = &holders(&place)[..] else { panic!("one is left") };
        assert_eq!(left.wallet, other);
        drop(Lock::take(&place, one).unwrap());
        drop(kept);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
