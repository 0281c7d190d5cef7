//! The cold start from a node that answers anything: an error or a universe, never a panic.
//!
//! The bytes are the node's answers, one a line; questions are numbered from 1.
//!
//! Temperature: cold.
#![no_main]

use std::sync::LazyLock;

use gannet::Config;
use gannet::strategies::Standard;
use gannet_fuzz::json;
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

static CONFIG: LazyLock<Config<Standard>> = LazyLock::new(|| {
    Config::parse(include_str!("../../../config.toml"), &[]).expect("the example is right")
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    json::mutate(data, size, max_size, seed)
});

fuzz_target!(|data: &[u8]| {
    let Ok(world) = gannet::load_from(&*CONFIG, data) else { return };
    assert!(!world.pools.is_empty() && world.pools.len() <= CONFIG.pools_max);
    assert_eq!(world.bases.len(), CONFIG.base_tokens.len());
    for id in world.pools.ids() {
        let [first, second] = world.pools.get(*id).tokens;
        assert_ne!(first, second);
        assert!(world.pools.pools_of_pair(second, first).contains(id));
    }
});
