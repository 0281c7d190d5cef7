//! The two keys that say where a chain's locks and its kill switch are. Read by themselves, so that
//! whatever else is wrong with a configuration, its bots can be stopped.
//!
//! Temperature: cold.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::{Problems, read_file, sections};

/// Where the state of a chain's bots is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// EIP-155 chain id.
    pub(crate) chain_id: u64,
    /// Where state, locks and the kill switch's file live; absolute.
    pub(crate) state_dir: PathBuf,
}

impl Place {
    /// Makes the folder, for its owner only.
    pub(crate) fn make(&self) -> Result<()> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.state_dir);
        made.with_context(|| {
            let folder = self.state_dir.display();
            format!("making {folder}: change runtime.state_dir, or who may write there")
        })
    }

    /// Reads the two keys of a configuration, and passes over all others.
    ///
    /// # Errors
    /// What is wrong with these two.
    pub(crate) fn parse(text: &str, overrides: &[String]) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let file = read_file(text, overrides, &mut problems);
        let place = file.and_then(|mut file| {
            let mut chain = problems.table(&mut file, "chain");
            let chain_id = sections::chain_id(&mut chain, &mut problems);
            let state_dir = sections::runtime(&mut file, None, &mut problems)?.state_dir;
            Some(Self { chain_id: chain_id?, state_dir })
        });
        let concerns =
            |path: &str| !path.contains('.') || ["chain.id", "runtime.state_dir"].contains(&path);
        problems.0.retain(|problem| concerns(&problem.path));
        match place {
            Some(place) if problems.0.is_empty() => Ok(place),
            Some(_) | None => Err(problems),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_configuration_still_says_where_the_switch_is() {
        let text = "colour = 1\n[chain]\nid = 5\nwrapped_native = 7\n[runtime]\n\
                    state_dir = \"state\"\nspin = \"no\"\njournal = \"nowhere/at/all\"";
        let place = Place::parse(text, &[]).unwrap();
        let state_dir = std::path::absolute("state").unwrap();
        assert_eq!(place, Place { chain_id: 5, state_dir });
        let problems = Place::parse(text, &["chain.id=five".to_owned()]).unwrap_err();
        assert!(problems.0.iter().any(|problem| problem.path == "chain.id"), "{problems}");
    }
}
