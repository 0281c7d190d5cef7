//! The page: its sections in the order in which a reader asks.
//!
//! Temperature: cold.

use std::fmt::Write as _;

use alloy_primitives::{hex, keccak256};
use anyhow::Result;

use super::amount::{self, count, count_of, counted};
use super::bins::Bins;
use super::html::{Cell, Escaped, Kind, Table, pairs};
use super::tally::{self, Outcome, Series, Tally};
use super::{ArbitrageLine, LatencyPoint, LiquidationLine, PlanLine, Report, charts, utc};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// Rows of a table. More would make the page slow to read and to load.
const ROWS_MAX: usize = 1_000;

/// The whole page.
pub(super) fn page(report: &Report) -> Result<String> {
    let tally = Tally::of(&report.plans);
    let mut body = String::new();
    body.push_str(&header(report)?);
    body.push_str(&figures(report, &tally)?);
    body.push_str(&result(report)?);
    body.push_str(&plans(&report.plans)?);
    body.push_str(&arbitrages(&report.arbitrages)?);
    body.push_str(&liquidations(&report.liquidations)?);
    body.push_str(&terms(report)?);
    let title = Escaped(&report.title);
    // The page's own style and script are the only ones that bear this, and nobody whose text ends
    // up in the page can know it before.
    let nonce = hex::encode(keccak256(&body));
    Ok(format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; base-uri 'none'; \
         form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title}</title>\n\
         <style nonce=\"{nonce}\">\n{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n\
         <script nonce=\"{nonce}\">\n{SCRIPT}</script>\n</body>\n</html>\n"
    ))
}

/// The first and the last time at which there is a plan.
fn times(plans: &[PlanLine]) -> Option<(u64, u64)> {
    let times = || plans.iter().map(|plan| plan.timestamp);
    times().min().zip(times().max())
}

fn header(report: &Report) -> Result<String> {
    let Report { title, digest, blocks, first_block, last_block, chain_id, .. } = report;
    let mut out = String::from("<header>\n<p class=\"eyebrow\">Gannet</p>\n");
    writeln!(out, "<h1>{}</h1>", Escaped(title))?;
    write!(out, "<p class=\"facts\"><span>chain {chain_id}</span> ")?;
    let blocks = counted(*blocks, "block", "blocks");
    write!(out, "<span>{blocks}, {first_block} to {last_block}</span>")?;
    if let Some((first, last)) = times(&report.plans) {
        write!(out, " <span>plans of {}</span>", utc::span(first, last))?;
    }
    let digest = Escaped(digest);
    write!(
        out,
        "</p>\n<p class=\"digest\"><span>Digest</span> <code>{digest}</code></p>\n\
         <nav aria-label=\"Sections\"><a href=\"#result\">Result</a> \
         <a href=\"#plans\">Opportunities</a> <a href=\"#arbitrages\">Arbitrages of others</a> \
         <a href=\"#liquidations\">Liquidations</a> <a href=\"#parameters\">Parameters</a> \
         <a href=\"#assumptions\">Assumptions</a></nav>\n</header>\n"
    )?;
    Ok(out)
}

/// The look of an amount that may be a loss.
const fn sign_class(wei: i128) -> &'static str {
    if wei < 0 { "loss" } else { "" }
}

