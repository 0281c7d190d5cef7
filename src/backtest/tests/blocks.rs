//! The real blocks, as an import reads them, without a recording between.
//!
//! Temperature: cold.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use alloy_primitives::{B256, Bytes};

use crate::evm::{Fork, Replay, Scene};
use crate::import::witness::{codes, files_in, read};
use crate::recording::RecordedBlock;
use crate::recording::rows::LogRow;

/// The folder of real blocks; `None` on a machine that lacks it, which CI may not.
pub(super) fn folder() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let folder = std::env::var_os("GANNET_DATA").map_or_else(beside, PathBuf::from);
    if folder.join("witness").is_dir() {
        return Some(folder);
    }
    assert!(std::env::var_os("CI").is_none(), "{} must be there in CI", folder.display());
    println!("skipped: there are no blocks in {}", folder.display());
    None
}

/// The build's own folder, where tests leave what they have seen.
pub(super) fn target() -> PathBuf {
    let program = std::env::current_exe().expect("a program has a path");
    // `target/<profile>/deps/program`.
    program.ancestors().nth(3).expect("the program is in a target folder").join("test")
}

/// Visits every block whose state is known, in order of height, as long as `visit` says so.
fn each_while(folder: &Path, mut visit: impl FnMut(&Scene<'_>) -> bool) {
    static CODES: OnceLock<BTreeMap<B256, Bytes>> = OnceLock::new();
    let folder = folder.join("witness");
    let codes = CODES.get_or_init(|| codes(&folder, |_all| true).expect("contracts' code"));
    let files = files_in(&folder).expect("the folder of blocks is readable");
    assert!(!files.is_empty(), "{} holds no block", folder.display());
    for file in files.values() {
        let block = read(file).unwrap_or_else(|error| panic!("{}: {error:#}", file.display()));
        let scene = Scene::new(&block, codes);
        let scene = scene.unwrap_or_else(|| panic!("{} has no state", file.display()));
        if !visit(&scene) {
            break;
        }
    }
}

/// Visits every block whose state is known, in order of height.
pub(super) fn each_scene(folder: &Path, mut visit: impl FnMut(&Scene<'_>)) {
    each_while(folder, |scene| {
        visit(scene);
        true
    });
}

/// A fork of the first block, before it.
pub(super) fn on_first_block(mut check: impl FnMut(Fork<'_>)) {
    let Some(folder) = folder() else { return };
    each_while(&folder, |scene| {
        check(run_to(scene, 0).fork());
        false
    });
}

/// Visits every block whose logs are known, after it was run once: what it reads is known then.
pub(super) fn each_block(folder: &Path, mut visit: impl FnMut(&Scene<'_>)) {
    each_scene(folder, |scene| {
        run_to(scene, scene.block.transactions.len());
        if scene.block.header.logs_complete == Some(true) {
            visit(scene);
        } else {
            let number = scene.block.number();
            println!("{number} is left out: its logs are not those of its header");
        }
    });
}

/// A block before its transaction number `tx`.
pub(super) fn run_to<'r>(scene: &'r Scene<'r>, tx: usize) -> Replay<'r> {
    let mut replay = Replay::new(scene).expect("the protocol's own calls run");
    let run = replay.run_to(tx);
    run.unwrap_or_else(|error| panic!("{} runs: {error}", scene.block.number()));
    replay
}

/// The logs of transaction number `tx`.
pub(super) fn logs_of(block: &RecordedBlock, tx: usize) -> impl Iterator<Item = &LogRow> {
    block.logs.iter().filter(move |log| log.transaction_index as usize == tx)
}
