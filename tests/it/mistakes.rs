//! What can be wrong with a configuration, one mistake at a time: each is told in one line that
//! names the key, what was found and what would be right.
//!
//! Temperature: cold.

use serde_json::Value;

use crate::bot::{Said, gannet};
use crate::nodes::Folder;

/// A mistake: what `--set` makes of the configuration, the key that is named, and words that tell
/// what was found and what was wanted.
type Mistake = (&'static str, &'static str, &'static [&'static str]);

const MISTAKES: &[Mistake] = &[
    ("mode=lve", "mode", &["found \"lve\"", "\"dry-run\" or \"live\""]),
    ("mode=3", "mode", &["found 3", "\"dry-run\" or \"live\""]),
    ("modes=live", "modes", &["did you mean `mode`?"]),
    ("weather.is=fine", "weather", &["unknown key", "mode, chain, node"]),
    ("chain=5", "chain", &["found 5", "wanted a table [chain]"]),
    ("chain.id=\"one\"", "chain.id", &["found \"one\"", "wanted a whole number"]),
    ("chain.id=0", "chain.id", &["found 0", "wanted 1 to"]),
    ("chain.id=-1", "chain.id", &["found -1", "wanted a whole number"]),
    ("chain.idd=1", "chain.idd", &["did you mean `id`?"]),
    ("chain.wrapped_native=0x12", "chain.wrapped_native", &["found \"0x12\"", "40 hex digits"]),
    (
        // The first letter of the token that is there is a capital.
        "chain.wrapped_native=0x5fbDB2315678afecb367f032d93F642f64180aa3",
        "chain.wrapped_native",
        &["found \"0x5fbDB2", "checksum (EIP-55)"],
    ),
    (
        "chain.wrapped_native=0x0000000000000000000000000000000000000000",
        "chain.wrapped_native",
        &["found \"0x0000", "wanted an address that is somebody's"],
    ),
    ("chain.block_time_ms=0", "chain.block_time_ms", &["found 0", "wanted 1 to 600000"]),
    ("chain.finality_blocks=65", "chain.finality_blocks", &["found 65", "wanted 1 to 64"]),
    (
        "chain.block_time_ms=40000",
        "node.silent_after_ms",
        &["found 30000", "at least chain.block_time_ms (40000)"],
    ),
    ("node.url=http://127.0.0.1", "node.url", &["found http://", "wanted ws://host:port"]),
    ("node.url=ws://", "node.url", &["without a valid host", "wanted ws://host:port"]),
    ("node.url=ws://host:99999", "node.url", &["host and port", "wanted ws://host:port"]),
    ("node.url=127.0.0.1:8545", "node.url", &["found no node's address", "wanted ws://"]),
    ("node.url=ipc:", "node.url", &["found \"ipc:\" without a path", "ipc:/path/to/socket"]),
    ("node.ulr=x", "node.ulr", &["did you mean `url`?"]),
    ("node.colour=1", "node.colour", &["unknown key", "url, connect_timeout_s"]),
    ("node.connect_timeout_s=0", "node.connect_timeout_s", &["found 0", "wanted 1 to 600"]),
    ("node.silent_after_ms=999", "node.silent_after_ms", &["found 999", "chain.block_time_ms"]),
    ("mode=live", "executor.address", &["missing", "gannet deploy"]),
    (
        // The first wallet's.
        "executor.address=0x23618e81E3f5cdF7f54C3d65f7FBc0aBf5B21E8f",
        "executor.address",
        &["which wallet.0.address names already", "wanted another"],
    ),
    ("executor.funding=credit", "executor.funding", &["found \"credit\"", "\"flash\" or \"own\""]),
    ("executor.owner_key=abc", "executor.owner_key", &["not shown", "wanted \"env:NAME\""]),
    (
        // The second wallet's.
        "wallet.0.address=0xa0Ee7A142d267C1f36714E4a8F75612F20a79720",
        "wallet.1.address",
        &["which wallet.0.address names already"],
    ),
    ("wallet.0.key=env:", "wallet.0.key", &["no variable", "wanted \"env:NAME\""]),
    ("wallet.0.key=keystore:", "wallet.0.key", &["without a path", "\"keystore:PATH\""]),
    ("wallet.0.password=env:PASSWORD", "wallet.0.password", &["opens nothing", "leave it out"]),
    ("wallet.0.password=hunter2", "wallet.0.password", &["not shown", "wanted \"env:NAME\""]),
    ("executor.owner_password=env:A", "executor.owner_password", &["opens nothing"]),
    ("wallet.9.key=env:A", "--set", &["no place `wallet.9.key`"]),
    ("wallet=[]", "wallet", &["found 0", "wanted 1 to 16 tables [[wallet]]"]),
    ("lending=5", "lending", &["found 5", "wanted a table [lending]"]),
    ("lending.aave3=[]", "lending.aave3", &["did you mean `aave_v3`?"]),
    ("lending.comet={}", "lending.comet", &["found {", "wanted tables [[lending.comet]]"]),
    ("lending.comet=[{}]", "lending.comet.0.address", &["missing", "the market's address"]),
    (
        "lending.morpho=[{address=\"0x76cec9299B6Fa418dc71416FF353737AB7933A7D\"}]",
        "lending.morpho.0.adaptive_curve",
        &["missing", "adaptive curve"],
    ),
    ("lending.balancer=[{}]", "lending.balancer.0.address", &["missing", "the vault's address"]),
    (
        "lending.balancer=[{address=\"0xBA12222222228d8Ba445958a75a0704d566BF2C8\",since=1}]",
        "lending.balancer.0.since",
        &["unknown key", "name or address"],
    ),
    (
        // Morpho's.
        "lending.balancer=[{address=\"0x76cec9299B6Fa418dc71416FF353737AB7933A7D\"}]",
        "lending.balancer.0.address",
        &["which lending.morpho.0.address names already"],
    ),
    ("lending.morpho.0.irm=5", "lending.morpho.0.irm", &["unknown key", "adaptive_curve"]),
    ("lending.morpho.0.name=aave", "lending.morpho.0.name", &["found \"aave\" again"]),
    ("lending.aave_v3.0.pool=0x12", "lending.aave_v3.0.pool", &["found \"0x12\"", "40 hex"]),
    (
        "lending.aave_v3.0.deployed_block=-1",
        "lending.aave_v3.0.deployed_block",
        &["found -1", "whole number"],
    ),
    (
        // Morpho's.
        "lending.aave_v3.0.pool=0x76cec9299B6Fa418dc71416FF353737AB7933A7D",
        "lending.morpho.0.address",
        &["which lending.aave_v3.0.pool names already"],
    ),
    ("factory.0.fee_pips=1000000", "factory.0.fee_pips", &["found 1000000", "0 to 999999"]),
    ("factory.0.fee_pips=0.3", "factory.0.fee_pips", &["found 0.3", "wanted a whole number"]),
    ("factory.1.name=uniswap", "factory.1.name", &["found \"uniswap\" again", "different"]),
    ("factory.2.kind=uniswap-v5", "factory.2.kind", &["found \"uniswap-v5\"", "\"uniswap-v3\""]),
    ("factory.2.fee_pips=500", "factory.2.fee_pips", &["no meaning", "uniswap-v3"]),
    ("factory.0.deployed_block=-1", "factory.0.deployed_block", &["found -1", "whole number"]),
    ("factory.3.adress=7", "factory.3.adress", &["did you mean `address`?"]),
    ("router.0.kind=aggregator", "router.0.kind", &["found \"aggregator\"", "\"universal\""]),
    ("router.0.v2=v3", "router.0.v2", &["found \"v3\"", "of another kind"]),
    ("router.0.v3=uniswop", "router.0.v3", &["did you mean `uniswap`?"]),
    ("router.0.kind=swap-router", "router.0.v2", &["no meaning", "V3 pools only"]),
    (
        // Its own factory's.
        "factory.0.router=0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512",
        "factory.0.router",
        &["which factory.0.address names already"],
    ),
    ("universe.base_tokens=[]", "universe.base_tokens", &["found 0", "wanted 1 to 8"]),
    ("universe.base_tokens=7", "universe.base_tokens", &["found 7", "wanted a list"]),
    ("universe.base_tokens=[\"x\"]", "universe.base_tokens", &["number 1", "40 hex digits"]),
    ("universe.pools_max=70000", "universe.pools_max", &["found 70000", "wanted 1 to 65536"]),
    ("universe.new_pools_max=-1", "universe.new_pools_max", &["found -1"]),
    ("universe.new_pools_max=20000", "universe.new_pools_max", &["wanted 0 to 16384"]),
    ("universe.new_pools_every_s=0", "universe.new_pools_every_s", &["wanted 1 to 86400"]),
    ("risk.min_profit=lots", "risk.min_profit", &["found \"lots\"", "\"0.05 ether\""]),
    ("risk.min_profit=5", "risk.min_profit", &["found 5", "wanted an amount such as"]),
    ("risk.min_profit=0.5 eth", "risk.min_profit", &["found \"0.5 eth\"", "wei, gwei or ether"]),
    ("risk.min_profit=101 ether", "risk.min_profit", &["found 101 ether", "(100 ether)"]),
    ("risk.gas_price_max=500 ether", "risk.gas_price_max", &["500 ether", "at most 100000 gwei"]),
    ("risk.gas_price_max=0 wei", "risk.gas_price_max", &["found 0", "wanted more"]),
    (
        "risk.loss_per_block_max=2 ether",
        "risk.loss_per_block_max",
        &["found 2 ether", "risk.loss_per_day_max (1 ether)"],
    ),
    ("risk.loss_per_day_max=0 ether", "risk.loss_per_day_max", &["found 0", "wanted more"]),
    ("risk.reverts_max=100000", "risk.reverts_max", &["found 100000", "wanted 0 to 1000"]),
    ("risk.reverts_pause_s=0", "risk.reverts_pause_s", &["found 0", "wanted 1 to 86400"]),
    ("risk.allow_public_mempool=yes", "risk.allow_public_mempool", &["true or false"]),
    ("strategy.sandwich.hops=3", "strategy.sandwich", &["no such strategy", "arbitrage"]),
    ("strategy.arbitrge.hops_max=3", "strategy.arbitrge", &["did you mean `arbitrage`?"]),
    ("strategy.backrun=1", "strategy.backrun", &["found 1", "wanted a table"]),
    ("strategy.arbitrage.hops_max=5", "strategy.arbitrage.hops_max", &["found 5", "2 to 4"]),
    ("strategy.arbitrage.hop_max=3", "strategy.arbitrage.hop_max", &["did you mean `hops_max`?"]),
    (
        "strategy.arbitrage.max_input=1.0000000000000000001 ether",
        "strategy.arbitrage.max_input",
        &["found \"1.0000000000000000001 ether\"", "finer than one wei"],
    ),
    ("runtime.spin=1", "runtime.spin", &["found 1", "wanted true or false"]),
    ("runtime.core=-1", "runtime.core", &["found -1", "wanted a whole number"]),
    ("runtime.drain_s=601", "runtime.drain_s", &["found 601", "wanted 0 to 600"]),
    ("runtime.state_dir=7", "runtime.state_dir", &["found 7", "wanted text"]),
    ("runtime.journal=nowhere/x", "runtime.journal", &["nowhere/x", "a folder that exists"]),
    ("runtime.snapshot=/", "runtime.snapshot", &["found \"/\"", "wanted a file"]),
    ("runtime.snapshots=/", "runtime.snapshots", &["found \"/\"", "wanted a file"]),
    (
        "runtime.snapshot_every_blocks=0",
        "runtime.snapshot_every_blocks",
        &["found 0", "wanted 1 to 100000"],
    ),
    ("no-value", "--set", &["found no `=`", "wanted key=value"]),
];

