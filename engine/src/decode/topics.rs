//! Event topics: the keccak of each event's signature.
//!
//! The world compares a log's first topic with these, and the shell subscribes to them. A test
//! computes every one of them from its signature.
//!
//! Temperature: hot.

use alloy_primitives::B256;

macro_rules! topics {
    ($($(#[$doc:meta])* $name:ident = $signature:literal, $hash:literal;)*) => {
        $(
            $(#[$doc])*
            #[doc = concat!("\n\n`", $signature, "`")]
            pub const $name: alloy_primitives::B256 = alloy_primitives::b256!($hash);
        )*

        /// Every topic with its event's signature.
        pub const ALL: &[(&str, alloy_primitives::B256)] = &[$(($signature, $name)),*];
    };
}
pub(crate) use topics;

topics! {
    /// A Uniswap V2 pair's reserves, after whatever moved them.
    SYNC = "Sync(uint112,uint112)",
        "1c411e9a96e071241c2f21f7726b17ae89e3cab4c78be50e062b03a9fffbbad1";
    /// A Solidly pool's reserves, after whatever moved them.
    SOLIDLY_SYNC = "Sync(uint256,uint256)",
        "cf2aa50876cdfbb541206f89af0ee78d44a2abf8d328e37fa4917f982149848a";
    /// A swap through a Uniswap V3 pool, with its price, liquidity and tick after it.
    V3_SWAP = "Swap(address,address,int256,int256,uint160,uint128,int24)",
        "c42079f94a6350d7e6235f29174924f928cc2ac818eb64fed8004e115fbcca67";
    /// The same of Pancake V3, which adds the protocol's fees.
    PANCAKE_V3_SWAP = "Swap(address,address,int256,int256,uint160,uint128,int24,uint128,uint128)",
        "19b47279256b2a23a1665c810c8d55a1758940ee09377d4f8d26497a3577dc83";
    /// Liquidity put between two ticks of a Uniswap V3 pool.
    V3_MINT = "Mint(address,address,int24,int24,uint128,uint256,uint256)",
        "7a53080ba414158be7ec69b987b5fb7d07dee101fe85488f0853ae16239d0bde";
    /// Liquidity taken from between two ticks of a Uniswap V3 pool.
    V3_BURN = "Burn(address,int24,int24,uint128,uint256,uint256)",
        "0c396cd989a39f4459b5fa1aed6a9a8dcdbc45908acfd67e028cd568da98982c";
    /// A Uniswap V3 pool's first price.
    V3_INITIALIZE = "Initialize(uint160,int24)",
        "98636036cb66a9c19a37435efc1e90142190214e8abeb821bdba3f2990dd4c95";
    /// A swap through a Uniswap V2 pair; its `Sync` stands right before it.
    SWAP = "Swap(address,uint256,uint256,uint256,uint256,address)",
        "d78ad95fa46c994b6551d0da85fc275fe613ce37657fb8d5e3d130840159d822";
    /// Liquidity put into a Uniswap V2 pair.
    MINT = "Mint(address,uint256,uint256)",
        "4c209b5fc8ad50758f13e2e1088ba56a560dff690a1c6fef26394f4c03821c4f";
    /// Liquidity taken out of a Uniswap V2 pair.
    BURN = "Burn(address,uint256,uint256,address)",
        "dccd412f0b1252819cb1fd330b93224ca42612892bb3f4f789976e6d81936496";
    /// A new pair of a Uniswap V2 factory.
    PAIR_CREATED = "PairCreated(address,address,address,uint256)",
        "0d3648bd0f6ba80134a33ba9275ac585d9d315f0ad8355cddefde31afa28d0e9";
    /// Wrapped native tokens that were unwrapped, and left without a `Transfer` (WETH9).
    WITHDRAWAL = "Withdrawal(address,uint256)",
        "7fcf532c15f0a6db0bd6d0e038bea71d30d808c7d98cb3bf7268a95bf5081b65";
    /// A token's transfer.
    TRANSFER = "Transfer(address,address,uint256)",
        "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef";
    /// Native wrapped into the wrapped native token.
    DEPOSIT = "Deposit(address,uint256)",
        "e1fffcc4923d04b559f4d29a8bfc6cda04eb5b0d3c460751c2402c5c5cc9109c";
}

/// The events that move pools: what the world follows.
pub const MOVES: [B256; 7] =
    [SYNC, SOLIDLY_SYNC, V3_SWAP, PANCAKE_V3_SWAP, V3_MINT, V3_BURN, V3_INITIALIZE];

/// Whether an event that moves pools says between which ticks, in its other topics.
#[must_use]
#[inline]
pub fn is_ranged(topic: &B256) -> bool {
    [V3_MINT, V3_BURN].contains(topic)
}

#[cfg(test)]
mod tests {
    use alloy_primitives::keccak256;

    use super::*;

    #[test]
    fn every_topic_is_the_hash_of_its_signature() {
        for (signature, topic) in ALL {
            assert_eq!(keccak256(signature), *topic, "{signature}");
        }
    }
}