fn figures(report: &Report, tally: &Tally) -> Result<String> {
    let profit = tally.profit_wei();
    let of_what = match tally.reverted_wei {
        0 => "after gas and tips".to_owned(),
        lost => {
            format!("after gas and tips; reverts cost {}", amount::short(lost.saturating_neg()))
        }
    };
    let mut out = String::new();
    write!(
        out,
        "<dl class=\"figures main\">\n<div><dt>Profit</dt>\
         <dd class=\"{}\" title=\"{profit} wei\">{} <small>ETH</small></dd>\
         <p>{of_what}</p></div>\n",
        sign_class(profit),
        amount::short(profit)
    )?;
    let decided = counted(tally.decided(), "plan", "plans");
    let rate = amount::share(tally.won, tally.decided());
    let large = [
        ("Win rate", rate, format!("of {decided} sent whose end is known")),
        ("Plans found", count(tally.found), "by all strategies".to_owned()),
    ];
    for (name, value, note) in large {
        writeln!(out, "<div><dt>{name}</dt><dd>{value}</dd><p>{note}</p></div>")?;
    }
    out.push_str("</dl>\n<dl class=\"figures\">\n");
    let turned_down = report.turned_down.iter().map(|(_, count)| *count);
    let turned_down = turned_down.fold(0, u64::saturating_add);
    let small = [
        ("Won", tally.won, "would have paid"),
        ("Contested", tally.contested, "others traded these pools"),
        ("Vanished", tally.vanished, "did not pay after all"),
        ("Reverted", tally.reverted, "failed, and paid for gas"),
        ("Unknown", tally.unknown, "the recording cannot tell"),
        ("Turned down", turned_down, "by risk, never sent"),
    ];
    for (name, value, note) in small {
        writeln!(out, "<div><dt>{name}</dt><dd>{}</dd><p>{note}</p></div>", count(value))?;
    }
    out.push_str("</dl>\n");
    Ok(out)
}

/// A chart under its title, or a sentence in its place.
struct Figure<'a> {
    title: &'a str,
    note: &'a str,
    legend: String,
    chart: Option<String>,
    instead: &'a str,
}

impl Figure<'_> {
    fn write(&self, out: &mut String) -> Result<()> {
        let Self { title, note, legend, chart, instead } = self;
        write!(out, "<figure>\n<figcaption><h3>{title}</h3><p>{note}</p></figcaption>\n")?;
        match chart {
            Some(chart) => {
                write!(out, "{legend}<div role=\"img\" aria-label=\"{title}\">\n{chart}</div>\n")?;
            }
            None => writeln!(out, "<p class=\"empty\">{instead}</p>")?,
        }
        out.push_str("</figure>\n");
        Ok(())
    }
}

fn result(report: &Report) -> Result<String> {
    let mut out = String::from("<section id=\"result\">\n<h2>Result</h2>\n");
    let series = tally::for_charts(&report.plans);
    cumulative(report, &series)?.write(&mut out)?;
    out.push_str("<div class=\"pair\">\n");
    let legend = "<ul class=\"legend\"><li class=\"found\">found</li>\
                  <li class=\"contested\">contested</li><li class=\"won\">won</li></ul>\n";
    let outcomes = Figure {
        title: "Found, contested and won",
        note: "Plans by strategy",
        legend: legend.to_owned(),
        chart: (!series.is_empty()).then(|| charts::outcomes(&series)).transpose()?,
        instead: "No plan was found.",
    };
    outcomes.write(&mut out)?;
    let won = report.plans.iter().filter(|plan| Outcome::of(plan) == Outcome::Won);
    let bins = Bins::of(&won.map(|plan| plan.profit_wei).collect::<Vec<_>>());
    let distribution = Figure {
        title: "Profit per won plan",
        note: "How many plans brought how much ETH, on a logarithmic scale",
        legend: String::new(),
        chart: bins.map(|bins| charts::distribution(&bins, &series)).transpose()?,
        instead: "No plan was won.",
    };
    distribution.write(&mut out)?;
    out.push_str("</div>\n");
    out.push_str(&strategies(&report.plans)?);
    out.push_str(&turned_down(&report.turned_down)?);
    out.push_str(&latency(&report.latency)?);
    out.push_str("</section>\n");
    Ok(out)
}

/// What risk did not let through; nothing where it let all through.
fn turned_down(reasons: &[(String, u64)]) -> Result<String> {
    if reasons.is_empty() {
        return Ok(String::new());
    }
    let columns = [("Turned down by risk", Kind::Text), ("Plans", Kind::Number)];
    let row =
        |(reason, plans): &(String, u64)| vec![Cell::text(reason), Cell::text(&count(*plans))];
    let rows = reasons.iter().take(ROWS_MAX).map(row).collect();
    Ok(Table { label: "Turned down by risk", columns: &columns, rows }.to_string())
}

