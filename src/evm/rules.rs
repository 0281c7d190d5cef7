//! Which rules a block of Ethereum's runs under.
//!
//! Temperature: cold.

use revm::primitives::hardfork::SpecId;

use crate::recording::rows::BlockRow;

/// The rules that transactions of ours run under, whatever the block's are.
pub(crate) const NEWEST: SpecId = SpecId::OSAKA;

/// Mainnet's rules by the height from which they hold.
const BY_HEIGHT: [(u64, SpecId); 9] = [
    (15_537_394, SpecId::MERGE),
    (12_965_000, SpecId::LONDON),
    (12_244_000, SpecId::BERLIN),
    (9_069_000, SpecId::ISTANBUL),
    (7_280_000, SpecId::PETERSBURG),
    (4_370_000, SpecId::BYZANTIUM),
    (2_675_000, SpecId::SPURIOUS_DRAGON),
    (2_463_000, SpecId::TANGERINE),
    (1_150_000, SpecId::HOMESTEAD),
];
/// Mainnet's rules by the timestamp from which they hold, with the blob base fee's fraction, which
/// has changed between hard forks too (EIP-7892).
const BY_TIME: [(u64, SpecId, u64); 6] = [
    (1_767_747_671, SpecId::OSAKA, 11_684_671),
    (1_765_290_071, SpecId::OSAKA, 8_346_193),
    (1_764_798_551, SpecId::OSAKA, 5_007_716),
    (1_746_612_311, SpecId::PRAGUE, 5_007_716),
    (1_710_338_135, SpecId::CANCUN, 3_338_477),
    (1_681_338_455, SpecId::SHANGHAI, 3_338_477),
];
/// Mainnet.
const MAINNET: u64 = 1;

/// The rules of a block, and its blob base fee's fraction. Other chains than mainnet are taken to
/// have the newest.
pub(crate) fn rules(header: &BlockRow) -> (SpecId, u64) {
    let time = header.timestamp.unwrap_or_default().0;
    if header.chain_id != MAINNET {
        return (NEWEST, BY_TIME[0].2);
    }
    if let Some((_, spec, fraction)) = BY_TIME.iter().find(|(from, ..)| *from <= time) {
        return (*spec, *fraction);
    }
    let spec = BY_HEIGHT.iter().find(|(from, _)| *from <= header.block_number.0);
    (spec.map_or(SpecId::FRONTIER, |(_, spec)| *spec), 0)
}
