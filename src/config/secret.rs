//! Secrets are named in the configuration, never written into it: `env:NAME`.
//!
//! Temperature: cold.

use std::fmt;

use gannet_engine::sign::WalletKey;

/// Where a key is found.
#[derive(Clone, PartialEq, Eq)]
pub struct KeySource {
    variable: String,
}

impl fmt::Debug for KeySource {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "env:{}", self.variable)
    }
}

impl KeySource {
    /// Reads `env:NAME`.
    ///
    /// # Errors
    /// What would be right; the text itself is not repeated, for it may be a key.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wanted = "wanted \"env:NAME\", the name of an environment variable that holds the key";
        let Some(variable) = text.strip_prefix("env:") else {
            return Err(format!("found a value that is not shown; {wanted}"));
        };
        if variable.len() >= 64 {
            return Err(format!("found a name that is too long to be one, not shown; {wanted}"));
        }
        let is_name = variable.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if variable.is_empty() || !is_name {
            return Err(format!("`{variable}` is no variable's name; {wanted}"));
        }
        Ok(Self { variable: variable.to_owned() })
    }

    /// The variable's name.
    #[must_use]
    pub fn variable(&self) -> &str {
        &self.variable
    }

    /// Reads the key's 32 bytes.
    ///
    /// # Errors
    /// When the variable is missing or holds no key; its value is never repeated.
    pub fn bytes(&self) -> Result<[u8; 32], String> {
        let name = &self.variable;
        let text = std::env::var(name)
            .map_err(|_missing| format!("the environment variable {name} is not set"))?;
        let wanted =
            || format!("the environment variable {name} holds no private key (32 bytes in hex)");
        alloy_primitives::hex::decode_to_array(text.trim()).map_err(|_hidden| wanted())
    }

    /// Reads the key.
    ///
    /// # Errors
    /// When the variable is missing or holds no key; its value is never repeated.
    pub fn read(&self) -> Result<WalletKey, String> {
        WalletKey::new(&self.bytes()?).map_err(|_not_a_key| {
            format!("the environment variable {} holds no private key", self.variable)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_written_into_the_file_is_refused_and_not_repeated() {
        let error = KeySource::parse(&"ab".repeat(32)).unwrap_err();
        assert!(!error.contains("abab") && error.contains("env:NAME"), "{error}");
    }

    #[test]
    fn a_missing_variable_is_named() {
        let source = KeySource::parse("env:GANNET_NO_SUCH_KEY").unwrap();
        assert!(source.read().unwrap_err().contains("GANNET_NO_SUCH_KEY"));
    }
}
