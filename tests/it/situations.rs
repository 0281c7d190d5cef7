//! Hard situations of a live run: each is told in one clear line, nothing is sent that should not
//! be, and the run goes on by itself once it is over.
//!
//! A node that comes back on another chain is a scenario of [`crate::faults`].
//!
//! Temperature: cold.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{File, remove_dir_all, remove_file, write};
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use alloy_primitives::{Address, U256};
use serde_json::{Value, json};

use crate::bot::{Bot, Flown, binary};
use crate::nodes::{Chain, Folder, Process, amount, text, wait_for};
use crate::safety::{Field, count, trade_until_it_submits};

/// Gas money.
const ETHER: u64 = 1_000_000_000_000_000_000;
/// A swap of this much opens a gap in any pool.
const BIG: u64 = 12 * ETHER;
/// Swaps that come ten a second overtake each other, and what follows them reverts.
const NO_PAUSE: [&str; 2] = ["--set", "risk.reverts_max=0"];
/// Time between two looks, and how many of them a submission may take.
const LOOK: Duration = Duration::from_millis(20);
const LOOKS: u32 = 100;
/// Room for the log, but for no more of the journal than it has, and for none of the state.
const DISK_BYTES: usize = 30_000;

fn start<'a>(field: &Field, folder: &'a Folder, name: &str, more: &[(&str, &str)]) -> Bot<'a> {
    let mut settings: Vec<OsString> = field.arguments().map(OsString::from).to_vec();
    settings.extend(NO_PAUSE.map(OsString::from));
    let mut summary = OsString::from("--json=");
    summary.push(folder.file(&format!("{name}.summary")));
    settings.push(summary);
    let mut bot = Bot::start_with(folder, name, &[], |command| {
        command.args(settings).envs(field.keys()).envs(more.iter().copied());
    });
    bot.wait_until_fresh();
    bot
}

fn chain_of(field: &Field) -> Chain {
    let mut chain = field.node.chain();
    chain.stake_wei = BIG;
    chain
}

fn alerts(journal: &[Value], what: &str) -> usize {
    journal.iter().filter(|line| line["kind"] == "alert" && line["what"] == what).count()
}

fn rejected(journal: &[Value], reason: &str) -> usize {
    journal.iter().filter(|line| line["reason"] == reason).count()
}

/// Submissions by this wallet.
fn submitted_by(journal: &[Value], wallet: usize) -> usize {
    let submitted = journal.iter().filter(|line| line["kind"] == "submitted");
    submitted.filter(|line| line["wallet"] == wallet).count()
}

fn outcome_of<'a>(journal: &'a [Value], hash: &Value) -> Option<&'a str> {
    let mut ends = journal.iter().filter(|line| line["kind"] == "outcome");
    ends.find(|line| line["hash"] == *hash).map(|line| text(&line["status"]))
}

fn fund(chain: &mut Chain, field: &Field, wallet: usize, wei: u64) {
    chain.ask("anvil_setBalance", &json!([field.wallet(wallet), U256::from(wei)]));
}

/// Next nonces of the wallets, with what waits in the node's pool.
fn nonces(chain: &mut Chain, field: &Field) -> Vec<Value> {
    let ask =
        |wallet| chain.ask("eth_getTransactionCount", &json!([field.wallet(wallet), "pending"]));
    (0..field.keys().len()).map(ask).collect()
}

/// Holds the blocks, and trades until a submission waits in the node's pool, behind its target.
fn wait_for_follower(chain: &mut Chain, bot: &mut Bot<'_>) -> Value {
    wait_for("a follower that waits to be mined", || {
        chain.hold_blocks();
        let before = bot.journal().len();
        chain.swap();
        let found = (0..LOOKS).find_map(|_| {
            sleep(LOOK);
            let journal = bot.journal();
            let mut new = journal.iter().skip(before);
            let is_follower =
                |line: &&Value| line["kind"] == "submitted" && line["plan"]["target"].is_string();
            let follower = new.find(is_follower)?;
            let [ours, target] = [&follower["hash"], &follower["plan"]["target"]];
            (is_pending(chain, ours) && is_pending(chain, target)).then(|| follower.clone())
        });
        if found.is_none() {
            chain.go_on();
            chain.next_blocks(2);
        }
        found
    })
}

