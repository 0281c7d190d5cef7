//! Secrets are named in the configuration, never written into it: `env:NAME` or `keystore:PATH`.
//!
//! Whatever was read is wiped once it has been handed over, and nothing is read before this process
//! is closed to others; see [`crate::hardening`].
//!
//! Temperature: cold.

use std::fmt;
use std::path::PathBuf;

use gannet_engine::sign::WalletKey;
use zeroize::Zeroizing;

use super::keystore;
use crate::hardening;

/// An environment variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Variable(String);

impl fmt::Display for Variable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "the environment variable {}", self.0)
    }
}

impl Variable {
    /// The name of a variable; what is none is not repeated if it may be a secret.
    fn parse(name: &str, wanted: &str) -> Result<Self, String> {
        if name.len() >= 64 {
            return Err(format!("found a name that is too long to be one, not shown; {wanted}"));
        }
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if name.is_empty() || !is_name || name.starts_with(|first: char| first.is_ascii_digit()) {
            return Err(format!("found a name that no variable has, not shown; {wanted}"));
        }
        Ok(Self(name.to_owned()))
    }

    /// Its value.
    pub(super) fn read(&self) -> Result<Zeroizing<String>, String> {
        match std::env::var(&self.0) {
            Ok(text) => Ok(Zeroizing::new(text)),
            Err(std::env::VarError::NotPresent) => Err(format!("{self} is not set")),
            Err(std::env::VarError::NotUnicode(_hidden)) => Err(format!("{self} holds no text")),
        }
    }
}

/// Where a key is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySource(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Variable(Variable),
    Keystore { path: PathBuf, password: Option<Variable> },
}

impl fmt::Display for KeySource {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Variable(variable) => variable.fmt(out),
            Kind::Keystore { path, .. } => write!(out, "the keystore {}", path.display()),
        }
    }
}

impl KeySource {
    /// Reads `env:NAME` or `keystore:PATH`.
    ///
    /// # Errors
    /// What would be right; the text itself is not repeated, for it may be a key.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wanted = "wanted \"env:NAME\" (a variable that holds the key) or \"keystore:PATH\"";
        if let Some(name) = text.strip_prefix("env:") {
            return Variable::parse(name, wanted).map(|variable| Self(Kind::Variable(variable)));
        }
        match text.strip_prefix("keystore:") {
            Some("") => Err(format!("found \"keystore:\" without a path; {wanted}")),
            Some(path) => Ok(Self(Kind::Keystore { path: PathBuf::from(path), password: None })),
            None => Err(format!("found a value that is not shown; {wanted}")),
        }
    }

    /// Names the variable that holds the keystore's password, as `env:NAME`.
    ///
    /// # Errors
    /// What would be right; the text itself is not repeated, for it may be the password.
    pub(super) fn with_password(self, text: &str) -> Result<Self, String> {
        let wanted = "wanted \"env:NAME\", a variable that holds the keystore's password";
        let name = text.strip_prefix("env:");
        let name = name.ok_or_else(|| format!("found a value that is not shown; {wanted}"))?;
        let variable = Variable::parse(name, wanted)?;
        match self.0 {
            Kind::Keystore { path, .. } => {
                Ok(Self(Kind::Keystore { path, password: Some(variable) }))
            }
            Kind::Variable(key) => Err(format!("opens nothing: the key is in {key}; leave it out")),
        }
    }

    /// Reads the key's 32 bytes; they are wiped when they are dropped.
    ///
    /// # Errors
    /// When there is no key, or the keystore does not open; never with a value.
    pub fn bytes(&self) -> Result<Zeroizing<[u8; 32]>, String> {
        hardening::close_memory()?;
        match &self.0 {
            Kind::Variable(variable) => {
                let text = variable.read()?;
                let mut key = Zeroizing::new([0; 32]);
                let digits = text.trim();
                let digits = digits.strip_prefix("0x").unwrap_or(digits);
                alloy_primitives::hex::decode_to_slice(digits, key.as_mut_slice())
                    .map_err(|_hidden| self.no_key())?;
                Ok(key)
            }
            Kind::Keystore { path, password } => keystore::open(path, password.as_ref()),
        }
    }

    /// Reads the key.
    ///
    /// # Errors
    /// When there is no key, or the keystore does not open; never with a value.
    pub fn read(&self) -> Result<WalletKey, String> {
        WalletKey::new(&*self.bytes()?).map_err(|_not_a_key| self.no_key())
    }

    fn no_key(&self) -> String {
        format!("{self} holds no private key; wanted 32 bytes in hex")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_written_into_the_file_is_refused_and_not_repeated() {
        for prefix in ["", "env:", "env:0x"] {
            let error = KeySource::parse(&format!("{prefix}{}", "ab".repeat(32))).unwrap_err();
            assert!(!error.contains("abab") && error.contains("env:NAME"), "{error}");
        }
        let keystore = KeySource::parse("keystore:a.json").unwrap();
        let error = keystore.with_password("correct horse").unwrap_err();
        assert!(!error.contains("horse") && error.contains("env:NAME"), "{error}");
    }

    #[test]
    fn a_missing_variable_is_named() {
        let source = KeySource::parse("env:GANNET_NO_SUCH_KEY").unwrap();
        assert!(source.read().unwrap_err().contains("GANNET_NO_SUCH_KEY"));
    }

    #[test]
    fn a_password_for_a_key_that_needs_none_is_told() {
        let source = KeySource::parse("env:KEY").unwrap();
        assert!(source.with_password("env:PASSWORD").unwrap_err().contains("opens nothing"));
    }
}
