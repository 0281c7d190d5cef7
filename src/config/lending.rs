//! `[[lending.aave_v3]]`, `[[lending.comet]]` and `[[lending.morpho]]`, checked: whose borrowers
//! are looked at; and `[[lending.balancer]]`: who else lends for one transaction.
//!
//! Temperature: cold.

use alloy_primitives::Address;
use serde::{Deserialize, Serialize};
use toml::Table;

use super::problems::{self, Problems};
use super::raw;

/// The tables that `lending` may have.
const TABLES: [&str; 4] = ["aave_v3", "balancer", "comet", "morpho"];
/// Deployments of one protocol: no chain has half as many.
const DEPLOYMENTS_MAX: usize = 32;

/// A deployment of a lending protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// Its name for people.
    pub name: String,
    /// Aave's pool, the Comet market, or Morpho itself.
    pub address: Address,
    /// The first block that can have its events.
    pub deployed_block: u64,
}

/// Morpho, and the one source of interest whose arithmetic is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MorphoDeployment {
    /// Morpho.
    pub deployment: Deployment,
    /// Its adaptive curve: markets with another source of interest have no figures.
    pub adaptive_curve: Address,
}

/// A vault of Balancer V2.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalancerVault {
    /// Its name for people.
    pub name: String,
    /// The vault.
    pub address: Address,
}

/// The lending protocols that are looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lending {
    /// Pools of Aave V3.
    pub aave_v3: Vec<Deployment>,
    /// Markets of Compound III.
    pub comet: Vec<Deployment>,
    /// Deployments of Morpho Blue.
    pub morpho: Vec<MorphoDeployment>,
    /// Vaults of Balancer V2: they lend for one transaction, and nobody owes them.
    pub balancer: Vec<BalancerVault>,
}

impl Lending {
    /// Whether there is none that has borrowers.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.aave_v3.is_empty() && self.comet.is_empty() && self.morpho.is_empty()
    }

    /// Whether there are as few deployments as a configuration may have.
    pub(crate) const fn fits(&self) -> bool {
        let Self { aave_v3, comet, morpho, balancer } = self;
        aave_v3.len() <= DEPLOYMENTS_MAX
            && comet.len() <= DEPLOYMENTS_MAX
            && morpho.len() <= DEPLOYMENTS_MAX
            && balancer.len() <= DEPLOYMENTS_MAX
    }

    /// Every address with the key that names it.
    pub(super) fn named(&self) -> impl Iterator<Item = (String, Address)> {
        let list = |protocol, key, all: &[Deployment]| {
            let path = move |index| format!("lending.{protocol}.{index}.{key}");
            let named = all.iter().enumerate();
            named.map(|(index, one)| (path(index), one.address)).collect::<Vec<_>>()
        };
        let aave = list("aave_v3", "pool", &self.aave_v3);
        let comet = list("comet", "address", &self.comet);
        let morpho = self.morpho.iter().enumerate().flat_map(|(index, one)| {
            let path = |key| format!("lending.morpho.{index}.{key}");
            [
                (path("address"), one.deployment.address),
                (path("adaptive_curve"), one.adaptive_curve),
            ]
        });
        let balancer = self.balancer.iter().enumerate();
        let balancer =
            balancer.map(|(index, one)| (format!("lending.balancer.{index}.address"), one.address));
        aave.into_iter().chain(comet).chain(morpho).chain(balancer)
    }
}

pub(super) fn lending(file: &mut Table, problems: &mut Problems) -> Lending {
    let mut table = problems.table(file, "lending");
    let mut lending = Lending::default();
    let mut names = Vec::new();
    for (path, table) in tables(&mut table, "aave_v3", problems) {
        let raw: raw::AaveV3 = problems.section(&table, &path);
        let pool = problems.required(raw.pool, &format!("{path}.pool"), "its pool's address");
        let name = named(raw.name, &path, &mut names, problems);
        lending.aave_v3.push(deployment(name, pool, raw.deployed_block));
    }
    for (path, table) in tables(&mut table, "comet", problems) {
        let raw: raw::Comet = problems.section(&table, &path);
        let wanted = "the market's address";
        let address = problems.required(raw.address, &format!("{path}.address"), wanted);
        let name = named(raw.name, &path, &mut names, problems);
        lending.comet.push(deployment(name, address, raw.deployed_block));
    }
    for (path, table) in tables(&mut table, "morpho", problems) {
        let raw: raw::Morpho = problems.section(&table, &path);
        let wanted = "Morpho's address";
        let address = problems.required(raw.address, &format!("{path}.address"), wanted);
        let wanted = "the address of Morpho's adaptive curve";
        let key = format!("{path}.adaptive_curve");
        let curve = problems.required(raw.adaptive_curve, &key, wanted);
        let name = named(raw.name, &path, &mut names, problems);
        let deployment = deployment(name, address, raw.deployed_block);
        let adaptive_curve = curve.unwrap_or_default();
        lending.morpho.push(MorphoDeployment { deployment, adaptive_curve });
    }
    for (path, table) in tables(&mut table, "balancer", problems) {
        let raw: raw::Balancer = problems.section(&table, &path);
        let wanted = "the vault's address";
        let address = problems.required(raw.address, &format!("{path}.address"), wanted);
        let name = named(raw.name, &path, &mut names, problems);
        lending.balancer.push(BalancerVault { name, address: address.unwrap_or_default() });
    }
    for (key, _) in table {
        problems.add(format!("lending.{key}"), problems::unknown(&key, &TABLES));
    }
    lending
}

/// The tables of a protocol, each with its path.
fn tables(lending: &mut Table, key: &str, problems: &mut Problems) -> Vec<(String, Table)> {
    let section = format!("lending.{key}");
    let tables = problems.tables_at(lending, key, &section);
    if tables.len() > DEPLOYMENTS_MAX {
        let found = tables.len();
        let message = format!("found {found}; wanted at most {DEPLOYMENTS_MAX} [[{section}]]");
        problems.add(section.as_str(), message);
    }
    let path = |(index, table)| (format!("{section}.{index}"), table);
    tables.into_iter().enumerate().map(path).collect()
}

/// A deployment's name: its path without one, and no name twice.
fn named(
    name: Option<String>,
    path: &str,
    names: &mut Vec<String>,
    problems: &mut Problems,
) -> String {
    let name = name.unwrap_or_else(|| path.trim_start_matches("lending.").to_owned());
    if names.contains(&name) {
        let message = format!("found \"{name}\" again; wanted different names");
        problems.add(format!("{path}.name"), message);
    }
    names.push(name.clone());
    name
}

/// A missing address is a problem already; the place is kept for those that follow.
fn deployment(name: String, address: Option<Address>, deployed_block: Option<u64>) -> Deployment {
    let (address, deployed_block) = (address.unwrap_or_default(), deployed_block.unwrap_or(0));
    Deployment { name, address, deployed_block }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vault_alone_has_no_borrowers() {
        let vault = || BalancerVault { name: "vault".to_owned(), ..BalancerVault::default() };
        let mut lending = Lending { balancer: vec![vault()], ..Lending::default() };
        assert!(lending.is_empty() && lending.fits());
        lending.comet.push(Deployment::default());
        assert!(!lending.is_empty());
        lending.balancer.resize_with(DEPLOYMENTS_MAX + 1, vault);
        assert!(!lending.fits());
    }
}
