//! `gannet kill` and `gannet resume`: the kill switch by hand.
//!
//! Temperature: cold.

use std::fmt;
use std::path::PathBuf;

use anyhow::Result;
use serde::Serialize;

use crate::config::Place;
use crate::locks::{self, Holder};
use crate::switch;

/// How the switch stands now, and whom it concerns.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Standing {
    chain_id: u64,
    /// Whether the switch stands.
    is_engaged: bool,
    /// Whether this command made it so.
    is_changed: bool,
    file: PathBuf,
    /// The live runs that it concerns.
    affected: Vec<Holder>,
}

impl fmt::Display for Standing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let already = if self.is_changed { "" } else { "already " };
        let state = if self.is_engaged { "engaged" } else { "released" };
        let Self { chain_id, file, affected, .. } = self;
        let file = file.display();
        writeln!(out, "the kill switch of chain {chain_id} is {already}{state}: {file}")?;
        for holder in affected {
            writeln!(out, "  {holder}")?;
        }
        out.write_str(match (self.is_engaged, affected.is_empty()) {
            (true, false) => {
                "within a quarter of a second it sends nothing new; `gannet resume` ends that"
            }
            (true, true) => {
                "no live run has a wallet there now; one that starts trades after `gannet resume`"
            }
            (false, false) => "trading goes on",
            (false, true) => "no live run has a wallet there now",
        })
    }
}

/// Engages the switch.
pub(crate) fn kill(place: &Place) -> Result<Standing> {
    let is_changed = switch::engage(place, "gannet kill")?;
    Ok(standing(place, is_changed))
}

/// Releases the switch.
pub(crate) fn resume(place: &Place) -> Result<Standing> {
    let is_changed = switch::release(place)?;
    Ok(standing(place, is_changed))
}

fn standing(place: &Place, is_changed: bool) -> Standing {
    let file = switch::path(place);
    let affected = locks::holders(place);
    Standing {
        chain_id: place.chain_id,
        is_engaged: switch::stands(&file),
        is_changed,
        file,
        affected,
    }
}
