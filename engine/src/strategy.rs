//! The strategy contract: what a strategy may see, and how it proposes.
//!
//! A strategy is a value that looks at a [`World`] that has just changed and writes [`Plans`]. It
//! has no socket, clock, file or key, and it cannot tell a live run from a dry-run or a backtest.
//!
//! ```
//! use gannet_engine::plan::Plans;
//! use gannet_engine::strategy::{Ctx, InitError, Strategy};
//! use gannet_engine::world::World;
//!
//! /// Counts sealed blocks and never trades.
//! #[derive(Debug, Default)]
//! struct Patience {
//!     blocks: u64,
//! }
//!
//! impl Strategy for Patience {
//!     const NAME: &'static str = "patience";
//!     type Config = ();
//!
//!     fn new(_config: ()) -> Self {
//!         Self::default()
//!     }
//!     fn init(&mut self, _world: &World) -> Result<(), InitError> {
//!         Ok(())
//!     }
//!     fn on_block(&mut self, _ctx: &Ctx<'_>, _plans: &mut Plans) {
//!         self.blocks += 1;
//!     }
//! }
//! ```
//!
//! To write your own, copy `strategies/src/arbitrage/` and read `strategies/README.md`.
//!
//! Temperature: hot.

use core::fmt;

use crate::ids::PoolId;
use crate::plan::Plans;
use crate::risk::Risk;
use crate::search::Searcher;
use crate::target::Target;
use crate::world::World;

/// What a strategy looks at: the world after the event, and what the event moved.
#[derive(Debug)]
pub struct Ctx<'a> {
    /// The state of every pool, token, fee and head; never an open block.
    pub world: &'a World,
    /// The pools that moved, each once.
    pub touched: &'a [PoolId],
    /// What decides about plans: [`Risk::worth_least`] says what need not be looked for.
    pub risk: &'a Risk,
}

/// Why a strategy cannot start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitError {
    /// None of the base tokens has a pool in the universe, so no cycle exists.
    NoCycles,
    /// The strategy's tables do not hold this universe; raise the limit or narrow the universe.
    TooLarge,
}

impl fmt::Display for InitError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::NoCycles => {
                "no cycle starts at a base token: check tokens.base and the factories"
            }
            Self::TooLarge => "the universe does not fit the strategy's tables",
        })
    }
}

impl core::error::Error for InitError {}

/// Looks at a world that has just changed and proposes plans. No I/O, no clock, no heap after
/// `init`.
pub trait Strategy: Sized {
    /// The name used in the configuration (`[strategy.NAME]`), in reports and in the journal.
    const NAME: &'static str;

    /// Its parameters; deserialised from `[strategy.NAME]`.
    type Config;

    /// Takes its parameters.
    fn new(config: Self::Config) -> Self;

    /// Reserves every buffer that it will ever need. Called once, before the first event.
    ///
    /// # Errors
    /// When the strategy cannot work in this universe.
    fn init(&mut self, world: &World) -> Result<(), InitError>;

    /// The searcher, if it has one: it is given new tables when the universe has grown.
    fn searcher(&mut self) -> Option<&mut Searcher> {
        None
    }

    /// Called once for each sealed block, after all its logs were applied and checked.
    fn on_block(&mut self, ctx: &Ctx<'_>, plans: &mut Plans) {
        let _ = (ctx, plans);
    }

    /// Called after [`on_block`](Self::on_block), once what all strategies proposed is on its way:
    /// for whatever need not be done before that. Nothing else has happened since.
    fn after_block(&mut self, world: &World) {
        let _ = world;
    }

    /// Called for a pending transaction: `ctx` is the world as if `target` had just landed. The
    /// pipeline takes the change back afterwards.
    fn on_pending(&mut self, ctx: &Ctx<'_>, target: &Target, plans: &mut Plans) {
        let _ = (ctx, target, plans);
    }
}

