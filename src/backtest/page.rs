//! A backtest as a report and as tables: HTML for people, Parquet and CSV for their own tools.
//!
//! Temperature: cold.

use std::fs::{self, File};
use std::path::Path;

use alloy_primitives::{Address, B256};
use anyhow::{Context as _, Result, bail};

use super::Backtest;
use super::plans::{End, Planned};
use crate::recording::column::Height;
use crate::recording::rows::Row as _;
use crate::recording::{rows::PlanRow, write_table};
use crate::report::{ArbitrageLine, LiquidationLine, PlanLine, Report};

impl Backtest {
    /// Writes the report.
    ///
    /// # Errors
    /// When it cannot be drawn or written.
    pub(crate) fn write_report(&self, path: &Path) -> Result<()> {
        let html = self.report().to_html().context("drawing the report")?;
        fs::write(path, html).with_context(|| format!("writing {}", path.display()))
    }

    fn report(&self) -> Report {
        let parameter = |set: &String| {
            let (key, value) = set.split_once('=').unwrap_or((set, ""));
            (key.to_owned(), value.to_owned())
        };
        Report {
            title: format!("Backtest of {}", self.recording.display()),
            digest: format!("{:x}", self.digest),
            blocks: self.blocks,
            first_block: self.first_block,
            last_block: self.last_block,
            chain_id: self.chain_id,
            parameters: self.parameters.iter().map(parameter).collect(),
            assumptions: self.assumptions.clone(),
            plans: self.planned.iter().map(|plan| self.line(plan)).collect(),
            turned_down: self.turned_down(),
            latency: self.latency.clone(),
            arbitrages: self.forensics.arbitrages.iter().map(arbitrage).collect(),
            liquidations: self.forensics.liquidations.iter().map(liquidation).collect(),
        }
    }

    fn turned_down(&self) -> Vec<(String, u64)> {
        let reasons = self.rejected.iter().map(|(reason, count)| ((*reason).to_owned(), *count));
        let mut reasons: Vec<_> = reasons.collect();
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        reasons
    }

    fn line(&self, plan: &Planned) -> PlanLine {
        let pools: Vec<String> = plan.legs.iter().map(|leg| short(&leg.pool)).collect();
        PlanLine {
            block: plan.block,
            timestamp: self.time_of(plan),
            strategy: plan.strategy.to_owned(),
            outcome: plan.end.name().to_owned(),
            profit_token: plan.profit_token.to_string(),
            profit_wei: plan.net_profit().unwrap_or(0),
            hops: u8::try_from(plan.legs.len()).unwrap_or(u8::MAX),
            path: pools.join(" → "),
            follows: plan.follows.map(|hash| hash.to_string()),
            why: plan.why.clone(),
            tx_hash: String::new(),
            rival: plan.rival.as_ref().map(|rival| {
                let profit = rival.profit.map_or_else(|| "?".to_owned(), |made| made.to_string());
                let (hash, place) = (rival.tx_hash, rival.tx_index);
                format!("{hash} at {place} made {profit} of {}", rival.profit_token)
            }),
        }
    }

    /// The time of a plan's block; of one that is not recorded, that of the block it was planned
    /// on.
    fn time_of(&self, plan: &Planned) -> u64 {
        let time = |block| self.timestamps.get(&block).copied();
        time(plan.block).or_else(|| time(plan.planned_at)).unwrap_or_default()
    }

