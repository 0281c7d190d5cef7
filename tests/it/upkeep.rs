//! The house rules about all but Rust code: dependencies, configuration, ABIs, secrets, paths.
//!
//! [`tidy`](crate::tidy) says how a rule is held against the repository.
//!
//! Temperature: cold.

use std::collections::BTreeSet;

use crate::tidy::{Kept, Offence, hold};
use crate::tree::{File, Source, Tree};

/// What the two `no_std` crates may depend on.
const DEPENDENCIES: &[(&str, &[&str])] = &[
    (
        "engine/Cargo.toml",
        &[
            "alloy-primitives",
            "cpufeatures",
            "hashbrown",
            "k256",
            "libm",
            "memchr",
            "rfc6979",
            "serde",
            "sha2",
            "zeroize",
        ],
    ),
    ("strategies/Cargo.toml", &["gannet-engine", "serde"]),
];

fn dependencies(tree: &Tree) -> Vec<Offence> {
    let mut offences = Vec::new();
    for (path, allowed) in DEPENDENCIES {
        let Some(file) = tree.get(path) else { continue };
        let mut section = "";
        for (number, line) in file.lines() {
            if line.starts_with('[') {
                section = line.trim_matches(['[', ']']);
            }
            let is_list =
                section.ends_with("dependencies") && !section.ends_with("dev-dependencies");
            let name = line.split(['=', '.', ' ']).next().unwrap_or_default().trim_matches('"');
            let is_entry = is_list && name.starts_with(|c: char| c.is_ascii_alphanumeric());
            if is_entry && !allowed.contains(&name) || section.contains("dependencies.") {
                let instead =
                    format!("`{name}` is not on the list in tests/it/upkeep.rs: do without it");
                offences.push(Offence::new(file, number, instead));
            }
        }
    }
    offences
}

#[test]
fn the_engine_and_the_strategies_depend_on_little() {
    let engine = "[dependencies]\n# Floats.\nlibm = \"0.2\"\ntokio = \"1\"\n\
        [target.'cfg(unix)'.dependencies]\nlibc = \"0.2\"\n\
        [dev-dependencies]\nproptest = \"1\"\n[build-dependencies]\ncc = \"1\"";
    let strategies = "[dependencies]\nserde.workspace = true\n[dependencies.rand]\nversion = \"1\"";
    let planted = [("engine/Cargo.toml", engine), ("strategies/Cargo.toml", strategies)];
    let caught = [
        "engine/Cargo.toml:10",
        "engine/Cargo.toml:4",
        "engine/Cargo.toml:6",
        "strategies/Cargo.toml:3",
        "strategies/Cargo.toml:4",
    ];
    hold(dependencies, &[], &planted, &caught);
}

/// Packages of a lockfile, each with the line of its version.
fn locked(file: &File) -> impl Iterator<Item = (usize, (&str, &str))> {
    let mut name = "";
    file.lines().filter_map(move |(number, line)| {
        let (key, value) = line.split_once(" = ")?;
        let value = value.trim_matches('"');
        if key == "name" {
            name = value;
        }
        (key == "version" && !name.is_empty()).then_some((number, (name, value)))
    })
}

fn other_version(tree: &Tree) -> Vec<Offence> {
    let mut offences = Vec::new();
    let ours = tree.get("Cargo.lock").into_iter().flat_map(locked);
    let ours: BTreeSet<_> = ours.map(|(_, package)| package).collect();
    let known: BTreeSet<_> = ours.iter().map(|(name, _)| *name).collect();
    for file in ["tests/outside/Cargo.lock", "tests/fuzz/Cargo.lock"] {
        let Some(file) = tree.get(file) else { continue };
        for (number, package) in locked(file) {
            if known.contains(package.0) && !ours.contains(&package) {
                offences.push(Offence::new(file, number, "take the version of /Cargo.lock"));
            }
        }
    }
    offences
}

/// What is tried from outside is then what is tested here, and the two share what they build.
#[test]
fn all_lockfiles_have_the_same_versions() {
    let ours = "version = 4\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\n\
        [[package]]\nname = \"b\"\nversion = \"2.0.0\"";
    let outside = "version = 4\n[[package]]\nname = \"a\"\nversion = \"1.0.1\"\n\
        [[package]]\nname = \"c\"\nversion = \"3.0.0\"";
    let planted = [
        ("Cargo.lock", ours),
        ("tests/fuzz/Cargo.lock", ours),
        ("tests/outside/Cargo.lock", outside),
    ];
    hold(other_version, &[], &planted, &["tests/outside/Cargo.lock:4"]);
}

