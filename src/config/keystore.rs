//! Keystore files: Web3 secret storage, version 3, opened with a password.
//!
//! Temperature: cold.

use std::fs::File;
use std::io::{IsTerminal, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;

use alloy::signers::local::PrivateKeySigner;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use serde_json::Value;
use zeroize::Zeroizing;

use super::secret::Variable;

/// A keystore has less than 1 KiB; a pipe holds this much without a reader.
const FILE_BYTES_MAX: u64 = 16 << 10;
/// Most memory that opening one may take; geth's own take 256 MiB.
const MEMORY_BYTES_MAX: u64 = 1 << 30;

/// A terminal gives no longer line.
const PASSWORD_BYTES_MAX: usize = 4 << 10;

/// Opens a keystore with the password from a variable, or asked for on the terminal.
pub(super) fn open(
    path: &Path,
    password: Option<&Variable>,
) -> Result<Zeroizing<[u8; 32]>, String> {
    let text = read(path).map_err(|why| format!("the keystore {}: {why}", path.display()))?;
    let password = match password {
        Some(variable) => variable.read()?,
        None => ask(path)?,
    };
    unlock(&text, &password).map_err(|why| format!("the keystore {}: {why}", path.display()))
}

/// The file as the library that opens it takes it, if it can be opened at all.
fn read(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| format!("cannot be read: {error}"))?;
    file.take(FILE_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(|error| format!("cannot be read: {error}"))?;
    let mut file: Value = serde_json::from_str(&text)
        .map_err(|_quoted| "found no JSON; wanted Web3 secret storage".to_owned())?;
    // Some wallets write it with a capital.
    if let Some(crypto) = file.get_mut("Crypto").map(Value::take) {
        file["crypto"] = crypto;
    }
    check(&file)?;
    Ok(file.to_string())
}

/// What the library takes for granted.
fn check(file: &Value) -> Result<(), String> {
    let crypto = &file["crypto"];
    let kdf = &crypto["kdfparams"];
    let found = &file["version"];
    if *found != 3 {
        return Err(format!("found version {found}; wanted Web3 secret storage of version 3"));
    }
    let cipher = &crypto["cipher"];
    if *cipher != "aes-128-ctr" {
        return Err(format!("found cipher {cipher}; wanted aes-128-ctr"));
    }
    let number = |key: &str| kdf[key].as_u64().unwrap_or_default();
    let is_whole = number("dklen") == 32
        && crypto["cipherparams"]["iv"].as_str().is_some_and(|iv| iv.len() == 32)
        && crypto["ciphertext"].as_str().is_some_and(|text| text.len() == 64);
    let is_fit = match crypto["kdf"].as_str() {
        Some("pbkdf2") => kdf["prf"] == "hmac-sha256" && number("c") > 0,
        Some("scrypt") => {
            let (n, blocks) = (number("n"), number("r").saturating_mul(number("p").max(1)));
            let memory = n.saturating_mul(128).saturating_mul(blocks);
            n > 1 && n.is_power_of_two() && (1..=MEMORY_BYTES_MAX).contains(&memory)
        }
        _ => return Err(format!("found kdf {}; wanted scrypt or pbkdf2", crypto["kdf"])),
    };
    if is_whole && is_fit { Ok(()) } else { Err("damaged, or made to be costly".to_owned()) }
}

fn unlock(text: &str, password: &str) -> Result<Zeroizing<[u8; 32]>, String> {
    // The library opens files only, and this one has been read and checked.
    let through = || -> std::io::Result<_> {
        let (reader, mut writer) = std::io::pipe()?;
        writer.write_all(text.as_bytes())?;
        drop(writer);
        let path = format!("/dev/fd/{}", reader.as_raw_fd());
        Ok(PrivateKeySigner::decrypt_keystore(path, password))
    };
    let signer = through().map_err(|error| format!("cannot be read: {error}"))?;
    // Its own words could quote the file; what it took for granted was checked before.
    let signer =
        signer.map_err(|_quoted| "does not open: wrong password, or damaged".to_owned())?;
    Ok(Zeroizing::new(signer.to_bytes().0))
}

/// Asks for a password on the terminal.
fn ask(path: &Path) -> Result<Zeroizing<String>, String> {
    let path = path.display();
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(format!(
            "the keystore {path} needs a password, and there is no terminal to ask at: name the \
             variable that holds it, password = \"env:NAME\""
        ));
    }
    let failed = |error: std::io::Error| format!("asking for the password of {path}: {error}");
    let mut stderr = std::io::stderr();
    write!(stderr, "Password of {path}: ").and_then(|()| stderr.flush()).map_err(failed)?;
    // Straight from the terminal, which gives one line: a buffered reader would keep a copy.
    let mut line = Zeroizing::new([0; PASSWORD_BYTES_MAX]);
    let read = {
        let _silence = Silence::start().map_err(failed)?;
        let terminal = stdin.as_fd().try_clone_to_owned().map_err(failed)?;
        File::from(terminal).read(line.as_mut_slice())
    };
    let count = writeln!(stderr).and(read).map_err(failed)?;
    let text = std::str::from_utf8(&line[..count]);
    let text = text.map_err(|_hidden| format!("the password of {path} is no text"))?;
    Ok(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}

/// While it lives, the terminal does not show what is typed.
struct Silence(Termios);

impl Silence {
    fn start() -> std::io::Result<Self> {
        let before = tcgetattr(std::io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(std::io::stdin(), OptionalActions::Flush, &silent)?;
        Ok(Self(before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        if tcsetattr(std::io::stdin(), OptionalActions::Flush, &self.0).is_err() {
            tracing::warn!("the terminal may still hide what is typed: `stty echo` shows it again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The password of both.
    const PASSWORD: &str = "testpassword";

    /// A keystore published in the Web3 Secret Storage Definition, of its account.
    fn published(kdf: &str, params: &Value, cipher: [&str; 3]) -> Value {
        let [iv, ciphertext, mac] = cipher;
        serde_json::json!({
            "version": 3, "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6",
            "crypto": {
                "cipher": "aes-128-ctr", "cipherparams": { "iv": iv }, "ciphertext": ciphertext,
                "kdf": kdf, "kdfparams": params, "mac": mac,
            },
        })
    }

    fn pbkdf2() -> Value {
        // Salt, published.
        let salt = "ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd";
        let params = serde_json::json!({
            "c": 262_144, "dklen": 32, "prf": "hmac-sha256", "salt": salt,
        });
        let cipher = [
            "6087dab2f9fdbbfaddc31a909735c1e6",
            // Ciphertext and MAC, published.
            "5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46",
            "517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2",
        ];
        published("pbkdf2", &params, cipher)
    }

    #[test]
    fn the_published_keystore_opens_to_the_published_account() {
        let file = pbkdf2();
        check(&file).unwrap();
        let key = unlock(&file.to_string(), PASSWORD).unwrap();
        let account = PrivateKeySigner::from_slice(key.as_slice()).unwrap().address();
        assert_eq!(account.to_string(), "0x008AeEda4D805471dF9b2A5B0f38A0C3bCBA786b");
        assert!(unlock(&file.to_string(), "wrong").unwrap_err().contains("wrong password"));
    }

    #[test]
    fn what_the_library_takes_for_granted_is_checked() {
        let without = |path: &str| {
            let mut file = pbkdf2();
            *path.split('.').fold(&mut file, |inside, key| &mut inside[key]) = Value::Null;
            check(&file).unwrap_err()
        };
        for (path, word) in [
            ("version", "version"),
            ("crypto", "cipher"),
            ("crypto.kdf", "kdf"),
            ("crypto.cipherparams", "damaged"),
            ("crypto.ciphertext", "damaged"),
            ("crypto.kdfparams.dklen", "damaged"),
            ("crypto.kdfparams.c", "damaged"),
            ("crypto.kdfparams.prf", "damaged"),
        ] {
            assert!(without(path).contains(word), "{path}: {}", without(path));
        }
    }
}