    /// Writes every plan: as Parquet or as CSV, by the file's ending.
    ///
    /// # Errors
    /// When it has another ending, or cannot be written.
    pub(crate) fn write_plans(&self, path: &Path) -> Result<()> {
        let rows = self.planned.iter().map(|plan| self.row(plan));
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("parquet") => write_table(path, [rows.collect::<Vec<PlanRow>>()]),
            Some("csv") => {
                let told = || format!("writing {}", path.display());
                let file = File::create(path).with_context(told)?;
                let mut csv = csv::Writer::from_writer(file);
                csv.write_record(PlanRow::schema().fields().iter().map(|field| field.name()))?;
                for row in rows {
                    csv.write_record(cells(&row)).with_context(told)?;
                }
                csv.flush().with_context(told)
            }
            _ => bail!("{}: found another ending; wanted .parquet or .csv", path.display()),
        }
    }

    fn row(&self, plan: &Planned) -> PlanRow {
        let pools: Vec<String> = plan.legs.iter().map(|leg| leg.pool.to_string()).collect();
        PlanRow {
            block_number: Height(plan.block),
            planned_at: Height(plan.planned_at),
            timestamp: Height(self.time_of(plan)),
            strategy: plan.strategy.to_owned(),
            outcome: plan.end.name().to_owned(),
            why: plan.why.clone(),
            pools: pools.join(" "),
            amount_in: plan.legs.first().map_or(0, |leg| leg.amount_in).to_string(),
            profit_token: plan.profit_token,
            profit: plan.profit.to_string(),
            gained: plan.gained.map(|gained| gained.to_string()),
            net_wei: plan.net_profit().map(|net| net.to_string()),
            gas_used: plan.gas_used,
            executed: plan.executed,
            follows: plan.follows,
            rival: plan.rival.as_ref().map(|rival| rival.tx_hash),
            borrower: plan.liquidation.as_ref().and_then(|of| of.borrower),
            market: plan.liquidation.as_ref().and_then(|of| of.market),
        }
    }
}

impl End {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Won => "won",
            Self::Contested => "contested",
            Self::Vanished => "vanished",
            Self::Reverted => "reverted",
            Self::Unknown => "unknown",
        }
    }
}

/// A row of the CSV, in the order of the table's columns.
fn cells(row: &PlanRow) -> [String; 18] {
    let whom = |of: Option<Address>| of.map(|of| of.to_string()).unwrap_or_default();
    let hash = |hash: Option<B256>| hash.map(|hash| hash.to_string()).unwrap_or_default();
    [
        row.block_number.0.to_string(),
        row.planned_at.0.to_string(),
        row.timestamp.0.to_string(),
        row.strategy.clone(),
        row.outcome.clone(),
        row.why.clone(),
        row.pools.clone(),
        row.amount_in.clone(),
        row.profit_token.to_string(),
        row.profit.clone(),
        row.gained.clone().unwrap_or_default(),
        row.net_wei.clone().unwrap_or_default(),
        row.gas_used.to_string(),
        row.executed.to_string(),
        hash(row.follows),
        hash(row.rival),
        whom(row.borrower),
        whom(row.market),
    ]
}

fn short(address: &Address) -> String {
    let text = address.to_string();
    let (start, end) = (text.get(..6).unwrap_or_default(), text.get(38..).unwrap_or_default());
    format!("{start}…{end}")
}

fn arbitrage(taken: &super::forensics::Taken) -> ArbitrageLine {
    ArbitrageLine {
        block: taken.block,
        tx_index: taken.tx_index,
        tx_hash: taken.tx_hash.to_string(),
        pools: taken.pools.iter().map(Address::to_string).collect(),
        profit_token: taken.profit_token.to_string(),
        gross_profit: taken.gross_profit.unwrap_or(0).to_string(),
        our_profit: taken.our_profit.map(|profit| profit.to_string()),
        seen: taken.seen,
        actionable: taken.actionable,
        executed: taken.executed,
        why_not: taken.why_not.clone(),
    }
}

fn liquidation(found: &super::liquidations::Liquidation) -> LiquidationLine {
    let amount = |amount: String, asset: Option<Address>| match asset {
        Some(asset) => format!("{amount} of {asset}"),
        None => format!("{amount} of an unknown token"),
    };
    LiquidationLine {
        block: found.block,
        tx_hash: found.tx_hash.to_string(),
        protocol: found.protocol.name().to_owned(),
        debt: amount(found.debt_amount.to_string(), found.debt_asset),
        collateral: amount(found.collateral_amount.to_string(), found.collateral_asset),
        user: found.user.to_string(),
    }
}
