// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

interface IFeed {
    function decimals() external view returns (uint8);
    function latestRoundData() external view returns (uint80, int256, uint256, uint256, uint80);
}

interface IDecimals {
    function decimals() external view returns (uint8);
}

/// What a Morpho market's collateral is worth in its loan token, by a feed of each; for the local test chain. It answers the
/// questions of MorphoChainlinkOracleV2, so that a bot can see what it is made of. A feed that is no address counts as 1.
contract MarketOracle {
    address public constant BASE_VAULT = address(0);
    address public constant QUOTE_VAULT = address(0);
    address public constant BASE_FEED_2 = address(0);
    address public constant QUOTE_FEED_2 = address(0);
    uint256 public constant BASE_VAULT_CONVERSION_SAMPLE = 1;
    uint256 public constant QUOTE_VAULT_CONVERSION_SAMPLE = 1;
    IFeed public immutable BASE_FEED_1;
    IFeed public immutable QUOTE_FEED_1;
    uint256 public immutable SCALE_FACTOR;

    error NegativeAnswer();

    constructor(IFeed base, IFeed quote, IDecimals collateral, IDecimals loan) {
        (BASE_FEED_1, QUOTE_FEED_1) = (base, quote);
        SCALE_FACTOR = 10 ** (36 + loan.decimals() + decimalsOf(quote) - collateral.decimals() - decimalsOf(base));
    }

    function price() external view returns (uint256) {
        return (SCALE_FACTOR * answerOf(BASE_FEED_1)) / answerOf(QUOTE_FEED_1);
    }

    function answerOf(IFeed feed) private view returns (uint256) {
        if (address(feed) == address(0)) return 1;
        (, int256 answer,,,) = feed.latestRoundData();
        if (answer < 0) revert NegativeAnswer();
        return uint256(answer);
    }

    function decimalsOf(IFeed feed) private view returns (uint256) {
        return address(feed) == address(0) ? 0 : feed.decimals();
    }
}
