//! The page as a whole, for ordinary reports and for those at the edges.
//!
//! Temperature: cold.

use super::*;

const MILLIETHER: i128 = 1_000_000_000_000_000;

/// Outcomes in turn; the last is none that is known.
const OUTCOMES: [&str; 7] =
    ["won", "contested", "vanished", "reverted", "unknown", "unknown", "lost in space"];

fn plan(number: u64) -> PlanLine {
    let place = usize::try_from(number).expect("few plans");
    let outcome = OUTCOMES[place % OUTCOMES.len()];
    let profit = i128::from(number * 7_919 % 1_000 + 1) * MILLIETHER / 100;
    PlanLine {
        block: 100 + number / 10,
        timestamp: 1_700_000_000 + number / 10 * 12,
        strategy: ["arbitrage", "backrun"][place / 7 % 2].to_owned(),
        outcome: outcome.to_owned(),
        profit_token: "WETH".to_owned(),
        profit_wei: if outcome == "reverted" { -MILLIETHER } else { profit },
        hops: 3,
        path: "WETH → USDC → DAI → WETH".to_owned(),
        follows: number.is_multiple_of(2).then(|| format!("0x{number:064x}")),
        why: "somebody else traded the same pools before it, in the same block".to_owned(),
        tx_hash: format!("0x{number:064x}"),
        rival: Some("0x12…9f took 0.012 ETH at index 4, right behind the target".to_owned()),
    }
}

fn report(plans: u64) -> Report {
    Report {
        title: "Backtest of recordings/sample".to_owned(),
        digest: "ab".repeat(32),
        blocks: 300,
        first_block: 100,
        last_block: 399,
        chain_id: 1,
        parameters: vec![("latency_ms".to_owned(), "12".to_owned())],
        assumptions: vec!["Nobody reacts to us.".to_owned()],
        plans: (0..plans).map(plan).collect(),
        turned_down: vec![("pools-busy".to_owned(), 7), ("outbid".to_owned(), 2)],
        latency: [0, 1, 5, 20, 100].map(latency).to_vec(),
        arbitrages: (0..3).map(arbitrage).collect(),
        liquidations: vec![LiquidationLine {
            block: 120,
            tx_hash: format!("0x{:064x}", 3),
            protocol: "lender".to_owned(),
            debt: "10 USDC".to_owned(),
            collateral: "1 WETH".to_owned(),
            user: format!("0x{:040x}", 4),
        }],
    }
}

fn latency(slower_ms: u32) -> LatencyPoint {
    LatencyPoint { slower_ms, profit_wei: MILLIETHER * i128::from(100 - slower_ms), won: 9 }
}

fn arbitrage(number: u32) -> ArbitrageLine {
    ArbitrageLine {
        block: 110,
        tx_index: number,
        tx_hash: format!("0x{number:064x}"),
        pools: vec!["0x12…34".to_owned(), "0x56…78".to_owned()],
        profit_token: "WETH".to_owned(),
        gross_profit: "0.01".to_owned(),
        our_profit: None,
        seen: [Some(true), Some(false), None][number as usize % 3],
        actionable: number == 0,
        executed: false,
        why_not: Some("no such pool".to_owned()),
    }
}

fn empty() -> Report {
    Report {
        parameters: Vec::new(),
        assumptions: Vec::new(),
        turned_down: Vec::new(),
        latency: Vec::new(),
        arbitrages: Vec::new(),
        liquidations: Vec::new(),
        ..report(0)
    }
}

fn page(report: &Report) -> String {
    report.to_html().expect("a page")
}

/// The rows of the section with this id.
fn rows(page: &str, id: &str) -> usize {
    let section = page.split(&format!("<section id=\"{id}\">")).nth(1).expect("the section");
    let section = section.split("</section>").next().expect("its end");
    section.matches("<tr>").count().saturating_sub(1)
}

#[test]
fn counts_on_the_page_are_those_of_the_plans() {
    let report = report(70);
    let page = page(&report);
    for (name, count) in
        [("Won", 10), ("Contested", 10), ("Vanished", 10), ("Reverted", 10), ("Turned down", 9)]
    {
        assert!(page.contains(&format!("<dt>{name}</dt><dd>{count}</dd>")), "{name}");
    }
    // What has an outcome of no known name counts as unknown.
    assert!(page.contains("<dt>Unknown</dt><dd>30</dd>"));
    assert!(page.contains("<dt>Plans found</dt><dd>70</dd>"));
    assert!(page.contains("<dt>Win rate</dt><dd>25.0%</dd>"));
    let of = |outcome| report.plans.iter().filter(move |plan| plan.outcome == outcome);
    let profit: i128 = of("won").chain(of("reverted")).map(|plan| plan.profit_wei).sum();
    assert!(page.contains(&format!("title=\"{profit} wei\"")));
    assert_eq!(rows(&page, "plans"), 70);
    assert_eq!(rows(&page, "arbitrages"), 3);
    assert_eq!(rows(&page, "liquidations"), 1);
    assert!(page.contains("3 arbitrages in the recorded blocks: 1 seen, 1 actionable, 0 run in"));
}

#[test]
fn the_same_report_has_the_same_bytes() {
    assert_eq!(page(&report(50)), page(&report(50)));
}

#[test]
fn the_best_plans_are_shown_and_the_rest_is_counted() {
    let page = page(&report(10_000));
    assert!(page.len() < 2_000_000, "{} bytes", page.len());
    assert_eq!(rows(&page, "plans"), 1_000);
    assert!(page.contains("The best 1,000 of 10,000 plans, by profit; 9,000 with less are left"));
}