fn unused_abi(tree: &Tree) -> Vec<Offence> {
    let mut offences = Vec::new();
    let readers = || tree.files.iter().filter(|file| file.has_extension(&["rs", "mjs"]));
    for file in tree.files.iter().filter(|file| file.path.starts_with("abi/")) {
        let Some(name) = file.path.strip_prefix("abi/").filter(|name| name.ends_with(".json"))
        else {
            continue;
        };
        if !readers().any(|reader| reader.text.contains(name)) {
            offences.push(Offence::new(file, 1, "nothing reads it: use it or delete it"));
        }
        if !tree.text("abi/README.md").contains(&format!("| `{name}` |")) {
            offences.push(Offence::new(file, 1, "say in abi/README.md where it comes from"));
        }
    }
    offences
}

#[test]
fn every_abi_is_used_and_its_source_is_named() {
    let planted = [
        ("abi/README.md", "| `a.json` | npm |\n| `b.json` | npm |"),
        ("abi/a.json", ""),
        ("abi/b.json", ""),
        ("abi/c.json", ""),
        ("src/a.rs", "sol!(A, \"abi/a.json\"); sol!(C, \"abi/c.json\");"),
    ];
    hold(unused_abi, &[], &planted, &["abi/b.json:1", "abi/c.json:1"]);
}

/// Every key that is read, with the section that it stands in.
fn keys_read(tree: &Tree) -> BTreeSet<(String, String)> {
    let mut keys = BTreeSet::new();
    let mut section = "";
    for line in tree.text("src/config/raw.rs").lines().map(str::trim) {
        if let Some(header) = line.strip_prefix("/// `[") {
            section = header.trim_end_matches('`').trim_matches(['[', ']']);
        } else if let Some((key, _)) =
            line.strip_prefix("pub(super) ").and_then(|f| f.split_once(':'))
        {
            keys.insert((section.to_owned(), key.to_owned()));
        }
    }
    for part in tree.text("src/config/mod.rs").split("file.remove(\"").skip(1) {
        keys.extend(part.split_once('"').map(|(key, _)| (String::new(), key.to_owned())));
    }
    for name in strategy_folders(tree) {
        for line in tree.text(&format!("strategies/src/{name}/config.rs")).lines() {
            if let Some((key, _)) =
                line.strip_prefix("    pub ").and_then(|field| field.split_once(':'))
            {
                keys.insert((format!("strategy.{name}"), key.to_owned()));
            }
        }
    }
    keys
}

/// Where a key is explained for people, besides `config.toml`, and how its row begins.
fn manual_row(section: &str, key: &str) -> (String, String) {
    match section.strip_prefix("strategy.") {
        Some(name) => (format!("strategies/src/{name}/README.md"), format!("| `{key}` |")),
        None if section.is_empty() => ("README.md".to_owned(), format!("| `{key}` |")),
        None => ("README.md".to_owned(), format!("| `{section}.{key}` |")),
    }
}

fn config_key(tree: &Tree) -> Vec<Offence> {
    let mut offences = Vec::new();
    let Some(file) = tree.get("config.toml") else { return offences };
    let read = keys_read(tree);
    let mut missing = read.clone();
    let (mut section, mut is_explained) = ("", false);
    for (number, line) in file.lines() {
        // A key that is off by default stands there behind a comment sign.
        let text = line.trim_start_matches("# ");
        let key = text.split_once(" = ").map(|(key, _)| key);
        let key =
            key.filter(|key| key.bytes().all(|c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'_')));
        let mut offend = |instead: String| offences.push(Offence::new(file, number, instead));
        if line.is_empty() {
            is_explained = false;
        } else if text.starts_with('[') && text.ends_with(']') {
            section = text.trim_matches(['[', ']']);
        } else if let Some(key) = key {
            let place = (section.to_owned(), key.to_owned());
            if !read.contains(&place) {
                offend(format!("nothing reads `{key}`: delete it"));
            } else if missing.remove(&place) {
                if !is_explained {
                    offend("say in a comment above what it does".to_owned());
                }
                let (manual, row) = manual_row(section, key);
                if !tree.text(&manual).contains(&row) {
                    offend(format!("add a row {row} to {manual}"));
                }
            }
        } else if line.starts_with('#') {
            is_explained = true;
        }
    }
    for (section, key) in missing {
        let instead = format!("show `{key}` of [{section}], which is read, with a comment");
        offences.push(Offence::new(file, 1, instead));
    }
    offences
}

