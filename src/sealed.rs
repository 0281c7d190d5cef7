//! Files of our own: what kind of which version, a checksum, and a body that is believed only as
//! long as both are right.
//!
//! Temperature: cold.

use std::fs::{self, File};
use std::hash::{BuildHasher as _, RandomState};
use std::io::Write as _;
use std::path::Path;

use alloy_primitives::keccak256;
use anyhow::{Context as _, Result, ensure};

/// Bytes that name a kind of file and the version of its format.
pub(crate) type Magic = [u8; 16];

/// The body of a file.
///
/// # Errors
/// When it is of another kind or version, or not whole.
pub(crate) fn open<'b>(magic: &Magic, bytes: &'b [u8]) -> Result<&'b [u8]> {
    let rest = bytes.strip_prefix(magic).context("it is of another version")?;
    let (sum, body) = rest.split_first_chunk::<32>().context("it is cut short")?;
    ensure!(keccak256(body) == *sum, "its checksum is wrong");
    Ok(body)
}

/// Writes a file, in the place of what was there: whoever reads it finds the one or the other.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write(path: &Path, magic: &Magic, body: &[u8]) -> Result<()> {
    // Written beside and renamed: nobody ever finds half of it. Others may do the same.
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{:016x}", RandomState::new().hash_one(std::process::id())));
    let beside = path.with_file_name(name);
    let put = || {
        let mut file = File::create_new(&beside)?;
        file.write_all(magic)?;
        file.write_all(keccak256(body).as_slice())?;
        file.write_all(body)?;
        fs::rename(&beside, path)
    };
    let put = put();
    if put.is_err() {
        // It may not even be there.
        drop(fs::remove_file(&beside));
    }
    put.with_context(|| format!("writing {}", path.display()))
}