fn cumulative<'a>(report: &Report, series: &[Series<'_>]) -> Result<Figure<'a>> {
    let mut legend = String::from("<ul class=\"legend\">");
    for (index, one) in (1..).zip(series).filter(|(_, one)| one.tally.won > 0) {
        let (name, wei) = (Escaped(&one.name), one.tally.won_wei);
        let profit = amount::short(wei);
        write!(legend, "<li class=\"s{index}\">{name} <b title=\"{wei} wei\">{profit}</b></li>")?;
    }
    legend.push_str("</ul>\n");
    let has_won = series.iter().any(|one| one.tally.won > 0);
    let span = times(&report.plans).filter(|_| has_won);
    Ok(Figure {
        title: "Cumulative profit of won plans",
        note: "ETH after gas and tips, by the time of the block (UTC)",
        legend,
        chart: span.map(|(first, last)| charts::cumulative(series, first, last)).transpose()?,
        instead: "No plan was won.",
    })
}

fn strategies(plans: &[PlanLine]) -> Result<String> {
    let each = tally::by_strategy(plans);
    if each.is_empty() {
        return Ok(String::new());
    }
    let columns = [
        ("Strategy", Kind::Text),
        ("Profit, ETH", Kind::Number),
        ("Win rate", Kind::Number),
        ("Found", Kind::Number),
        ("Won", Kind::Number),
        ("Contested", Kind::Number),
        ("Vanished", Kind::Number),
        ("Reverted", Kind::Number),
        ("Unknown", Kind::Number),
    ];
    let decimals = amount::column_decimals(each.iter().map(|one| one.tally.profit_wei()));
    let row = |name: &str, tally: &Tally| {
        let Tally { found, won, contested, vanished, reverted, unknown, .. } = *tally;
        let counts = [found, won, contested, vanished, reverted, unknown];
        let mut row = vec![
            Cell::text(name),
            ether(tally.profit_wei(), decimals),
            Cell::text(&amount::share(won, tally.decided())),
        ];
        row.extend(counts.map(|number| Cell::text(&count(number))));
        row
    };
    let rows = each.iter().take(ROWS_MAX).map(|one| row(&one.name, &one.tally)).collect();
    Ok(Table { label: "By strategy", columns: &columns, rows }.to_string())
}

fn ether(wei: i128, decimals: u32) -> Cell {
    let title = format!("{wei} wei");
    Cell::text(&amount::fixed(wei, decimals)).titled(&title).class(sign_class(wei))
}

fn latency(points: &[LatencyPoint]) -> Result<String> {
    let mut out = String::new();
    let figure = Figure {
        title: "Profit if we were slower",
        note: "ETH after gas and tips, by milliseconds slower than this run",
        legend: String::new(),
        chart: (!points.is_empty()).then(|| charts::latency(points)).transpose()?,
        instead: "Sensitivity to latency was not measured.",
    };
    figure.write(&mut out)?;
    if points.is_empty() {
        return Ok(out);
    }
    let mut points: Vec<_> = points.iter().collect();
    points.sort_by_key(|point| point.slower_ms);
    let decimals = amount::column_decimals(points.iter().map(|point| point.profit_wei));
    let row = |point: &&LatencyPoint| {
        vec![
            Cell::text(&format!("{} ms", count(point.slower_ms.into()))),
            Cell::text(&count(point.won)),
            ether(point.profit_wei, decimals),
        ]
    };
    let columns =
        [("Slower by", Kind::Number), ("Won", Kind::Number), ("Profit, ETH", Kind::Number)];
    let rows = points.iter().map(row).collect();
    let table = Table { label: "Profit by latency", columns: &columns, rows };
    Ok(format!("<div class=\"pair\">\n{out}{table}</div>\n"))
}

