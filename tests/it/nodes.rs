//! Nodes to fly on, as child processes that end with the test, and a client to ask them.
//!
//! Temperature: cold.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use alloy::sol;
use alloy::sol_types::SolCall;
use alloy_primitives::{Address, B256, Bytes, U256};
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

/// Nothing that a test waits for takes this long, not even on a machine that is busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// An orderly end that takes longer is none.
const END: Duration = Duration::from_secs(10);

/// The repository's root.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Looks until there is something.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        sleep(LOOK);
    }
}

/// A folder of a test's own. It stays when the test fails.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(test: &str) -> Self {
        let name = format!("{test}-{}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).expect("the build's own folder can be written");
        Self(path)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The text of a file; nothing if it is not there.
    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read(self.file(name))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            std::fs::remove_dir_all(&self.0).unwrap_or_default();
        }
    }
}

/// A child process that is ended when it is dropped, and by the kernel should this one die first.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// Starts a program; what it prints goes to `NAME.stdout` and `NAME.stderr` in `folder`.
    pub(crate) fn start(
        folder: &Folder,
        name: &str,
        program: &Path,
        prepare: impl FnOnce(&mut Command),
    ) -> Self {
        let guard = Path::new("/usr/bin/setpriv");
        let mut command = if guard.exists() {
            let mut command = Command::new(guard);
            command.args(["--pdeathsig", "KILL", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        let output = |stream| {
            let file = std::fs::File::create(folder.file(&format!("{name}.{stream}")));
            Stdio::from(file.expect("output can be written"))
        };
        command.stdin(Stdio::null()).stdout(output("stdout")).stderr(output("stderr"));
        // A key that happens to be in this environment must not decide a test.
        for (variable, _) in std::env::vars_os() {
            if variable.to_string_lossy().starts_with("GANNET_") {
                command.env_remove(variable);
            }
        }
        // Nor may a lock or a kill switch of this machine's own bots.
        command.env("XDG_STATE_HOME", folder.file("state"));
        prepare(&mut command);
        let child = command.spawn().expect("the program can be started");
        Self { child }
    }

    /// How it ended, if it has.
    pub(crate) fn ending(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be asked")
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: &str) {
        send_signal(self.id(), signal);
    }

    /// Waits until it has ended by itself.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.ending() {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "process {} does not end", self.child.id());
            sleep(LOOK);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let start = Instant::now();
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            send_signal(self.child.id(), "TERM");
        }
        while self.child.try_wait().is_ok_and(|status| status.is_none()) && start.elapsed() < END {
            sleep(LOOK);
        }
        // Harmless for one that has ended.
        self.child.kill().and_then(|()| self.child.wait().map(drop)).unwrap_or_default();
    }
}

/// Sends a signal to one process.
pub(crate) fn send_signal(pid: u32, signal: &str) {
    let sent = Command::new("kill").arg(format!("-{signal}")).arg(pid.to_string()).output();
    assert!(sent.is_ok(), "signals can be sent");
}

/// A node with the test chain's contracts on it.
#[derive(Debug)]
pub(crate) struct Node {
    /// The address book that came with it.
    pub(crate) book: Value,
    /// Ends the node when it is dropped.
    _process: Process,
}

impl Node {
    /// Anvil, as `scripts/devnet` starts it.
    pub(crate) fn anvil(folder: &Folder, options: &[&str]) -> Self {
        Self::start(folder, &root().join("scripts/devnet"), options)
    }

    /// Ganache or Hardhat.
    pub(crate) fn second(folder: &Folder, client: &str) -> Self {
        let script = root().join("scripts/chain/second.mjs");
        let script = script.to_str().expect("paths are text");
        Self::start(folder, Path::new("node"), &[script, "--client", client])
    }

    fn start(folder: &Folder, program: &Path, options: &[&str]) -> Self {
        let mut process = Process::start(folder, "node", program, |command| {
            command.args(options).args(["--port", "0", "--out"]).arg(folder.file("book.json"));
        });
        let text = wait_for("the node", || {
            let has_ended = process.ending().is_some();
            assert!(!has_ended, "the node does not start:\n{}", folder.read("node.stderr"));
            // It appears whole, when all is ready.
            Some(folder.read("book.json")).filter(|text| !text.is_empty())
        });
        let book = serde_json::from_str(&text).expect("an address book is JSON");
        Self { book, _process: process }
    }

