//! What a run of the bot left behind, held against the chain and against what was announced.
//!
//! Temperature: cold.

use serde_json::{Value, json};

use crate::node::Node;

/// What each message of the pending subscription can be; the bot's summary has a count of each.
const ARRIVALS: [&str; 9] = [
    "undecodable",
    "truncated",
    "fetched",
    "known",
    "other",
    "forged",
    "duplicate",
    "underpaying",
    "swaps",
];

/// Whether a snapshot is the chain at its tip, to the wei.
#[must_use]
pub fn is_equal(node: &Node, snapshot: &Value) -> bool {
    let chain = node.chain();
    let tip = chain.tip();
    let pools = snapshot["pools"].as_object();
    snapshot["hash"] == json!(tip.hash)
        && pools.is_some_and(|pools| {
            pools.len() == chain.market.pairs.len()
                && pools.iter().all(|(address, held)| {
                    let pair = address.parse().ok().and_then(|at| chain.market.pair_at(&at));
                    let reserves = pair.map(|pair| tip.state.reserves[pair]);
                    *held == json!(reserves.map(|held| held.map(|amount| amount.to_string())))
                })
        })
}

/// What became of pending transactions, by the bot's summary. Full bodies are meant: what is
/// fetched by its hash is counted when it is announced and when it comes.
#[derive(Clone, Debug)]
pub struct Account {
    /// What the messages were: names and counts, zeros left out.
    pub arrivals: Vec<(String, u64)>,
    /// What became of the swaps among them.
    pub fates: Vec<(String, u64)>,
    messages: u64,
    swaps: u64,
}

impl Account {
    /// Reads a summary.
    #[must_use]
    pub fn of(summary: &Value) -> Self {
        let pending = &summary["pending"];
        let count = |name: &str| pending[name].as_u64().unwrap_or_default();
        let named = |name: &str| (name.to_owned(), count(name));
        let listed = |name: &str| {
            let list = pending[name].as_object().into_iter().flatten();
            list.map(|(why, count)| (why.clone(), count.as_u64().unwrap_or_default()))
        };
        let arrivals = ARRIVALS.into_iter().map(named).filter(|(_, count)| *count > 0).collect();
        let fates = [named("seen")].into_iter().chain(listed("unfit")).chain(listed("gone"));
        let fates = fates.chain([named("waiting")]).filter(|(_, count)| *count > 0).collect();
        let messages = count("messages") + count("truncated");
        Self { arrivals, fates, messages, swaps: count("swaps") }
    }

    /// What does not add up, if `announced` transactions were announced.
    #[must_use]
    pub fn gaps(&self, announced: u64) -> Vec<String> {
        let sum = |list: &[(String, u64)]| list.iter().map(|(_, count)| count).sum::<u64>();
        let sums = [
            ("messages", self.messages, announced),
            ("their kinds", sum(&self.arrivals), self.messages),
            ("fates of swaps", sum(&self.fates), self.swaps),
        ];
        let off = sums.iter().filter(|(_, found, wanted)| found != wanted);
        off.map(|(what, found, wanted)| format!("{what}: {found}, wanted {wanted}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_adds_up_or_says_where_it_does_not() {
        let pending = json!({
            "messages": 5, "truncated": 1, "other": 2, "swaps": 3,
            "seen": 1, "unfit": { "underpriced": 1 }, "gone": {}, "waiting": 1,
        });
        let account = Account::of(&json!({ "pending": pending }));
        assert_eq!(account.gaps(6), Vec::<String>::new());
        assert_eq!(account.gaps(7), ["messages: 6, wanted 7"]);
        assert!(account.fates.contains(&("underpriced".to_owned(), 1)));
        let lost = Account::of(&json!({ "pending": { "messages": 1, "swaps": 1 } }));
        assert_eq!(lost.gaps(1), ["fates of swaps: 0, wanted 1"]);
    }
}
