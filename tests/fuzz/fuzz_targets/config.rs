//! The configuration file: whatever is written, nothing panics, every complaint names its key, and
//! what may be a private key is in none of them.
//!
//! The first line may hold overrides, as `--set` takes them, separated by semicolons.
//!
//! Temperature: cold.
#![no_main]

use gannet::Config;
use gannet::strategies::Standard;
use libfuzzer_sys::fuzz_target;

/// So many hex digits in a row may be a key, or most of one.
const KEY_DIGITS: usize = 60;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = str::from_utf8(data) else { return };
    read(text, &[]);
    if let Some((first, file)) = text.split_once('\n') {
        let overrides: Vec<_> = first.split(';').map(str::to_owned).collect();
        read(file, &overrides);
    }
});

fn read(text: &str, overrides: &[String]) {
    match Config::<Standard>::parse(text, overrides) {
        Ok(config) => {
            assert!(config.wallets.len() <= 16 && !config.wallets.is_empty());
            assert!(config.factories.len() <= 32 && !config.factories.is_empty());
            assert!(config.base_tokens.len() <= 8);
        }
        Err(problems) => {
            assert!(!problems.0.is_empty(), "a refusal has a reason");
            for problem in &problems.0 {
                assert!(!problem.path.is_empty() && !problem.message.is_empty(), "{problem:?}");
            }
            let shown = problems.to_string();
            assert_eq!(shown.lines().count(), 1 + problems.0.len(), "one line each: {shown}");
            let is_digit = |letter: char| letter.is_ascii_hexdigit();
            let longest = shown.split(|letter| !is_digit(letter)).map(str::len).max();
            assert!(longest.unwrap_or(0) < KEY_DIGITS, "may show a key: {shown}");
        }
    }
}
