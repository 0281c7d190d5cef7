//! Event topics: the keccak of each event's signature.
//!
//! The world compares a log's first topic with these, and the shell subscribes to them. A test
//! computes every one of them from its signature.
//!
//! Temperature: hot.

use alloy_primitives::{B256, b256};

macro_rules! topics {
    ($($(#[$doc:meta])* $name:ident = $signature:literal, $hash:literal;)*) => {
        $(
            $(#[$doc])*
            #[doc = concat!("\n\n`", $signature, "`")]
            pub const $name: B256 = b256!($hash);
        )*

        /// Every topic with its event's signature.
        pub const ALL: &[(&str, B256)] = &[$(($signature, $name)),*];
    };
}

topics! {
    /// A Uniswap V2 pair's reserves, after whatever moved them.
    SYNC = "Sync(uint112,uint112)",
        "1c411e9a96e071241c2f21f7726b17ae89e3cab4c78be50e062b03a9fffbbad1";
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