fn is_pending(chain: &mut Chain, hash: &Value) -> bool {
    let held = chain.ask("eth_getTransactionByHash", &json!([hash]));
    held.is_object() && held["blockNumber"].is_null()
}

/// Demands that the books over all runs are what the chain has of the wallets' transactions to the
/// executor and to themselves, and of the executor's tokens.
fn assert_books(chain: &mut Chain, field: &Field, flown: &Flown) {
    flown.assert_in_order();
    let wallets: Vec<String> =
        (0..field.keys().len()).map(|index| field.wallet(index).to_lowercase()).collect();
    let mut found = HashMap::from([("landed", 0), ("reverted", 0), ("cancelled", 0)]);
    let mut gas_paid = U256::ZERO;
    for block in 0..=chain.height() {
        let receipts = chain.ask("eth_getBlockReceipts", &json!([U256::from(block)]));
        for receipt in receipts.as_array().expect("receipts are listed") {
            let sender = &receipt["from"];
            if !wallets.iter().any(|wallet| sender == wallet) {
                continue;
            }
            let kind = match (text(&receipt["to"]), text(&receipt["status"])) {
                (to, "0x1") if to == field.executor().to_lowercase() => "landed",
                (to, _) if to == field.executor().to_lowercase() => "reverted",
                (to, _) if sender == to => "cancelled",
                // Somebody else's.
                _ => continue,
            };
            *found.entry(kind).or_default() += 1;
            gas_paid += amount(&receipt["gasUsed"]) * amount(&receipt["effectiveGasPrice"]);
        }
    }
    for (kind, count) in found {
        let figure = flown.figure(&format!("/lifetime/{kind}"));
        assert_eq!(figure, count, "{}: {kind}\n{}", flown.name, flown.stderr);
    }
    let books = &flown.summary["lifetime"];
    assert_eq!(text(&books["gas_paid_wei"]), gas_paid.to_string(), "{}: gas", flown.name);
    let gained = flown.summary["base_token_deltas"].as_object().expect("tokens are listed");
    let is_only_run = flown.summary["sent"] == books["sent"];
    for (token, gained) in gained.iter().filter(|_| is_only_run) {
        let token: Address = token.parse().expect("this is an address");
        let held = chain.holding(token, field.executor().parse().expect("so is this"));
        assert_eq!(text(gained), held.to_string(), "{}: {token}", flown.name);
    }
}

#[test]
fn a_wallet_that_is_drained_pauses_alone_until_it_is_refunded() {
    let folder = Folder::new("situation-drained");
    let field = Field::new(&folder);
    let mut chain = chain_of(&field);
    let mut bot = start(&field, &folder, "bot", &[]);
    trade_until_it_submits(&mut chain, &mut bot);

    // The first one, which is taken first: the others go on.
    fund(&mut chain, &field, 0, 0);
    chain.swap_until("a wallet that is low", |_| alerts(&bot.journal(), "wallet-low") == 1);
    trade_until_it_submits(&mut chain, &mut bot);
    assert_eq!(bot.stderr().matches("cannot pay a trade's gas and pauses").count(), 1);
    let before = submitted_by(&bot.journal(), 0);
    fund(&mut chain, &field, 0, ETHER);
    chain.swap_until("a trade by the first wallet", |_| submitted_by(&bot.journal(), 0) > before);
    assert_eq!(alerts(&bot.journal(), "wallet-funded"), 1);

    // All of them: nothing is sent.
    (0..4).for_each(|wallet| fund(&mut chain, &field, wallet, 0));
    chain.swap_until("four wallets that are low", |_| alerts(&bot.journal(), "wallet-low") == 5);
    let before = bot.journal();
    let sent = nonces(&mut chain, &field);
    chain.swap_until("plans that are turned down", |_| {
        bot.assert_alive();
        rejected(&bot.journal(), "wallet-empty") > rejected(&before, "wallet-empty") + 3
    });
    let now = bot.journal();
    assert_eq!(count(&now, "submitted"), count(&before, "submitted"), "nothing is sent");
    assert_eq!(nonces(&mut chain, &field), sent, "and nothing waits");
    assert_eq!(alerts(&now, "wallet-low"), 5, "each was told once");
    fund(&mut chain, &field, 2, ETHER);
    trade_until_it_submits(&mut chain, &mut bot);
    assert_books(&mut chain, &field, &bot.end("TERM"));
}

