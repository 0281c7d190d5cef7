//! Mutates one value of a JSON text, or of one line of several.
//!
//! Temperature: cold.

use std::fmt;

use libfuzzer_sys::fuzzer_mutate;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Number;

use crate::Dice;

/// A JSON value whose members stand as they were written, twice if they were.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(untagged)]
enum Value {
    Null,
    Bool(bool),
    Number(Number),
    String(String),
    Array(Vec<Self>),
    Object(Members),
}

#[derive(Clone, Debug, Default)]
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(InOrder)
    }
}

struct InOrder;

impl<'de> Visitor<'de> for InOrder {
    type Value = Members;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Members(members))
    }
}

impl Serialize for Members {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

/// Quantities and lengths at which something begins or ends: digits, and how often they stand.
const EDGES: [(&str, usize); 14] = [
    ("", 0),
    ("0", 1),
    ("1", 1),
    ("01", 1),
    ("1b", 1),
    ("7f", 1),
    ("80", 1),
    ("f", 4),
    ("10000", 1),
    ("f", 8),
    ("f", 16),
    ("10000000000000000", 1),
    ("f", 32),
    ("f", 64),
];

fn edge(dice: &mut Dice) -> String {
    let (digits, count) = dice.pick(&EDGES);
    format!("0x{}", digits.repeat(count))
}

/// Mutates `data[..size]` in place and returns its new length, at most `max_size`.
pub fn mutate(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let mut dice = Dice::new(seed);
    if dice.below(4) > 0
        && let Some(text) = mutated(&data[..size], &mut dice)
        && text.len() <= max_size
    {
        data[..text.len()].copy_from_slice(&text);
        return text.len();
    }
    fuzzer_mutate(data, size, max_size)
}

/// The text with one line changed; `None` if that line is no JSON.
fn mutated(text: &[u8], dice: &mut Dice) -> Option<Vec<u8>> {
    let mut lines: Vec<_> = text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let line = dice.below(lines.len());
    let mut value: Value = serde_json::from_slice(&lines[line]).ok()?;
    let mut place = dice.below(count(&value));
    change(&mut value, &mut place, dice);
    lines[line] = serde_json::to_vec(&value).ok()?;
    Some(lines.join(&b'\n'))
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(members) => members.0.iter().map(|(_, value)| count(value)).sum::<usize>(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// Changes the value that is `place` steps on; whether it was reached.
fn change(value: &mut Value, place: &mut usize, dice: &mut Dice) -> bool {
    if *place == 0 {
        replace(value, dice);
        return true;
    }
    *place -= 1;
    match value {
        Value::Array(items) => items.iter_mut().any(|item| change(item, place, dice)),
        Value::Object(members) => {
            members.0.iter_mut().any(|(_, member)| change(member, place, dice))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn replace(value: &mut Value, dice: &mut Dice) {
    match value {
        Value::Array(items) if !items.is_empty() && dice.below(8) > 0 => {
            let place = dice.below(items.len());
            match dice.below(3) {
                0 => drop(items.remove(place)),
                1 => items.push(items[place].clone()),
                _ => items.swap(0, place),
            }
        }
        Value::Object(Members(members)) if !members.is_empty() && dice.below(8) > 0 => {
            let place = dice.below(members.len());
            match dice.below(4) {
                0 | 1 => drop(members.remove(place)),
                2 => members[place].0 = members[dice.below(members.len())].0.clone(),
                _ => members.push(members[place].clone()),
            }
        }
        Value::String(text) if dice.below(8) > 0 => rewrite(text, dice),
        Value::Number(_) if dice.below(8) > 0 => {
            let edges = [0_u64, 1, 2, 3, 1 << 40, 1 << 53, u64::MAX];
            *value = Value::Number(dice.pick(&edges).into());
        }
        _ => {
            let edge = Value::String(edge(dice));
            let (empty, zero) = (Members::default(), Value::Number(0.into()));
            let (list, object) = (Value::Array(Vec::new()), Value::Object(empty));
            let others = [Value::Null, Value::Bool(true), zero, list, object, edge];
            *value = others[dice.below(others.len())].clone();
        }
    }
}

/// Another string: an edge, another length, or another digit.
fn rewrite(text: &mut String, dice: &mut Dice) {
    match dice.below(5) {
        0 => *text = edge(dice),
        1 => drop(text.pop()),
        2 => text.push_str(dice.pick(&["0", "00", "f", "X", "\""])),
        _ => {
            let place = dice.below(text.len());
            if text.is_ascii() && !text.is_empty() {
                let digit = dice.pick(&["0", "1", "7", "8", "9", "a", "f", "F"]);
                text.replace_range(place..=place, digit);
            }
        }
    }
}
