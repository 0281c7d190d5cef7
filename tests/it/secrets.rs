//! Keys: read from where they are named, and seen nowhere else, not even in a core dump.
//!
//! Temperature: cold.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use alloy::signers::local::PrivateKeySigner;
use alloy_primitives::{U256, hex};
use k256::elliptic_curve::rand_core::OsRng;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::bot::{Said, binary, gannet};
use crate::nodes::{Folder, Process, root, wait_for};
use crate::safety::Field;

const PASSWORD: &str = "correct horse battery staple";
const WRONG: (&str, &str) = ("PASSWORD", "hunter2");
const RIGHT: (&str, &str) = ("PASSWORD", PASSWORD);

/// A configuration of one wallet, whose key is in a keystore that was made for the test.
struct Keystore {
    folder: Folder,
    signer: PrivateKeySigner,
    file: PathBuf,
}

impl Keystore {
    fn new(test: &str) -> Self {
        let folder = Folder::new(test);
        let signer = PrivateKeySigner::random();
        let key = signer.to_bytes();
        PrivateKeySigner::encrypt_keystore(folder.file(""), &mut OsRng, key, PASSWORD, Some("k"))
            .expect("the folder can be written");
        Self { file: folder.file("k"), folder, signer }
    }

    /// What a live run needs besides the key, and a node that is not there.
    fn settings(&self, address: &str, file: &Path, password: Option<&str>) -> Vec<String> {
        let password = password.map(|name| format!(", password = \"{name}\"")).unwrap_or_default();
        let file = file.display();
        let wallet =
            format!("wallet=[{{ address = \"{address}\", key = \"keystore:{file}\"{password} }}]");
        let executor = format!("executor.address=0x{}", "ee".repeat(20));
        ["mode=live", &wallet, &executor, "node.url=ipc:/dev/null", "node.connect_timeout_s=1"]
            .map(str::to_owned)
            .to_vec()
    }

    fn run(&self, settings: &[String], variable: (&str, &str)) -> Said {
        let mut arguments = vec!["run", "--log", "trace"];
        arguments.extend(settings.iter().flat_map(|setting| ["--set", setting]));
        gannet(&self.folder, &arguments, &[variable])
    }

    fn address(&self) -> String {
        self.signer.address().to_string()
    }
}

/// The key was taken: what fails then is the node.
fn assert_opened(said: &Said) {
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    assert!(said.stderr.contains("cannot reach the node"), "{}", said.stderr);
}

/// Demands one line that begins with the key's path and has these words.
fn assert_refused(said: &Said, words: &[&str]) {
    assert_eq!(said.code, Some(2), "{}", said.stderr);
    let line = said.stderr.lines().last().unwrap_or_default();
    assert!(line.trim().starts_with("wallet.0."), "{}", said.stderr);
    for word in words {
        assert!(line.contains(word), "no `{word}` in {line}");
    }
    for secret in [PASSWORD, WRONG.1] {
        assert!(!said.stderr.contains(secret), "{}", said.stderr);
    }
}

