//! Everything that is wrong with a configuration, collected and told at once.
//!
//! Temperature: cold.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::near::nearest;

/// One thing that is wrong: where, what was found, what would be right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The key's path, for example `node.url`.
    pub path: String,
    /// What was found and what would be right, in one line.
    pub message: String,
}

/// All problems of a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        let noun = if count == 1 { "problem" } else { "problems" };
        write!(out, "the configuration has {count} {noun}:")?;
        self.0
            .iter()
            .try_for_each(|problem| write!(out, "\n  {}: {}", problem.path, problem.message))
    }
}

impl std::error::Error for Problems {}

impl Problems {
    /// Notes a problem, in one line, whatever the file has in a key or a value.
    pub(super) fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        let (path, message) = (tellable(&path.into()), tellable(&message.into()));
        // TOML allows a key without a name.
        let path = if path.is_empty() { "\"\"".to_owned() } else { path };
        self.0.push(Problem { path, message });
    }

    /// Whether something is wrong at `path` already.
    pub(super) fn has(&self, path: &str) -> bool {
        self.0.iter().any(|problem| problem.path == path)
    }

    /// Takes a required value, or notes what is missing.
    pub(super) fn required<T>(&mut self, value: Option<T>, path: &str, wanted: &str) -> Option<T> {
        let section = path.split('.').next().unwrap_or_default();
        if value.is_none() && !self.has(path) && !self.has(section) {
            self.add(path, format!("missing; wanted {wanted}"));
        }
        value
    }

    /// Reads a section key by key: every key that does not fit is noted, the others count.
    pub(super) fn section<T: DeserializeOwned + Default>(
        &mut self,
        table: &Table,
        path: &str,
    ) -> T {
        let mut good = Table::new();
        for (key, value) in table {
            let alone = Table::from_iter([(key.to_owned(), value.to_owned())]);
            match T::deserialize(alone) {
                Ok(_) => {
                    good.insert(key.to_owned(), value.to_owned());
                }
                Err(error) => self.add(format!("{path}.{key}"), explain(value, error.message())),
            }
        }
        T::deserialize(good).unwrap_or_default()
    }

    /// Takes a table out of the file, or notes that there is something else in its place.
    pub(super) fn table(&mut self, file: &mut Table, key: &str) -> Table {
        match file.remove(key) {
            None => Table::new(),
            Some(Value::Table(table)) => table,
            Some(other) => {
                self.add(key, format!("found {}; wanted a table [{key}]", shown(&other)));
                Table::new()
            }
        }
    }

    /// Takes a list of tables out of the file.
    pub(super) fn tables(&mut self, file: &mut Table, key: &str) -> Vec<Table> {
        self.tables_at(file, key, key)
    }

    /// Takes a list of tables out of a table that may itself stand somewhere in the file.
    pub(super) fn tables_at(&mut self, table: &mut Table, key: &str, path: &str) -> Vec<Table> {
        let Some(value) = table.remove(key) else { return Vec::new() };
        let wanted = format!("wanted tables [[{path}]]");
        let Value::Array(items) = value else {
            self.add(path, format!("found {}; {wanted}", shown(&value)));
            return Vec::new();
        };
        let mut tables = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            if let Value::Table(table) = item {
                tables.push(table);
            } else {
                self.add(format!("{path}.{index}"), format!("found {}; {wanted}", shown(&item)));
            }
        }
        tables
    }
}

/// What was found and what the deserialiser wanted; secrets never reach this, because a secret is
/// named, not written, and a value that may be one is not shown.
pub(super) fn explain(value: &Value, message: &str) -> String {
    let message = message.trim();
    if message.starts_with("unknown field") {
        let mut names = message.split('`').skip(1).step_by(2);
        let found = names.next().unwrap_or_default();
        return unknown(found, &names.collect::<Vec<_>>());
    }
    let wanted = match message.split_once(", expected ") {
        Some((_, "a boolean" | "bool")) => "wanted true or false",
        Some((_, "a string")) => "wanted text in quotes",
        Some((_, "a sequence")) => "wanted a list [...]",
        Some((_, "u16" | "u32" | "u64" | "usize")) => "wanted a whole number, 0 or more",
        Some((_, wanted)) => &format!("wanted {wanted}"),
        None => message,
    };
    format!("found {}; {wanted}", shown(value))
}

/// An unknown key, and the known one that was most likely meant.
pub(super) fn unknown(found: &str, known: &[&str]) -> String {
    match nearest(found, known) {
        Some(meant) => format!("unknown key; did you mean `{meant}`?"),
        None => format!("unknown key; wanted {}", one_of(known)),
    }
}

/// Something of a kind that is on no list, and what was most likely meant.
pub(super) fn unlisted(kind: &str, found: &str, known: &[&str]) -> String {
    match nearest(found, known) {
        Some(meant) => format!("no such {kind}; did you mean `{meant}`?"),
        None => format!("no such {kind}; wanted {}", one_of(known)),
    }
}

fn one_of(words: &[&str]) -> String {
    match words {
        [] => "none".to_owned(),
        [word] => (*word).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// More hex digits in a row than an address has may be a private key, or most of one.
const HEX_DIGITS_MAX: usize = 40;

/// The text without what ends a line, and without what may be a private key.
fn tellable(text: &str) -> String {
    let mut told = String::with_capacity(text.len());
    for part in text.split_inclusive(|letter: char| !letter.is_ascii_hexdigit()) {
        let digits = part.trim_end_matches(|letter: char| !letter.is_ascii_hexdigit());
        let is_long = digits.len() > HEX_DIGITS_MAX;
        told.push_str(if is_long { "(hidden)" } else { digits });
        let rest = part[digits.len()..].chars();
        told.extend(rest.map(|letter| if letter.is_control() { ' ' } else { letter }));
    }
    told
}

/// A value for people, short.
pub(super) fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() > 60 {
        return format!("{}…", text.chars().take(60).collect::<String>());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said about a file with `text` in a key, in a value and in the name of a key.
    fn told(text: &str) -> String {
        let mut problems = Problems::default();
        problems.add(format!("risk.{text}"), format!("unknown field `{text}`"));
        problems.add("chain.id", explain(&Value::String(text.to_owned()), "expected u64"));
        problems.to_string()
    }

    #[test]
    fn what_may_be_a_private_key_is_told_nowhere() {
        // A whole key, one that lost a digit, and one with something around it.
        for key in ["ab".repeat(32), "c".repeat(63), format!("key 0x{}.", "1D".repeat(32))] {
            let told = told(&key);
            assert!(told.contains("risk.") && told.contains("(hidden)"), "{told}");
            let digits = told.split(|letter: char| !letter.is_ascii_hexdigit()).map(str::len);
            assert!(digits.max() < Some(HEX_DIGITS_MAX), "{told}");
        }
        let address = "0x5FbDB2315678afecb367f032d93F642f64180aa3";
        assert!(told(address).contains(address), "an address is told");
    }

    #[test]
    fn a_problem_is_one_line_whatever_a_key_is_called() {
        assert_eq!(told("a\nb\u{85}").lines().count(), 3);
    }

    #[test]
    fn a_key_without_a_name_is_told_as_it_is_written() {
        let mut problems = Problems::default();
        problems.add("", "unknown key");
        assert!(problems.to_string().ends_with("\n  \"\": unknown key"), "{problems}");
    }
}
