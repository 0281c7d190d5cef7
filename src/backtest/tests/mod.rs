//! Real blocks, with the EVM as the judge: of the EVM as it is set up here, of the engine's
//! arithmetic and world, of what the finder sees, and of what a backtest says of them.
//!
//! ```text
//! blocks ─┬─► run           does the EVM do what the chain did?
//!         ├─► follow        does the world, driven by logs, hold what the EVM holds?
//!         ├─► ranged        the same of V3's pools, as far as ticks are known; bare: without state
//!         ├─► shaped ─► swaps    do quotes bound what users took?
//!         ├─► hunts         are traders' arbitrages found, and do cycles pay?
//!         ├─► calls         did routers do what is read in users' calls?
//!         ├─► doors         are blocks in columns to the engine what they are in frames?
//!         └─► promises      does a backtest of a recording say what really happened?
//! ```
//!
//! The blocks are in `../shared/data`, or where `GANNET_DATA` says. Any others in the same formats
//! do: nothing here knows a block. Each test leaves its table in `target/test/mainnet-*.txt`.
//!
//! Temperature: cold.

mod bare;
mod blocks;
mod calls;
mod doors;
mod follow;
mod hunts;
#[path = "../../../benches/mainnet.rs"]
mod mainnet;
mod mirror;
mod promises;
mod ranged;
mod run;
mod shaped;
mod swaps;
mod table;
#[expect(dead_code, reason = "the benchmarks use all of it")]
#[path = "../../../benches/universe.rs"]
mod universe;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::path::Path;

use alloy::sol_types::SolValue as _;
use alloy_primitives::{Address, U256, hex, keccak256};
use gannet_engine::amm::Pool;
use serde_json::Value;

use self::bare::Bare;
use self::blocks::{each_block, each_scene, folder, on_first_block};
use self::follow::Followed;
use self::hunts::{
    GroundTruth, REFUSED, Survey, each_arbitrage, ends, is_left_alone, kinds_of, venues_of, verdict,
};
use self::mirror::{WETH, setting};
use self::ranged::Ranges;
use self::run::Run;
use self::shaped::{Kind, LaidOut, Layout, Probed};
use self::swaps::Swaps;
use self::table::Table;
use super::desk::balance;
use super::hunt::Hunt;
use crate::evm::{NEWEST, Place, RECIPIENT, Unknown};
use crate::import::witness::{files_in, read};
use crate::venue::Because;

fn yes(is_so: bool) -> String {
    (if is_so { "yes" } else { "NO" }).into()
}

/// Reasons with their counts, in a cell.
fn counted(reasons: &BTreeMap<impl Display, usize>) -> String {
    let counted = reasons.iter().map(|(reason, count)| format!("{count} × {reason}"));
    counted.collect::<Vec<_>>().join("; ")
}

#[test]
fn whole_blocks_run_to_the_receipts_of_their_headers() {
    let Some(folder) = folder() else { return };
    let mut table = Table::new(&[
        "block",
        "rules",
        "transactions",
        "logs",
        "root",
        "gas",
        "recorded otherwise",
        "zeros left out",
    ]);
    let mut failed = vec![];
    each_scene(&folder, |scene| {
        let number = scene.block.number();
        let run = Run::new(scene);
        if !run.is_root_right || !run.is_gas_right || !run.differing.is_empty() {
            failed.push(number);
        }
        table.row([
            number.to_string(),
            format!("{:?}", run.spec),
            scene.block.transactions.len().to_string(),
            run.log_count.to_string(),
            yes(run.is_root_right),
            yes(run.is_gas_right),
            run.differing.len().to_string(),
            scene.zeros.borrow().len().to_string(),
        ]);
    });
    table.show("run");
    assert_eq!(failed, Vec::<u64>::new(), "these blocks did not run as they did on the chain");
}

