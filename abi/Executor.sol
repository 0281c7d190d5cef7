// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.30;

/// @notice What the executor needs of an ERC-20 token; `transfer` is called by hand (`_transfer`).
interface IERC20 {
    function balanceOf(address account) external view returns (uint256);
    function transfer(address to, uint256 amount) external returns (bool);
}

/// @notice What the executor needs of the wrapped native token (WETH9 and its copies).
interface IWrappedNative {
    function withdraw(uint256 amount) external;
}

/// @notice What the executor needs of a pool that is paid in advance: a Uniswap V2 shaped pair, of
/// which only the first two words of `getReserves` are read (the third is missing or different on
/// some forks), or a Solidly-style pool, which quotes by itself.
interface IPair {
    function getReserves() external view returns (uint256 reserve0, uint256 reserve1);
    function getAmountOut(uint256 amountIn, address tokenIn) external view returns (uint256);
    function swap(uint256 amount0Out, uint256 amount1Out, address to, bytes calldata data) external;
}

/// @notice What the executor needs of a Uniswap V3 shaped pool. It pays out, and then asks for its
/// input in a callback. What `swap` returns is not read.
interface IV3Pool {
    function swap(
        address recipient,
        bool zeroForOne,
        int256 amountSpecified,
        uint160 sqrtPriceLimitX96,
        bytes calldata data
    ) external;
}

