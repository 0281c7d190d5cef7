//! What is on the chain from its first block on: tokens, factories, pairs, the executor, wallets.
//!
//! Temperature: cold.

use std::collections::HashMap;
use std::fmt::Write as _;

use alloy::signers::local::PrivateKeySigner;
use alloy_primitives::{Address, B256, Bytes, keccak256};
use serde_json::Value;

/// The executor as this build deploys it.
const EXECUTOR: &str = include_str!("../../../../abi/Executor.json");

/// Fee of every pair, in pips.
pub const FEE_PIPS: u32 = 3_000;
/// What a pair holds of each of its tokens at the start, in wrapped native tokens' worth.
const DEPTH_WETH: u128 = 1_000;
/// Wallets of the bot.
const WALLETS: usize = 2;

/// A token.
#[derive(Clone, Debug)]
pub struct Token {
    /// Its symbol.
    pub name: String,
    /// Its address.
    pub address: Address,
    /// Its decimals.
    pub decimals: u8,
    /// What one wrapped native token is worth, in this token's smallest unit.
    pub per_weth: u128,
}

/// A factory, and the router of its pairs.
#[derive(Clone, Copy, Debug)]
pub struct Factory {
    /// The factory.
    pub address: Address,
    /// The router.
    pub router: Address,
}

/// A pair.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    /// Its address.
    pub address: Address,
    /// Place of its factory.
    pub factory: usize,
    /// Places of its tokens, in the order of their addresses.
    pub tokens: [usize; 2],
    /// What it holds at the start, in the tokens' smallest units.
    pub start: [u128; 2],
}

/// A wallet of the bot, with a key that is worth nothing anywhere else.
#[derive(Clone, Debug)]
pub struct Wallet {
    /// Signs in its name.
    pub signer: PrivateKeySigner,
}

impl Wallet {
    /// Its address.
    #[must_use]
    pub const fn address(&self) -> Address {
        self.signer.address()
    }

    /// Its key, as the environment variable of the configuration wants it.
    #[must_use]
    pub fn key(&self) -> String {
        self.signer.to_bytes().to_string()
    }
}

/// Everything that is deployed.
#[derive(Clone, Debug)]
pub struct Market {
    /// Tokens; the first is the wrapped native one, the first two are base tokens.
    pub tokens: Vec<Token>,
    /// Factories.
    pub factories: Vec<Factory>,
    /// Pairs.
    pub pairs: Vec<Pair>,
    /// The executor.
    pub executor: Address,
    /// Its owner.
    pub owner: Address,
    /// The bot's wallets, which are its operators.
    pub wallets: Vec<Wallet>,
    /// Whether tokens keep a hundredth of every transfer, in what the probe sees.
    pub keeps_fee: bool,
    place_of_pair: HashMap<Address, usize>,
}

/// An address that follows from a name.
#[must_use]
pub fn address_of(name: &str) -> Address {
    Address::from_word(keccak256(name))
}

impl Market {
    /// `count` pairs over `names`: every two tokens in turn, one factory for each round.
    ///
    /// # Errors
    /// When there are fewer than two tokens, no pair, or more pairs than 32 factories can have.
    pub fn new(count: usize, names: &[String]) -> Result<Self, String> {
        let mut couples = Vec::new();
        for second in 1..names.len() {
            couples.extend((0..second).map(|first| [first, second]));
        }
        Self::over(count, names, &couples)
    }

    /// So many tokens besides the wrapped native one, each in `rounds` pairs with that one and with
    /// no other.
    ///
    /// # Errors
    /// As [`Market::new`].
    pub fn star(tokens: usize, rounds: usize) -> Result<Self, String> {
        let others = (0..tokens).map(|place| format!("TOKEN{place}"));
        let names: Vec<String> = std::iter::once("WETH".to_owned()).chain(others).collect();
        let couples: Vec<_> = (1..names.len()).map(|token| [0, token]).collect();
        Self::over(couples.len() * rounds, &names, &couples)
    }

    /// The same, with so many wallets of the bot.
    #[must_use]
    pub fn with_wallets(self, count: usize) -> Self {
        Self { wallets: (0..count).filter_map(wallet).collect(), ..self }
    }

    fn over(count: usize, names: &[String], couples: &[[usize; 2]]) -> Result<Self, String> {
        let tokens: Vec<Token> = names.iter().map(|name| token(name)).collect();
        if couples.is_empty() || count == 0 || count.div_ceil(couples.len()) > 32 {
            let (most, tokens) = (couples.len() * 32, tokens.len());
            return Err(format!(
                "{count} pools over {tokens} tokens; wanted 1 to {most} pools over 2 tokens or more"
            ));
        }
        let factories = (0..count.div_ceil(couples.len())).map(|place| Factory {
            address: address_of(&format!("factory {place}")),
            router: address_of(&format!("router {place}")),
        });
        let pairs: Vec<Pair> = (0..count)
            .map(|place| {
                let [mut first, mut second] = couples[place % couples.len()];
                if tokens[first].address > tokens[second].address {
                    (first, second) = (second, first);
                }
                let depth = DEPTH_WETH * (1 + place as u128 % 3);
                let start = [first, second].map(|token| tokens[token].per_weth * depth);
                let address = address_of(&format!("pair {place}"));
                Pair { address, factory: place / couples.len(), tokens: [first, second], start }
            })
            .collect();
        let place_of_pair =
            pairs.iter().enumerate().map(|(place, pair)| (pair.address, place)).collect();
        Ok(Self {
            tokens,
            factories: factories.collect(),
            pairs,
            executor: address_of("executor"),
            owner: address_of("owner"),
            wallets: (0..WALLETS).filter_map(wallet).collect(),
            keeps_fee: false,
            place_of_pair,
        })
    }