#[test]
fn pairs_driven_by_logs_hold_what_the_evm_holds_after_every_transaction() {
    let Some(folder) = folder() else { return };
    let columns =
        &["block", "exact", "unknown", "wrong", "moves", "compared", "continued", "remarks"];
    let mut table = Table::new(columns);
    let (mut wrong, mut broken) = (vec![], vec![]);
    let mut sums = [0; 3];
    let mut before = (0, BTreeMap::new());
    each_block(&folder, |scene| {
        let number = scene.block.number();
        let followed = Followed::new(scene);
        let counts = followed.counts();
        sums = std::array::from_fn(|place| sums[place] + counts[place]);
        let mut continued = String::new();
        if before.0 + 1 == number {
            let (same, other) = followed.continued(&before.1);
            continued = same.to_string();
            broken.extend(other);
        }
        let [exact, unknown, differing] = counts.map(|count| count.to_string());
        table.row([
            number.to_string(),
            exact,
            unknown,
            differing,
            followed.moves.to_string(),
            followed.compared.to_string(),
            continued,
            counted(&followed.remarks()),
        ]);
        wrong.extend(followed.wrong.into_iter().map(|pair| (number, pair)));
        before = (number, followed.end);
    });
    let [exact, unknown, differing] = sums;
    table.note(format!("exact {exact}, unknown {unknown}, wrong {differing}"));
    table.note("continued: pairs that begin as they ended the block before, where that is here");
    table.show("follow");
    assert!(exact > 0, "some pair is followed");
    assert_eq!(wrong, [], "pairs that differ from the EVM, and since which transaction");
    assert_eq!(broken, Vec::<Address>::new(), "pairs that do not begin as they ended");
}

#[test]
fn swaps_through_ranges_are_quoted_to_the_wei_and_their_pools_hold_what_the_evm_holds() {
    let Some(folder) = folder() else { return };
    let mut table = Table::new(&["block", "pools", "compared", "exact", "unknown", "wrong"]);
    let (mut wrong, mut exact) = (vec![], 0);
    each_block(&folder, |scene| {
        let ranges = Ranges::new(scene);
        exact += ranges.exact;
        table.row([
            scene.block.number().to_string(),
            ranges.pools.to_string(),
            ranges.compared.to_string(),
            ranges.exact.to_string(),
            counted(&ranges.unknown),
            ranges.wrong.len().to_string(),
        ]);
        wrong.extend(ranges.wrong.into_iter().map(|what| (scene.block.number(), what)));
    });
    table.note(format!("{exact} swaps are quoted to the wei, with the state after them"));
    table.show("ranges");
    assert!(exact > 0, "some swap is quoted");
    assert_eq!(wrong, [], "swaps that did something else than is quoted");
}

#[test]
fn swaps_follow_from_the_logs_before_them_where_nothing_else_is_known() {
    let Some(folder) = folder() else { return };
    let mut table = Table::new(&["block", "logs", "exact", "unknown", "wrong"]);
    let (mut wrong, mut exact) = (vec![], 0);
    let folders = ["mevinspect", "logs_only"].map(|name| folder.join(name));
    let folders = folders.iter().filter(|folder| folder.is_dir());
    let files = folders.flat_map(|folder| files_in(folder).expect("the folder is readable"));
    for (number, file) in files {
        let block = read(&file).unwrap_or_else(|error| panic!("{}: {error:#}", file.display()));
        let Some(bare) = Bare::new(&block) else {
            table.note(format!("{number} is left out: its logs are not those of its header"));
            continue;
        };
        exact += bare.exact.values().sum::<usize>();
        let [followed, unknown] = [counted(&bare.exact), counted(&bare.unknown)];
        let (logs, wrong_count) = (bare.logs.to_string(), bare.wrong.len().to_string());
        table.row([number.to_string(), logs, followed, unknown, wrong_count]);
        wrong.extend(bare.wrong.into_iter().map(|what| (number, what)));
    }
    table.show("bare");
    assert!(exact > 0, "some swap follows");
    assert_eq!(wrong, [], "pairs that have more than they were paid");
}

