//! The repository as the house rules read it: files, and in Rust code, comments and literals apart.
//!
//! Not a parser. It blanks what is not code, so that a rule about a word never meets that word in a
//! string or a comment, and it finds the end of an item by its braces. Blanked text keeps every
//! offset and every line.
//!
//! Temperature: cold.

use std::ops::Range;
use std::path::Path;
use std::process::Command;

/// The files of a repository, or of a small one that a test has made up.
pub(crate) struct Tree {
    pub(crate) files: Vec<File>,
}

/// A file, by its path from the repository's root.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) size_bytes: usize,
}

impl Tree {
    /// Everything that is committed or would be: what git ignores does not count.
    pub(crate) fn of_repository() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let listed = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(root)
            .output()
            .expect("git lists the files");
        assert!(listed.status.success(), "git ls-files: {}", shown(&listed.stderr));
        let mut files = Vec::new();
        for path in shown(&listed.stdout).split_terminator('\0') {
            // Deleted, but not yet staged: git still lists it.
            let Ok(bytes) = std::fs::read(root.join(path)) else { continue };
            let text = shown(&bytes);
            files.push(File { path: path.to_owned(), text, size_bytes: bytes.len() });
        }
        assert!(files.len() > 100, "only {} files found: is this the repository?", files.len());
        files.sort_by(|left, right| left.path.cmp(&right.path));
        Self { files }
    }

    /// A repository of these files.
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| File {
            path: (*path).to_owned(),
            text: (*text).to_owned(),
            size_bytes: text.len(),
        };
        Self { files: files.iter().map(file).collect() }
    }

    /// The file at `path`.
    pub(crate) fn get(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// The text of the file at `path`; nothing if there is none.
    pub(crate) fn text(&self, path: &str) -> &str {
        self.get(path).map_or("", |file| &file.text)
    }

    /// The Rust files.
    pub(crate) fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.has_extension(&["rs"]))
    }
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl File {
    /// Whether the name ends in one of these.
    pub(crate) fn has_extension(&self, extensions: &[&str]) -> bool {
        let extension = Path::new(&self.path).extension().and_then(|extension| extension.to_str());
        extension.is_some_and(|found| extensions.contains(&found))
    }

    /// Whether all of it is test code.
    pub(crate) fn is_test(&self) -> bool {
        self.path.starts_with("tests/")
            || self.path.contains("/tests/")
            || self.path.ends_with("/tests.rs")
    }

    /// Whether a machine wrote it.
    pub(crate) fn is_lockfile(&self) -> bool {
        self.path.ends_with("Cargo.lock") || self.path.ends_with("package-lock.json")
    }

    /// The text's lines with their numbers.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines())
    }

    /// The module's documentation: the `//!` lines that the file begins with.
    pub(crate) fn module_doc(&self) -> impl Iterator<Item = &str> {
        self.text.lines().map_while(|line| line.strip_prefix("//!"))
    }
}

/// Rust text with all but one of its parts blanked.
pub(crate) struct Source {
    /// Code: comments and the contents of literals are blank.
    pub(crate) code: String,
    /// Comments, doc comments included: all else is blank.
    pub(crate) comments: String,
}

/// A function with a body.
pub(crate) struct Function<'a> {
    pub(crate) name: &'a str,
    /// From `fn` to the closing brace.
    pub(crate) span: Range<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Code,
    Comment,
    Literal,
}

impl Source {
    pub(crate) fn of(text: &str) -> Self {
        let bytes = text.as_bytes();
        let blank = |kept: Part| {
            let mut out = bytes.to_vec();
            let mut at = 0;
            while at < bytes.len() {
                let (part, end) = piece(bytes, at);
                if part != kept {
                    out[at..end]
                        .iter_mut()
                        .filter(|byte| **byte != b'\n')
                        .for_each(|byte| *byte = b' ');
                }
                at = end;
            }
            shown(&out)
        };
        Self { code: blank(Part::Code), comments: blank(Part::Comment) }
    }

    /// The number of the line at an offset.
    pub(crate) fn line(&self, at: usize) -> usize {
        1 + self.code.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count()
    }

    /// Where `token` stands in the code, not as a part of a longer word.
    pub(crate) fn find(&self, token: &str) -> Vec<usize> {
        let bytes = self.code.as_bytes();
        let is_whole = |at: &usize| {
            let end = at + token.len();
            let before = *at > 0 && is_word(bytes[at - 1]) && is_word(bytes[*at]);
            let after = end < bytes.len() && is_word(bytes[end]) && is_word(bytes[end - 1]);
            !before && !after
        };
        self.code.match_indices(token).map(|(at, _)| at).filter(is_whole).collect()
    }

    /// The end of the item that begins at `from`: its closing brace, or its semicolon.
    pub(crate) fn item_end(&self, from: usize) -> usize {
        let bytes = self.code.as_bytes();
        let mut depth = 0_usize;
        let mut is_in_body = false;
        for (at, byte) in bytes.iter().enumerate().skip(from) {
            match byte {
                b'{' if depth == 0 => (depth, is_in_body) = (1, true),
                b'{' | b'(' | b'[' => depth += 1,
                b'}' | b')' | b']' => depth = depth.saturating_sub(1),
                b';' if depth == 0 => return at + 1,
                _ => {}
            }
            if is_in_body && depth == 0 {
                return at + 1;
            }
        }
        bytes.len()
    }