#[test]
fn config_toml_shows_and_explains_every_key_that_is_read() {
    let raw = "/// `[node]`\nstruct Node {\n    pub(super) url: A,\n    pub(super) wait: B,\n}\n\
        /// `[[wallet]]`\nstruct Wallet {\n    pub(super) key: A,\n}";
    let config = "# How.\nmode = 1\n\n[node]\nurl = 2\nport = 3\n\n\
        # Secret.\n[[wallet]]\n# key = 4\n[strategy.pair]\nhops = 5\n";
    let planted = [
        ("README.md", "| `mode` |\n| `node.url` |"),
        ("config.toml", config),
        ("src/config/mod.rs", "check(file.remove(\"mode\"))"),
        ("src/config/raw.rs", raw),
        ("strategies/src/pair/README.md", "| `hops` |"),
        ("strategies/src/pair/config.rs", "    pub hops: u8,\n"),
    ];
    let caught = ["config.toml:1", "config.toml:10", "config.toml:5", "config.toml:6"];
    hold(config_key, &[], &planted, &caught);
}

fn strategy_folders(tree: &Tree) -> BTreeSet<&str> {
    let inside = tree.files.iter().filter_map(|file| file.path.strip_prefix("strategies/src/"));
    inside.filter_map(|path| path.split_once('/')).map(|(folder, _)| folder).collect()
}

fn strategy_folder(tree: &Tree) -> Vec<Offence> {
    let mut offences = Vec::new();
    for name in strategy_folders(tree) {
        let folder = format!("strategies/src/{name}");
        for wanted in ["README.md", "config.rs", "mod.rs", "strategy.rs", "tests.rs"] {
            let path = format!("{folder}/{wanted}");
            if tree.get(&path).is_none() {
                offences.push(Offence::of_file(&path, "every strategy has its five files: add it"));
            }
        }
        let strategy = format!("{folder}/strategy.rs");
        let is_named =
            tree.text(&strategy).contains(&format!("const NAME: &'static str = \"{name}\";"));
        if tree.get(&strategy).is_some() && !is_named {
            offences.push(Offence::of_file(&strategy, "NAME is the folder's name"));
        }
    }
    offences
}

#[test]
fn every_strategy_is_a_folder_of_the_same_five_files() {
    let name = "const NAME: &'static str = \"whole\";";
    let planted = [
        ("strategies/src/lib.rs", ""),
        ("strategies/src/part/README.md", ""),
        ("strategies/src/part/config.rs", ""),
        ("strategies/src/part/mod.rs", ""),
        ("strategies/src/part/strategy.rs", name),
        ("strategies/src/whole/README.md", ""),
        ("strategies/src/whole/config.rs", ""),
        ("strategies/src/whole/mod.rs", ""),
        ("strategies/src/whole/strategy.rs", name),
        ("strategies/src/whole/tests.rs", ""),
    ];
    let caught = ["strategies/src/part/strategy.rs:1", "strategies/src/part/tests.rs:1"];
    hold(strategy_folder, &[], &planted, &caught);
}

fn lint_settings(tree: &Tree) -> Vec<Offence> {
    let [engine, strategies] = ["engine/clippy.toml", "strategies/clippy.toml"];
    if tree.text(engine) == tree.text(strategies) {
        return Vec::new();
    }
    vec![Offence::of_file(strategies, format!("copy {engine}: the hot crates have the same bans"))]
}

#[test]
fn the_hot_crates_have_the_same_lint_settings() {
    let planted = [("engine/clippy.toml", "a = 1"), ("strategies/clippy.toml", "a = 2")];
    hold(lint_settings, &[], &planted, &["strategies/clippy.toml:1"]);
}

