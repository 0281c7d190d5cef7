//! The house rules that no lint knows, held against every Rust file; [`upkeep`](crate::upkeep) has
//! those about the other files.
//!
//! Each rule is a function from a [`Tree`] to its offences, and one test below it: the test plants
//! offences in a made-up tree and demands that exactly they are found, then demands that the
//! repository has none. An offence reads `file:line: rule: what to do instead`.
//!
//! Where an offence is kept for a reason, a list beside the rule says how many and why. Such a list
//! only ever shrinks: an entry that is no longer needed in full fails too.
//!
//! Temperature: cold.

use std::collections::{BTreeMap, BTreeSet};

use crate::tree::{File, Source, Tree};

/// A place where a rule is broken. `weight` is what a kept list counts: 1, or a length in lines.
pub(crate) struct Offence {
    path: String,
    line: usize,
    weight: usize,
    instead: String,
}

impl Offence {
    pub(crate) fn new(file: &File, line: usize, instead: impl Into<String>) -> Self {
        Self { path: file.path.clone(), line, weight: 1, instead: instead.into() }
    }

    /// Of a file as a whole, or of one that should be there.
    pub(crate) fn of_file(path: &str, instead: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line: 1, weight: 1, instead: instead.into() }
    }
}

/// Offences that are kept: the file, their weight, the reason.
pub(crate) type Kept = &'static [(&'static str, usize, &'static str)];

