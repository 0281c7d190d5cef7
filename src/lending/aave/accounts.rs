//! Who owes something to a pool, and what each has in it.
//!
//! Temperature: cold.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256, U256};
use anyhow::Result;
use gannet_engine::lending::aave::Entry;
use gannet_engine::lending::aave::events::{Event, decode};
use gannet_engine::lending::aave::topics::BORROW;
use serde::{Deserialize, Serialize};

use super::{Read, Scope};
use crate::bootstrap::Reader;
use crate::config::Deployment;
use crate::lending::abi::{AavePool, ScaledToken, Token};
use crate::lending::calls::needed;
use crate::lending::roll::{Log, Named, Roll};

/// The first revision without debt at a stable rate.
const WITHOUT_STABLE_DEBT: u8 = 5;

/// Somebody who owes something.
pub(in crate::lending) struct Borrower {
    pub(in crate::lending) user: Address,
    pub(in crate::lending) category: u8,
    pub(in crate::lending) entries: Vec<Entry>,
}

/// Who has ever borrowed: debt begins with an event that names its owner.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Users(BTreeSet<Address>);

impl Named for Users {
    const TOPICS: &'static [B256] = &[BORROW];

    fn take(&mut self, log: &Log) {
        if let Ok(Event::Borrowed { user }) = decode(&log.topics, &log.data) {
            self.0.insert(user);
        }
    }
}

/// Everybody who owes something.
pub(super) fn read(
    reader: &mut Reader<'_>,
    roll: &mut Roll,
    deployment: &Deployment,
    scope: &Scope,
) -> Result<Vec<Borrower>> {
    let Users(users) = roll.named(reader, deployment)?;
    let users: Vec<Address> = users.into_iter().collect();
    let mut found = flags(reader, scope, &users)?;
    let bit = |read: &Read| 2 * usize::from(read.number);
    found.retain(|(_, flags)| scope.reserves.iter().any(|read| flags.bit(bit(read))));
    let left_out = leave_out_stable_debt(reader, scope, &mut found)?;
    if left_out > 0 {
        let name = &scope.name;
        tracing::warn!(name, left_out, "accounts with debt at a stable rate are left out");
    }
    whole(reader, scope, &found)
}

/// What these accounts have now, whether they owe anything or not. One that is not modelled is left
/// out.
pub(in crate::lending) fn again(
    reader: &mut Reader<'_>,
    scope: &Scope,
    users: &[Address],
) -> Result<Vec<Borrower>> {
    let mut found = flags(reader, scope, users)?;
    leave_out_stable_debt(reader, scope, &mut found)?;
    whole(reader, scope, &found)
}

/// Accounts with what the pool says that each uses.
fn flags(
    reader: &mut Reader<'_>,
    Scope { name, contracts, .. }: &Scope,
    users: &[Address],
) -> Result<Vec<(Address, U256)>> {
    let asked = users
        .iter()
        .map(|user| (contracts.pool, AavePool::getUserConfigurationCall { user: *user }));
    let label = format!("{name}: accounts");
    let flags = needed(reader, &label, &asked.collect::<Vec<_>>())?;
    Ok(users.iter().copied().zip(flags).collect())
}

/// Reads the rest of these accounts.
fn whole(
    reader: &mut Reader<'_>,
    scope: &Scope,
    found: &[(Address, U256)],
) -> Result<Vec<Borrower>> {
    let Scope { name, contracts, .. } = scope;
    let asked =
        found.iter().map(|(user, _)| (contracts.pool, AavePool::getUserEModeCall { user: *user }));
    let label = format!("{name}: categories");
    let categories = needed(reader, &label, &asked.collect::<Vec<_>>())?;
    let mut borrowers = Vec::with_capacity(found.len());
    for ((user, _), category) in found.iter().zip(categories) {
        let category = u8::try_from(category)?;
        borrowers.push(Borrower { user: *user, category, entries: Vec::new() });
    }
    fill(reader, scope, found, &mut borrowers)?;
    Ok(borrowers)
}

/// Reads the scaled balances of what the flags say that is in use.
fn fill(
    reader: &mut Reader<'_>,
    Scope { name, reserves, .. }: &Scope,
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

/// Debt at a stable rate is not modelled: whoever still has some is left out. How many there are.
fn leave_out_stable_debt(
    reader: &mut Reader<'_>,
    Scope { name, rules, reserves, .. }: &Scope,
    found: &mut Vec<(Address, U256)>,
) -> Result<usize> {
    if rules.revision >= WITHOUT_STABLE_DEBT {
        return Ok(0);
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
    found.retain(|(user, _)| !owing.contains(user));
    Ok(owing.len())
}