    /// The wrapped native token.
    #[must_use]
    pub fn weth(&self) -> Address {
        self.tokens[0].address
    }

    /// The place of a pair.
    #[must_use]
    pub fn pair_at(&self, address: &Address) -> Option<usize> {
        self.place_of_pair.get(address).copied()
    }

    /// The pair of two tokens that came from a factory, and whether the way is from its first.
    #[must_use]
    pub fn pair_of(&self, factory: usize, from: &Address, to: &Address) -> Option<(usize, bool)> {
        self.pairs.iter().enumerate().find_map(|(place, pair)| {
            let tokens = pair.tokens.map(|token| self.tokens[token].address);
            let is_way = tokens == [*from, *to] || tokens == [*to, *from];
            (pair.factory == factory && is_way).then_some((place, tokens[0] == *from))
        })
    }

    /// The names of the environment variables that hold the wallets' keys, with the keys.
    #[must_use]
    pub fn keys(&self) -> Vec<(String, String)> {
        let named = self.wallets.iter().enumerate();
        named.map(|(place, wallet)| (format!("GANNET_KEY_{}", place + 1), wallet.key())).collect()
    }

    /// The executor's code: the artifact's, with the wrapped native token where the compiler left a
    /// PUSH32 of zeros for it.
    pub(crate) fn executor_code(&self) -> Bytes {
        let artifact: Value = serde_json::from_str(EXECUTOR).unwrap_or_default();
        let code = artifact["deployedBytecode"].as_str().unwrap_or_default();
        let hole = format!("7f{}", "00".repeat(32));
        let filled = format!("7f{:x}", self.weth().into_word());
        code.replace(&hole, &filled).parse().unwrap_or_default()
    }

    /// A configuration with which the bot flies here.
    #[must_use]
    pub fn config(&self, urls: &[&str], chain_id: u64) -> String {
        let mut text = format!(
            "mode = \"live\"\n[chain]\nid = {chain_id}\nwrapped_native = \"{}\"\n\
             block_time_ms = 1000\n[executor]\naddress = \"{}\"\n",
            self.weth(),
            self.executor
        );
        let mut write = |part: String| text.push_str(&part);
        let table = if urls.len() > 1 { "[[node]]" } else { "[node]" };
        for url in urls {
            write(format!("{table}\nurl = \"{url}\"\nsilent_after_ms = 4000\n"));
        }
        for (place, wallet) in self.wallets.iter().enumerate() {
            let address = wallet.address();
            write(format!(
                "[[wallet]]\naddress = \"{address}\"\nkey = \"env:GANNET_KEY_{}\"\n",
                place + 1
            ));
        }
        for (place, Factory { address, router }) in self.factories.iter().enumerate() {
            write(format!(
                "[[factory]]\nname = \"factory {place}\"\naddress = \"{address}\"\n\
                 router = \"{router}\"\nfee_pips = {FEE_PIPS}\n"
            ));
        }
        let mut bases = String::new();
        for token in self.tokens.iter().take(2) {
            write!(bases, "\"{}\", ", token.address).unwrap_or_default();
        }
        // A scenario's fault is what may keep the bot from trading, and not its budget.
        write(format!(
            "[universe]\nbase_tokens = [{bases}]\n[admission]\nretry_s = 1\n\
             [risk]\nloss_per_block_max = \"1 ether\"\n\
             loss_per_day_max = \"10 ether\"\nreverts_max = 0\n[strategy.arbitrage]\nhops_max = 3\n\
             [strategy.backrun]\nhops_max = 3\n[runtime]\npin = false\ndrain_s = 3\n"
        ));
        text
    }
}

fn token(name: &str) -> Token {
    let decimals = match name {
        "USDC" | "USDT" => 6,
        "WBTC" => 8,
        _ => 18,
    };
    let unit = 10_u128.pow(u32::from(decimals));
    let per_weth = match name {
        "WETH" => unit,
        "USDC" | "USDT" | "DAI" => 2_500 * unit,
        "WBTC" => unit / 25,
        _ => unit * u128::from(1 + keccak256(name)[0] % 100),
    };
    Token { name: name.to_owned(), address: address_of(name), decimals, per_weth }
}

fn wallet(place: usize) -> Option<Wallet> {
    let key: B256 = keccak256(format!("wallet {place} of the scripted node"));
    PrivateKeySigner::from_bytes(&key).ok().map(|signer| Wallet { signer })
}