/// The lines of a complaint about the configuration.
fn complaint(said: &Said) -> Vec<&str> {
    assert_eq!((said.code, &*said.stdout), (Some(2), ""), "{}", said.stderr);
    let mut lines = said.stderr.lines();
    let first = lines.next().unwrap_or_default();
    assert!(first.starts_with("error: the configuration has "), "{first}");
    lines.map(str::trim).collect()
}

#[test]
fn each_mistake_is_told_in_one_line_with_its_key() {
    let folder = Folder::new("mistakes");
    for (change, key, words) in MISTAKES {
        let said = gannet(&folder, &["run", "--set", change], &[]);
        let lines = complaint(&said);
        let [line] = lines[..] else { panic!("one problem: {change}: {lines:?}") };
        assert!(line.starts_with(&format!("{key}: ")), "{change}: {line}");
        for word in *words {
            assert!(line.contains(word), "{change}: no `{word}` in `{line}`");
        }
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let folder = Folder::new("mistakes-all");
    // One of each section; those that would replace a section or each other's value are left out.
    let keys =
        ["chain.id", "node.ulr", "executor.funding", "factory.0.fee_pips", "risk.min_profit"];
    let mut arguments = vec!["run"];
    for wanted in keys {
        let (change, ..) = MISTAKES.iter().find(|(_, key, _)| *key == wanted).expect("it is there");
        arguments.extend(["--set", change]);
    }
    let said = gannet(&folder, &arguments, &[]);
    let lines = complaint(&said);
    assert_eq!(lines.len(), keys.len(), "{lines:?}");
    for key in keys {
        assert!(lines.iter().any(|line| line.starts_with(&format!("{key}: "))), "{key}: {lines:?}");
    }
}

#[test]
fn an_error_is_json_where_the_log_is() {
    let folder = Folder::new("mistakes-json");
    let mistake = ["run", "--log-format", "json", "--set", "node.ulr=x", "--set", "chain.id=0"];
    let two_problems = gannet(&folder, &mistake, &[]);
    let no_file = gannet(&folder, &["check", "--log-format=json", "--config", "no-such"], &[]);
    let no_argument = gannet(&folder, &["--log-format", "json", "run", "--fast"], &[]);
    let no_filter = gannet(&folder, &["run", "--log-format", "json", "--log", "="], &[]);
    for (said, word) in [
        (&two_problems, "configuration"),
        (&no_file, "no-such"),
        (&no_argument, "--fast"),
        (&no_filter, "--log"),
    ] {
        assert_eq!((said.code, &*said.stdout), (Some(2), ""), "{}", said.stderr);
        let line: Value = serde_json::from_str(&said.stderr).expect("stderr is one JSON object");
        assert_eq!(line["level"], "ERROR", "{line}");
        assert_eq!(line["fields"]["exit_code"], 2, "{line}");
        assert!(
            line["fields"]["message"].as_str().is_some_and(|text| text.contains(word)),
            "{line}"
        );
    }
    let line: Value = serde_json::from_str(&two_problems.stderr).expect("it was read before");
    let problems = line["fields"]["problems"].as_array().expect("problems are listed");
    let paths: Vec<_> = problems.iter().map(|problem| &problem["path"]).collect();
    assert_eq!(paths, ["chain.id", "node.ulr"]);
}
