//! The engine against real blocks, with the EVM as the judge.
//!
//! ```text
//! witness ─► chain ─► run      does the EVM do what the chain did?
//!              │  └─► follow   does the world, driven by logs, hold what the EVM holds?
//!              ├─ ranged        the same two questions of V3's pools, as far as ticks are known
//!              ├─ pair ─► swaps    do quotes bound what users took?
//!              │     └─► find      are traders' arbitrages found, and do they pay?
//!              └─ calls           did routers do what is read in users' calls?
//! ```
//!
//! The blocks are in `../shared/data`, or where `GANNET_DATA` says. Any others in the same formats
//! do: nothing here knows a block. Each test leaves its table in `target/test/mainnet-*.txt`.
//!
//! Temperature: cold.

mod bare;
mod calls;
mod chain;
mod find;
mod follow;
mod mirror;
mod pair;
mod ranged;
mod run;
mod swaps;
mod table;
pub(crate) mod witness;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::Path;

use alloy::primitives::{Address, U256};
use alloy::sol_types::SolValue as _;

use self::bare::Bare;
use self::chain::{Fork, NEWEST, RECIPIENT, Replay};
use self::find::{Hunt, Seen, Survey, Verdict, arbitrages};
use self::follow::Followed;
use self::mirror::WETH;
use self::pair::{Layout, Pair};
use self::ranged::Ranges;
use self::run::Run;
use self::swaps::{Probed, Swaps};
use self::table::Table;
use self::witness::{Place, Unknown, Witness};
use crate::evm::{bytecode, mapping_slot};

/// Visits every block whose logs are known, after it was run once: what it reads is known then.
fn each_block(folder: &Path, mut visit: impl FnMut(&Witness)) {
    for witness in witness::blocks(folder) {
        Run::new(&witness);
        if !witness.checks.are_logs_right {
            println!("{} is left out: its logs are not those of its header", witness.number());
            continue;
        }
        visit(&witness);
    }
}

/// A pair's fee and layout.
fn kind_of(pair: &Pair, fee_pips: u32) -> String {
    format!("{:.2} % {:?}", f64::from(fee_pips) / 10_000.0, pair.layout)
}

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
    let Some(folder) = witness::folder() else { return };
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
    for witness in witness::blocks(&folder) {
        let run = Run::new(&witness);
        if !run.is_root_right || !run.is_gas_right || !run.differing.is_empty() {
            failed.push(witness.number());
        }
        table.row([
            witness.number().to_string(),
            format!("{:?}", run.spec),
            witness.txs.len().to_string(),
            run.log_count.to_string(),
            yes(run.is_root_right),
            yes(run.is_gas_right),
            run.differing.len().to_string(),
            witness.zero_count().to_string(),
        ]);
    }
    table.show("run");
    assert_eq!(failed, Vec::<u64>::new(), "these blocks did not run as they did on the chain");
}

