//! The views of the lending protocols that are asked, as far as they are read.
//!
//! Temperature: cold.

use alloy::sol;

sol! {
    /// Aave V3's pool.
    interface AavePool {
        function POOL_REVISION() external view returns (uint256 revision);
        function ADDRESSES_PROVIDER() external view returns (address provider);
        function FLASHLOAN_PREMIUM_TOTAL() external view returns (uint128 bps);
        function getReservesList() external view returns (address[] memory assets);
        /// Fifteen words in every revision: configuration, indices and rates, time, number, tokens.
        function getReserveData(address asset) external view returns (uint256[15] memory words);
        /// From revision 4 on.
        function getLiquidationGracePeriod(address asset) external view returns (uint40 until);
        /// From revision 4 on.
        function getVirtualUnderlyingBalance(address asset) external view returns (uint128 amount);
        function getUserConfiguration(address user) external view returns (uint256 flags);
        function getUserEMode(address user) external view returns (uint256 category);
        /// Up to revision 4.
        function getEModeCategoryData(uint8 id) external view returns (OldCategory memory category);
        /// From revision 5 on.
        function getEModeCategoryCollateralConfig(uint8 id)
            external view returns (uint256 ltv, uint256 threshold, uint256 bonus);
        /// From revision 5 on.
        function getEModeCategoryCollateralBitmap(uint8 id) external view returns (uint128 bitmap);
    }

    struct OldCategory {
        uint16 ltv;
        uint16 threshold;
        uint16 bonus;
        address priceSource;
        string label;
    }

    interface AaveProvider {
        function getPriceOracle() external view returns (address oracle);
        function getPoolConfigurator() external view returns (address configurator);
        function getPriceOracleSentinel() external view returns (address sentinel);
    }

    interface AaveOracle {
        function getAssetPrice(address asset) external view returns (uint256 price);
        function getSourceOfAsset(address asset) external view returns (address source);
    }

    /// Chainlink's proxy, which consumers read.
    interface FeedProxy {
        function aggregator() external view returns (address current);
        function decimals() external view returns (uint8 count);
        function latestAnswer() external view returns (int256 answer);
        /// Round, answer, two times, round.
        function latestRoundData() external view returns (uint256[5] memory words);
    }

    /// What stands behind it.
    interface Aggregator {
        function typeAndVersion() external view returns (string memory text);
        /// Count, block, digest.
        function latestConfigDetails() external view returns (uint256[3] memory words);
        /// OCR1, and the base of OCR2.
        function transmitters() external view returns (address[] memory list);
        /// OCR2's aggregator.
        function getTransmitters() external view returns (address[] memory list);
        /// An int192.
        function minAnswer() external view returns (uint256 answer);
        function maxAnswer() external view returns (uint256 answer);
    }

    /// What a transmitter may be instead of an account.
    interface Forwarder {
        function getAuthorizedSenders() external view returns (address[] memory list);
        function sender() external view returns (address account);
    }

    interface AaveSentinel {
        function isLiquidationAllowed() external view returns (bool allowed);
    }

    interface ScaledToken {
        function scaledBalanceOf(address user) external view returns (uint256 scaled);
    }

    interface Token {
        function balanceOf(address user) external view returns (uint256 amount);
        function decimals() external view returns (uint8 count);
        function symbol() external view returns (string memory text);
    }

    interface MorphoBlue {
        function market(bytes32 id) external view returns (uint256[6] memory words);
        function position(bytes32 id, address user) external view returns (uint256[3] memory words);
    }

    interface MorphoOracle {
        function price() external view returns (uint256 price);
    }

    /// The second version of Morpho's own oracle, which is made of feeds and vaults.
    interface MarketOracle {
        function BASE_VAULT() external view returns (address vault);
        function QUOTE_VAULT() external view returns (address vault);
        function BASE_FEED_1() external view returns (address feed);
        function BASE_FEED_2() external view returns (address feed);
        function QUOTE_FEED_1() external view returns (address feed);
        function QUOTE_FEED_2() external view returns (address feed);
        function SCALE_FACTOR() external view returns (uint256 factor);
    }

    interface AdaptiveCurve {
        function rateAtTarget(bytes32 id) external view returns (uint256 rate);
    }

    /// Balancer V2's vault.
    interface Vault {
        function getProtocolFeesCollector() external view returns (address collector);
        /// Whether it refuses now, and until when it could.
        function getPausedState()
            external view returns (bool paused, uint256 pausable, uint256 unpausable);
    }

    interface FeesCollector {
        /// In 1e-18.
        function getFlashLoanFeePercentage() external view returns (uint256 fee);
    }

    interface CometMarket {
        function baseToken() external view returns (address token);
        function baseTokenPriceFeed() external view returns (address feed);
        function baseScale() external view returns (uint256 scale);
        function supplyKink() external view returns (uint256 factor);
        function supplyPerSecondInterestRateSlopeLow() external view returns (uint256 rate);
        function supplyPerSecondInterestRateSlopeHigh() external view returns (uint256 rate);
        function supplyPerSecondInterestRateBase() external view returns (uint256 rate);
        function borrowKink() external view returns (uint256 factor);
        function borrowPerSecondInterestRateSlopeLow() external view returns (uint256 rate);
        function borrowPerSecondInterestRateSlopeHigh() external view returns (uint256 rate);
        function borrowPerSecondInterestRateBase() external view returns (uint256 rate);
        function storeFrontPriceFactor() external view returns (uint256 factor);
        function targetReserves() external view returns (uint256 amount);
        function numAssets() external view returns (uint8 count);
        /// Place, token, feed, scale, factors of borrowing and of both liquidations, supply cap.
        function getAssetInfo(uint8 place) external view returns (uint256[8] memory words);
        /// Indices of supply and borrowing, two of rewards, totals, time, what is paused.
        function totalsBasic() external view returns (uint256[8] memory words);
        function totalsCollateral(address asset) external view returns (uint256[2] memory words);
        function userBasic(address user)
            external view
            returns (int104 principal, uint64 index, uint64 accrued, uint16 assetsIn, uint8 more);
        function userCollateral(address user, address asset)
            external view returns (uint128 balance, uint128 reserved);
        function getPrice(address feed) external view returns (uint256 price);
    }
}