#[test]
fn a_keystore_opens_with_its_password_and_with_no_other() {
    let keystore = Keystore::new("secrets-keystore");
    let address = keystore.address();
    let settings = |file: &Path, password| keystore.settings(&address, file, password);
    let file = &keystore.file;
    let named = settings(file, Some("env:PASSWORD"));
    assert_opened(&keystore.run(&named, RIGHT));
    assert_refused(&keystore.run(&named, WRONG), &["wrong password", "k"]);
    let missing = ("OTHER", "x");
    assert_refused(&keystore.run(&named, missing), &["PASSWORD is not set"]);
    assert_refused(&keystore.run(&settings(file, None), RIGHT), &["no terminal", "env:NAME"]);
    let written = settings(file, Some(PASSWORD));
    assert_refused(&keystore.run(&written, RIGHT), &["password: found", "not shown"]);

    let nowhere = keystore.folder.file("nowhere");
    let nowhere = settings(&nowhere, Some("env:PASSWORD"));
    assert_refused(&keystore.run(&nowhere, RIGHT), &["nowhere", "No such file"]);
    let other = format!("0x{}", "ab".repeat(20));
    let of_another = keystore.settings(&other, file, Some("env:PASSWORD"));
    assert_refused(&keystore.run(&of_another, RIGHT), &["holds the key of", &address]);

    let text = fs::read_to_string(file).expect("it was written");
    let damaged = [
        ("{", "", "no JSON"),
        ("\"version\":3", "\"version\":1", "version 1"),
        ("aes-128-ctr", "rot13", "rot13"),
        ("\"dklen\":32", "\"dklen\":16", "damaged"),
        ("\"n\":8192", "\"n\":2147483648", "costly"),
        ("\"n\":8192", "\"n\":8191", "damaged"),
        ("\"iv\":\"", "\"iv\":\"00", "damaged"),
    ];
    for (from, to, word) in damaged {
        assert!(text.contains(from), "{from} is in {text}");
        let file = keystore.folder.file("damaged");
        fs::write(&file, text.replacen(from, to, 1)).expect("it can be written");
        let settings = settings(&file, Some("env:PASSWORD"));
        assert_refused(&keystore.run(&settings, RIGHT), &[word]);
    }
}

#[test]
fn a_keystore_of_another_tool_opens() {
    let keystore = Keystore::new("secrets-ethers");
    let file = keystore.folder.file("ethers.json");
    let script = "import { Wallet } from 'ethers'; import { writeFileSync } from 'node:fs';
        const wallet = Wallet.createRandom(); const [file, password] = process.argv.slice(-2);
        writeFileSync(file, wallet.encryptSync(password));
        console.log(wallet.address);";
    let mut process = Process::start(&keystore.folder, "ethers", Path::new("node"), |command| {
        command.current_dir(root().join("scripts/chain"));
        command.args(["--input-type=module", "-e", script, "--"]).arg(&file).arg(PASSWORD);
    });
    assert!(process.wait().success(), "{}", keystore.folder.read("ethers.stderr"));
    let address = keystore.folder.read("ethers.stdout");
    let settings = keystore.settings(address.trim(), &file, Some("env:PASSWORD"));
    assert_opened(&keystore.run(&settings, RIGHT));
    assert_refused(&keystore.run(&settings, WRONG), &["wrong password"]);
}

#[test]
fn a_password_is_asked_for_on_a_terminal_and_not_shown_there() {
    let keystore = Keystore::new("secrets-terminal");
    let settings = keystore.settings(&keystore.address(), &keystore.file, None);
    let pty = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("there are terminals");
    grantpt(&pty).and_then(|()| unlockpt(&pty)).expect("a terminal can be opened");
    let name = ptsname(&pty, Vec::new()).expect("a terminal has a name");
    let name = name.into_string().expect("it is text");
    let terminal = fs::File::options().read(true).write(true).open(name).expect("it is there");
    let mut process = Process::start(&keystore.folder, "asked", binary(), |command| {
        command.current_dir(root()).arg("run").stdin(terminal.try_clone().expect("it is open"));
        command.args(settings.iter().flat_map(|setting| ["--set", setting]));
    });
    wait_for("the question", || {
        keystore.folder.read("asked.stderr").contains("Password of").then_some(())
    });
    let echoes = || {
        let modes = rustix::termios::tcgetattr(&terminal).expect("it is a terminal").local_modes;
        modes.contains(rustix::termios::LocalModes::ECHO)
    };
    wait_for("a terminal that does not show what is typed", || (!echoes()).then_some(()));
    let mut keyboard = fs::File::from(pty);
    keyboard.write_all(format!("{PASSWORD}\n").as_bytes()).expect("it can be typed");
    assert_eq!(process.wait().code(), Some(1), "{}", keystore.folder.read("asked.stderr"));
    assert!(keystore.folder.read("asked.stderr").contains("cannot reach the node"));
    assert!(echoes(), "the terminal shows again what is typed");
    drop(terminal);
    let mut shown = Vec::new();
    // Whoever typed sees nothing; that the other end is gone is an error on Linux.
    let ending = keyboard.read_to_end(&mut shown);
    assert!(ending.is_ok() || shown.is_empty(), "{ending:?}");
    assert!(!String::from_utf8_lossy(&shown).contains(PASSWORD), "{shown:?}");
}

