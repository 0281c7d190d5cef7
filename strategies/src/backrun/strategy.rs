//! The backrun strategy: search behind a pending swap, propose what the swap opened.
//!
//! Temperature: hot.

use gannet_engine::plan::{Bid, Plans};
use gannet_engine::search::cycles::Graph;
use gannet_engine::search::{Found, SearchLimits, Searcher};
use gannet_engine::strategy::{Ctx, InitError, Strategy};
use gannet_engine::target::Target;
use gannet_engine::units::Bps;
use gannet_engine::world::World;

use super::Config;

/// Follows pending swaps that open a cycle.
#[derive(Debug)]
pub struct Backrun {
    config: Config,
    searcher: Option<Searcher>,
}

impl Strategy for Backrun {
    const NAME: &'static str = "backrun";
    type Config = Config;

    fn new(config: Config) -> Self {
        Self { config, searcher: None }
    }

    fn init(&mut self, world: &World) -> Result<(), InitError> {
        let Config { hops_max, .. } = self.config;
        let graph = Graph::of(&world.pools, &world.bases, world.native, hops_max);
        let graph = graph.paying_gas(world.tip().next_base_fee);
        let searcher = Searcher::over(&world.pools, &graph);
        if searcher.index().is_empty() {
            return Err(InitError::NoCycles);
        }
        self.searcher = Some(searcher);
        Ok(())
    }

    fn searcher(&mut self) -> Option<&mut Searcher> {
        self.searcher.as_mut()
    }

    fn on_block(&mut self, ctx: &Ctx<'_>, _plans: &mut Plans) {
        if let Some(searcher) = &mut self.searcher {
            searcher.refresh(&ctx.world.pools, ctx.touched);
        }
    }

    fn on_pending(&mut self, ctx: &Ctx<'_>, target: &Target, plans: &mut Plans) {
        let Some(searcher) = &mut self.searcher else { return };
        let Ctx { world, touched, risk } = *ctx;
        // The pipeline takes the swap back after this call; so does the searcher.
        searcher.suppose(&world.pools, touched);
        let last_block = world.tip().number.plus(self.config.valid_blocks);
        let bid = Bid::Behind(target.follow);
        let worth_least = risk.worth_least(world, bid, last_block);
        let limits = searcher.limits_worth(self.config.max_input);
        let limits = SearchLimits { worth_least, ..limits };
        searcher.search(&world.pools, touched, &limits, &mut |found| {
            if !is_due_to_target(found, self.config.target_share_bps) {
                return;
            }
            if let Some(plan) = found.plan(world, bid, last_block) {
                plans.propose(&plan);
            }
        });
        searcher.restore();
    }
}

/// Whether the swap that is followed made at least `share` of the profit.
const fn is_due_to_target(found: &Found, share: Bps) -> bool {
    let made = found.profit.saturating_sub(found.profit_before);
    made > 0 && made >= share.of(found.profit)
}