/// How the keys of the test mnemonic that every development node starts with begin. Anybody has
/// them; test code and the scripts of the local chain may spell them.
const PUBLIC_TEST_KEYS: [&str; 10] = [
    "ac0974be", "59c6995e", "5de4111a", "7c852118", "47e179ec", "8b3a350c", "92db14e4", "4bbbf85c",
    "dbda1821", "2a871d07",
];

/// What tells that 32 bytes in hex are something else, on the line itself or the two above.
const DIGEST_WORDS: [&str; 10] = [
    "hash",
    "topic",
    "root",
    "sha256",
    "keccak",
    "b256!",
    "digest",
    "published",
    "\"r\":\"0x",
    "\"s\":\"0x",
];

const SECRET_KEPT: Kept = &[];

/// Runs of exactly 64 hex digits, as 32 bytes are written, that are not mostly zeros.
fn words_of_32_bytes(line: &str) -> impl Iterator<Item = &str> {
    let runs = line.split(|c: char| !c.is_ascii_hexdigit() && c != 'x');
    let digits = runs.map(|run| run.rsplit_once('x').map_or(run, |(_, digits)| digits));
    digits.filter(|digits| digits.len() == 64 && digits.matches('0').count() < 32)
}

fn secret(tree: &Tree) -> Vec<Offence> {
    let mut offences = Vec::new();
    for file in tree.files.iter().filter(|file| !file.is_lockfile() && !is_recorded(file)) {
        let is_rust = file.has_extension(&["rs"]);
        let tests = if is_rust { test_lines(file) } else { BTreeSet::new() };
        let lines: Vec<_> = file.text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let near = lines[index.saturating_sub(2)..=index].concat().to_lowercase() + &file.path;
            let is_digest = DIGEST_WORDS.iter().any(|word| near.contains(word));
            let may_be_public =
                file.is_test() || file.path.starts_with("scripts/") || tests.contains(&(index + 1));
            for digits in words_of_32_bytes(line) {
                let is_public = PUBLIC_TEST_KEYS.iter().any(|key| digits.starts_with(key));
                if !(is_public && may_be_public || is_digest && !is_public) {
                    let instead = "32 bytes that may be a key: read it from the environment, or \
                                   name what it is (hash, topic, root) beside it";
                    offences.push(Offence::new(file, index + 1, instead));
                }
            }
            if has_credentials(line) {
                let instead = "a URL with a password or a key: take it from the environment";
                offences.push(Offence::new(file, index + 1, instead));
            }
        }
    }
    offences
}

/// Whether it is what public nodes said, kept for tests: full of hashes, and of nobody's secrets.
fn is_recorded(file: &File) -> bool {
    file.path.starts_with("recordings/") || file.path.contains("/seeds/")
}

/// The lines of a Rust file that only its tests see.
fn test_lines(file: &File) -> BTreeSet<usize> {
    let source = Source::of(&file.text);
    let spans = source.items_with("#[cfg(test)]").into_iter();
    spans.flat_map(|span| source.line(span.start)..=source.line(span.end - 1)).collect()
}

/// A URL with a user's password, or one of a node provider with an account's key in its path.
fn has_credentials(line: &str) -> bool {
    line.split("://").skip(1).any(|rest| {
        let end = rest.find(['"', '\'', '`', ' ', '>', ')']).unwrap_or(rest.len());
        let (host, path) = rest[..end].split_once('/').unwrap_or((&rest[..end], ""));
        let is_key = |part: &str| {
            part.len() >= 20
                && part.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_' || c == b'-')
        };
        let is_provider = ["alchemy", "infura", "quiknode"].iter().any(|name| host.contains(name));
        let has_password = host.split_once('@').is_some_and(|(user, _)| user.contains(':'));
        has_password || is_provider && path.split('/').any(is_key)
    })
}