/// A key as it could be written: in hex in either case, in decimal, in base 64, raw.
fn spellings(key: &str) -> Vec<Vec<u8>> {
    let raw = hex::decode(key).expect("a key is hex");
    let digits = hex::encode(&raw);
    let decimal = U256::from_be_slice(&raw).to_string();
    let mut spellings = vec![digits.to_uppercase().into_bytes(), digits.into_bytes()];
    spellings.extend([decimal.into_bytes(), base64(&raw), raw]);
    spellings
}

/// The whole groups of three bytes; what follows depends on padding.
fn base64(bytes: &[u8]) -> Vec<u8> {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |bytes: &[u8]| {
        let bits = bytes.iter().fold(0, |bits, byte| (bits << 8) | usize::from(*byte));
        [18, 12, 6, 0].map(|shift| LETTERS[(bits >> shift) & 63])
    };
    bytes.chunks_exact(3).flat_map(group).collect()
}

/// Every file below a folder, with what is in it.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("it is a folder") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let bytes = fs::read(&path).expect("it can be read");
            found.push((path, bytes));
        }
    }
    found
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
fn a_key_is_found_in_each_of_its_spellings() {
    let key = "00".repeat(15) + &"4d616e".repeat(5) + "0102";
    let [upper, lower, decimal, base, raw] = &spellings(&key)[..] else { panic!("five") };
    assert!(contains(upper, b"4D616E4D") && contains(lower, b"4d616e4d"));
    assert!(decimal.iter().all(u8::is_ascii_digit) && contains(base, b"TWFuTWFu"));
    assert!(contains(raw, b"ManMan") && !contains(raw, b"ManWoman"));
}

#[test]
fn no_output_of_a_live_run_holds_a_key() {
    let (of_node, of_bot) = (Folder::new("secrets-node"), Folder::new("secrets-bot"));
    let field = Field::new(&of_node);
    let mut chain = field.node.chain();
    let snapshot = of_bot.file("snapshot");
    let snapshot = snapshot.to_str().expect("paths are text");
    let loud = ["--log", "trace", "--log-format", "json", "--json", "--snapshot", snapshot];
    let mut bot = field.fly(&of_bot, "bot", &loud);
    bot.wait_until_fresh();
    chain.swap_until("a trade that lands", |_| {
        bot.journal().iter().any(|line| line["status"] == "landed")
    });
    bot.signal("USR1");
    let switch = of_bot.file("state/gannet/31337.kill");
    wait_for("the kill switch's file", || switch.exists().then_some(()));
    let flown = bot.end("TERM");
    flown.assert_ended();
    // What ends in failure, and what only looks.
    let keep = |name: &str, said: &Said| {
        let text = format!("{}{}", said.stdout, said.stderr);
        fs::write(of_bot.file(name), text).expect("it can be written");
        said.code
    };
    let trace = ["--log", "trace", "--json"];
    assert_eq!(keep("check", &field.say(&of_bot, "check", &trace)), Some(0));
    let foreign = ["--set", "wallet.0.key=env:GANNET_KEY_2", "--log", "trace"];
    assert_eq!(keep("foreign", &field.say(&of_bot, "run", &foreign)), Some(2));
    let unread = ["--set", "node.url=ipc:/dev/null", "--set", "node.connect_timeout_s=1"];
    assert_eq!(keep("unread", &field.say(&of_bot, "run", &unread)), Some(1));
    let mut crashed = field.fly(&of_bot, "crashed", &["--log", "trace"]);
    crashed.wait_until_fresh();
    crashed.signal("ABRT");
    assert_eq!(crashed.finish().code, None);

    let outputs = files(&of_bot.file(""));
    let has =
        |name: &str| outputs.iter().any(|(path, bytes)| path.ends_with(name) && !bytes.is_empty());
    for name in
        ["bot.stdout", "bot.stderr", "bot.journal", "snapshot", "31337.kill", "crashed.stderr"]
    {
        assert!(has(name), "{name} is there: {outputs:?}");
    }
    for (_, key) in field.keys() {
        for spelling in spellings(key) {
            for (path, bytes) in &outputs {
                assert!(!contains(bytes, &spelling), "a key is in {}", path.display());
            }
        }
    }
}