/// The strategies of a process, in the order in which they run; made by
/// [`strategies!`](crate::strategies).
pub trait StrategySet: Default {
    /// The names, by [`StrategyId`](crate::ids::StrategyId).
    const NAMES: &'static [&'static str];

    /// Turns the strategy `name` on with the parameters in `config`, or says that there is none of
    /// that name.
    ///
    /// # Errors
    /// The deserialiser's error, when the parameters are wrong.
    #[cfg(feature = "serde")]
    fn enable<'de, D: serde::Deserializer<'de>>(
        &mut self,
        name: &str,
        config: D,
    ) -> Option<Result<(), D::Error>>;

    /// How many strategies are on.
    fn enabled_count(&self) -> usize;

    /// Whether the strategy of this name is on.
    fn is_enabled(&self, name: &str) -> bool;

    /// Calls [`Strategy::init`] of each.
    ///
    /// # Errors
    /// The first strategy that cannot start, with its name.
    fn init(&mut self, world: &World) -> Result<(), (&'static str, InitError)>;

    /// Calls `look` with the searcher of each that has one.
    fn each_searcher(&mut self, look: impl FnMut(&mut Searcher));

    /// Calls [`Strategy::on_block`] of each.
    fn on_block(&mut self, ctx: &Ctx<'_>, plans: &mut Plans);

    /// Calls [`Strategy::after_block`] of each.
    fn after_block(&mut self, world: &World);

    /// Calls [`Strategy::on_pending`] of each.
    fn on_pending(&mut self, ctx: &Ctx<'_>, target: &Target, plans: &mut Plans);
}

/// Makes a [`StrategySet`] of the strategies listed: the one line in which a strategy is added.
///
/// ```ignore
/// gannet_engine::strategies! {
///     /// The strategies that Gannet brings.
///     pub struct Default { arbitrage: Arbitrage, backrun: Backrun }
/// }
/// ```
#[macro_export]
macro_rules! strategies {
    ($(#[$doc:meta])* $vis:vis struct $set:ident { $($field:ident: $strategy:ty),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        $vis struct $set { $($field: Option<$strategy>),+ }

        impl $crate::strategy::StrategySet for $set {
            const NAMES: &'static [&'static str] =
                &[$(<$strategy as $crate::strategy::Strategy>::NAME),+];

            fn enable<'de, D: $crate::serde::Deserializer<'de>>(
                &mut self,
                name: &str,
                config: D,
            ) -> Option<Result<(), D::Error>> {
                use $crate::strategy::Strategy;
                $(if name == <$strategy as Strategy>::NAME {
                    let config = <<$strategy as Strategy>::Config as
                        $crate::serde::Deserialize>::deserialize(config);
                    return Some(config.map(|config| {
                        self.$field = Some(<$strategy as Strategy>::new(config));
                    }));
                })+
                None
            }

            fn enabled_count(&self) -> usize {
                [$(self.$field.is_some()),+].into_iter().filter(|is_on| *is_on).count()
            }

            fn is_enabled(&self, name: &str) -> bool {
                use $crate::strategy::Strategy;
                false $(|| (self.$field.is_some() && name == <$strategy as Strategy>::NAME))+
            }

            fn init(
                &mut self,
                world: &$crate::world::World,
            ) -> Result<(), (&'static str, $crate::strategy::InitError)> {
                use $crate::strategy::Strategy;
                $(if let Some(strategy) = &mut self.$field {
                    strategy.init(world).map_err(|why| (<$strategy as Strategy>::NAME, why))?;
                })+
                Ok(())
            }

            fn each_searcher(
                &mut self,
                mut look: impl FnMut(&mut $crate::search::Searcher),
            ) {
                $(if let Some(strategy) = &mut self.$field
                    && let Some(searcher) = $crate::strategy::Strategy::searcher(strategy)
                {
                    look(searcher);
                })+
            }

            #[inline]
            fn on_block(
                &mut self,
                ctx: &$crate::strategy::Ctx<'_>,
                plans: &mut $crate::plan::Plans,
            ) {
                let mut id = $crate::ids::StrategyId(0);
                $(if let Some(strategy) = &mut self.$field {
                    plans.proposed_by(id);
                    $crate::strategy::Strategy::on_block(strategy, ctx, plans);
                }
                id.0 += 1;)+
                let _ = id;
            }

            #[inline]
            fn after_block(&mut self, world: &$crate::world::World) {
                $(if let Some(strategy) = &mut self.$field {
                    $crate::strategy::Strategy::after_block(strategy, world);
                })+
            }

            #[inline]
            fn on_pending(
                &mut self,
                ctx: &$crate::strategy::Ctx<'_>,
                target: &$crate::target::Target,
                plans: &mut $crate::plan::Plans,
            ) {
                let mut id = $crate::ids::StrategyId(0);
                $(if let Some(strategy) = &mut self.$field {
                    plans.proposed_by(id);
                    $crate::strategy::Strategy::on_pending(strategy, ctx, target, plans);
                }
                id.0 += 1;)+
                let _ = id;
            }
        }
    };
}