#[test]
fn no_key_and_no_password_is_committed() {
    let unknown = "0123456789abcdef".repeat(4);
    let public = format!("{}{}", PUBLIC_TEST_KEYS[0], "89abcdef".repeat(7));
    let rust = format!(
        "const A: &str = \"0x{unknown}\";\n\n\nconst HASH: &str = \"0x{unknown}\";\n\n\n\
         const B: &str = \"{public}\";\n\
         #[cfg(test)]\nmod tests {{\nconst C: &str = \"{public}\";\n}}\n"
    );
    let passwords =
        [":pass@host/", "@host/"].map(|rest| format!("url = \"wss://user{rest}\"")).join("\n");
    let account = format!("wss://eth.alchemy.com/v2/{}", "aB3".repeat(8));
    let planted = [
        ("config.toml", &*passwords),
        ("README.md", &*account),
        ("abi/a.json", &*unknown.repeat(2)),
        ("scripts/a", &*public),
        ("src/a.rs", &*rust),
    ];
    let caught = ["README.md:1", "config.toml:1", "src/a.rs:1", "src/a.rs:7"];
    hold(secret, SECRET_KEPT, &planted, &caught);
}

const FILE_BYTES_MAX: usize = 256 * 1024;

fn large_file(tree: &Tree) -> Vec<Offence> {
    let files = tree.files.iter().filter(|file| file.size_bytes > FILE_BYTES_MAX);
    let files = files.filter(|file| !file.path.starts_with("recordings/") && !file.is_lockfile());
    let instead =
        |bytes| format!("{bytes} bytes, wanted {FILE_BYTES_MAX}: fetch it or make it by a script");
    files.map(|file| Offence::new(file, 1, instead(file.size_bytes))).collect()
}

#[test]
fn no_file_is_larger_than_256_kib() {
    let large = " ".repeat(FILE_BYTES_MAX + 1);
    let planted = [
        ("a.bin", &*large),
        ("b.bin", &large[1..]),
        ("recordings/a", &large),
        ("Cargo.lock", &large),
    ];
    hold(large_file, &[], &planted, &["a.bin:1"]);
}

/// First folders of absolute paths that mean the same on every machine, or are examples.
const STANDARD_FOLDERS: [&str; 7] = ["bin", "dev", "etc", "path", "proc", "sys", "usr"];

/// Absolute paths of at least two parts, by their first.
fn absolute_paths(line: &str) -> impl Iterator<Item = &str> {
    let begins = line.match_indices('/').filter(|(at, _)| {
        let before = line[..*at].chars().next_back();
        before.is_none_or(|c| c.is_whitespace() || "\"'`=(:,[<".contains(c))
    });
    begins.filter_map(|(at, _)| {
        let (first, rest) = line[at + 1..].split_once('/')?;
        let is_part = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        let second = &rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())];
        // What follows the slash of a JavaScript pattern is flags.
        let is_path = !first.is_empty() && first.chars().all(is_part) && second.len() > 1;
        is_path.then_some(first)
    })
}

/// Whether a line has the URL of a package registry. A project names packages; where they come
/// from is the reader's own setting.
fn names_registry(line: &str) -> bool {
    line.split("://").skip(1).any(|rest| {
        let host = rest.split(['/', '"', '\'', ' ', ')']).next().unwrap_or_default();
        let mut labels = host.rsplit('.').skip(1);
        let name = labels.next().unwrap_or_default();
        name == "crates" || name.starts_with("npm") || name.starts_with("pypi") || name == "yarnpkg"
    })
}

fn machine_setting(tree: &Tree) -> Vec<Offence> {
    let mut offences = Vec::new();
    for file in &tree.files {
        for (number, line) in file.lines() {
            if absolute_paths(line).any(|first| !STANDARD_FOLDERS.contains(&first)) {
                offences.push(Offence::new(
                    file,
                    number,
                    "a path from the repository's root, or an option",
                ));
            }
            if names_registry(line) {
                offences.push(Offence::new(file, number, "the package's name and version"));
            }
        }
    }
    offences
}

#[test]
fn nothing_names_one_machine_or_a_registry() {
    let home = ["", "home", "someone", "gannet"].join("/");
    let registry = ["https://registry.", "npm", "js.org/ws"].concat();
    let script =
        format!("cd {home}\nls {} and/or a/b/c\ncurl {registry}\n", ["", "usr", "bin"].join("/"));
    let lock = format!("\"resolved\": \"{registry}\"");
    let planted =
        [("scripts/a", &*script), ("package-lock.json", &*lock), ("a.md", "ws://host/a/b\n")];
    hold(machine_setting, &[], &planted, &["package-lock.json:1", "scripts/a:1", "scripts/a:3"]);
}