#[test]
fn traders_arbitrages_are_found_and_pay_at_least_as_much() {
    let Some(folder) = folder() else { return };
    let truth = GroundTruth::read(&folder);
    let columns = &["block", "tx", "legs", "pools", "recorded", "executed", "ratio", "verdict"];
    let mut table = Table::new(columns);
    let (mut short, mut seen) = (vec![], 0);
    each_arbitrage(&folder, |block, item, mut fork| {
        let pools = kinds_of(item, &mut fork);
        let hunt = Hunt::on_state(item, fork.clone(), &setting(block, &[]));
        let (verdict, mut is_short) = verdict(item, &hunt);
        if verdict.starts_with(REFUSED) {
            let venues = venues_of(item, &mut fork).expect("it was looked at");
            let mut tokens = venues.iter().flat_map(|venue| venue.tokens);
            let token = tokens.find(|token| verdict.contains(&token.to_string()));
            let token = token.expect("the reason names the token");
            is_short |= !is_left_alone(block, &venues, token);
        }
        if is_short {
            short.push((item.block, item.tx_index));
        }
        seen += 1;
        let recorded = item.gross_profit.get(&hunt.profit_token).copied().unwrap_or(0);
        let executed = hunt.our_profit.filter(|_profit| hunt.is_executed).unwrap_or(0);
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let ratio = executed as f64 / recorded as f64;
        table.row([
            item.block.to_string(),
            item.tx_index.to_string(),
            item.swaps.len().to_string(),
            pools,
            recorded.to_string(),
            executed.to_string(),
            format!("{ratio:.9}"),
            verdict,
        ]);
    });
    table.note(format!("Executed through the executor, with a flash loan, under {NEWEST:?}."));
    for item in truth.arbitrages().iter().filter(|item| !item.has_full_prestate) {
        let (block, tx) = (item.block_number, item.tx_index);
        table.note(format!("{block}, transaction {tx}: its block has no witness, and wants one"));
    }
    table.show("arbitrage");
    let known = truth.arbitrages().iter().filter(|item| item.has_full_prestate).count();
    assert_eq!(seen, known, "arbitrages on states that are known");
    assert_eq!(short, [], "these arbitrages paid their traders more");
}

#[test]
fn cycles_that_are_seen_pay_what_was_promised() {
    let Some(folder) = folder() else { return };
    let mut table = Table::new(&["block", "pairs", "cycles", "exact", "lossy", "unknown", "wrong"]);
    let mut wrong = vec![];
    each_block(&folder, |scene| {
        let venues = Probed::new(scene).venues();
        let pair_count = venues.len();
        let survey = Survey::new(scene, venues);
        let lossy: usize = survey.lossy.values().sum();
        let unknown: usize = survey.unknown.values().sum();
        table.row([
            scene.block.number().to_string(),
            pair_count.to_string(),
            (survey.exact + lossy + unknown + survey.wrong.len()).to_string(),
            survey.exact.to_string(),
            counted(&survey.lossy),
            counted(&survey.unknown),
            survey.wrong.len().to_string(),
        ]);
        wrong.extend(survey.wrong.into_iter().map(|found| (scene.block.number(), found)));
    });
    table.show("cycles");
    assert_eq!(wrong, [], "cycles that did not pay what was promised");
}

#[test]
fn users_took_no_more_than_is_quoted() {
    let Some(folder) = folder() else { return };
    let columns = &["block", "exact", "took less", "unknown", "wrong", "pairs by fee and layout"];
    let mut table = Table::new(columns);
    let mut wrong = vec![];
    each_block(&folder, |scene| {
        let swaps = Swaps::new(scene);
        let mut fees = BTreeMap::new();
        for (found, fee) in &swaps.pairs {
            *fees.entry(Kind(*fee, found.layout).to_string()).or_default() += 1;
        }
        table.row([
            scene.block.number().to_string(),
            swaps.exact.to_string(),
            swaps.less.to_string(),
            counted(&swaps.unknown),
            swaps.wrong.len().to_string(),
            counted(&fees),
        ]);
        wrong.extend(swaps.wrong.into_iter().map(|swap| (scene.block.number(), swap)));
    });
    table.show("swaps");
    assert_eq!(wrong, [], "swaps that took more than the engine quotes");
}