/// What the process may write to any file.
fn limit_files(bot: &Bot<'_>, bytes: &str) {
    let mut command = Command::new("prlimit");
    command.args(["--pid", &bot.id().to_string(), &format!("--fsize={bytes}:")]);
    assert!(command.status().expect("util-linux is there").success(), "a limit can be set");
}

#[test]
fn nothing_is_sent_while_the_disk_is_full() {
    let folder = Folder::new("situation-disk");
    let field = Field::new(&folder);
    let mut chain = chain_of(&field);
    let mut bot = start(&field, &folder, "bot", &[]);
    let journal_bytes = || folder.read("bot.journal").len();
    chain.swap_until("a journal of some length", |_| {
        count(&bot.journal(), "submitted") > 0 && journal_bytes() > DISK_BYTES
    });

    limit_files(&bot, &DISK_BYTES.to_string());
    chain.swap_until("submissions that cannot be written down", |_| {
        bot.assert_alive();
        bot.stderr().matches("outcome=\"unsent\"").count() > 2
    });
    let sent = nonces(&mut chain, &field);
    let before = bot.stderr().matches("unsent").count();
    chain.swap_until("more of them", |_| bot.stderr().matches("unsent").count() > before + 2);
    assert_eq!(nonces(&mut chain, &field), sent, "nothing is sent");
    for line in ["the state cannot be written: nothing is sent", "the journal cannot be written"] {
        assert_eq!(bot.stderr().matches(line).count(), 1, "{line} once: {}", bot.stderr());
    }

    limit_files(&bot, "unlimited");
    trade_until_it_submits(&mut chain, &mut bot);
    chain.swap_until("a line that says so", |_| {
        bot.stderr().contains("the state can be written again")
    });
    assert_books(&mut chain, &field, &bot.end("TERM"));

    // A log that nobody can write ends nothing.
    let mut mute = Bot::start_with(&folder, "mute", &field.arguments(), |command| {
        let full = File::create("/dev/full").expect("Linux has it");
        command.args(NO_PAUSE).envs(field.keys()).stderr(full);
    });
    mute.wait_until_fresh();
    trade_until_it_submits(&mut chain, &mut mute);
    mute.end("TERM").assert_ended();

    // A start needs the room that the state takes.
    remove_dir_all(folder.file("state")).expect("it is there");
    let mut process = Process::start(&folder, "full", Path::new("prlimit"), |command| {
        command.arg(format!("--fsize={DISK_BYTES}:")).arg(binary()).arg("run");
        command.args(field.arguments()).envs(field.keys()).current_dir(crate::nodes::root());
    });
    assert_eq!(process.wait().code(), Some(1));
    let said = folder.read("full.stderr");
    let last = said.lines().last().unwrap_or_default();
    assert!(last.starts_with("error: writing the state "), "{said}");
    assert!(last.contains("bytes of disk"), "{said}");
}

/// Shifts the host's clock, as a process sees it, once a file is there.
const CLOCK: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
    int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    const char *step = getenv("CLOCK_STEP");
    if (clock == CLOCK_REALTIME && step && access(step, F_OK) == 0) now->tv_sec += 3600;
    return result;
}
"#;