    /// Where it is, for the configuration.
    pub(crate) fn url(&self) -> &str {
        text(&self.book["ws"])
    }

    /// `127.0.0.1` and its port.
    pub(crate) fn host_and_port(&self) -> &str {
        self.url().trim_start_matches("ws://")
    }

    /// Sends a signal to the node itself: KILL ends it without a word, STOP lets it hang.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.book["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
        send_signal(pid.expect("the book names the process"), signal);
    }

    /// The private key of one of the test chain's accounts.
    pub(crate) fn key(&self, account: usize) -> &str {
        text(&self.book["accounts"][account]["private_key"])
    }

    /// A client.
    pub(crate) fn chain(&self) -> Chain {
        let stream = TcpStream::connect(self.host_and_port()).expect("the node listens");
        stream.set_nodelay(true).expect("a socket can be set");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket can be set");
        let (socket, _) = tungstenite::client(self.url(), stream).expect("the node speaks");
        let accounts = &self.book["accounts"];
        let routes = routes(&self.book);
        let sender = address(&accounts[13]["address"]);
        Chain { socket, asked: 0, sent: 0, sender, routes, stake_wei: 300_000_000_000_000_000 }
    }
}

/// A router, and the way through one of its pools from the wrapped native token.
#[derive(Clone, Debug)]
struct Route {
    router: Address,
    path: Vec<Address>,
}

fn routes(book: &Value) -> Vec<Route> {
    let weth = address(&book["weth"]);
    let factories = book["factories"].as_array().expect("factories are listed");
    let mut routes = Vec::new();
    for pair in book["pairs"].as_array().expect("pairs are listed") {
        let tokens = [address(&pair["token0"]), address(&pair["token1"])];
        let factory = factories.iter().find(|factory| factory["name"] == pair["factory"]);
        let router = address(&factory.expect("a pair's factory is listed")["router"]);
        if let [other] = tokens.iter().filter(|token| **token != weth).collect::<Vec<_>>()[..] {
            routes.push(Route { router, path: vec![weth, *other] });
        }
    }
    assert!(!routes.is_empty(), "some pairs hold the wrapped native token");
    routes
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().expect("this is text")
}

fn address(value: &Value) -> Address {
    text(value).parse().expect("this is an address")
}

/// An amount in hex.
pub(crate) fn amount(value: &Value) -> U256 {
    text(value).parse().expect("this is an amount")
}

fn number(value: &Value) -> u64 {
    let digits = text(value).trim_start_matches("0x");
    u64::from_str_radix(digits, 16).expect("this is a number")
}

sol! {
    function balanceOf(address holder) returns (uint256);
    function getReserves() returns (uint112, uint112, uint32);
    function swapExactETHForTokens(uint256 least, address[] path, address to, uint256 deadline);
}

/// A client of a node: asks, trades, and knows what the chain says.
#[derive(Debug)]
pub(crate) struct Chain {
    socket: WebSocket<TcpStream>,
    asked: u64,
    sent: usize,
    sender: Address,
    routes: Vec<Route>,
    /// What each swap pays in.
    pub(crate) stake_wei: u64,
}

impl Chain {
    /// The result of one question.
    pub(crate) fn ask(&mut self, method: &str, params: &Value) -> Value {
        self.asked += 1;
        let id = self.asked;
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        self.socket.send(Message::text(request.to_string())).expect("the node listens");
        loop {
            let message = self.socket.read().expect("the node answers");
            let Message::Text(answer) = message else { continue };
            let mut answer: Value = serde_json::from_str(&answer).expect("an answer is JSON");
            if answer["id"] == id {
                assert!(answer["error"].is_null(), "{method} {params}: {answer}");
                return answer["result"].take();
            }
        }
    }

    /// The newest block's number.
    pub(crate) fn height(&mut self) -> u64 {
        number(&self.ask("eth_blockNumber", &json!([])))
    }

    /// Sends one swap from native tokens: the next pool, a little more than before, and the two
    /// kinds of transaction in turn.
    pub(crate) fn swap(&mut self) {
        let Route { router, path } = self.routes[self.sent % self.routes.len()].clone();
        let call = swapExactETHForTokensCall {
            least: U256::ZERO,
            path,
            to: self.sender,
            deadline: U256::from(u64::MAX),
        };
        let value = U256::from(self.stake_wei + self.sent as u64);
        let gwei = |count: u64| U256::from(count * 1_000_000_000);
        let mut transaction = json!({
            "from": self.sender, "to": router, "value": value,
            "gas": U256::from(300_000), "data": Bytes::from(call.abi_encode()),
        });
        if self.sent.is_multiple_of(2) {
            transaction["gasPrice"] = json!(gwei(100));
        } else {
            transaction["maxFeePerGas"] = json!(gwei(200));
            transaction["maxPriorityFeePerGas"] = json!(gwei(2));
        }
        self.sent += 1;
        self.ask("eth_sendTransaction", &json!([transaction]));
    }

