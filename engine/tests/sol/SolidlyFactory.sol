// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.30;

/// @notice What a Solidly-style pool asks its factory. Slot 0 holds the fee, in ten-thousandths.
contract SolidlyFactory {
    uint256 private fee;

    function isPaused() external pure returns (bool) {
        return false;
    }

    function getFee(address, bool) external view returns (uint256) {
        return fee;
    }
}