/// How a program is started without root's privileges: root looks into everything.
fn unprivileged() -> &'static [&'static str] {
    if rustix::process::geteuid().is_root() {
        &["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--"]
    } else {
        &["env"]
    }
}

/// What another process of this user reads of one's environment.
fn environment_of(id: u32) -> Option<Vec<u8>> {
    let [program, options @ ..] = unprivileged() else { return None };
    let file = format!("/proc/{id}/environ");
    let read = Command::new(program).args(options).args(["cat", &file]).output();
    let read = read.expect("programs can be started");
    read.status.success().then_some(read.stdout)
}

#[test]
fn a_run_with_keys_leaves_no_core_and_nobody_reads_its_memory() {
    let folder = Folder::new("secrets-core");
    let field = Field::new(&folder);
    // As much core as the machine allows, in a folder where it would be seen.
    let shell =
        "ulimit -c unlimited 2>&- || ulimit -c $(ulimit -H -c); cd \"$1\"; shift; exec \"$@\"";
    let start = |name: &str, program: &str, arguments: &[&str]| {
        Process::start(&folder, name, Path::new("sh"), |command| {
            command.args(["-c", shell, "sh"]).arg(folder.file("")).args(unprivileged());
            command.arg(program).args(arguments);
            command.envs(field.keys());
        })
    };
    // What does not close itself can be read, so it is not for another reason that the bot cannot.
    let open = start("open", "sleep", &["1000"]);
    wait_for("an open process", || environment_of(open.id()).filter(|read| !read.is_empty()));

    let config = root().join("config.toml");
    let config = config.to_str().expect("paths are text");
    let arguments = field.arguments();
    let arguments = [&["run", "--config", config, "--set", "runtime.pin=false"], &arguments[..]];
    for signal in ["ABRT", "SEGV"] {
        let mut bot = start("bot", binary().to_str().expect("paths are text"), &arguments.concat());
        wait_for("the run", || {
            assert!(bot.ending().is_none(), "{}", folder.read("bot.stderr"));
            folder.read("bot.stderr").contains("the world is up to date").then_some(())
        });
        assert_eq!(environment_of(bot.id()), None, "its environment has the keys");
        let limits = fs::read_to_string(format!("/proc/{}/limits", bot.id()));
        let limits = limits.expect("root and the same user see limits");
        let core = limits.lines().find(|line| line.starts_with("Max core file size"));
        let core: Vec<_> = core.expect("it is listed").split_whitespace().collect();
        assert_eq!(core[4..6], ["0", "0"], "{limits}");
        // Rust takes the first SEGV for a stack that might have overflowed.
        let status = wait_for("its end", || {
            bot.signal(signal);
            bot.ending()
        });
        assert!(status.signal().is_some() && !status.core_dumped(), "{status}");
    }
    let cores = files(&folder.file(""));
    let cores: Vec<_> = cores.iter().filter(|(path, _)| is_core(path)).collect();
    assert!(cores.is_empty(), "{cores:?}");
}

fn is_core(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("core"))
}