/// Holds a rule against a planted tree, which has exactly the offences `caught` (as `file:line`),
/// and then against the repository, which has none but those `kept`.
pub(crate) fn hold<R: Fn(&Tree) -> Vec<Offence>>(
    rule: R,
    kept: Kept,
    planted: &[(&str, &str)],
    caught: &[&str],
) {
    let name = std::any::type_name::<R>().rsplit("::").next().unwrap_or_default();
    let mut found: Vec<_> = rule(&Tree::of(planted)).iter().map(place).collect();
    found.sort();
    assert_eq!(found, caught, "{name} must find exactly what was planted");
    let complaints = complaints(name, &rule(&Tree::of_repository()), kept);
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

fn place(offence: &Offence) -> String {
    format!("{}:{}", offence.path, offence.line)
}

fn complaints(name: &str, offences: &[Offence], kept: Kept) -> Vec<String> {
    let mut weights = BTreeMap::<&str, usize>::new();
    for offence in offences {
        *weights.entry(&offence.path).or_default() += offence.weight;
    }
    let weight = |path: &str| weights.get(path).copied().unwrap_or_default();
    let most =
        |path: &str| kept.iter().find(|(kept, ..)| *kept == path).map_or(0, |(_, most, _)| *most);
    let stale =
        kept.iter().filter(|(path, most, _)| weight(path) < *most).map(|(path, most, _)| {
            format!(
                "{path}:1: {name}: {most} are kept, {} are there: shrink the list",
                weight(path)
            )
        });
    let new = offences.iter().filter(|offence| weight(&offence.path) > most(&offence.path));
    let new = new.map(|offence| format!("{}: {name}: {}", place(offence), offence.instead));
    new.chain(stale).collect()
}

#[test]
fn what_is_kept_may_only_shrink() {
    let tree = Tree::of(&[("a", ""), ("b", "")]);
    let offences: Vec<_> = tree.files.iter().map(|file| Offence::new(file, 7, "better")).collect();
    assert_eq!(complaints("rule", &offences, &[("a", 1, "")]), ["b:7: rule: better"]);
    let kept = &[("a", 1, ""), ("b", 2, "")];
    assert_eq!(
        complaints("rule", &offences, kept),
        ["b:1: rule: 2 are kept, 1 are there: shrink the list"]
    );
    let [one] = &complaints("rule", &[], &[("gone", 1, "")])[..] else { panic!("stale") };
    assert!(one.starts_with("gone:1: "), "{one}");
}

/// What the module documentation ends with: run per message; per block or send; at start or end.
const TEMPERATURES: [&str; 3] = [HOT, " Temperature: warm.", " Temperature: cold."];
const HOT: &str = " Temperature: hot.";

fn temperature(tree: &Tree) -> Vec<Offence> {
    let mut offences = Vec::new();
    for file in tree.rust() {
        let instead = match file.module_doc().last() {
            Some(last) if TEMPERATURES.contains(&last) => continue,
            Some(_) => "end the module's documentation with //! Temperature: hot. (or warm, cold)",
            None => "begin with //! and one sentence of what the file is",
        };
        offences.push(Offence::new(file, file.module_doc().count().max(1), instead));
    }
    offences
}

#[test]
fn every_file_says_what_it_is_and_how_hot() {
    let planted = [
        ("cold.rs", "//! A file.\n//!\n//! Temperature: cold.\nuse a;"),
        ("none.rs", "use a;\n//! Temperature: cold."),
        ("late.rs", "//! Temperature: hot.\n//!\n//! A file.\n"),
        ("tepid.rs", "//! A file.\n//! Temperature: tepid.\n"),
    ];
    hold(temperature, &[], &planted, &["late.rs:3", "none.rs:1", "tepid.rs:2"]);
}

/// What a hot file may not name outside its constructors, and what to do instead.
const HOT_BANS: &[(&str, &str)] = &[
    (".clone()", "borrow, or copy a handle"),
    (".to_vec()", "write into a buffer that was reserved at the start"),
    (".to_owned()", "borrow, or copy bytes into a fixed array"),
    (".to_string()", "keep a Copy reason; the cold side spells it"),
    (".collect", "loop, or fill a buffer that was reserved at the start"),
    ("Box::", "own it by value, or hand over a box that the cold side made"),
    ("String", "a fixed array, a &'static str or a Copy reason"),
    ("format!", "keep a Copy reason; the cold side spells it"),
    ("vec!", "reserve it in new, init, default or a #[cold] function"),
    ("Arc", "one owner; pass a reference or a handle"),
    ("Rc", "one owner; pass a reference or a handle"),
    ("dyn", "a type parameter or an enum"),
    ("tracing::", "take a note; the cold side logs it"),
];

/// Reserving is what constructors are for.
const CONSTRUCTORS: [&str; 3] = ["new", "init", "default"];

const HOT_KEPT: Kept = &[];

fn hot_allocation(tree: &Tree) -> Vec<Offence> {
    let mut offences = Vec::new();
    for file in tree.rust().filter(|file| file.module_doc().last() == Some(HOT)) {
        let source = Source::of(&file.text);
        let mut exempt = source.items_with("#[cfg(test)]");
        exempt.extend(source.items_with("#[cold]"));
        let constructors = source.functions().into_iter();
        exempt.extend(constructors.filter(|f| CONSTRUCTORS.contains(&f.name)).map(|f| f.span));
        for (banned, instead) in HOT_BANS {
            for at in source.find(banned) {
                if !exempt.iter().any(|span| span.contains(&at)) {
                    let instead = format!("no `{banned}` here: {instead}");
                    offences.push(Offence::new(file, source.line(at), instead));
                }
            }
        }
    }
    offences
}

#[test]
fn hot_files_neither_allocate_nor_log_outside_constructors() {
    let cold = "//! A.\n//!\n//! Temperature: cold.\nfn f() { a.clone() }";
    let hot = "//! A String.\n//!\n//! Temperature: hot.\n\
        fn new() { vec![0; 8] }\n\
        #[cold]\nfn lose(a: A) { tracing::warn!(\"lost\") }\n\
        fn f(a: Rcs) { a.copied(); \"format!\"; b.clone();\nlet a: Vec<_> = b.collect(); }\n\
        fn g(a: &dyn A) -> String { a }\n\
        #[cfg(test)]\nmod tests { use std::rc::Rc; }";
    let caught = ["hot.rs:7", "hot.rs:8", "hot.rs:9", "hot.rs:9"];
    hold(hot_allocation, HOT_KEPT, &[("cold.rs", cold), ("hot.rs", hot)], &caught);
}

fn file_name(tree: &Tree) -> Vec<Offence> {
    let vague = ["util", "utils", "helper", "helpers", "common", "misc", "types"];
    let is_vague = |part: &str| vague.contains(&part.split('.').next().unwrap_or_default());
    let files = tree.files.iter().filter(|file| file.path.split('/').any(is_vague));
    files.map(|file| Offence::new(file, 1, "name it for what is in it")).collect()
}

#[test]
fn no_file_is_named_for_being_useful() {
    let planted = [("src/utils.rs", ""), ("a/common/b.mjs", ""), ("src/uncommon.rs", "")];
    hold(file_name, &[], &planted, &["a/common/b.mjs:1", "src/utils.rs:1"]);
}

/// A file is read top to bottom, tests aside.
const FILE_LINES_MAX: usize = 500;
/// A function fits a screen.
const FUNCTION_LINES_MAX: usize = 70;

const FILE_LENGTH_KEPT: Kept = &[];

fn file_length(tree: &Tree) -> Vec<Offence> {
    let mut offences = Vec::new();
    for file in tree.rust().filter(|file| !file.is_test()) {
        let source = Source::of(&file.text);
        let lines = |text: &str| text.lines().count();
        let tests =
            source.items_with("#[cfg(test)]").into_iter().map(|span| lines(&file.text[span]));
        let weight = lines(&file.text) - tests.sum::<usize>();
        if weight > FILE_LINES_MAX {
            let instead = format!(
                "{weight} lines without tests, wanted {FILE_LINES_MAX}: split it by what it does"
            );
            offences.push(Offence { weight, ..Offence::new(file, 1, instead) });
        }
    }
    offences
}

#[test]
fn a_file_has_at_most_500_lines_without_its_tests() {
    let tests = format!("#[cfg(test)]\nmod tests {{{}}}", "\n".repeat(600));
    let short = format!("{}{tests}", "fn a() {}\n".repeat(500));
    let long = format!("{}{tests}", "fn a() {}\n".repeat(501));
    let planted =
        [("src/short.rs", &*short), ("src/long.rs", &*long), ("tests/it/long.rs", &*long)];
    hold(file_length, FILE_LENGTH_KEPT, &planted, &["src/long.rs:1"]);
}

const FUNCTION_LENGTH_KEPT: Kept = &[];

fn function_length(tree: &Tree) -> Vec<Offence> {
    let mut offences = Vec::new();
    for file in tree.rust() {
        let source = Source::of(&file.text);
        for function in source.functions() {
            let code = &source.code[function.span.clone()];
            let body = code.split_once('{').map_or("", |(_, body)| body);
            let lines = body.lines().filter(|line| !line.trim().is_empty());
            let weight = lines.count().saturating_sub(1);
            if weight > FUNCTION_LINES_MAX {
                let name = function.name;
                let instead = format!(
                    "{name} has {weight} lines of code, wanted {FUNCTION_LINES_MAX}: \
                     push ifs up, fors down, and name the parts"
                );
                let line = source.line(function.span.start);
                offences.push(Offence { weight, ..Offence::new(file, line, instead) });
            }
        }
    }
    offences
}

#[test]
fn a_function_has_at_most_70_lines_of_code() {
    let function =
        |count: usize| format!("\nfn f() {{\n{}}}", "// Why.\n    a();\n\n".repeat(count));
    let planted = [("short.rs", &*function(70)), ("long.rs", &*function(71))];
    hold(function_length, FUNCTION_LENGTH_KEPT, &planted, &["long.rs:2"]);
}

/// Whether a comment is a line of code that was switched off.
fn is_code(comment: &str) -> bool {
    let Some(text) = comment.strip_prefix("//") else { return false };
    if text.starts_with(['/', '!']) {
        return false;
    }
    let text = text.trim();
    let begins = |words: &[&str]| words.iter().any(|word| text.starts_with(word));
    let ends = |marks: &[char]| text.ends_with(marks);
    begins(&["let ", "fn ", "pub ", "impl ", "struct ", "enum ", "mod "]) && ends(&[';', '{', '}'])
        || begins(&["if ", "for ", "while ", "match ", "} else"]) && ends(&['{'])
        || begins(&["use ", "return ", "self.", "assert"]) && ends(&[';'])
        || begins(&["#["]) && ends(&[']'])
        || ["}", "});", "};", ");"].contains(&text)
}

fn unfinished(tree: &Tree) -> Vec<Offence> {
    let mut offences = Vec::new();
    let (fix, todo) = (["FIX", "ME"].concat(), ["TO", "DO"].concat());
    let read = ["rs", "mjs", "sol", "toml", "sh"];
    for file in tree.files.iter().filter(|file| file.has_extension(&read)) {
        let is_rust = file.has_extension(&["rs"]);
        let source = is_rust.then(|| Source::of(&file.text));
        let comments = source.as_ref().map_or(&file.text, |source| &source.comments);
        for (number, comment) in (1..).zip(comments.lines()) {
            let has_issue = comment.contains(&format!("{todo}(#"));
            if comment.contains(&fix) {
                offences.push(Offence::new(file, number, "mend it before it is merged"));
            } else if comment.contains(&todo) && !has_issue {
                offences.push(Offence::new(file, number, format!("name the issue: {todo}(#42)")));
            } else if is_rust && is_code(comment.trim()) {
                offences.push(Offence::new(file, number, "delete code that is switched off"));
            }
        }
        let Some(source) = &source else { continue };
        for at in source.find("dbg!") {
            offences.push(Offence::new(file, source.line(at), "remove the debugging aid"));
        }
    }
    offences
}

#[test]
fn nothing_unfinished_is_left_behind() {
    let (fix, todo) = (["FIX", "ME"].concat(), ["TO", "DO"].concat());
    let rust = format!(
        "// {fix}: wrong\nfn f() {{ dbg!(a) }}\n// {todo} later\n// {todo}(#7): later\n\
         \"{fix}\";\n    // let a = b;\n// if it differs, reload;\n/// let a = b;\n// if a {{\n"
    );
    let script = format!("# {todo}\necho\n");
    let planted = [("a.rs", &*rust), ("b.sh", &*script)];
    hold(unfinished, &[], &planted, &["a.rs:1", "a.rs:2", "a.rs:3", "a.rs:6", "a.rs:9", "b.sh:1"]);
}

/// The files at which cargo begins to read a crate.
fn crate_roots(tree: &Tree) -> Vec<String> {
    let mut roots = Vec::new();
    for manifest in tree.files.iter().filter(|file| file.path.ends_with("Cargo.toml")) {
        let folder = manifest.path.trim_end_matches("Cargo.toml");
        let named = manifest.text.lines().filter_map(|line| line.strip_prefix("path = \""));
        roots.extend(named.map(|path| format!("{folder}{}", path.trim_end_matches('"'))));
        for file in tree.rust() {
            let Some(path) = file.path.strip_prefix(folder) else { continue };
            let parts: Vec<_> = path.split('/').collect();
            if matches!(
                parts[..],
                ["build.rs"]
                    | ["src", "lib.rs" | "main.rs"]
                    | ["src", "bin", _]
                    | ["tests" | "benches" | "examples", _]
                    | ["tests" | "benches" | "examples", _, "main.rs"]
            ) {
                roots.push(file.path.clone());
            }
        }
    }
    roots
}

fn unreachable_file(tree: &Tree) -> Vec<Offence> {
    let roots = crate_roots(tree);
    let mut reached = BTreeSet::new();
    let mut next = roots.clone();
    while let Some(path) = next.pop() {
        let Some(file) = tree.get(&path) else { continue };
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
        let is_folder = name == "mod.rs" || roots.contains(&path);
        let folder =
            if is_folder { folder.to_owned() } else { path.trim_end_matches(".rs").to_owned() };
        for module in Source::of(&file.text).modules() {
            next.push(format!("{folder}/{module}.rs"));
            next.push(format!("{folder}/{module}/mod.rs"));
        }
        reached.insert(path);
    }
    let lost = tree.rust().filter(|file| !reached.contains(&file.path));
    lost.map(|file| Offence::new(file, 1, "no mod leads here: declare it or delete it")).collect()
}

#[test]
fn every_rust_file_belongs_to_a_crate() {
    let planted = [
        ("Cargo.toml", "[[bench]]\npath = \"speed/a.rs\""),
        ("engine/Cargo.toml", ""),
        ("engine/src/lib.rs", "pub mod a;\n// mod lost;\nmod c {}"),
        ("engine/src/a.rs", "mod b;"),
        ("engine/src/a/b/mod.rs", ""),
        ("engine/src/lost.rs", ""),
        ("engine/tests/it/main.rs", "mod d;"),
        ("engine/tests/it/d.rs", ""),
        ("speed/a.rs", ""),
        ("speed/lost.rs", ""),
    ];
    hold(unreachable_file, &[], &planted, &["engine/src/lost.rs:1", "speed/lost.rs:1"]);
}

fn line_shape(tree: &Tree) -> Vec<Offence> {
    let mut offences = Vec::new();
    for file in tree.files.iter().filter(|file| file.has_extension(&["rs", "mjs", "sol", "toml"])) {
        for (number, line) in file.lines() {
            let is_rust = file.has_extension(&["rs"]);
            if is_rust && line.chars().count() > 100 && !line.contains("://") {
                offences.push(Offence::new(file, number, "wrap it at 100 columns"));
            }
            if line.ends_with([' ', '\t', '\r']) {
                offences.push(Offence::new(file, number, "no space at the end of a line"));
            }
        }
    }
    offences
}

#[test]
fn lines_fit_100_columns_and_end_where_they_end() {
    let rust =
        format!("//! {}\n//! {}é\n// https://{0}\nuse a; \n", "x".repeat(97), "x".repeat(95));
    let planted = [("a.rs", &*rust), ("b.toml", "a = 1\t\n"), ("c.md", "two spaces  \n")];
    hold(line_shape, &[], &planted, &["a.rs:1", "a.rs:4", "b.toml:1"]);
}
