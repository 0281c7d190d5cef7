//! What a run read of loans at its start: whose, and all that the node said when it was asked, so
//! that they are loaded again as they were.
//!
//! Temperature: cold.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use crate::config::Lending;
use crate::feed::transcript::Transcript;
use crate::lending::Roll;
use crate::sealed::{self, Magic};

/// Beside the manifest, if the run followed any.
const FILE: &str = "loans.bin";
/// What the file begins with: its kind, and the version of its format.
const MAGIC: &Magic = b"gannet loans v2\n";

/// What a run read of loans at its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LoansRead {
    /// The protocols that it followed.
    pub(crate) lending: Lending,
    /// Whom earlier runs knew of.
    pub(crate) roll: Roll,
    /// What the node was asked of them, and what it said.
    pub(crate) transcript: Transcript,
}

impl LoansRead {
    /// Whether there are any in a recording's folder.
    pub(crate) fn is_in(folder: &Path) -> bool {
        folder.join(FILE).exists()
    }

    /// Writes it into a recording's folder.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let Self { lending, roll, transcript: Transcript { first_id, packed } } = self;
        let head = postcard::to_stdvec(&(lending, roll, first_id));
        let mut body = head.context("writing down lenders")?;
        body.extend_from_slice(packed);
        sealed::write(&folder.join(FILE), MAGIC, &body)
    }

    /// Reads it out of a recording's folder; none if the run followed no loans.
    ///
    /// # Errors
    /// When it is not whole.
    pub(crate) fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(FILE);
        if !path.exists() {
            return Ok(None);
        }
        let told = || format!("reading {}", path.display());
        let bytes = fs::read(&path).with_context(told)?;
        let body = sealed::open(MAGIC, &bytes).with_context(told)?;
        let ((lending, roll, first_id), packed) =
            postcard::take_from_bytes::<(Lending, Roll, u64)>(body).with_context(told)?;
        ensure!(first_id <= u64::from(u32::MAX), "{}: no connection counts so far", path.display());
        ensure!(lending.fits(), "{}: more lenders than any run can have", path.display());
        let transcript = Transcript { first_id, packed: packed.to_vec() };
        Ok(Some(Self { lending, roll, transcript }))
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::Address;

    use super::*;
    use crate::config::{BalancerVault, Deployment, MorphoDeployment};

    const ADDRESS: Address = Address::repeat_byte(5);

    fn deployment(place: u8) -> Deployment {
        let (name, address) = (format!("number {place}"), Address::repeat_byte(place));
        Deployment { name, address, deployed_block: u64::from(place) << 32 }
    }

    fn loans() -> LoansRead {
        let morpho =
            MorphoDeployment { deployment: deployment(3), adaptive_curve: Address::repeat_byte(4) };
        let lending = Lending {
            aave_v3: vec![deployment(1), deployment(2)],
            comet: Vec::new(),
            morpho: vec![morpho],
            balancer: vec![BalancerVault { name: "vault".to_owned(), address: ADDRESS }],
        };
        let transcript = Transcript { first_id: 7, packed: (0..=u8::MAX).collect() };
        LoansRead { lending, roll: Roll::default(), transcript }
    }

    #[test]
    fn what_is_written_is_read_again_and_nothing_that_was_changed() {
        let folder = std::env::temp_dir().join(format!("gannet-loans-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        assert_eq!(LoansRead::read(&folder).unwrap(), None);
        assert!(!LoansRead::is_in(&folder));
        loans().write(&folder).unwrap();
        assert!(LoansRead::is_in(&folder));
        assert_eq!(LoansRead::read(&folder).unwrap(), Some(loans()));

        let path = folder.join(FILE);
        let whole = fs::read(&path).unwrap();
        let refuses = |bytes: &[u8], why: &str| {
            fs::write(&path, bytes).unwrap();
            let error = format!("{:#}", LoansRead::read(&folder).unwrap_err());
            assert!(error.contains(path.to_str().unwrap()) && error.contains(why), "{error}");
        };
        refuses(b"", "another version");
        refuses(&whole[..MAGIC.len() + 31], "cut short");
        refuses(&whole[..whole.len() - 1], "checksum");
        for place in 0..whole.len() {
            let mut changed = whole.clone();
            changed[place] ^= 1;
            refuses(&changed, "");
        }
        let mut many = loans();
        many.lending.comet = vec![deployment(9); 33];
        many.write(&folder).unwrap();
        refuses(&fs::read(&path).unwrap(), "more lenders");
        fs::remove_dir_all(&folder).unwrap();
    }
}
