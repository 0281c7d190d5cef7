//! The code of real contracts, where real blocks are.
//!
//! Temperature: cold.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};

use alloy::primitives::hex;
use flate2::read::MultiGzDecoder;
use serde_json::Value;

/// The folder of real blocks; `None` on a machine that lacks it, which CI may not.
pub(crate) fn folder() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let folder = std::env::var_os("GANNET_DATA").map_or_else(beside, PathBuf::from);
    if folder.join("witness").is_dir() {
        return Some(folder);
    }
    assert!(std::env::var_os("CI").is_none(), "{} must be there in CI", folder.display());
    println!("skipped: there are no blocks in {}", folder.display());
    None
}

/// The code of a contract that has these bytes (as hexadecimal digits) in it; says so if there is
/// none.
pub(crate) fn code_with(digits: &str) -> Option<Vec<u8>> {
    let path = folder()?.join("witness/codes.json.gz");
    let codes: BTreeMap<String, String> =
        serde_json::from_value(json(&path)).expect("codes by hash");
    let code = codes.values().find(|code| code.contains(digits));
    if code.is_none() {
        println!("skipped: no contract in {} has {digits}", path.display());
    }
    code.map(|code| hex::decode(code).expect("hexadecimal digits"))
}

/// The compressed JSON at a path.
pub(crate) fn json(path: &Path) -> Value {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut text = vec![];
    MultiGzDecoder::new(BufReader::new(file)).read_to_end(&mut text).expect("gzip");
    serde_json::from_slice(&text).expect("JSON")
}
