//! Who owes something to a pool, and what each has in it.
//!
//! Temperature: cold.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, U256};
use anyhow::Result;
use gannet_engine::lending::aave::events::{Event, decode};
use gannet_engine::lending::aave::topics::BORROW;
use gannet_engine::lending::aave::{Entry, Rules};

use super::Read;
use crate::bootstrap::Reader;
use crate::config::Deployment;
use crate::lending::abi::{AavePool, ScaledToken, Token};
use crate::lending::calls::needed;
use crate::lending::logs;

/// The first revision without debt at a stable rate.
const WITHOUT_STABLE_DEBT: u8 = 5;

/// Somebody who owes something.
pub(super) struct Borrower {
    pub(super) user: Address,
    pub(super) category: u8,
    pub(super) entries: Vec<Entry>,
}

/// Everybody who owes something. Debt begins with an event that names its owner.
pub(super) fn read(
    reader: &mut Reader<'_>,
    deployment: &Deployment,
    rules: &Rules,
    reserves: &[Read],
) -> Result<Vec<Borrower>> {
    let Deployment { name, address: pool, .. } = deployment;
    let mut users = BTreeSet::new();
    logs::each(reader, deployment, &[BORROW], |log| {
        if let Ok(Event::Borrowed { user }) = decode(&log.topics, &log.data) {
            users.insert(user);
        }
    })?;
    let users: Vec<Address> = users.into_iter().collect();
    let asked: Vec<_> = users
        .iter()
        .map(|user| (*pool, AavePool::getUserConfigurationCall { user: *user }))
        .collect();
    let flags = needed(reader, &format!("{name}: accounts"), &asked)?;
    let owes = |flags: &U256| reserves.iter().any(|read| flags.bit(2 * usize::from(read.number)));
    let mut found: Vec<(Address, U256)> =
        users.into_iter().zip(flags).filter(|(_, flags)| owes(flags)).collect();
    leave_out_stable_debt(reader, name, rules, reserves, &mut found)?;

    let asked: Vec<_> =
        found.iter().map(|(user, _)| (*pool, AavePool::getUserEModeCall { user: *user })).collect();
    let categories = needed(reader, &format!("{name}: categories"), &asked)?;
    let mut borrowers = Vec::with_capacity(found.len());
    for ((user, _), category) in found.iter().zip(categories) {
        let category = u8::try_from(category)?;
        borrowers.push(Borrower { user: *user, category, entries: Vec::new() });
    }
    fill(reader, name, reserves, &found, &mut borrowers)?;
    Ok(borrowers)
}

/// Reads the scaled balances of what the flags say that is in use.
fn fill(
    reader: &mut Reader<'_>,
    name: &str,
    reserves: &[Read],
    found: &[(Address, U256)],
    borrowers: &mut [Borrower],
) -> Result<()> {
    let (mut asked, mut meant) = (Vec::new(), Vec::new());
    for (place, (user, flags)) in found.iter().enumerate() {
        for Read { number, listing, .. } in reserves {
            let bit = 2 * usize::from(*number);
            // What is no collateral has no part in a health.
            for (bit, token) in [(bit, listing.debt_token), (bit + 1, listing.a_token)] {
                if flags.bit(bit) {
                    asked.push((token, ScaledToken::scaledBalanceOfCall { user: *user }));
                    meant.push((place, *number, token == listing.a_token));
                }
            }
        }
    }
    let balances = needed(reader, &format!("{name}: balances"), &asked)?;
    let mut all: BTreeMap<(usize, u16), Entry> = BTreeMap::new();
    for ((place, reserve, is_collateral), scaled) in meant.into_iter().zip(balances) {
        let scaled = u128::try_from(scaled)?;
        let empty = Entry { collateral: 0, debt: 0, reserve, is_collateral: false };
        let entry = all.entry((place, reserve)).or_insert(empty);
        if is_collateral {
            (entry.collateral, entry.is_collateral) = (scaled, true);
        } else {
            entry.debt = scaled;
        }
    }
    for ((place, _), entry) in all {
        borrowers[place].entries.push(entry);
    }
    Ok(())
}

/// Debt at a stable rate is not modelled: whoever still has some is left out, and told.
fn leave_out_stable_debt(
    reader: &mut Reader<'_>,
    name: &str,
    rules: &Rules,
    reserves: &[Read],
    found: &mut Vec<(Address, U256)>,
) -> Result<()> {
    if rules.revision >= WITHOUT_STABLE_DEBT {
        return Ok(());
    }
    let mut asked = Vec::new();
    for (user, flags) in &*found {
        for read in reserves.iter().filter(|read| !read.stable_token.is_zero()) {
            if flags.bit(2 * usize::from(read.number)) {
                asked.push((read.stable_token, Token::balanceOfCall { user: *user }));
            }
        }
    }
    let owed = needed(reader, &format!("{name}: stable debt"), &asked)?;
    let owing = asked.iter().zip(owed).filter(|(_, owed)| !owed.is_zero());
    let owing: BTreeSet<Address> = owing.map(|((_, call), _)| call.user).collect();
    if !owing.is_empty() {
        let left_out = owing.len();
        tracing::warn!(name, left_out, "accounts with debt at a stable rate are left out");
    }
    found.retain(|(user, _)| !owing.contains(user));
    Ok(())
}
