//! `[[factory]]` and `[[router]]`, checked: where pools come from, and who sends swaps through
//! them.
//!
//! Temperature: cold.

use alloy_primitives::Address;
use gannet_engine::ids::FactoryId;
use gannet_engine::limits::{FACTORIES_MAX, ROUTERS_MAX};
use gannet_engine::world::{Factory, FactoryKind, Router, RouterKind};
use toml::{Table, Value};

use super::problems::{self, Problems};
use super::sections::{count, within};
use super::{NamedFactory, raw};

/// What `factory.kind` may be.
const FACTORY_KINDS: [(&str, FactoryKind); 4] = [
    ("uniswap-v2", FactoryKind::UniswapV2),
    ("uniswap-v3", FactoryKind::UniswapV3),
    ("pancake-v3", FactoryKind::PancakeV3),
    ("solidly", FactoryKind::Solidly),
];

/// What `router.kind` may be.
const ROUTER_KINDS: [(&str, RouterKind); 3] = [
    ("swap-router", RouterKind::SwapRouter),
    ("swap-router-02", RouterKind::SwapRouter02),
    ("universal", RouterKind::Universal),
];

pub(super) fn factories(file: &mut Table, problems: &mut Problems) -> Vec<NamedFactory> {
    let tables = problems.tables(file, "factory");
    count(tables.len(), FACTORIES_MAX, "factory", problems);
    let mut factories: Vec<NamedFactory> = Vec::new();
    for (index, table) in tables.iter().enumerate() {
        let path = format!("factory.{index}");
        let raw: raw::Factory = problems.section(table, &path);
        let name = raw.name.clone().unwrap_or_else(|| format!("factory {index}"));
        if factories.iter().any(|other| other.name == name) {
            let message = format!("found \"{name}\" again; wanted different names");
            problems.add(format!("{path}.name"), message);
        }
        let deployed_block = raw.deployed_block.unwrap_or_default();
        factories.push(NamedFactory {
            name,
            factory: factory(&raw, &path, problems),
            deployed_block,
        });
    }
    factories
}

fn factory(raw: &raw::Factory, path: &str, problems: &mut Problems) -> Factory {
    let key = |key: &str| format!("{path}.{key}");
    let address = problems.required(raw.address, &key("address"), "the factory's address");
    let found = raw.kind.as_deref().unwrap_or("uniswap-v2");
    let kind = one_of(found, &FACTORY_KINDS, &key("kind"), problems);
    let fee_pips = match kind {
        Some(FactoryKind::UniswapV2) => {
            let wanted = "its pairs' fee in millionths, 3000 for 0.3 %";
            problems.required(raw.fee_pips, &key("fee_pips"), wanted)
        }
        Some(FactoryKind::UniswapV3 | FactoryKind::PancakeV3 | FactoryKind::Solidly) => {
            if raw.fee_pips.is_some() {
                let message = format!("has no meaning for kind \"{found}\": each pool has its own");
                problems.add(key("fee_pips"), message);
            }
            None
        }
        None => raw.fee_pips,
    };
    let fee_pips = within(fee_pips, 0, 0..=999_999, &key("fee_pips"), problems);
    let router = match kind {
        Some(FactoryKind::UniswapV2) => {
            problems.required(raw.router, &key("router"), "its router's address")
        }
        Some(FactoryKind::UniswapV3 | FactoryKind::PancakeV3 | FactoryKind::Solidly) | None => {
            raw.router
        }
    };
    let (address, router) = (address.unwrap_or_default(), router.unwrap_or_default());
    // A kind that is none is a problem already.
    Factory { address, router, fee_pips, kind: kind.unwrap_or(FactoryKind::UniswapV2) }
}

pub(super) fn routers(
    file: &mut Table,
    factories: &[NamedFactory],
    problems: &mut Problems,
) -> Vec<Router> {
    let tables = problems.tables(file, "router");
    if tables.len() > ROUTERS_MAX {
        let found = tables.len();
        problems.add("router", format!("found {found}; wanted at most {ROUTERS_MAX} [[router]]"));
    }
    let mut names: Vec<String> = Vec::new();
    let mut routers = Vec::new();
    for (index, table) in tables.iter().enumerate() {
        let path = format!("router.{index}");
        let raw: raw::Router = problems.section(table, &path);
        if let Some(name) = &raw.name
            && names.contains(name)
        {
            let message = format!("found \"{name}\" again; wanted different names");
            problems.add(format!("{path}.name"), message);
        }
        names.extend(raw.name.clone());
        let router = router(&raw, &path, factories, problems);
        routers.extend(router);
    }
    routers
}

fn router(
    raw: &raw::Router,
    path: &str,
    factories: &[NamedFactory],
    problems: &mut Problems,
) -> Option<Router> {
    let key = |key: &str| format!("{path}.{key}");
    let address: Option<Address> =
        problems.required(raw.address, &key("address"), "the router's address");
    let wanted = "what its calls look like: \"swap-router\", \"swap-router-02\" or \"universal\"";
    let kind = problems.required(raw.kind.as_deref(), &key("kind"), wanted);
    let kind = kind.and_then(|kind| one_of(kind, &ROUTER_KINDS, &key("kind"), problems));
    let is_v2 = |kind| kind == FactoryKind::UniswapV2;
    let is_v3 = |kind| matches!(kind, FactoryKind::UniswapV3 | FactoryKind::PancakeV3);
    let v2 = named(raw.v2.as_deref(), factories, is_v2, &key("v2"), problems);
    let v3 = named(raw.v3.as_deref(), factories, is_v3, &key("v3"), problems);
    if raw.v2.is_none() && raw.v3.is_none() {
        problems.add(key("v3"), "missing; wanted the name of the [[factory]] of its pools, or v2");
    } else if kind == Some(RouterKind::SwapRouter) && raw.v2.is_some() {
        problems.add(key("v2"), "has no meaning for kind \"swap-router\": it knows V3 pools only");
    }
    Some(Router { address: address?, kind: kind?, v2, v3 })
}

/// The factory that a router's key names.
fn named(
    name: Option<&str>,
    factories: &[NamedFactory],
    fits: impl Fn(FactoryKind) -> bool,
    path: &str,
    problems: &mut Problems,
) -> Option<FactoryId> {
    let name = name?;
    let Some(place) = factories.iter().position(|factory| factory.name == name) else {
        let known: Vec<&str> = factories.iter().map(|factory| factory.name.as_str()).collect();
        problems.add(path, problems::unlisted("factory", name, &known));
        return None;
    };
    if !fits(factories[place].factory.kind) {
        // Where the kind is no kind, that is told already.
        if !problems.has(&format!("factory.{place}.kind")) {
            let message = format!("found \"{name}\", whose pools are of another kind");
            problems.add(path, message);
        }
        return None;
    }
    u8::try_from(place).ok().map(FactoryId)
}

/// What a word stands for; a problem if it is on no list.
fn one_of<T: Copy>(
    found: &str,
    known: &[(&str, T)],
    path: &str,
    problems: &mut Problems,
) -> Option<T> {
    if let Some((_, meant)) = known.iter().find(|(name, _)| *name == found) {
        return Some(*meant);
    }
    let names: Vec<String> = known.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    let shown = problems::shown(&Value::from(found));
    problems.add(path, format!("found {shown}; wanted one of {}", names.join(", ")));
    None
}
