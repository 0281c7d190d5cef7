// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.30;

/// @notice A price, for whoever asks for one: an aggregator of eight decimals for Aave and Comet,
/// an oracle for Morpho Blue. Slot 0 holds it.
contract Feed {
    uint256 private answer;

    function decimals() external pure returns (uint8) {
        return 8;
    }

    function latestAnswer() external view returns (int256) {
        return int256(answer);
    }

    function latestRoundData() external view returns (uint80, int256, uint256, uint256, uint80) {
        return (1, int256(answer), block.timestamp, block.timestamp, 1);
    }

    function price() external view returns (uint256) {
        return answer;
    }
}

/// @notice What Balancer's vault asks about its fee. Slot 0 holds it, in 1e-18.
contract FeeCollector {
    uint256 private fee;

    function getFlashLoanFeePercentage() external view returns (uint256) {
        return fee;
    }
}