#[test]
fn a_clock_that_steps_an_hour_changes_nothing() {
    let folder = Folder::new("situation-clock");
    let [source, shim, step] = ["clock.c", "clock.so", "step"].map(|name| folder.file(name));
    write(&source, CLOCK).expect("the folder can be written");
    let mut compile = Command::new("cc");
    compile.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&shim).arg(&source);
    assert!(compile.status().expect("a C compiler is there").success(), "it compiles");

    let field = Field::new(&folder);
    let mut chain = chain_of(&field);
    let [shim, stepped] = [&shim, &step].map(|path| path.to_str().expect("paths are text"));
    let preload = [("LD_PRELOAD", shim), ("CLOCK_STEP", stepped)];
    let mut bot = start(&field, &folder, "bot", &preload);
    trade_until_it_submits(&mut chain, &mut bot);
    let hour = |log: &str| {
        let (stamp, _) = log.trim_end().lines().last().unwrap_or_default().split_at(13);
        stamp.to_owned()
    };
    let before = hour(&bot.stderr());

    // The host's.
    write(&step, "").expect("the folder can be written");
    trade_until_it_submits(&mut chain, &mut bot);
    chain.next_blocks(1);
    wait_for("a line of the new hour", || {
        bot.assert_alive();
        (hour(&bot.stderr()) != before).then_some(())
    });
    // The chain's.
    chain.ask("evm_increaseTime", &json!([3600]));
    chain.next_blocks(2);
    trade_until_it_submits(&mut chain, &mut bot);
    chain.next_blocks(1);
    // And back.
    remove_file(&step).expect("it is there");
    trade_until_it_submits(&mut chain, &mut bot);
    let flown = bot.end("TERM");
    assert_books(&mut chain, &field, &flown);
    assert!(!flown.stderr.contains("stale"), "it never paused: {}", flown.stderr);
}

#[test]
fn a_wallet_that_somebody_else_uses_is_told_and_goes_on() {
    let folder = Folder::new("situation-shared");
    let field = Field::new(&folder);
    let mut chain = chain_of(&field);
    let mut bot = start(&field, &folder, "bot", &[]);
    trade_until_it_submits(&mut chain, &mut bot);
    wait_for("nothing in flight", || {
        let journal = bot.journal();
        (count(&journal, "outcome") == count(&journal, "submitted")).then_some(())
    });

    let wallet = field.wallet(0);
    let transfer = json!({ "from": wallet, "to": field.wallet(3), "value": "0x1" });
    chain.ask("eth_sendTransaction", &json!([transfer]));
    chain.next_blocks(1);
    chain.swap_until("a wallet that is shared", |_| {
        bot.assert_alive();
        alerts(&bot.journal(), "wallet-shared") == 1
    });
    assert!(bot.stderr().contains("somebody else uses this wallet"), "{}", bot.stderr());
    let landed = |journal: &[Value]| {
        let ours = journal.iter().filter(|line| line["kind"] == "submitted" && line["wallet"] == 0);
        ours.filter(|line| outcome_of(journal, &line["hash"]) == Some("landed")).count()
    };
    let before = landed(&bot.journal());
    chain.swap_until("a trade by this wallet", |_| landed(&bot.journal()) > before);
    let flown = bot.end("TERM");
    assert_eq!(alerts(&flown.journal, "wallet-shared"), 1, "it is told once");
    assert_books(&mut chain, &field, &flown);
}

