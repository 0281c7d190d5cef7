// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.30;

interface IHeldToken {
    function balanceOf(address account) external view returns (uint256);
    function transfer(address to, uint256 amount) external returns (bool);
}

/// @notice A V2-shaped pair of another build than Uniswap's: its storage begins three slots later,
/// its reserves fill a slot each, `getReserves` returns two words, and its fee is of its own.
contract OtherPair {
    /// @dev Uniswap's pair keeps its tokens and reserves in slots 6, 7 and 8.
    uint256[9] private gap;
    address public token0;
    address public token1;
    uint256[2] private reserves;
    uint256 private immutable feePips;

    event Sync(uint112 reserve0, uint112 reserve1);

    constructor(address token0_, address token1_, uint256 feePips_) {
        (token0, token1, feePips) = (token0_, token1_, feePips_);
    }

    function getReserves() external view returns (uint256, uint256) {
        return (reserves[0], reserves[1]);
    }

    /// @notice Takes what it holds for its reserves.
    function sync() public {
        reserves = [_held(token0), _held(token1)];
        emit Sync(uint112(reserves[0]), uint112(reserves[1]));
    }

    function swap(uint256 out0, uint256 out1, address to, bytes calldata) external {
        uint256[2] memory old = reserves;
        if (out0 != 0) IHeldToken(token0).transfer(to, out0);
        if (out1 != 0) IHeldToken(token1).transfer(to, out1);
        sync();
        uint256 net0 = reserves[0] * 1e6 - (reserves[0] + out0 - old[0]) * feePips;
        uint256 net1 = reserves[1] * 1e6 - (reserves[1] + out1 - old[1]) * feePips;
        require(net0 * net1 >= old[0] * old[1] * 1e12, "K");
    }

    function _held(address token) private view returns (uint256) {
        return IHeldToken(token).balanceOf(address(this));
    }
}
