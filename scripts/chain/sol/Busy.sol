// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

/// Stands for everything on a chain that is not a swap: it uses up gas. Without it the blocks of a test chain are almost
/// empty, and the base fee falls to nothing within a minute.
contract Busy {
    function work(uint256 gas) external view {
        uint256 start = gasleft();
        while (start - gasleft() < gas) {}
    }
}
