//! Dense handles: what the engine uses instead of addresses.
//!
//! An address is turned into a handle once, in decode; from then on everything is an array index.
//! Newtypes, so that a pool cannot be mistaken for a token.
//!
//! Temperature: hot.

/// Which way a swap goes through a two-token pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Direction {
    /// Token 0 in, token 1 out.
    ZeroForOne = 1,
    /// Token 1 in, token 0 out.
    OneForZero = 0,
}

impl Direction {
    /// The index (0 or 1) of the token that goes in.
    #[must_use]
    pub const fn index_in(self) -> usize {
        match self {
            Self::ZeroForOne => 0,
            Self::OneForZero => 1,
        }
    }

    /// The index (0 or 1) of the token that comes out.
    #[must_use]
    pub const fn index_out(self) -> usize {
        1 - self.index_in()
    }

    /// The other way.
    #[must_use]
    pub const fn reversed(self) -> Self {
        match self {
            Self::ZeroForOne => Self::OneForZero,
            Self::OneForZero => Self::ZeroForOne,
        }
    }
}

macro_rules! handle {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub $inner);

        impl $name {
            /// The array index that this handle stands for.
            #[must_use]
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}

handle!(
    /// A pool of the universe.
    PoolId(u32)
);
handle!(
    /// A token of the universe.
    TokenId(u32)
);
handle!(
    /// A factory named in the configuration.
    FactoryId(u8)
);
handle!(
    /// A node named in the configuration.
    NodeId(u8)
);
handle!(
    /// A wallet named in the configuration.
    WalletId(u8)
);
handle!(
    /// A strategy, by its place in the strategy set.
    StrategyId(u8)
);
handle!(
    /// A borrower's position with a lending protocol.
    LoanId(u32)
);
