// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

interface IToken {
    function balanceOf(address account) external view returns (uint256);
    function decimals() external view returns (uint8);
    function transfer(address to, uint256 value) external returns (bool);
    function transferFrom(address from, address to, uint256 value) external returns (bool);
}

interface IHook {
    function hook(address sender, uint256 amount0, uint256 amount1, bytes calldata data) external;
}

/// A factory of Solidly's shape, for the local test chain: its owner creates pools, volatile and stable, and sets their fees.
contract SolidlyFactory {
    bool public constant isPaused = false;
    address public immutable owner = msg.sender;
    address[] public allPools;
    mapping(address pool => bool) public isPool;
    mapping(address token => mapping(address other => mapping(bool stable => address))) public getPool;
    mapping(address pool => uint256) public customFee;

    event PoolCreated(address indexed token0, address indexed token1, bool indexed stable, address pool, uint256 count);
    event SetCustomFee(address indexed pool, uint256 fee);

    error OnlyOwner();
    error Exists();

    function allPoolsLength() external view returns (uint256) {
        return allPools.length;
    }

    function createPool(address tokenA, address tokenB, bool stable) external returns (address pool) {
        (address token0, address token1) = tokenA < tokenB ? (tokenA, tokenB) : (tokenB, tokenA);
        if (getPool[token0][token1][stable] != address(0)) revert Exists();
        bytes32 salt = keccak256(abi.encodePacked(token0, token1, stable));
        pool = address(new SolidlyPool{salt: salt}());
        SolidlyPool(pool).initialize(token0, token1, stable);
        getPool[token0][token1][stable] = pool;
        getPool[token1][token0][stable] = pool;
        isPool[pool] = true;
        allPools.push(pool);
        emit PoolCreated(token0, token1, stable, pool, allPools.length);
    }

    function setCustomFee(address pool, uint256 fee) external {
        if (msg.sender != owner) revert OnlyOwner();
        customFee[pool] = fee;
        emit SetCustomFee(pool, fee);
    }

    /// In parts per 10,000.
    function getFee(address pool, bool stable) external view returns (uint256) {
        uint256 fee = customFee[pool];
        if (fee != 0) return fee;
        return stable ? 5 : 30;
    }
}