/// @title Executor
/// @notice Runs one packed program of swaps that starts and ends in the same token, and reverts as
/// a whole unless that token's balance has grown by the program's minimum.
///
/// @dev **Who may do what.** The owner (a cold key) withdraws and names operators. Operators (hot
/// keys) may only call `execute`. A stolen operator key cannot lower any balance held here:
/// - The profit token goes out once, the amount in, to the first pool. Its balance is read before
///   and after the program, and the tip counts as spent.
/// - Another token goes out only between two V3 shaped pools that follow each other, because the
///   second cannot be paid by the first: no more than arrived here while the first one swapped,
///   counted by the token itself, once, in the token that the program names. All else passes
///   straight from pool to pool. There are no approvals.
/// - Native coin leaves only as a tip that this program unwrapped, or by the owner.
/// So a program can burn the gain that it made itself, and its sender's gas, nothing else.
///
/// **Malicious pools and tokens.** A program's pools and tokens are foreign code, called while the
/// lock is held. They cannot start a program (operators only, and locked), nor withdraw (owner
/// only). A pool can enter `fallback` only if it is the pool that is awaited, with exactly the
/// bytes that the executor handed to it (one hash over both, and over the form of the callback),
/// from a swap that the executor started, and once. To whom a callback pays, in which token and how
/// much, is in those bytes: what the pool asks for is not read. What a V3 shaped pool says that it
/// paid serves to ask the next pool for its output, and nothing is paid by it. A pool that lies
/// about its reserves or quotes, pays nothing, or keeps what it got ends in a revert: the last
/// check counts tokens, and believes nobody else.
///
/// **What remains to trust.** (1) A pool or token that the operator names may keep the gain above
/// the program's minimum profit: the minimum is the protection, so set it close to the plan. The
/// same holds for a V3 shaped pool that runs out of liquidity, and takes less than it is paid. (2)
/// The profit token must count honestly; so must any token held here that is named between two V3
/// shaped pools. One that does not endangers itself only. (3) Profit token that arrives from
/// elsewhere during a program (a reward claimed for this address, a rebase) counts as that
/// program's gain. (4) The wrapped native token is honest. (5) Foreign code may burn the
/// transaction's gas. A new kind of leg that pays from this contract, approves, or deposits must
/// count its own token before and after, as those between V3 shaped pools do.
///
/// **What a vanished opportunity costs.** Gas, no tokens: every leg reverts with the transaction.
/// Past its last valid block a program stops before it calls anything. Legs that can be quoted are,
/// before the first token moves, so without a V3 shaped pool a gap that has closed costs the
/// reading of the reserves and not the swaps. With one, it costs that pool's swap: what follows the
/// last such pool is quoted in its callback, before anything else is swapped. Nothing at all
/// through a relay that drops bundles that revert.
///
/// **Program.** Calldata of `execute()`: the selector, then packed big-endian fields, no ABI
/// encoding. Offsets are in bytes from the start of calldata, ends are exclusive.
///
///     0..4    selector of execute()
///     4..5    flags u8: bit 0 = flash funding; the others must be 0
///     5..13   last valid block number u64
///     13..33  profit token, which is the input token too
///     33..49  amount in u128, in units of the profit token
///     49..65  minimum profit u128, in units of the profit token, after the tip
///     65..81  tip to block.coinbase u128, in wei; needs the wrapped native token as profit token
///     81..    legs of 45 bytes, at least one and at most 255:
///             0..1 kind u8 (0 = Uniswap V2 shaped pair, 1 = Uniswap V3 shaped pool, 2 =
///             Solidly-style pool) | 1..21 pool | 21..24 fee u24 in pips (1e-6 of the amount in;
///             kind 0 only) | 24..25 direction u8 (1 = token0 to token1, 0 = back) | 25..45 the
///             token that goes in (kinds 1 and 2 only)
///
/// A pool may occur once only: quotes are made before the first swap, so a second use is priced at
/// old reserves, and fails in the pool (V3 shaped ones are locked) or pays too little.
///
/// **Funding.** Without a V3 shaped pool. Own funds: the amount in goes to the first pool, each
/// pool pays the next one, the last pays the executor. Flash: the last pool pays first, out of its
/// reserves; in its callback the amount in goes to the first pool, and the last but one pays the
/// last pool what it is owed. It is the last pool that lends because such pools call back the
/// address that they pay: so what is borrowed is the profit token itself, and both fundings take
/// the same transfers, one per leg and one to begin. A flash program of one leg is valid and
/// pointless: it repays in the token that it started from, and fails the minimum.
///
/// With one, it lends whatever the flags say, because it pays before it asks. The legs before the
/// first such pool are quoted, which tells what goes into it; it pays the next pool, or the
/// executor. In its callback comes first all that follows it, up to the profit token. Then the
/// amount in goes to the first pool, and the legs before it swap, the last of them paying the
/// lender. The legs between two such pools do the same for the second one in its own callback,
/// inside the first. So here too there is one transfer per leg and one to begin, and one more
/// between two V3 shaped pools that follow each other, since such a pool counts only what arrives
/// during its callback.
contract Executor {
    // Offsets in bytes from the start of calldata, see "Program".
    uint256 private constant FLAGS_AT = 4;
    uint256 private constant LAST_BLOCK_AT = 5;
    uint256 private constant TOKEN_AT = 13;
    uint256 private constant AMOUNT_AT = 33;
    uint256 private constant MINIMUM_AT = 49;
    uint256 private constant TIP_AT = 65;
    uint256 private constant LEGS_AT = 81;
    /// @dev Size of one leg, in bytes, and the offset of its token.
    uint256 private constant LEG = 45;
    uint256 private constant LEG_TOKEN_AT = 25;
    uint256 private constant LEGS_MAX = 255;

    uint256 private constant FLAG_FLASH = 1;
    uint256 private constant KIND_V2 = 0;
    uint256 private constant KIND_V3 = 1;
    uint256 private constant KIND_SOLIDLY = 2;

    /// @dev The whole of an amount, in pips.
    uint256 private constant PIPS = 1e6;
    /// @dev A V3 shaped pool's price may go to its ends, exclusive: the minimum profit is the
    /// limit.
    uint160 private constant PRICE_MIN = 4295128739 + 1;
    uint160 private constant PRICE_MAX = 1461446703485210103287273052203988822378723970342 - 1;

    /// @dev Size of an address, in bytes.
    uint256 private constant ADDRESS = 20;
    /// @dev Where, in a callback's calldata, the offset of its bytes is: they are its last
    /// argument.
    uint256 private constant V2_DATA_AT = 4 + 3 * 32;
    uint256 private constant V3_DATA_AT = 4 + 2 * 32;

    /// @notice The wrapped native token, the only one that tips are paid from.
    address public immutable WETH;

    /// @notice The cold key: withdraws, names operators, receives sweeps.
    address public owner;
    /// @notice Who becomes owner by calling `acceptOwnership`; zero for nobody.
    address public pendingOwner;
    /// @notice The hot keys: they may trade, and nothing else.
    mapping(address account => bool allowed) public operators;
    /// @notice Balance, in units of the token, above which a profitable program sends the excess to
    /// the owner; 0 = never.
    mapping(address token => uint256 limit) public sweepAbove;

    /// @dev 1 while a program runs. A full word, because packing costs masks.
    uint256 private transient locked;
    /// @dev keccak256 of the bytes of the callback that is awaited, the pool's address first; the
    /// lowest bit tells its form instead, 1 = that of V3 shaped pools. 0 = none.
    uint256 private transient awaited;

    event OwnershipOffered(address indexed from, address indexed to);
    event OwnershipTaken(address indexed from, address indexed to);
    event OperatorSet(address indexed account, bool allowed);
    event SweepAboveSet(address indexed token, uint256 limit);
    event Withdrawn(address indexed token, uint256 amount, address indexed to);

    /// @notice The caller is not the owner (or, in `acceptOwnership`, not the pending one).
    error NotOwner();
    /// @notice The caller of `execute` is not an operator.
    error NotOperator();
    /// @notice The address zero where an account must be named.
    error ZeroAddress();
    /// @notice `execute` was entered while a program runs.
    error Locked();
    /// @notice The block number is past the program's last valid block.
    error Expired();
    /// @notice Unknown flag, no leg, too many, a part of a leg, a direction other than 0 and 1, or
    /// an amount that no pool can be asked for.
    error BadProgram();
    /// @notice A kind of leg that this executor does not know.
    error UnknownLeg();
    /// @notice A call that is neither a function of this contract nor the awaited callback.
    error ForbiddenCallback();
    /// @notice The pool that lends returned without having called back.
    error MissingCallback();
    /// @notice A token or native transfer failed.
    error TransferFailed();
    /// @notice A tip was asked for, but profit is not taken in the wrapped native token.
    error TipNeedsWrappedNative();
    /// @notice The block's coinbase refused the tip.
    error TipFailed();
    /// @notice The profit token's balance grew by less than the minimum, after the tip.
    error BelowMinimumProfit();

    modifier onlyOwner() {
        if (msg.sender != owner) revert NotOwner();
        _;
    }

    /// @param weth The wrapped native token of this chain.
    /// @param owner_ The cold key.
    /// @param operators_ The hot keys at the start; may be empty.
    constructor(address weth, address owner_, address[] memory operators_) {
        if (weth == address(0) || owner_ == address(0)) revert ZeroAddress();
        WETH = weth;
        owner = owner_;
        emit OwnershipTaken(address(0), owner_);
        for (uint256 i = 0; i < operators_.length; i++) {
            operators[operators_[i]] = true;
            emit OperatorSet(operators_[i], true);
        }
    }

    /// @notice Accepts native coin: unwrapped for a tip, or a gift. `WETH.withdraw` passes only
    /// 2,300 gas, so nothing may be written here.
    receive() external payable {}

    // --- Trading -------------------------------------------------------------------------------

    /// @notice Runs the packed program that follows the selector; see "Program" above.
    function execute() external {
        if (block.number > _word(LAST_BLOCK_AT) >> 192) revert Expired();
        if (!operators[msg.sender]) revert NotOperator();
        if (locked != 0) revert Locked();
        uint256 flags = _word(FLAGS_AT) >> 248;
        // The second test keeps the subtraction in the third from wrapping around.
        if (flags > FLAG_FLASH || msg.data.length < LEGS_AT + LEG) revert BadProgram();
        if ((msg.data.length - LEGS_AT) % LEG != 0) revert BadProgram();
        uint256 count = (msg.data.length - LEGS_AT) / LEG;
        if (count > LEGS_MAX) revert BadProgram();

        // A vanished gap is seen here, by view calls, before the first token moves.
        uint256[] memory flow = new uint256[](count + 1);
        flow[0] = _amount(0);
        uint256 quoted = _quoteFrom(0, flow, 0);

        locked = 1;
        address token = _token(0);
        uint256 tip = _tipWanted(0);
        uint256 wanted = IERC20(token).balanceOf(address(this)) + _minimum(0);
        if (quoted != count) _lend(0, flow, 0, quoted);
        else if (flags == FLAG_FLASH) _lend(0, flow, 0, count - 1);
        else _repay(0, flow, 0, count);
        if (tip != 0) _tip(token, tip);

        // The check that counts: of tokens, whatever pools have claimed.
        uint256 balance = IERC20(token).balanceOf(address(this));
        if (balance < wanted) revert BelowMinimumProfit();
        uint256 limit = sweepAbove[token];
        if (limit != 0 && balance > limit) _transfer(token, owner, balance - limit);
        locked = 0;
    }

    /// @notice The callback of a pool that lends, under whatever name the fork gave it. Arguments:
    /// (address sender, uint256, uint256, bytes data), or (int256, int256, bytes data) from V3
    /// shaped pools. Runs what follows the lender, if anything does, and then repays it.
    /// @dev `data` is what `_lend` wrote.
    fallback() external {
        uint256 expected = awaited;
        bool isV3 = expected & 1 == 1;
        if (!isV3 && address(uint160(_word(4))) != address(this)) revert ForbiddenCallback();
        // A false offset or length only leads to other bytes, and so to another hash. Unchecked: it
        // may wrap, with the same result.
        uint256 data;
        uint256 length;
        unchecked {
            data = 4 + _word(isV3 ? V3_DATA_AT : V2_DATA_AT) + 32;
            length = _word(data - 32);
        }
        // A length that cannot be is not worth the gas of its memory.
        if (length > msg.data.length) revert ForbiddenCallback();
        if (_mark(_hash(data, length), isV3) != expected) revert ForbiddenCallback();
        if (_word(data) >> 96 != uint160(msg.sender)) revert ForbiddenCallback();
        awaited = 0;

        // From here on, the bytes are those that this contract wrote, and so are these numbers.
        unchecked {
            uint256 end = data + length - 32;
            uint256 base = data + ADDRESS - TOKEN_AT;
            uint256 count = (end - base - LEGS_AT - 32) / (LEG + 32);
            uint256[] memory flow = _words(end - 32 * (count + 1), count + 1);
            (uint256 from, uint256 lender) = (_word(end) >> 8, _word(end) & 0xff);
            if (isV3) _follow(base, flow, lender + 1);
            _repay(base, flow, from, lender);
        }
    }

    // `flow[i]` is what goes into leg `i`, in units of its input token, and so what the leg before
    // it pays out; the last entry is what the last leg pays out. Where the amount is not known yet
    // it is 0, but for the note that `_lend` leaves.

    /// @dev Lets leg number `lender` pay out in advance, and hands to it what its callback needs
    /// (`_pack`). The legs from number `from` on are those that are to run for its repayment.
    /// @param base Where the program's offset 0 is in calldata.
    function _lend(uint256 base, uint256[] memory flow, uint256 from, uint256 lender) private {
        uint256 leg = _leg(base, lender);
        uint256 next = lender + 1;
        bool isV3 = _kind(leg) == KIND_V3;
        address to = address(this);
        if (isV3 && next < flow.length - 1) {
            uint256 following = _leg(base, next);
            // A V3 shaped pool counts what arrives in its callback only, so it cannot be paid now.
            // What will have arrived here is counted from this balance.
            if (_kind(following) != KIND_V3) to = _pool(following);
            else flow[next] = IERC20(_legToken(base, next)).balanceOf(address(this));
        }
        bytes memory data = _pack(base, _pool(leg), flow, from << 8 | lender);
        awaited = _mark(uint256(keccak256(data)), isV3);
        if (isV3) _swapV3(leg, flow[lender], to, data);
        else _swap(leg, flow[next], to, data);
        // Nothing that could be used later may be left behind.
        if (awaited != 0) revert MissingCallback();
    }

    /// @dev Runs the legs from number `next` on, whose predecessor, a V3 shaped pool, has just
    /// paid.
    function _follow(uint256 base, uint256[] memory flow, uint256 next) private {
        uint256 count = flow.length - 1;
        if (next < count && _kind(_leg(base, next)) == KIND_V3) {
            flow[next] = IERC20(_legToken(base, next)).balanceOf(address(this)) - flow[next];
        } else {
            // What the pool says, a negative number. Unchecked: a positive one becomes an amount
            // that no pool pays.
            unchecked {
                flow[next] = 0 - _word(_leg(base, next - 1) & 0xff == 1 ? 36 : 4);
            }
        }
        uint256 quoted = _quoteFrom(base, flow, next);
        if (quoted != count) _lend(base, flow, next, quoted);
        else _run(base, flow, next, count);
    }

    /// @dev Pays leg number `stop` what goes into it, or the executor if there is none, by running
    /// the legs from number `from` on. The executor pays where no pool has: at the beginning, and
    /// between two V3 shaped pools.
    function _repay(uint256 base, uint256[] memory flow, uint256 from, uint256 stop) private {
        if (from == 0) _transfer(_token(base), _pool(_leg(base, 0)), flow[0]);
        else if (from == stop) {
            _transfer(_legToken(base, from), _pool(_leg(base, from)), flow[from]);
        }
        _run(base, flow, from, stop);
    }

    /// @dev Swaps the legs from number `i` on and before `stop`, none of which is V3 shaped and the
    /// first of which has been paid. Each pays the one that follows, the last one the executor.
    function _run(uint256 base, uint256[] memory flow, uint256 i, uint256 stop) private {
        uint256 leg = _leg(base, i);
        while (i < stop) {
            unchecked {
                i++;
            }
            uint256 next = _leg(base, i);
            _swap(leg, flow[i], i + 1 < flow.length ? _pool(next) : address(this), "");
            leg = next;
        }
    }

    /// @dev Fills in `flow` from leg number `i` on, up to the first V3 shaped pool.
    /// @return The number of that leg; that of all legs if there is none, and then they pay enough.
    function _quoteFrom(uint256 base, uint256[] memory flow, uint256 i)
        private
        view
        returns (uint256)
    {
        uint256 count = flow.length - 1;
        uint256 amount = flow[i];
        while (i < count) {
            uint256 leg = _leg(base, i);
            if (_kind(leg) == KIND_V3) return i;
            amount = _quote(base, i, leg, amount);
            unchecked {
                i++;
            }
            flow[i] = amount;
        }
        if (amount < _amount(base) + _minimum(base) + _tipWanted(base)) revert BelowMinimumProfit();
        return count;
    }

    // Kinds of legs are told apart in `_quote`, which sees each leg that is paid in advance before
    // it is paid, and in `_lend`, which calls those that are not.

    /// @dev What `leg`, number `i`, pays out for `amountIn`. Reserves are read here and not taken
    /// from the program: if a pool has moved a little, the program still pays, or fails the
    /// minimum.
    /// @param amountIn Units of the leg's input token.
    /// @return Units of the leg's output token, rounded down, so that the pool's invariant holds.
    function _quote(uint256 base, uint256 i, uint256 leg, uint256 amountIn)
        private
        view
        returns (uint256)
    {
        uint256 direction = leg & 0xff;
        if (direction > 1) revert BadProgram();
        if (_kind(leg) == KIND_V2) {
            (uint256 reserveIn, uint256 reserveOut) = IPair(_pool(leg)).getReserves();
            if (direction == 0) (reserveIn, reserveOut) = (reserveOut, reserveIn);
            uint256 net = amountIn * (PIPS - ((leg >> 8) & 0xffffff));
            return net * reserveOut / (reserveIn * PIPS + net);
        }
        if (_kind(leg) != KIND_SOLIDLY) revert UnknownLeg();
        return IPair(_pool(leg)).getAmountOut(amountIn, _legToken(base, i));
    }

    /// @dev Swaps `leg` for `amountOut` units of its output token, paid to `to`. The pool must hold
    /// its input, or, if `data` is not empty, lends and calls `to` back with it.
    function _swap(uint256 leg, uint256 amountOut, address to, bytes memory data) private {
        bool zeroForOne = leg & 0xff == 1;
        IPair(_pool(leg)).swap(zeroForOne ? 0 : amountOut, zeroForOne ? amountOut : 0, to, data);
    }

    /// @dev Swaps exactly `amountIn` units of the input token of `leg`, a V3 shaped pool, which
    /// pays `to`, and then calls this contract back with `data`.
    function _swapV3(uint256 leg, uint256 amountIn, address to, bytes memory data) private {
        uint256 direction = leg & 0xff;
        // A negative amount would stand for an output.
        if (direction > 1 || amountIn > uint256(type(int256).max)) revert BadProgram();
        bool zeroForOne = direction == 1;
        uint160 limit = zeroForOne ? PRICE_MIN : PRICE_MAX;
        IV3Pool(_pool(leg)).swap(to, zeroForOne, int256(amountIn), limit, data);
    }

    /// @dev Pays `tip` wei to the block's producer out of the wrapped native profit.
    function _tip(address token, uint256 tip) private {
        if (token != WETH) revert TipNeedsWrappedNative();
        IWrappedNative(token).withdraw(tip);
        (bool paid,) = block.coinbase.call{value: tip}("");
        if (!paid) revert TipFailed();
    }

    // --- Packing -------------------------------------------------------------------------------

    /// @dev The 32 bytes of calldata at offset `at`; zeros past the end. Assembly, because a slice
    /// of `msg.data` costs two bounds checks for each field.
    function _word(uint256 at) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := calldataload(at)
        }
    }

    /// @dev keccak256 of `length` bytes of calldata from offset `at`. Assembly, because the offset
    /// is not one of a Solidity slice. Uses the memory past the free pointer, and leaves the
    /// pointer where it was: the bytes are not needed again.
    function _hash(uint256 at, uint256 length) private pure returns (uint256 hash) {
        assembly ("memory-safe") {
            let free := mload(0x40)
            calldatacopy(free, at, length)
            hash := keccak256(free, length)
        }
    }

    /// @dev `count` words of calldata from offset `at`. Assembly, because a loop costs more than
    /// the words.
    function _words(uint256 at, uint256 count) private pure returns (uint256[] memory words) {
        words = new uint256[](count);
        assembly ("memory-safe") {
            calldatacopy(add(words, 32), at, mul(32, count))
        }
    }

    /// @dev What a lender hands back: its address, the program from its profit token on, `flow`,
    /// and `place`, packed. Assembly, for the same reason. The program's length is within calldata.
    function _pack(uint256 base, address pool, uint256[] memory flow, uint256 place)
        private
        pure
        returns (bytes memory data)
    {
        uint256 begin;
        uint256 length;
        unchecked {
            begin = base + TOKEN_AT;
            length = LEGS_AT - TOKEN_AT + LEG * (flow.length - 1);
        }
        assembly ("memory-safe") {
            data := mload(0x40)
            let at := add(data, 32)
            mstore(at, shl(96, pool))
            at := add(at, 20)
            calldatacopy(at, begin, length)
            at := add(at, length)
            let size := mul(32, mload(flow))
            mcopy(at, add(flow, 32), size)
            at := add(at, size)
            mstore(at, place)
            at := add(at, 32)
            mstore(data, sub(at, add(data, 32)))
            // The next object in memory begins at a whole word.
            mstore(0x40, and(add(at, 31), not(31)))
        }
    }

    /// @dev A hash that tells the form of the callback in its lowest bit.
    function _mark(uint256 hash, bool isV3) private pure returns (uint256) {
        return isV3 ? hash | 1 : hash & ~uint256(1);
    }

    // Offsets are unchecked below: `base` is 0, or where bytes lie whose hash was compared, and `i`
    // is at most the number of legs. An overflow could only lead to other bytes of calldata.

    /// @dev The profit token of the program whose offset 0 is at `base`.
    function _token(uint256 base) private pure returns (address) {
        unchecked {
            return address(uint160(_word(base + TOKEN_AT) >> 96));
        }
    }

    /// @dev The amount in, in units of the profit token.
    function _amount(uint256 base) private pure returns (uint256) {
        unchecked {
            return _word(base + AMOUNT_AT) >> 128;
        }
    }

    /// @dev The minimum profit, in units of the profit token.
    function _minimum(uint256 base) private pure returns (uint256) {
        unchecked {
            return _word(base + MINIMUM_AT) >> 128;
        }
    }

    /// @dev The tip, in wei.
    function _tipWanted(uint256 base) private pure returns (uint256) {
        unchecked {
            return _word(base + TIP_AT) >> 128;
        }
    }

    /// @dev Leg number `i`, from 0, without its token, in the low 200 bits; meaningless past the
    /// last one.
    function _leg(uint256 base, uint256 i) private pure returns (uint256) {
        unchecked {
            return _word(base + LEGS_AT + LEG * i) >> 56;
        }
    }

    /// @dev The token that goes into leg number `i`, which is neither a V2 shaped pair nor past the
    /// last one.
    function _legToken(uint256 base, uint256 i) private pure returns (address) {
        unchecked {
            return address(uint160(_word(base + LEGS_AT + LEG * i + LEG_TOKEN_AT) >> 96));
        }
    }

    function _kind(uint256 leg) private pure returns (uint256) {
        return leg >> 192;
    }

    function _pool(uint256 leg) private pure returns (address) {
        return address(uint160(leg >> 32));
    }

    // --- Owner ---------------------------------------------------------------------------------

    /// @notice Pays out a token, or native coin.
    /// @param token The token; zero for native coin.
    /// @param amount Units of the token, or wei.
    /// @param to Who receives it.
    function withdraw(address token, uint256 amount, address to) external onlyOwner {
        if (to == address(0)) revert ZeroAddress();
        emit Withdrawn(token, amount, to);
        if (token != address(0)) return _transfer(token, to, amount);
        (bool paid,) = to.call{value: amount}("");
        if (!paid) revert TransferFailed();
    }

    /// @notice Allows or forbids an account to trade.
    function setOperator(address account, bool allowed) external onlyOwner {
        operators[account] = allowed;
        emit OperatorSet(account, allowed);
    }

    /// @notice Sets the balance of `token` that profitable programs leave here.
    /// @param limit Units of the token; 0 = never sweep.
    function setSweepAbove(address token, uint256 limit) external onlyOwner {
        sweepAbove[token] = limit;
        emit SweepAboveSet(token, limit);
    }

    /// @notice Offers the ownership to `to`, who takes it by `acceptOwnership`; zero takes an offer
    /// back.
    function transferOwnership(address to) external onlyOwner {
        pendingOwner = to;
        emit OwnershipOffered(msg.sender, to);
    }

    /// @notice Takes the ownership that was offered to the caller.
    function acceptOwnership() external {
        if (msg.sender != pendingOwner) revert NotOwner();
        emit OwnershipTaken(owner, msg.sender);
        owner = msg.sender;
        pendingOwner = address(0);
    }

    /// @dev Transfers `amount` units of `token`. Nothing returned counts as success if the token
    /// has code (USDT); false, or anything else that is not true, as failure.
    function _transfer(address token, address to, uint256 amount) private {
        bytes memory call = abi.encodeCall(IERC20.transfer, (to, amount));
        (bool done, bytes memory answer) = token.call(call);
        if (answer.length == 0) done = done && token.code.length != 0;
        else done = done && answer.length >= 32 && abi.decode(answer, (uint256)) == 1;
        if (!done) revert TransferFailed();
    }
}