/// The section that holds one table, or a sentence in its place.
fn section(id: &str, title: &str, note: &str, table: &Table<'_>) -> Result<String> {
    let mut out = String::new();
    write!(out, "<section id=\"{id}\">\n<h2>{title}</h2>\n<p class=\"note\">{note}</p>\n")?;
    if !table.rows.is_empty() {
        write!(out, "{table}")?;
    }
    out.push_str("</section>\n");
    Ok(out)
}

fn plans(plans: &[PlanLine]) -> Result<String> {
    let columns = [
        ("Block", Kind::Number),
        ("Profit, ETH", Kind::Rank),
        ("Outcome", Kind::Choice),
        ("Strategy", Kind::Choice),
        ("Hops", Kind::Number),
        ("Path", Kind::Text),
        ("Why", Kind::Text),
        ("Transaction", Kind::Text),
    ];
    let mut best: Vec<_> = plans.iter().collect();
    // Stable: plans of equal profit stay in the order in which they were found.
    best.sort_by_key(|plan| std::cmp::Reverse(plan.profit_wei));
    best.truncate(ROWS_MAX);
    let decimals = amount::column_decimals(best.iter().map(|plan| plan.profit_wei));
    let is_one_day = times(plans).is_some_and(|(from, to)| from / utc::DAY_S == to / utc::DAY_S);
    let rows = best.iter().map(|plan| plan_row(plan, decimals, is_one_day)).collect::<Vec<_>>();
    let note = match (plans.len(), plans.len() - rows.len()) {
        (0, _) => "No plan was found.".to_owned(),
        (_, 0) => "All plans, by profit.".to_owned(),
        (all, left_out) => format!(
            "The best {} of {} plans, by profit; {} with less are left out.",
            count_of(&rows),
            count(all as u64),
            count(left_out as u64)
        ),
    };
    let table = Table { label: "Opportunities", columns: &columns, rows };
    section("plans", "Opportunities", &note, &table)
}

fn plan_row(plan: &PlanLine, decimals: u32, is_one_day: bool) -> Vec<Cell> {
    let time = utc::second(plan.timestamp);
    let time = if is_one_day { time } else { format!("{} {time}", utc::day(plan.timestamp)) };
    vec![
        Cell::text(&plan.block.to_string()).below(&time),
        ether(plan.profit_wei, decimals).below(&plan.profit_token),
        outcome_cell(plan),
        Cell::text(&plan.strategy),
        Cell::text(&plan.hops.to_string()),
        Cell::way(plan.path.split(" → ")).class("long"),
        Cell::text(&plan.why).below(plan.rival.as_deref().unwrap_or_default()).class("long"),
        Cell::hash(&plan.tx_hash).hash_below("follows", plan.follows.as_ref()),
    ]
}

fn outcome_cell(plan: &PlanLine) -> Cell {
    let outcome = Outcome::of(plan);
    let (class, reason) = match outcome {
        Outcome::Won => ("mark won", ""),
        Outcome::Contested => ("mark contested", ""),
        Outcome::Reverted => ("mark lost", ""),
        Outcome::Vanished => ("mark", ""),
        Outcome::Unknown if plan.outcome == outcome.name() => ("mark", ""),
        Outcome::Unknown => ("mark", &*plan.outcome),
    };
    Cell::text(outcome.name()).below(reason).class(class)
}

fn yes_or_no(is_so: bool) -> Cell {
    Cell::text(if is_so { "yes" } else { "no" })
}

/// What stands above a table that may be cut.
fn limited(sentence: String, all: usize) -> String {
    match all.saturating_sub(ROWS_MAX) {
        0 => sentence,
        left_out => format!(
            "{sentence} These are the first {}; {} are left out.",
            count(ROWS_MAX as u64),
            count(left_out as u64)
        ),
    }
}

