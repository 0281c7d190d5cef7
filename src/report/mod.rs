//! A backtest's report: one HTML file that holds everything it shows and loads nothing.
//!
//! [`Report`] is plain data that the backtest fills in; [`Report::to_html`] is a pure function of
//! it, so the same report has the same bytes. What comes from outside (names, reasons, hashes) is
//! text wherever it appears: [`html`] escapes it, and a policy in the page allows no script but its
//! own.
//!
//! Temperature: cold.

mod amount;
mod axis;
mod bins;
mod charts;
mod html;
mod page;
mod tally;
#[cfg(test)]
mod tests;
mod utc;

/// What a backtest found, for a person to read.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// What was replayed, for example `Backtest of recordings/sample`.
    pub(crate) title: String,
    /// What tells this result from every other, in hex.
    pub(crate) digest: String,
    /// Blocks replayed.
    pub(crate) blocks: u64,
    /// The first of them.
    pub(crate) first_block: u64,
    /// The last of them.
    pub(crate) last_block: u64,
    /// The chain they are of.
    pub(crate) chain_id: u64,
    /// What it was run with: key and value.
    pub(crate) parameters: Vec<(String, String)>,
    /// What the result takes for granted, a sentence each.
    pub(crate) assumptions: Vec<String>,
    /// Every plan.
    pub(crate) plans: Vec<PlanLine>,
    /// Plans that risk turned down, by reason, the most frequent first.
    pub(crate) turned_down: Vec<(String, u64)>,
    /// What a slower bot would have earned; may be empty.
    pub(crate) latency: Vec<LatencyPoint>,
    /// What others took in the same blocks.
    pub(crate) arbitrages: Vec<ArbitrageLine>,
    /// Who was liquidated in the same blocks.
    pub(crate) liquidations: Vec<LiquidationLine>,
}

impl Report {
    /// Draws the page.
    ///
    /// # Errors
    ///
    /// Fails when a chart cannot be drawn.
    pub(crate) fn to_html(&self) -> anyhow::Result<String> {
        page::page(self)
    }
}

/// One plan and what became of it.
#[derive(Clone, Debug)]
pub(crate) struct PlanLine {
    /// The block that it was for.
    pub(crate) block: u64,
    /// That block's time, in seconds since 1970.
    pub(crate) timestamp: u64,
    /// Who proposed it.
    pub(crate) strategy: String,
    /// `won`, `contested`, `vanished`, `reverted` or `unknown`.
    pub(crate) outcome: String,
    /// The token that it gains.
    pub(crate) profit_token: String,
    /// What it brings in the chain's native unit, after gas and tip; negative is a loss.
    pub(crate) profit_wei: i128,
    /// Pools that it trades through.
    pub(crate) hops: u8,
    /// Tokens, or pools with their addresses shortened, in the order of the trade.
    pub(crate) path: String,
    /// The transaction that it follows.
    pub(crate) follows: Option<String>,
    /// Why it ended as it did.
    pub(crate) why: String,
    /// Its own transaction.
    pub(crate) tx_hash: String,
    /// Who took it instead, with their profit and place.
    pub(crate) rival: Option<String>,
}

/// What the same run would have earned, had the bot been slower.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct LatencyPoint {
    /// How much slower.
    pub(crate) slower_ms: u32,
    /// What would have been earned, after gas and tips.
    #[serde(serialize_with = "crate::summary::decimal")]
    pub(crate) profit_wei: i128,
    /// Plans that would have won.
    pub(crate) won: u64,
}

/// An arbitrage that somebody made in a recorded block.
#[derive(Clone, Debug)]
pub(crate) struct ArbitrageLine {
    /// The block.
    pub(crate) block: u64,
    /// Its place in the block.
    pub(crate) tx_index: u32,
    /// The transaction.
    pub(crate) tx_hash: String,
    /// The pools that it traded through.
    pub(crate) pools: Vec<String>,
    /// The token that it gained.
    pub(crate) profit_token: String,
    /// What it gained before gas, with its unit.
    pub(crate) gross_profit: String,
    /// What ours would have gained, with its unit.
    pub(crate) our_profit: Option<String>,
    /// Whether a strategy saw it; none where that cannot be told.
    pub(crate) seen: Option<bool>,
    /// Whether the bot could have acted on it.
    pub(crate) actionable: bool,
    /// Whether the bot did.
    pub(crate) executed: bool,
    /// Why the bot did not.
    pub(crate) why_not: Option<String>,
}

/// A liquidation that somebody made in a recorded block.
#[derive(Clone, Debug)]
pub(crate) struct LiquidationLine {
    /// The block.
    pub(crate) block: u64,
    /// The transaction.
    pub(crate) tx_hash: String,
    /// The lending protocol.
    pub(crate) protocol: String,
    /// What was repaid, with its unit.
    pub(crate) debt: String,
    /// What was seized, with its unit.
    pub(crate) collateral: String,
    /// Whose position it was.
    pub(crate) user: String,
}
