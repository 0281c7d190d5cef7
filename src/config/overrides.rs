//! `--set KEY=VALUE`: one key of the file, changed from the command line.
//!
//! Temperature: cold.

use toml::{Table, Value};

/// Sets one key of the file, `path` being its dotted path (`wallet.0.address`), to a TOML value;
/// what is no TOML value is taken as a string.
pub(super) fn set(file: &mut Table, path: &str, text: &str) -> Result<(), String> {
    let parsed: Option<Table> = format!("value = {text}").parse().ok();
    // An address with many leading zeros would pass for an integer.
    let parsed = parsed.filter(|_| !text.starts_with("0x"));
    let value = parsed.and_then(|mut table| table.remove("value"));
    let value = value.unwrap_or_else(|| Value::String(text.to_owned()));
    let nowhere = || format!("there is no place `{path}` in the file");
    let mut keys = path.split('.');
    let empty = || Value::Table(Table::new());
    let mut place = file.entry(keys.next().ok_or_else(nowhere)?).or_insert_with(empty);
    for key in keys {
        place = match place {
            Value::Table(table) => table.entry(key).or_insert_with(empty),
            Value::Array(items) => {
                let index: usize = key.parse().map_err(|_no_index| nowhere())?;
                items.get_mut(index).ok_or_else(nowhere)?
            }
            Value::String(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::Datetime(_) => return Err(nowhere()),
        };
    }
    *place = value;
    Ok(())
}
