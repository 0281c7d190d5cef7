// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.30;

interface ISolidlyToken {
    function balanceOf(address account) external view returns (uint256);
    function transfer(address to, uint256 amount) external returns (bool);
}

/// @notice A Solidly-style pool, written for these tests: volatile (x·y) or stable (x³y + xy³), with
/// its fee taken out of the pool at once. Slots 0 and 1 hold the reserves.
contract SolidlyPair {
    uint256[2] private reserves;
    uint256 private lastTime;
    uint256[2] private feesPerShare;
    uint256 private unlocked = 1;
    uint256 private constant ONE = 1e18;
    address public immutable token0;
    address public immutable token1;
    uint256 private immutable unit0;
    uint256 private immutable unit1;
    bool public immutable stable;
    uint256 private immutable feePips;
    address private constant FEES = address(0xfee5);

    event Sync(uint256 reserve0, uint256 reserve1);

    constructor(address[2] memory tokens, uint8[2] memory decimals, bool stable_, uint256 feePips_) {
        (token0, token1, stable, feePips) = (tokens[0], tokens[1], stable_, feePips_);
        (unit0, unit1) = (10 ** decimals[0], 10 ** decimals[1]);
    }

    function getReserves() external view returns (uint256, uint256, uint256) {
        return (reserves[0], reserves[1], lastTime);
    }

    function getAmountOut(uint256 amountIn, address tokenIn) external view returns (uint256) {
        uint256 net = amountIn - amountIn * feePips / 1e6;
        bool isFirst = tokenIn == token0;
        (uint256 from, uint256 to) =
            isFirst ? (reserves[0], reserves[1]) : (reserves[1], reserves[0]);
        if (!stable) return net * to / (from + net);
        (uint256 unitIn, uint256 unitOut) = isFirst ? (unit0, unit1) : (unit1, unit0);
        uint256 goal = _invariant(reserves[0], reserves[1]);
        from = from * ONE / unitIn;
        to = to * ONE / unitOut;
        return (to - _solve(from + net * ONE / unitIn, goal, to)) * unitOut / ONE;
    }

    function swap(uint256 out0, uint256 out1, address to, bytes calldata data) external {
        require(unlocked == 1, "Locked");
        unlocked = 2;
        uint256[2] memory old = reserves;
        require(out0 + out1 != 0 && out0 < old[0] && out1 < old[1], "Output");
        if (out0 != 0) ISolidlyToken(token0).transfer(to, out0);
        if (out1 != 0) ISolidlyToken(token1).transfer(to, out1);
        if (data.length != 0) ICallee(to).hook(msg.sender, out0, out1, data);
        uint256 in0 = _arrived(token0, old[0] - out0);
        uint256 in1 = _arrived(token1, old[1] - out1);
        require(in0 + in1 != 0, "Input");
        _takeFee(token0, 0, in0);
        _takeFee(token1, 1, in1);
        reserves = [_held(token0), _held(token1)];
        lastTime = block.timestamp;
        require(_invariant(reserves[0], reserves[1]) >= _invariant(old[0], old[1]), "K");
        emit Sync(reserves[0], reserves[1]);
        unlocked = 1;
    }

    function _takeFee(address token, uint256 side, uint256 arrived) private {
        uint256 fee = arrived * feePips / 1e6;
        if (fee == 0) return;
        ISolidlyToken(token).transfer(FEES, fee);
        feesPerShare[side] += fee;
    }

    function _arrived(address token, uint256 before) private view returns (uint256) {
        uint256 held = _held(token);
        return held > before ? held - before : 0;
    }

    function _held(address token) private view returns (uint256) {
        return ISolidlyToken(token).balanceOf(address(this));
    }

    function _invariant(uint256 x, uint256 y) private view returns (uint256) {
        if (!stable) return x * y;
        x = x * ONE / unit0;
        y = y * ONE / unit1;
        return (x * y / ONE) * (x * x / ONE + y * y / ONE) / ONE;
    }

    /// @dev The other reserve at which the invariant is `goal`, by Newton's method from `y`.
    function _solve(uint256 x, uint256 goal, uint256 y) private pure returns (uint256) {
        for (uint256 i = 0; i < 255; i++) {
            uint256 k = _curve(x, y);
            uint256 slope = 3 * x * (y * y / ONE) / ONE + (x * x / ONE * x / ONE);
            if (k < goal) {
                uint256 step = (goal - k) * ONE / slope;
                if (step == 0) {
                    if (_curve(x, y + 1) > goal) return y + 1;
                    step = 1;
                }
                y += step;
            } else {
                uint256 step = (k - goal) * ONE / slope;
                if (step == 0) {
                    if (k == goal || _curve(x, y - 1) < goal) return y;
                    step = 1;
                }
                y -= step;
            }
        }
        revert("no solution");
    }

    function _curve(uint256 x, uint256 y) private pure returns (uint256) {
        return (x * y / ONE) * (x * x / ONE + y * y / ONE) / ONE;
    }
}

interface ICallee {
    function hook(address sender, uint256 out0, uint256 out1, bytes calldata data) external;
}