/// A pool of Solidly's shape: x·y, or x³·y + y³·x for what should be worth the same. The fee leaves the pool with the swap that
/// pays it. There are no shares: what is deposited stays.
contract SolidlyPool {
    uint256 private constant ONE = 1e18;

    address public immutable factory = msg.sender;
    address public token0;
    address public token1;
    bool public stable;
    uint256 private unit0;
    uint256 private unit1;
    uint256 public reserve0;
    uint256 public reserve1;
    uint256 public blockTimestampLast;
    bool private isEntered;

    event Mint(address indexed sender, uint256 amount0, uint256 amount1);
    event Fees(address indexed sender, uint256 amount0, uint256 amount1);
    event Swap(
        address indexed sender,
        address indexed to,
        uint256 amount0In,
        uint256 amount1In,
        uint256 amount0Out,
        uint256 amount1Out
    );
    event Sync(uint256 reserve0, uint256 reserve1);

    error OnlyFactory();
    error Entered();
    error NoInput();
    error NoOutput();
    error TooMuch();
    error InvalidTo();
    error Invariant();
    error NoSolution();

    modifier once() {
        if (isEntered) revert Entered();
        isEntered = true;
        _;
        isEntered = false;
    }

    function initialize(address token0_, address token1_, bool stable_) external {
        if (msg.sender != factory) revert OnlyFactory();
        (token0, token1, stable) = (token0_, token1_, stable_);
        (unit0, unit1) = (10 ** IToken(token0_).decimals(), 10 ** IToken(token1_).decimals());
    }

    function metadata() external view returns (uint256, uint256, uint256, uint256, bool, address, address) {
        return (unit0, unit1, reserve0, reserve1, stable, token0, token1);
    }

    function getReserves() external view returns (uint256, uint256, uint256) {
        return (reserve0, reserve1, blockTimestampLast);
    }

    /// Takes as liquidity whatever was sent here and is not in the reserves.
    function mint(address) external once returns (uint256) {
        (uint256 held0, uint256 held1) = held();
        emit Mint(msg.sender, held0 - reserve0, held1 - reserve1);
        update(held0, held1);
        return 0;
    }

    function getAmountOut(uint256 amountIn, address tokenIn) external view returns (uint256) {
        uint256 net = amountIn - feeOf(amountIn);
        bool isFirst = tokenIn == token0;
        (uint256 reserveIn, uint256 reserveOut) = isFirst ? (reserve0, reserve1) : (reserve1, reserve0);
        if (!stable) return (net * reserveOut) / (reserveIn + net);

        (uint256 unitIn, uint256 unitOut) = isFirst ? (unit0, unit1) : (unit1, unit0);
        uint256 k = invariant(reserve0, reserve1);
        uint256 x = (reserveIn * ONE) / unitIn + (net * ONE) / unitIn;
        uint256 y = (reserveOut * ONE) / unitOut;
        return ((y - solve(x, k, y)) * unitOut) / ONE;
    }

    function swap(uint256 amount0Out, uint256 amount1Out, address to, bytes calldata data) external once {
        if (amount0Out == 0 && amount1Out == 0) revert NoOutput();
        (uint256 old0, uint256 old1) = (reserve0, reserve1);
        if (amount0Out >= old0 || amount1Out >= old1) revert TooMuch();
        if (to == token0 || to == token1) revert InvalidTo();
        if (amount0Out > 0) IToken(token0).transfer(to, amount0Out);
        if (amount1Out > 0) IToken(token1).transfer(to, amount1Out);
        if (data.length > 0) IHook(to).hook(msg.sender, amount0Out, amount1Out, data);

        (uint256 held0, uint256 held1) = held();
        uint256 amount0In = held0 > old0 - amount0Out ? held0 - (old0 - amount0Out) : 0;
        uint256 amount1In = held1 > old1 - amount1Out ? held1 - (old1 - amount1Out) : 0;
        if (amount0In == 0 && amount1In == 0) revert NoInput();
        takeFees(feeOf(amount0In), feeOf(amount1In));
        (held0, held1) = held();
        if (invariant(held0, held1) < invariant(old0, old1)) revert Invariant();
        update(held0, held1);
        emit Swap(msg.sender, to, amount0In, amount1In, amount0Out, amount1Out);
    }

    /// Fees go to the factory: nobody collects them here.
    function takeFees(uint256 fee0, uint256 fee1) private {
        if (fee0 > 0) IToken(token0).transfer(factory, fee0);
        if (fee1 > 0) IToken(token1).transfer(factory, fee1);
        emit Fees(msg.sender, fee0, fee1);
    }

    function update(uint256 held0, uint256 held1) private {
        (reserve0, reserve1, blockTimestampLast) = (held0, held1, block.timestamp);
        emit Sync(held0, held1);
    }

    function held() private view returns (uint256, uint256) {
        return (IToken(token0).balanceOf(address(this)), IToken(token1).balanceOf(address(this)));
    }

    function feeOf(uint256 amount) private view returns (uint256) {
        return (amount * SolidlyFactory(factory).getFee(address(this), stable)) / 10_000;
    }

    function invariant(uint256 x, uint256 y) private view returns (uint256) {
        return stable ? curve((x * ONE) / unit0, (y * ONE) / unit1) : x * y;
    }

    function curve(uint256 x, uint256 y) private pure returns (uint256) {
        return (((x * y) / ONE) * ((x * x) / ONE + (y * y) / ONE)) / ONE;
    }

    /// The y at which the curve through `x` is at `k`, by Newton's method from `y`.
    function solve(uint256 x, uint256 k, uint256 y) private pure returns (uint256) {
        for (uint256 round = 0; round < 255; round++) {
            uint256 at = curve(x, y);
            uint256 slope = (3 * x * ((y * y) / ONE)) / ONE + (((x * x) / ONE) * x) / ONE;
            uint256 step = ((at < k ? k - at : at - k) * ONE) / slope;
            if (step == 0) {
                if (at == k) return y;
                if (at < k && curve(x, y + 1) > k) return y + 1;
                if (at > k && curve(x, y - 1) < k) return y;
                step = 1; // the slope hides that it is one off
            }
            y = at < k ? y + step : y - step;
        }
        revert NoSolution();
    }
}

/// Swaps in Solidly-style pools, one or several, with the input from the sender's allowance.
contract SolidlyRouter {
    error Expired();
    error TooLittle();

    function swapExactTokensForTokens(
        uint256 amountIn,
        uint256 least,
        address[] calldata pools,
        address tokenIn,
        address to,
        uint256 deadline
    ) external {
        if (block.timestamp > deadline) revert Expired();
        IToken(tokenIn).transferFrom(msg.sender, pools[0], amountIn);
        for (uint256 i = 0; i < pools.length; i++) {
            SolidlyPool pool = SolidlyPool(pools[i]);
            amountIn = pool.getAmountOut(amountIn, tokenIn);
            bool isFirst = tokenIn == pool.token0();
            tokenIn = isFirst ? pool.token1() : pool.token0();
            address receiver = i + 1 < pools.length ? pools[i + 1] : to;
            pool.swap(isFirst ? 0 : amountIn, isFirst ? amountIn : 0, receiver, "");
        }
        if (amountIn < least) revert TooLittle();
    }
}