/// The creation code of a contract that is made for tests.
fn bytecode(name: &str) -> Vec<u8> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("engine/tests/sol/contracts.json");
    let text = fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let contracts: Value = serde_json::from_slice(&text).expect("artifacts are JSON");
    hex::decode(contracts[name]["bytecode"].as_str().expect("it has bytecode")).expect("digits")
}

/// Where Solidity keeps the value of an address in the mapping at `slot`.
fn mapping_slot(key: Address, slot: u64) -> U256 {
    keccak256((key, U256::from(slot)).abi_encode()).into()
}

#[test]
fn what_no_recording_tells_is_unknown_and_never_zero() {
    on_first_block(|mut fork| {
        let stranger = Address::repeat_byte(0x77);
        let unknown = |place| Because(Unknown::Place(place).to_string());
        let place = Place::Slot(WETH, mapping_slot(stranger, 3));
        assert_eq!(balance(&mut fork, WETH, stranger), Err(unknown(place)));
        // Ours are the hash of a text, so nobody ever sent them anything.
        assert_eq!(balance(&mut fork, WETH, *RECIPIENT), Ok(U256::ZERO));
        let place = Place::Account(stranger);
        assert_eq!(balance(&mut fork, stranger, stranger), Err(unknown(place)));
        let place = Place::Slot(WETH, U256::from(77));
        assert_eq!(fork.slot(WETH, U256::from(77)), Err(Unknown::Place(place)));
    });
}

#[test]
fn a_pair_of_another_build_is_seen_by_its_views_and_its_fee_is_found() {
    for fee in [0, 1, 500, 2_000, 2_500, 3_000, 10_000] {
        on_first_block(|mut fork| {
            let tokens = [WETH, *RECIPIENT];
            let arguments = (tokens[0], tokens[1], U256::from(fee)).abi_encode_params();
            let address = fork.deploy(bytecode("OtherPair"), &arguments).expect("it is made");
            let reserves = [123_456_789_012_345_678_u128, 987_654_321_098];
            for (slot, reserve) in [11, 12].into_iter().zip(reserves) {
                let set = fork.set_slot(address, U256::from(slot), U256::from(reserve));
                set.expect("it was just made");
            }
            let found = LaidOut::look(&mut fork, address).expect("it answers as a pair");
            let seen = (found.pair.tokens, found.pair.reserves, found.layout);
            assert_eq!(seen, (tokens, reserves, Layout::Other));
            assert_eq!(found.pair.fee(&fork), Ok(fee));
        });
    }
}

#[test]
fn a_token_that_arrives_in_part_is_refused() {
    let Some(folder) = folder() else { return };
    let mut refused = 0;
    each_arbitrage(&folder, |block, item, mut fork| {
        let Ok(venues) = venues_of(item, &mut fork) else { return };
        if !venues.iter().all(|venue| matches!(venue.state, Pool::ConstantProduct(_))) {
            return;
        }
        let first = &item.swaps[0];
        let venue = venues.iter().find(|venue| venue.address == first.pool).expect("its own");
        let token = venue.tokens[1 - first.side_in().expect("one token goes in")];
        let made = fork.deploy(bytecode("FeeToken"), &[]).expect("it is made");
        let code = fork.code(made).expect("it was just made");
        let mut holdings = vec![];
        for pool in item.pools() {
            if let Ok(held) = balance(&mut fork, token, pool) {
                holdings.push((mapping_slot(pool, 0), held));
            }
        }
        fork.replace(token, code, &holdings).expect("its place is known");
        let hunt = Hunt::on_state(item, fork.clone(), &setting(block, &[]));
        let why = hunt.why_not.expect("it is not made");
        assert!(why.starts_with(REFUSED) && why.contains(&token.to_string()), "{why}");
        assert_eq!((hunt.our_profit, hunt.is_executed), (None, false), "nothing is executed");
        let ends = ends(block, &venues, &fork);
        assert!(ends.iter().any(|end| end == "it reverts (UniswapV2: K)"), "{ends:?}");
        assert!(is_left_alone(block, &venues, token), "nothing is found in quarantine");
        refused += 1;
    });
    println!("{refused} arbitrages were refused when their first token took a fee");
}