#[test]
fn a_submission_that_is_not_mined_in_time_frees_its_wallet() {
    let folder = Folder::new("situation-stuck");
    let field = Field::new(&folder);
    let mut chain = chain_of(&field);
    let mut bot = start(&field, &folder, "bot", &[]);

    // Blocks are too small for it, but not for what takes it back.
    let stuck = wait_for_follower(&mut chain, &mut bot);
    chain.ask("evm_setBlockGasLimit", &json!([U256::from(60_000)]));
    chain.go_on();
    bot.wait("a submission to be taken back", |journal| {
        outcome_of(journal, &stuck["hash"]) == Some("cancelled")
    });
    assert!(bot.journal().iter().any(|line| takes_back(line, &stuck)), "with its own nonce");
    chain.ask("evm_setBlockGasLimit", &json!([U256::from(30_000_000)]));
    chain.next_blocks(2);

    // The base fee jumps over what it offers. Anvil drops it then.
    let left = wait_for_follower(&mut chain, &mut bot);
    let base_fee = U256::from(1_000_000_000_000_u64);
    chain.ask("anvil_setNextBlockBaseFeePerGas", &json!([base_fee]));
    chain.go_on();
    bot.wait("its end", |journal| outcome_of(journal, &left["hash"]).is_some());
    let end = outcome_of(&bot.journal(), &left["hash"]).map(str::to_owned);
    assert!(matches!(end.as_deref(), Some("cancelled" | "dropped")), "{end:?}");
    chain.ask("anvil_setNextBlockBaseFeePerGas", &json!([U256::from(1_000_000_000)]));
    let wallet = left["wallet"].as_u64().and_then(|wallet| usize::try_from(wallet).ok());
    let wallet = wallet.expect("a wallet has a place");
    let before = submitted_by(&bot.journal(), wallet);
    chain.swap_until("a trade by its wallet", |_| submitted_by(&bot.journal(), wallet) > before);
    assert_books(&mut chain, &field, &bot.end("TERM"));
}

/// Whether this line of the journal says that a submission is taken back at its own nonce.
fn takes_back(line: &Value, submitted: &Value) -> bool {
    let is_same = |field| line[field] == submitted[field];
    line["kind"] == "cancelling" && ["hash", "wallet", "nonce"].into_iter().all(is_same)
}

#[test]
fn a_follower_whose_target_is_replaced_is_taken_back_at_the_same_nonce() {
    let folder = Folder::new("situation-follower");
    let field = Field::new(&folder);
    let mut chain = chain_of(&field);
    let mut bot = start(&field, &folder, "bot", &[]);
    let follower = wait_for_follower(&mut chain, &mut bot);

    // By a swap of its sender that moves next to nothing.
    let target = chain.ask("eth_getTransactionByHash", &json!([follower["plan"]["target"]]));
    let fee = U256::from(4) * amount(target.get("maxFeePerGas").unwrap_or(&target["gasPrice"]));
    let swap = json!({
        "from": target["from"], "to": target["to"], "nonce": target["nonce"],
        "data": target["input"], "gas": target["gas"], "value": "0x1", "gasPrice": fee,
    });
    chain.ask("eth_sendTransaction", &json!([swap]));
    bot.wait("a follower to be taken back", |journal| {
        journal.iter().any(|line| takes_back(line, &follower))
    });
    chain.go_on();
    bot.wait("its end", |journal| outcome_of(journal, &follower["hash"]).is_some());
    assert_eq!(outcome_of(&bot.journal(), &follower["hash"]), Some("cancelled"));
    trade_until_it_submits(&mut chain, &mut bot);
    assert_books(&mut chain, &field, &bot.end("TERM"));
}

#[test]
fn a_run_that_is_cut_short_while_draining_is_taken_up_by_the_next() {
    let folder = Folder::new("situation-draining");
    let field = Field::new(&folder);
    let mut chain = chain_of(&field);
    let drain = |bot: &Bot<'_>| {
        bot.signal("INT");
        wait_for("draining", || bot.stderr().contains("draining").then_some(()));
    };

    let mut first = start(&field, &folder, "first", &[]);
    let killed = wait_for_follower(&mut chain, &mut first);
    drain(&first);
    first.kill();
    let mut second = start(&field, &folder, "second", &[]);
    assert!(second.stderr().contains("an earlier run left submissions"), "{}", second.stderr());
    chain.go_on();
    second.wait("its end", |journal| outcome_of(journal, &killed["hash"]).is_some());

    let cut = wait_for_follower(&mut chain, &mut second);
    drain(&second);
    let second = second.end("INT");
    assert_eq!(second.code, Some(130), "{}", second.stderr);
    let mut third = start(&field, &folder, "third", &[]);
    chain.go_on();
    third.wait("its end", |journal| outcome_of(journal, &cut["hash"]).is_some());
    trade_until_it_submits(&mut chain, &mut third);
    assert_books(&mut chain, &field, &third.end("TERM"));
}
