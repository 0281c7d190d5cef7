//! Why the world may be behind the chain. While any reason stands, nothing is traded.
//!
//! Temperature: hot.

/// One reason not to trust the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stale {
    /// No node's connection that brings heads and logs is up.
    ChainLink,
    /// No node's connection that answers questions is up.
    RpcLink,
    /// A head came whose parent is not known yet.
    Gap,
    /// No head for too long, or no node stands at the head that the world is at.
    Silent,
    /// The logs of the open block are overdue.
    SealLate,
    /// The feed holds something that the world cannot follow: it must be loaded anew.
    Lost,
    /// Two nodes stand at different heads of the same height.
    Disagree,
}

impl Stale {
    /// Every reason, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::ChainLink,
        Self::RpcLink,
        Self::Gap,
        Self::Silent,
        Self::SealLate,
        Self::Lost,
        Self::Disagree,
    ];

    /// The name used in the journal.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ChainLink => "chain-link-down",
            Self::RpcLink => "rpc-link-down",
            Self::Gap => "gap",
            Self::Silent => "silent",
            Self::SealLate => "seal-late",
            Self::Lost => "lost",
            Self::Disagree => "nodes-disagree",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// The reasons that stand. A world starts with its links down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness(u8);

impl Default for Freshness {
    fn default() -> Self {
        Self(Stale::ChainLink.bit() | Stale::RpcLink.bit() | Stale::Silent.bit())
    }
}

impl Freshness {
    /// Whether no reason stands.
    #[must_use]
    pub const fn is_fresh(self) -> bool {
        self.0 == 0
    }

    /// Whether this reason stands.
    #[must_use]
    pub const fn has(self, why: Stale) -> bool {
        self.0 & why.bit() != 0
    }

    /// The reasons that stand.
    pub fn reasons(self) -> impl Iterator<Item = Stale> {
        Stale::ALL.into_iter().filter(move |why| self.has(*why))
    }

    /// Raises or clears a reason.
    pub const fn set(&mut self, why: Stale, stands: bool) {
        if stands {
            self.0 |= why.bit();
        } else {
            self.0 &= !why.bit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_world_is_fresh_only_when_every_reason_is_cleared() {
        let mut freshness = Freshness::default();
        assert!(!freshness.is_fresh());
        for why in Stale::ALL {
            freshness.set(why, false);
        }
        assert!(freshness.is_fresh());
        for why in Stale::ALL {
            freshness.set(why, true);
            assert!(!freshness.is_fresh() && freshness.reasons().eq([why]));
            freshness.set(why, false);
        }
    }
}