#[test]
fn pairs_driven_by_logs_hold_what_the_evm_holds_after_every_transaction() {
    let Some(folder) = witness::folder() else { return };
    let columns =
        &["block", "exact", "unknown", "wrong", "moves", "compared", "continued", "remarks"];
    let mut table = Table::new(columns);
    let (mut wrong, mut broken) = (vec![], vec![]);
    let mut sums = [0; 3];
    let mut before = (0, BTreeMap::new());
    each_block(&folder, |witness| {
        let number = witness.number();
        let followed = Followed::new(witness);
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
    let Some(folder) = witness::folder() else { return };
    let mut table = Table::new(&["block", "pools", "compared", "exact", "unknown", "wrong"]);
    let (mut wrong, mut exact) = (vec![], 0);
    each_block(&folder, |witness| {
        let ranges = Ranges::new(witness);
        exact += ranges.exact;
        table.row([
            witness.number().to_string(),
            ranges.pools.to_string(),
            ranges.compared.to_string(),
            ranges.exact.to_string(),
            counted(&ranges.unknown),
            ranges.wrong.len().to_string(),
        ]);
        wrong.extend(ranges.wrong.into_iter().map(|what| (witness.number(), what)));
    });
    table.note(format!("{exact} swaps are quoted to the wei, with the state after them"));
    table.show("ranges");
    assert!(exact > 0, "some swap is quoted");
    assert_eq!(wrong, [], "swaps that did something else than is quoted");
}

#[test]
fn swaps_follow_from_the_logs_before_them_where_nothing_else_is_known() {
    let Some(folder) = witness::folder() else { return };
    let mut table = Table::new(&["block", "logs", "exact", "unknown", "wrong"]);
    let (mut wrong, mut exact) = (vec![], 0);
    let mut files: Vec<_> = ["mevinspect", "logs_only"]
        .iter()
        .filter_map(|name| folder.join(name).read_dir().ok())
        .flatten()
        .map(|entry| entry.expect("a file").path())
        .collect();
    files.sort();
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(bare) = Bare::read(&file) else {
            table.note(format!("{name} is left out: its logs are not those of its header"));
            continue;
        };
        exact += bare.exact.values().sum::<usize>();
        let counts = [counted(&bare.exact), counted(&bare.unknown)];
        let [exact, unknown] = counts;
        let logs = bare.logs.to_string();
        table.row([name.clone(), logs, exact, unknown, bare.wrong.len().to_string()]);
        wrong.extend(bare.wrong.into_iter().map(|what| (name.clone(), what)));
    }
    table.show("bare");
    assert!(exact > 0, "some swap follows");
    assert_eq!(wrong, [], "pairs that have more than they were paid");
}

#[test]
fn traders_arbitrages_are_found_and_pay_at_least_as_much() {
    let Some(folder) = witness::folder() else { return };
    let arbitrages = arbitrages(&folder);
    let columns = &["block", "tx", "legs", "pools", "recorded", "executed", "ratio", "verdict"];
    let mut table = Table::new(columns);
    let mut short = vec![];
    each_block(&folder, |witness| {
        for item in arbitrages.get(&witness.number()).into_iter().flatten() {
            let hunt = Hunt::new(witness, item);
            if matches!(hunt.verdict, Verdict::Short(_)) {
                short.push((witness.number(), item.tx_index));
            }
            table.row(row_of(witness.number(), item, &hunt));
        }
    });
    table.note(format!("Executed through the executor, with a flash loan, under {NEWEST:?}."));
    for (block, item) in
        arbitrages.iter().flat_map(|(block, items)| items.iter().map(move |item| (block, item)))
    {
        if !item.has_full_prestate {
            let tx = item.tx_index;
            table.note(format!(
                "{block}, transaction {tx}: its block has no witness, and wants one"
            ));
        }
    }
    table.show("arbitrage");
    assert_eq!(short, [], "these arbitrages paid their traders more");
}

fn row_of(block: u64, item: &find::Arbitrage, hunt: &Hunt) -> [String; 8] {
    let pool = |pool: &Seen| match pool {
        Seen::Pair(pair, fee) => kind_of(pair, *fee),
        Seen::Ranged(pool) => pool.name(),
    };
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let ratio = hunt.executed as f64 / hunt.recorded as f64;
    let verdict = match &hunt.verdict {
        Verdict::Matched => format!("matched by {:?} legs", hunt.cycles),
        Verdict::Short(reason) => format!("SHORT: {reason}"),
        Verdict::TooLong => "longer than the finder's cycles".into(),
        Verdict::Refused(reason) => format!("refused: {reason}"),
        Verdict::Unknown(reason) => format!("unknown: {reason}"),
    };
    [
        block.to_string(),
        item.tx_index.to_string(),
        item.swaps.len().to_string(),
        hunt.pools.iter().map(pool).collect::<Vec<_>>().join(", "),
        hunt.recorded.to_string(),
        hunt.executed.to_string(),
        format!("{ratio:.9}"),
        verdict,
    ]
}

#[test]
fn cycles_that_are_seen_pay_what_was_promised() {
    let Some(folder) = witness::folder() else { return };
    let mut table = Table::new(&["block", "pairs", "cycles", "exact", "lossy", "unknown", "wrong"]);
    let mut wrong = vec![];
    each_block(&folder, |witness| {
        let pairs = Probed::new(witness).pairs;
        let pair_count = pairs.len();
        let survey = Survey::new(witness, pairs);
        let [lossy, unknown] =
            [&survey.lossy, &survey.unknown].map(|of| of.values().sum::<usize>());
        table.row([
            witness.number().to_string(),
            pair_count.to_string(),
            (survey.exact + lossy + unknown + survey.wrong.len()).to_string(),
            survey.exact.to_string(),
            counted(&survey.lossy),
            counted(&survey.unknown),
            survey.wrong.len().to_string(),
        ]);
        wrong.extend(survey.wrong.into_iter().map(|found| (witness.number(), found)));
    });
    table.show("cycles");
    assert_eq!(wrong, [], "cycles that did not pay what was promised");
}

#[test]
fn users_took_no_more_than_is_quoted() {
    let Some(folder) = witness::folder() else { return };
    let columns = &["block", "exact", "took less", "unknown", "wrong", "pairs by fee and layout"];
    let mut table = Table::new(columns);
    let mut wrong = vec![];
    each_block(&folder, |witness| {
        let swaps = Swaps::new(witness);
        let mut fees = BTreeMap::new();
        for (pair, fee) in &swaps.pairs {
            *fees.entry(kind_of(pair, *fee)).or_default() += 1;
        }
        table.row([
            witness.number().to_string(),
            swaps.exact.to_string(),
            swaps.less.to_string(),
            counted(&swaps.unknown),
            swaps.wrong.len().to_string(),
            counted(&fees),
        ]);
        wrong.extend(swaps.wrong.into_iter().map(|swap| (witness.number(), swap)));
    });
    table.show("swaps");
    assert_eq!(wrong, [], "swaps that took more than the engine quotes");
}

/// A fork of the first block, before it.
fn on_first_block(check: impl FnOnce(Fork<'_>)) {
    let Some(folder) = witness::folder() else { return };
    let witness = witness::blocks(&folder).next().expect("the folder holds blocks");
    check(Replay::new(&witness).fork());
}

#[test]
fn what_no_witness_tells_is_unknown_and_never_zero() {
    on_first_block(|mut fork| {
        let stranger = Address::repeat_byte(0x77);
        let mut held = |account| fork.read(WETH, &find::Token::balanceOfCall { account });
        let slot: U256 = mapping_slot(stranger, 3);
        assert_eq!(held(stranger), Err(Unknown(Place::Slot(WETH, slot))));
        // Ours are the hash of a text, so nobody ever sent them anything.
        assert_eq!(held(*RECIPIENT), Ok(Ok(U256::ZERO)));
        let call = find::Token::balanceOfCall { account: stranger };
        assert_eq!(fork.read(stranger, &call), Err(Unknown(Place::Account(stranger))));
        assert_eq!(fork.slot(WETH, 77), Err(Unknown(Place::Slot(WETH, U256::from(77)))));
    });
}

#[test]
fn a_pair_of_another_build_is_seen_by_its_views_and_its_fee_is_found() {
    for fee in [0, 1, 500, 2_000, 2_500, 3_000, 10_000] {
        on_first_block(|mut fork| {
            let tokens = [WETH, *RECIPIENT];
            let arguments = (tokens[0], tokens[1], U256::from(fee)).abi_encode_params();
            let code = bytecode("engine/tests/sol/contracts.json", Some("OtherPair"));
            let address = fork.deploy(code, &arguments);
            let reserves = [123_456_789_012_345_678_u128, 987_654_321_098];
            for (slot, reserve) in [11, 12].into_iter().zip(reserves) {
                fork.set_slot(address, U256::from(slot), U256::from(reserve));
            }
            let pair = Pair::look(&mut fork, address).expect("it answers as a pair");
            let seen = (pair.tokens, pair.reserves, pair.layout);
            assert_eq!(seen, (tokens, reserves, Layout::Other));
            assert_eq!(pair.fee(&fork), Ok(fee));
        });
    }
}

#[test]
fn a_token_that_arrives_in_part_is_refused() {
    let Some(folder) = witness::folder() else { return };
    let arbitrages = arbitrages(&folder);
    let mut refused = 0;
    each_block(&folder, |witness| {
        let items = arbitrages.get(&witness.number()).into_iter().flatten();
        for item in items.filter(|item| item.is_constant_product()) {
            let mut fork = Replay::new(witness).run_to(item.tx_index).fork();
            let token = item.swaps[0].token_out;
            let code = bytecode("engine/tests/sol/contracts.json", Some("FeeToken"));
            let made = fork.deploy(code, &[]);
            let code = fork.code(made).expect("it was just made");
            let holding = |swap: &find::Swap| {
                let held =
                    fork.clone().read(token, &find::Token::balanceOfCall { account: swap.pool });
                let held = held.ok()?.ok()?;
                Some((mapping_slot(swap.pool, 0), held))
            };
            let holdings: Vec<_> = item.swaps.iter().filter_map(holding).collect();
            fork.replace(token, code, &holdings);
            let verdict = Hunt::on(witness, fork, item).verdict;
            let Verdict::Refused(reason) = verdict else { panic!("{verdict:?}") };
            assert!(reason.0.contains("it reverts (UniswapV2: K)"), "{reason}");
            refused += 1;
        }
    });
    println!("{refused} arbitrages were refused when their first token took a fee");
}
