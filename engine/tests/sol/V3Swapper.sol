// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.30;

interface IV3Pool {
    function token0() external view returns (address);
    function token1() external view returns (address);
    function swap(address to, bool isDown, int256 amount, uint160 limit, bytes calldata data)
        external
        returns (int256 amount0, int256 amount1);
}

interface IPayment {
    function transfer(address to, uint256 amount) external returns (bool);
}

/// @notice Swaps in a V3 shaped pool, and pays what it is asked for under whatever name.
contract V3Swapper {
    function swap(IV3Pool pool, bool isDown, int256 amount, uint160 limit)
        external
        returns (int256, int256)
    {
        return pool.swap(address(this), isDown, amount, limit, "");
    }

    fallback() external {
        (int256 amount0, int256 amount1) = abi.decode(msg.data[4:], (int256, int256));
        IV3Pool pool = IV3Pool(msg.sender);
        if (amount0 > 0) IPayment(pool.token0()).transfer(msg.sender, uint256(amount0));
        if (amount1 > 0) IPayment(pool.token1()).transfer(msg.sender, uint256(amount1));
    }
}
