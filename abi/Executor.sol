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

/// @notice What the executor needs of a Uniswap V2 shaped pair. Only the first two words that
/// `getReserves` returns are read: the third is missing or different on some forks.
interface IPair {
    function getReserves() external view returns (uint256 reserve0, uint256 reserve1);
    function swap(uint256 amount0Out, uint256 amount1Out, address to, bytes calldata data) external;
}

/// @title Executor
/// @notice Runs one packed program of swaps that starts and ends in the same token, and reverts as
/// a whole unless that token's balance has grown by the program's minimum.
///
/// @dev **Who may do what.** The owner (a cold key) withdraws and names operators. Operators (hot
/// keys) may only call `execute`. A stolen operator key cannot lower any balance held here:
/// - The only token a program moves out is its profit token: once, to the first pool. Everything
///   between two pools passes straight from one to the next, and there are no approvals.
/// - The profit token's balance is read before and after, and the tip counts as spent. So a
///   program can burn the gain that it made itself, and its sender's gas, nothing else.
/// - Native coin leaves only as a tip that this program unwrapped, or by the owner.
///
/// **Malicious pools and tokens.** A program's pools and tokens are foreign code, called while the
/// lock is held. They cannot start a program (operators only, and locked), nor withdraw (owner
/// only). A pool can enter `fallback` only if it is the flash pool that this program named, with
/// exactly the bytes that the executor handed to it (one hash over both), from a swap that the
/// executor started, and once. What it tells of amounts is not read: they are within the hash. A
/// pool that lies about its reserves, pays nothing, or keeps what it got ends in a revert: the last
/// check counts tokens, and believes no return value of a pool.
///
/// **What remains to trust.** (1) A pool or token that the operator names may keep the gain above
/// the program's minimum profit: the minimum is the protection, so set it close to the plan.
/// (2) The profit token must count honestly; one that does not endangers itself only. (3) Profit
/// token that arrives from elsewhere during a program (a reward claimed for this address, a
/// rebase) counts as that program's gain. (4) The wrapped native token is honest. (5) Foreign code
/// may burn the transaction's gas. A new kind of leg that pays from this contract, approves, or
/// deposits breaks the first sentence on balances: it must count its own token before and after.
///
/// **What a vanished opportunity costs.** Gas, no tokens: every leg reverts with the transaction.
/// Past its last valid block a program stops before it calls anything. Otherwise all legs are
/// quoted before the first token moves, so a gap that has closed costs the reading of the reserves
/// and not the swaps. Nothing at all through a relay that drops bundles that revert.
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
///     81..    legs of 25 bytes, at least one:
///             0..1 kind u8 (0 = Uniswap V2 shaped pair) | 1..21 pool | 21..24 fee u24 in pips
///             (1e-6 of the amount in) | 24..25 direction u8 (1 = token0 to token1, 0 = back)
///
/// A pool may occur once only: quotes are made before the first swap, so a second use is priced at
/// old reserves, and fails in the pair or pays too little.
///
/// **Funding.** Own funds: the amount in goes to the first pair, each pair pays the next one, the
/// last pays the executor. Flash: the last pair pays first, out of its reserves; in its callback
/// the amount in goes to the first pair, and the last but one pays the last pair what it is owed.
/// It is the last pair that lends because V2 pairs call back the address that they pay: so what is
/// borrowed is the profit token itself, and both fundings take the same transfers, one per leg and
/// one to begin. A flash program of one leg is valid and pointless: it repays in the token that it
/// started from, and fails the minimum.
contract Executor {
    // Offsets in bytes from the start of calldata, see "Program".
    uint256 private constant FLAGS_AT = 4;
    uint256 private constant LAST_BLOCK_AT = 5;
    uint256 private constant TOKEN_AT = 13;
    uint256 private constant AMOUNT_AT = 33;
    uint256 private constant MINIMUM_AT = 49;
    uint256 private constant TIP_AT = 65;
    uint256 private constant LEGS_AT = 81;
    /// @dev Size of one leg, in bytes.
    uint256 private constant LEG = 25;

    uint256 private constant FLAG_FLASH = 1;
    uint256 private constant KIND_V2 = 0;

    /// @dev The whole of an amount, in pips.
    uint256 private constant PIPS = 1e6;

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
    /// @dev keccak256(pool, data) of the callback that is awaited; 0 = none.
    bytes32 private transient awaited;

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
    /// @notice Unknown flag, no leg, a part of a leg, or a direction other than 0 and 1.
    error BadProgram();
    /// @notice A kind of leg that this executor does not know.
    error UnknownLeg();
    /// @notice A call that is neither a function of this contract nor the awaited callback.
    error ForbiddenCallback();
    /// @notice The flash pool returned without having called back.
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

        // A vanished gap is seen here, by view calls, before the first token moves.
        uint256 tip = _word(TIP_AT) >> 128;
        uint256 minimum = _word(MINIMUM_AT) >> 128;
        uint256[] memory outs = _quoteAll((msg.data.length - LEGS_AT) / LEG);
        uint256 last = outs.length - 1;
        if (outs[last] < _amount(0) + minimum + tip) revert BelowMinimumProfit();

        locked = 1;
        address token = _token(0);
        uint256 wanted = IERC20(token).balanceOf(address(this)) + minimum;
        if (flags == FLAG_FLASH) {
            bytes memory data = abi.encodePacked(msg.data[TOKEN_AT:], outs);
            awaited = keccak256(abi.encodePacked(_pool(_leg(0, last)), data));
            _swap(_leg(0, last), outs[last], address(this), data);
            // Nothing that could be used later may be left behind.
            if (awaited != 0) revert MissingCallback();
        } else {
            _run(0, outs, outs.length);
        }
        if (tip != 0) _tip(token, tip);

        // The check that counts: of tokens, whatever pools have claimed.
        uint256 balance = IERC20(token).balanceOf(address(this));
        if (balance < wanted) revert BelowMinimumProfit();
        uint256 limit = sweepAbove[token];
        if (limit != 0 && balance > limit) _transfer(token, owner, balance - limit);
        locked = 0;
    }

    /// @notice The callback of a flash swap, under whatever name the fork gave it. Arguments:
    /// (address sender, uint256, uint256, bytes data). Runs all legs but the last, which the caller
    /// has paid out already and which they repay.
    /// @dev `data` is what `execute` wrote: the program from its profit token on, then the amount
    /// out of each leg (32 bytes each).
    fallback() external {
        // Word 3 of the arguments is the offset of `data` from the arguments' start. A false offset
        // or length only leads to other bytes, and so to another hash. Unchecked: it may wrap, with
        // the same result.
        uint256 data;
        uint256 length;
        unchecked {
            data = 4 + _word(100) + 32;
            length = _word(data - 32);
        }
        if (address(uint160(_word(4))) != address(this)) revert ForbiddenCallback();
        if (awaited != _hash(msg.sender, data, length)) revert ForbiddenCallback();
        awaited = 0;

        // From here on, the bytes are those that this contract wrote.
        uint256[] memory outs = new uint256[]((length - (LEGS_AT - TOKEN_AT)) / (LEG + 32));
        uint256 at = data + length - 32 * outs.length;
        for (uint256 i = 0; i < outs.length; i++) {
            outs[i] = _word(at + 32 * i);
        }
        _run(data - TOKEN_AT, outs, outs.length - 1);
    }

    /// @dev Pays the first leg and swaps the legs before `stop`, each paying the one that follows.
    /// @param base Where the program's offset 0 is in calldata.
    /// @param outs What each leg pays out, in units of its output token; one entry for each leg.
    /// @param stop How many legs to run.
    function _run(uint256 base, uint256[] memory outs, uint256 stop) private {
        uint256 leg = _leg(base, 0);
        _transfer(_token(base), _pool(leg), _amount(base));
        for (uint256 i = 0; i < stop; i++) {
            uint256 next = _leg(base, i + 1);
            _swap(leg, outs[i], i + 1 < outs.length ? _pool(next) : address(this), "");
            leg = next;
        }
    }

    /// @dev What each leg pays out, in units of its output token, if each gets what the one before
    /// pays, and the first the amount in.
    function _quoteAll(uint256 count) private view returns (uint256[] memory outs) {
        outs = new uint256[](count);
        uint256 amount = _amount(0);
        for (uint256 i = 0; i < count; i++) {
            amount = _quote(_leg(0, i), amount);
            outs[i] = amount;
        }
    }

    // Kinds of legs are told apart in `_quote`, which sees every leg before anything is paid.
    // There is one kind so far. Another one needs its own `_swap`, and, unless its pool too is paid
    // in advance as V2 pairs are, its own answer to whom `_run` pays.

    /// @dev What `leg` pays out for `amountIn`. Reserves are read here and not taken from the
    /// program: if a pool has moved a little, the program still pays, or fails the minimum.
    /// @param amountIn Units of the leg's input token.
    /// @return Units of the leg's output token, rounded down, so that the pair's invariant holds.
    function _quote(uint256 leg, uint256 amountIn) private view returns (uint256) {
        if (leg >> 192 != KIND_V2) revert UnknownLeg();
        uint256 direction = leg & 0xff;
        if (direction > 1) revert BadProgram();
        (uint256 reserveIn, uint256 reserveOut) = IPair(_pool(leg)).getReserves();
        if (direction == 0) (reserveIn, reserveOut) = (reserveOut, reserveIn);
        uint256 net = amountIn * (PIPS - ((leg >> 8) & 0xffffff));
        return net * reserveOut / (reserveIn * PIPS + net);
    }

    /// @dev Swaps `leg` for `amountOut` units of its output token, paid to `to`. The pair must hold
    /// its input, or, if `data` is not empty, lends and calls `to` back with it.
    function _swap(uint256 leg, uint256 amountOut, address to, bytes memory data) private {
        bool zeroForOne = leg & 0xff == 1;
        IPair(_pool(leg)).swap(zeroForOne ? 0 : amountOut, zeroForOne ? amountOut : 0, to, data);
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

    /// @dev keccak256 of `account` and `length` bytes of calldata from offset `at`, packed.
    /// Assembly, because the offset is not one of a Solidity slice. Uses the memory past the free
    /// pointer, and leaves the pointer where it was: the bytes are not needed again.
    function _hash(address account, uint256 at, uint256 length)
        private
        pure
        returns (bytes32 hash)
    {
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, shl(96, account))
            calldatacopy(add(free, 20), at, length)
            hash := keccak256(free, add(length, 20))
        }
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

    /// @dev Leg number `i`, from 0, in the low 200 bits; meaningless past the last one.
    function _leg(uint256 base, uint256 i) private pure returns (uint256) {
        unchecked {
            return _word(base + LEGS_AT + LEG * i) >> 56;
        }
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