    /// The functions that have a body.
    pub(crate) fn functions(&self) -> Vec<Function<'_>> {
        let function = |at: usize| {
            let rest = &self.code[at + 2..];
            let name =
                rest.trim_start().split(|c: char| !c.is_alphanumeric() && c != '_').next()?;
            let end = self.item_end(at);
            let has_body = self.code[at..end].ends_with('}');
            (has_body && !name.is_empty()).then_some(Function { name, span: at..end })
        };
        self.find("fn").into_iter().filter_map(function).collect()
    }

    /// The items that carry this attribute.
    pub(crate) fn items_with(&self, attribute: &str) -> Vec<Range<usize>> {
        self.find(attribute).into_iter().map(|at| at..self.item_end(at + attribute.len())).collect()
    }

    /// The modules that a file declares without a body.
    pub(crate) fn modules(&self) -> Vec<&str> {
        let name = |at: usize| {
            let (name, _) = self.code[at + 3..].split_once(';')?;
            name.trim().bytes().all(is_word).then_some(name.trim())
        };
        self.find("mod").into_iter().filter_map(name).collect()
    }
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// What begins at `at`, and where it ends.
fn piece(bytes: &[u8], at: usize) -> (Part, usize) {
    let rest = &bytes[at..];
    match rest {
        [b'/', b'/', ..] => (Part::Comment, at + length_to(rest, b"\n")),
        [b'/', b'*', ..] => (Part::Comment, at + block_comment(rest)),
        [b'"', ..] => (Part::Literal, at + quoted(rest)),
        [b'\'', b'\\', ..] => (Part::Literal, at + 3 + length_past(&rest[3..], b"'")),
        [b'\'', first, ..] => {
            // One character of one to four bytes, then a quote; otherwise a lifetime.
            let length = match first {
                0..0x80 => 1,
                0x80..0xe0 => 2,
                0xe0..0xf0 => 3,
                _ => 4,
            };
            let is_char = rest.get(1 + length) == Some(&b'\'');
            if is_char { (Part::Literal, at + 2 + length) } else { (Part::Code, at + 1) }
        }
        [first, ..] if is_word(*first) => {
            let length = rest.iter().take_while(|byte| is_word(**byte)).count();
            let hashes = rest[length..].iter().take_while(|byte| **byte == b'#').count();
            let is_raw = matches!(&rest[..length], b"r" | b"br" | b"cr")
                && rest.get(length + hashes) == Some(&b'"');
            if !is_raw {
                return (Part::Code, at + length);
            }
            let start = length + hashes + 1;
            let closing = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
            (Part::Literal, at + start + length_past(&rest[start..], &closing))
        }
        _ => (Part::Code, at + 1),
    }
}

/// Bytes before the next `needle`; all of them if there is none.
fn length_to(bytes: &[u8], needle: &[u8]) -> usize {
    bytes.windows(needle.len()).position(|window| window == needle).unwrap_or(bytes.len())
}

fn length_past(bytes: &[u8], needle: &[u8]) -> usize {
    (length_to(bytes, needle) + needle.len()).min(bytes.len())
}

/// The length of a string in quotes.
fn quoted(bytes: &[u8]) -> usize {
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The length of a block comment, which may hold others.
fn block_comment(bytes: &[u8]) -> usize {
    let (mut at, mut depth) = (2, 1);
    while at < bytes.len() && depth > 0 {
        match &bytes[at..] {
            [b'/', b'*', ..] => (at, depth) = (at + 2, depth + 1),
            [b'*', b'/', ..] => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
    }
    at
}

#[test]
fn code_comments_and_literals_are_told_apart() {
    let text =
        "let a = \"x // y\\\"\"; // z 'q\n/* b /* c */ d */ r#\"e\"f\"# 'g' '\\'' &'h i b\"j\"";
    let Source { code, comments } = Source::of(text);
    assert_eq!((code.len(), comments.len()), (text.len(), text.len()));
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(words(&code), "let a = ; &'h i b");
    assert_eq!(words(&comments), "// z 'q /* b /* c */ d */");
}

#[test]
fn items_end_where_their_braces_close() {
    let text =
        "#[cold]\npub fn new(a: [u8; 2]) -> B {\n { } }\nfn next();\nmod tests;\nmod inner { }";
    let source = Source::of(text);
    let [cold] = &source.items_with("#[cold]")[..] else { panic!("one item is cold") };
    assert_eq!(&text[cold.end - 3..cold.end], "} }");
    let names: Vec<_> = source.functions().iter().map(|function| function.name).collect();
    assert_eq!(names, ["new"]);
    assert_eq!(source.modules(), ["tests"]);
    assert_eq!(source.line(cold.end), 3);
}