#[test]
fn tables_of_what_others_did_are_cut_too() {
    let report = Report { arbitrages: (0..1_500).map(arbitrage).collect(), ..empty() };
    let page = page(&report);
    assert_eq!(rows(&page, "arbitrages"), 1_000);
    assert!(page.contains("These are the first 1,000; 500 are left out."));
}

#[test]
fn whatever_stands_in_a_report_is_only_text() {
    let evil = "</script></style></title><script>x(\"1\", '2')</script><img src=q onerror=x()>";
    let text = || evil.to_owned();
    let outcomes = ["won", "contested", evil].map(str::to_owned);
    let plans = outcomes.into_iter().map(|outcome| PlanLine {
        strategy: text(),
        outcome,
        profit_token: text(),
        path: text(),
        follows: Some(text()),
        why: text(),
        tx_hash: text(),
        rival: Some(text()),
        ..plan(0)
    });
    let arbitrage = ArbitrageLine {
        tx_hash: text(),
        pools: vec![text(), text()],
        profit_token: text(),
        gross_profit: text(),
        our_profit: Some(text()),
        why_not: Some(text()),
        ..arbitrage(0)
    };
    let liquidation = LiquidationLine {
        block: 1,
        tx_hash: text(),
        protocol: text(),
        debt: text(),
        collateral: text(),
        user: text(),
    };
    let report = Report {
        title: text(),
        digest: text(),
        parameters: vec![(text(), text())],
        assumptions: vec![text()],
        plans: plans.collect(),
        turned_down: vec![(text(), 1)],
        arbitrages: vec![arbitrage],
        liquidations: vec![liquidation],
        ..report(0)
    };
    let page = page(&report);
    assert_eq!(page.matches("<script").count(), 1, "only the page's own");
    assert_eq!(page.matches("</script").count(), 1);
    assert_eq!(page.matches("</style").count(), 1);
    assert!(!page.contains("<img"));
    assert!(page.contains("&lt;img src=q onerror=x()&gt;"));
}

#[test]
fn nothing_is_loaded_and_only_the_pages_own_script_runs() {
    let page = page(&report(20));
    // The name of SVG's namespace is no address that anything is loaded from.
    let rest = page.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
    for address in ["http:", "https:", "src=", "url(", "@import", "<link", "<iframe"] {
        assert!(!rest.contains(address), "{address}");
    }
    let (_, policy) = page.split_once("Content-Security-Policy\" content=\"").expect("a policy");
    let (policy, _) = policy.split_once('"').expect("its end");
    assert!(policy.starts_with("default-src 'none'; "), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    let (_, nonce) = policy.split_once("script-src 'nonce-").expect("a nonce");
    let (nonce, _) = nonce.split_once('\'').expect("its end");
    assert!(page.contains(&format!("<script nonce=\"{nonce}\">")));
    // The policy forbids these, so they would do nothing.
    assert!(!page.contains(" style=\"") && !page.contains(" onclick="));
}

#[test]
fn a_report_of_nothing_says_so() {
    let page = page(&empty());
    for sentence in [
        "No plan was found.",
        "No plan was won.",
        "Sensitivity to latency was not measured.",
        "Nobody made an arbitrage that could be recognised.",
        "Nobody was liquidated.",
        "None were given.",
        "None were stated.",
    ] {
        assert!(page.contains(sentence), "{sentence}");
    }
    assert!(!page.contains("<svg") && !page.contains("<table"));
    assert!(page.contains("<dt>Win rate</dt><dd>–</dd>"));
}

#[test]
fn reports_at_the_edges_are_drawn_without_nonsense() {
    let plans_of = |plan: PlanLine, count| vec![plan; count];
    let amount = |profit_wei| PlanLine { profit_wei, ..plan(0) };
    let late = PlanLine { timestamp: u64::MAX, block: u64::MAX, ..plan(0) };
    let edges = [
        ("one plan", plans_of(plan(0), 1)),
        ("no won plan", plans_of(plan(1), 5)),
        ("losses only", plans_of(amount(-MILLIETHER), 5)),
        ("no profit", plans_of(amount(0), 5)),
        ("both extremes", vec![amount(i128::MIN), amount(i128::MAX), amount(i128::MAX)]),
        ("far apart", vec![PlanLine { timestamp: 0, ..plan(0) }, late.clone()]),
        ("the end of time", vec![late]),
    ];
    for (name, plans) in edges {
        let latency = vec![latency(0)];
        let page = page(&Report { plans, latency, ..empty() });
        let (page, _script) = page.split_once("</main>").expect("the end of the text");
        assert!(page.contains("<svg"), "{name}");
        assert!(
            !page.contains("NaN") && !page.contains("inf<") && !page.contains("−0.0<"),
            "{name}"
        );
        let numbers = page.split("points=\"").skip(1).filter_map(|part| part.split('"').next());
        let mut places = numbers.flat_map(|points| points.split([',', ' ']));
        let is_on_page = |place: &str| {
            place.is_empty() || place.parse().is_ok_and(|px: i32| (0..2_000).contains(&px))
        };
        assert!(places.all(is_on_page), "{name}");
    }
}

#[test]
fn strategies_beyond_the_colours_share_one() {
    let plans = (0..90).map(|number| PlanLine {
        strategy: format!("strategy-{}", number % 9),
        outcome: "won".to_owned(),
        ..plan(number)
    });
    let page = page(&Report { plans: plans.collect(), ..empty() });
    assert!(page.contains("<li class=\"s5\">5 others <b"));
    assert!(!page.contains("class=\"s6\""));
    assert_eq!(rows(&page, "result"), 9, "the table has them all");
}
