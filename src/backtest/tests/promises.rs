//! A recording of the real blocks, and a backtest on it: what it says of others is what really
//! happened, and it says the same each time.
//!
//! Temperature: cold.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use alloy_primitives::{Address, B256, U256};
use gannet_strategies::Standard;
use rayon::ThreadPoolBuilder;

use super::blocks::{folder, target};
use super::hunts::{GroundTruth, Told};
use super::table::leave;
use crate::backtest::forensics::Taken;
use crate::backtest::liquidations::Liquidation;
use crate::backtest::{Backtest, Delay, Job, run};
use crate::import::witness::import;

/// A recording that is gone with it.
struct Recorded(PathBuf);

impl Recorded {
    fn of(folder: &Path) -> Self {
        let out = target().join(format!("recording-{}", std::process::id()));
        // Of a test before that had the same number and was killed.
        drop(fs::remove_dir_all(&out));
        let recorded = Self(out);
        import(folder, &recorded.0).expect("the blocks become a recording");
        recorded
    }

    fn backtest(&self) -> Backtest {
        let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.toml");
        let config = fs::read_to_string(config).expect("the configuration is there");
        let (recording, set) = (&*self.0, vec![]);
        let job = Job {
            recording,
            from: 0,
            to: u64::MAX,
            config: &config,
            set,
            delay: Delay::default(),
            is_bare: false,
        };
        run::<Standard>(&job).expect("the backtest runs")
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

#[test]
fn a_backtest_says_what_really_happened_and_the_same_each_time() {
    let Some(folder) = folder() else { return };
    let truth = GroundTruth::read(&folder);
    let recorded = Recorded::of(&folder);
    let backtest = recorded.backtest();
    leave("backtest", &format!("{backtest}\n"));
    assert_eq!(backtest.differing, BTreeMap::new(), "blocks that do not run as recorded");
    arbitrages_are_those_that_happened(&truth, &backtest);
    assert_eq!(liquidations(&truth), decoded(&backtest), "the liquidations");
    assert_eq!(backtest.forensics.malformed, 0, "logs of no liquidation");

    let once_more = recorded.backtest();
    let single = ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    let alone = single.install(|| recorded.backtest());
    for other in [once_more, alone] {
        assert_eq!(other.digest, backtest.digest, "the same of the same");
        let said = [&other, &backtest].map(|said| serde_json::to_value(said).expect("JSON"));
        assert_eq!(said[0], said[1], "to the last word");
    }
}

fn arbitrages_are_those_that_happened(truth: &GroundTruth, backtest: &Backtest) {
    let (made, taken) = (truth.arbitrages(), &backtest.forensics.arbitrages);
    let happened: Vec<Told> = made.iter().map(|made| made.told()).collect();
    let told = |taken: &Taken| {
        let place = (taken.block, taken.tx_index);
        (place, taken.tx_hash, taken.pools.clone(), taken.gross_profits.clone())
    };
    assert_eq!(happened, taken.iter().map(told).collect::<Vec<Told>>(), "the arbitrages");
    for (made, taken) in made.iter().zip(taken) {
        let Taken { seen, executed, our_profit, .. } = *taken;
        if made.has_full_prestate {
            let gross = made.gross_profit.get(&taken.our_profit_token).copied();
            assert_eq!((seen, executed), (Some(true), true), "{taken:?}");
            assert!(gross.is_some() && our_profit >= gross, "{taken:?}");
        } else {
            assert!(seen == Some(true) || taken.why_not.is_some(), "{taken:?}");
            assert!(!executed, "{taken:?}");
        }
    }
}

/// What a liquidation's log says: where it stands, whose it is, the assets (the debt's where it is
/// named), the amounts, and the accounts.
type Said =
    ((u64, u32, u32), B256, (String, Address), [Option<Address>; 2], [U256; 2], [Address; 2]);

fn liquidations(truth: &GroundTruth) -> Vec<Said> {
    let mut said: Vec<Said> = vec![];
    for item in &truth.liquidations {
        said.push((
            (item.block_number, item.tx_index, item.log_index),
            item.transaction_hash,
            (item.protocol.clone(), item.contract),
            [item.debt_asset, Some(item.collateral_asset)],
            [item.debt_to_cover, item.liquidated_collateral].map(U256::from),
            [item.user, item.liquidator],
        ));
    }
    said.sort();
    said
}

fn decoded(backtest: &Backtest) -> Vec<Said> {
    let said = |found: &Liquidation| {
        // Its log does not name it: what is said of it is found elsewhere.
        let is_named = found.protocol.name() != "compound_v2_like";
        (
            (found.block, found.tx_index, found.log_index),
            found.tx_hash,
            (found.protocol.name().to_owned(), found.contract),
            [found.debt_asset.filter(|_asset| is_named), found.collateral_asset],
            [found.debt_amount, found.collateral_amount],
            [found.user, found.liquidator],
        )
    };
    let mut said: Vec<Said> = backtest.forensics.liquidations.iter().map(said).collect();
    said.sort();
    said
}