fn arbitrages(lines: &[ArbitrageLine]) -> Result<String> {
    let columns = [
        ("Block", Kind::Number),
        ("Gross profit", Kind::Number),
        ("Ours", Kind::Number),
        ("Seen", Kind::Choice),
        ("Actionable", Kind::Choice),
        ("Executed", Kind::Choice),
        ("Why not", Kind::Text),
        ("Pools", Kind::Text),
        ("Transaction", Kind::Text),
    ];
    let row = |line: &ArbitrageLine| {
        vec![
            Cell::text(&line.block.to_string()).below(&format!("index {}", line.tx_index)),
            Cell::text(&line.gross_profit).below(&line.profit_token),
            Cell::maybe(line.our_profit.as_ref()),
            line.seen.map_or_else(|| Cell::text("unknown"), yes_or_no),
            yes_or_no(line.actionable),
            yes_or_no(line.executed),
            Cell::maybe(line.why_not.as_ref()).class("long"),
            Cell::way(line.pools.iter().map(String::as_str)).class("long"),
            Cell::hash(&line.tx_hash),
        ]
    };
    let rows = lines.iter().take(ROWS_MAX).map(row).collect();
    let number = |is_it: fn(&ArbitrageLine) -> bool| {
        count(lines.iter().filter(|line| is_it(line)).count() as u64)
    };
    let note = match lines.len() {
        0 => "Nobody made an arbitrage that could be recognised.".to_owned(),
        all => limited(
            format!(
                "{} in the recorded blocks: {} seen, {} actionable, {} run in the EVM by us.",
                counted(all as u64, "arbitrage", "arbitrages"),
                number(|line| line.seen == Some(true)),
                number(|line| line.actionable),
                number(|line| line.executed)
            ),
            all,
        ),
    };
    let table = Table { label: "Arbitrages of others", columns: &columns, rows };
    section("arbitrages", "Arbitrages of others", &note, &table)
}

fn liquidations(lines: &[LiquidationLine]) -> Result<String> {
    let columns = [
        ("Block", Kind::Number),
        ("Protocol", Kind::Choice),
        ("Debt repaid", Kind::Number),
        ("Collateral seized", Kind::Number),
        ("User", Kind::Text),
        ("Transaction", Kind::Text),
    ];
    let row = |line: &LiquidationLine| {
        vec![
            Cell::text(&line.block.to_string()),
            Cell::text(&line.protocol),
            Cell::text(&line.debt),
            Cell::text(&line.collateral),
            Cell::hash(&line.user),
            Cell::hash(&line.tx_hash),
        ]
    };
    let rows = lines.iter().take(ROWS_MAX).map(row).collect();
    let note = match lines.len() {
        0 => "Nobody was liquidated.".to_owned(),
        all => {
            let all_of_them = counted(all as u64, "liquidation", "liquidations");
            limited(format!("{all_of_them} in the recorded blocks."), all)
        }
    };
    let table = Table { label: "Liquidations", columns: &columns, rows };
    section("liquidations", "Liquidations", &note, &table)
}

/// What the result rests on.
fn terms(report: &Report) -> Result<String> {
    let mut out = String::from("<div class=\"pair\">\n<section id=\"parameters\">\n");
    out.push_str("<h2>Parameters</h2>\n");
    match report.parameters.is_empty() {
        true => out.push_str("<p class=\"note\">None were given.</p>\n"),
        false => out.push_str(&pairs(&report.parameters)?),
    }
    out.push_str("</section>\n<section id=\"assumptions\">\n<h2>Assumptions</h2>\n");
    match report.assumptions.is_empty() {
        true => out.push_str("<p class=\"note\">None were stated.</p>\n"),
        false => {
            out.push_str("<ul class=\"sentences\">\n");
            for sentence in &report.assumptions {
                writeln!(out, "<li>{}</li>", Escaped(sentence))?;
            }
            out.push_str("</ul>\n");
        }
    }
    out.push_str("</section>\n</div>\n");
    Ok(out)
}
