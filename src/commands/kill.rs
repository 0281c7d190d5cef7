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
        let Self { chain_id, file, .. } = self;
        let already = if self.is_changed { "" } else { " already" };
        let file = file.display();
        if self.is_engaged {
            writeln!(out, "the kill switch of chain {chain_id} stands{already}: {file}")?;
        } else {
            writeln!(out, "the kill switch of chain {chain_id} is released{already}: {file}")?;
        }
        for holder in &self.affected {
            writeln!(out, "  {holder}")?;
        }
        let live =
            if self.affected.is_empty() { "no live run is affected now" } else { "affected" };
        let what = if self.is_engaged {
            "nothing new is sent from the next quarter of a second on; `gannet resume` ends that"
        } else {
            "trading goes on"
        };
        write!(out, "{live}; {what}")
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
    // The switch is set; whom it concerns is only told.
    let affected = locks::holders(place).unwrap_or_default();
    Standing {
        chain_id: place.chain_id,
        is_engaged: switch::stands(&file),
        is_changed,
        file,
        affected,
    }
}