    /// Swaps until `done`, ten times a second.
    pub(crate) fn swap_until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        wait_for(what, || {
            self.swap();
            sleep(5 * LOOK);
            done(self).then_some(())
        });
    }

    /// Swaps while `count` blocks are mined.
    pub(crate) fn swap_for_blocks(&mut self, count: u64) {
        let wanted = self.height() + count;
        self.swap_until("blocks", |chain| chain.height() >= wanted);
    }

    /// Mines empty blocks at once.
    pub(crate) fn mine(&mut self, count: u64) {
        self.ask("anvil_mine", &json!([U256::from(count)]));
    }

    /// Waits until `count` more blocks are mined, and returns the number of the last one.
    pub(crate) fn next_blocks(&mut self, count: u64) -> u64 {
        let wanted = self.height() + count;
        wait_for("blocks", || (self.height() >= wanted).then_some(wanted))
    }

    /// What somebody holds of a token.
    pub(crate) fn holding(&mut self, token: Address, holder: Address) -> U256 {
        let data = Bytes::from(balanceOfCall { holder }.abi_encode());
        let answer = self.ask("eth_call", &json!([{ "to": token, "data": data }, "latest"]));
        amount(&answer)
    }

    /// Demands that a snapshot holds all of the book's pools, the reserves of those that have them
    /// as the chain has them at the snapshot's block, to the wei. (The demo compares the rest.)
    pub(crate) fn assert_same_reserves(&mut self, name: &str, book: &Value, snapshot: &Value) {
        let listed = |pools: &Value| pools.as_array().expect("pools are listed").clone();
        let mut pairs = listed(&book["pairs"]);
        pairs.extend(listed(&book["solidly"]["pools"]));
        let pools = snapshot["pools"].as_object().expect("a snapshot lists pools");
        let all = pairs.len() + listed(&book["v3"]["pools"]).len();
        assert_eq!(pools.len(), all, "{name}: every pool is followed");
        let height = snapshot["block"].as_u64().expect("a snapshot names its block");
        let block = json!(U256::from(height));
        let on_chain = self.ask("eth_getBlockByNumber", &json!([block, false]));
        assert_eq!(on_chain["hash"], snapshot["hash"], "{name}: block {height} is on the chain");
        for pair in pairs {
            let pool = address(&pair["address"]);
            let data = Bytes::from(getReservesCall {}.abi_encode());
            let answer = self.ask("eth_call", &json!([{ "to": pool, "data": data }, block]));
            let answer: Bytes = serde_json::from_value(answer).expect("this is data");
            let held = getReservesCall::abi_decode_returns(&answer).expect("these are reserves");
            let held = [held._0.to_string(), held._1.to_string()];
            // A map of addresses may spell them either way.
            let ours = pools.iter().find(|(key, _)| key.parse() == Ok(pool));
            let (ours, held) = (ours.map(|(_, held)| held), json!(held));
            assert_eq!(ours, Some(&held), "{name}: reserves of {pool} at block {height}");
        }
    }

    /// Blocks come no more by themselves.
    pub(crate) fn hold_blocks(&mut self) {
        self.ask("evm_setIntervalMining", &json!([0]));
        // One that is being mined still comes.
        sleep(5 * LOOK);
    }

    /// They come every second again.
    pub(crate) fn go_on(&mut self) {
        self.ask("evm_setIntervalMining", &json!([1]));
    }

    /// Replaces the newest `depth` blocks of a chain that mines each second by empty ones, and
    /// returns the hash of the first that went.
    pub(crate) fn reorganise(&mut self, depth: u64) -> B256 {
        // A block between the look at the height and the reorg would shift which ones go.
        self.hold_blocks();
        let first = U256::from(self.height() + 1 - depth);
        let block = self.ask("eth_getBlockByNumber", &json!([first, false]));
        self.ask("anvil_reorg", &json!([depth, []]));
        self.go_on();
        text(&block["hash"]).parse().expect("this is a hash")
    }
}
