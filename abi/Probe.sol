// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.30;

/// @title Probe
/// @notice Really swaps through pools and really moves their tokens, in a call that changes nothing. It is
/// never deployed: its creation code is the data of an `eth_call` without a recipient, and what its
/// constructor returns is the answer.
///
/// @dev A view says what a pool would pay; only a swap shows what arrives. What goes in is lent by another
/// pool, in whose callback everything happens, and which is never paid back: the call reverts with what was
/// measured.
///
/// `asked` is a secret of 32 bytes, and then items of 200 bytes, back to back: one direction of one pool. The
/// answer is a zero byte (no contract's code may begin with 0xEF) and 240 bytes for each item, in their order.
/// Numbers are big-endian.
///
/// | item | bytes |
/// |---|---|
/// | pool | 20 |
/// | its kind: 0 Uniswap V2, 1 Uniswap V3, 2 Solidly | 1 |
/// | whether the token that goes in is its first | 1 |
/// | the token that goes in, the one that comes out | 20 + 20 |
/// | the pool that lends, its kind, whether the token is its first | 20 + 1 + 1 |
/// | somebody who must be able to receive the token that goes in | 20 |
/// | three amounts that go in, the largest last | 3 x 16 |
/// | what is expected to come out for each | 3 x 16 |
///
/// | answer | bytes |
/// |---|---|
/// | 1 if it was lent: all that is measured is 0 otherwise | 1 |
/// | words that the pool's view of its state answers, 255 if it has none | 1 |
/// | the hash of the pool's code | 32 |
/// | what arrived of the largest amount that goes in | 16 |
/// | what the pool has of the token that goes in | 16 |
/// | a transfer of that to the pool, and to the other receiver: see below | 2 x 36 |
/// | each of the three swaps: see below | 3 x 34 |
///
/// A transfer is 1 if it was made, what the sender has less (16), what the receiver has more (16), its gas (3).
/// A swap is its state (1), what the pool is to pay (16), what arrived (16), and what the view
/// `getAmountOut` said of it: 1 as expected, 0 not (1). The bits of a state: 1 it was made; 2 one unit more
/// could be had as well; 4 the pool was not credited with what was sent.
contract Probe {
    constructor(bytes memory asked) {
        bytes memory answer = new Hands().tryAll(asked);
        assembly ("memory-safe") {
            return(add(answer, 32), mload(answer))
        }
    }
}

/// @notice What the probe swaps with: a contract whose code is there while pools call it back.
///
/// @dev What pools and tokens do is their own trouble: everything is tried in frames of their own, of which
/// only this contract can write the answers. A lender could put words into its mouth when a revert passes
/// through it, so what passes is sealed with a secret that no contract can read.
contract Hands {
    uint256 private constant ITEM = 200;
    /// `bytes` are padded to words where they are handed on.
    uint256 private constant PADDED = 224;
    uint256 private constant BODY = 206;
    uint256 private constant TRANSFER = 36;
    uint256 private constant SWAP = 34;
    /// What one item may use, and what follows the last one.
    uint256 private constant GAS_ITEM = 5_000_000;
    uint256 private constant GAS_KEPT = 100_000;
    /// What one byte of the answer costs: kept as code (200), and its memory.
    uint256 private constant GAS_PER_BYTE = 220;
    uint256 private constant ROOM = 24_300;
    /// One transfer, one swap.
    uint256 private constant GAS_TRANSFER = 1_000_000;
    uint256 private constant GAS_VIEW = 300_000;
    uint160 private constant SQRT_PRICE_MIN = 4295128740;
    uint160 private constant SQRT_PRICE_MAX = 1461446703485210103287273052203988822378723970341;

    address private immutable OWNER;
    uint256 private secret;

    constructor() {
        OWNER = msg.sender;
    }

    function tryAll(bytes calldata asked) external returns (bytes memory out) {
        require(msg.sender == OWNER);
        secret = uint256(bytes32(asked[:32]));
        out = new bytes(ROOM + 2 * (BODY + 34));
        uint256 length = 1;
        for (uint256 at = 32; at + ITEM <= asked.length; at += ITEM) {
            if (length > ROOM || gasleft() < GAS_KEPT + length * GAS_PER_BYTE + GAS_ITEM + GAS_ITEM / 32) break;
            length = _one(asked[at:at + ITEM], out, length);
        }
        assembly ("memory-safe") {
            mstore(out, length)
        }
    }

    /// Writes the answer to one item at `length`, and says where the next goes.
    function _one(bytes calldata item, bytes memory out, uint256 length) private returns (uint256) {
        (bool isLent, bytes memory body) = _lent(item);
        uint256 words = _words(_address(item, 0), item[20] == 0x01);
        bytes32 hash = _address(item, 0).codehash;
        assembly ("memory-safe") {
            let at := add(add(out, 32), length)
            mstore8(at, isLent)
            mstore8(add(at, 1), words)
            mstore(add(at, 2), hash)
            // Seven words, of which the last is cut by what comes next.
            for { let i := 0 } lt(i, 224) { i := add(i, 32) } {
                mstore(add(add(at, 34), i), mul(isLent, mload(add(add(body, 32), i))))
            }
        }
        return length + 34 + BODY;
    }

    /// Has the lender lend, and gives back what was measured meanwhile.
    function _lent(bytes calldata item) private returns (bool, bytes memory body) {
        address lender = _address(item, 62);
        uint256 amount = _amount(item, 136);
        (uint256 first, uint256 second) = item[83] != 0 ? (amount, uint256(0)) : (uint256(0), amount);
        bytes memory data = item[82] == 0x01
            ? abi.encodeWithSelector(0x490e6cbc, address(this), first, second, item) // flash
            : abi.encodeWithSelector(0x022c0d9f, first, second, address(this), item); // swap
        bool isOver;
        uint256 size;
        body = new bytes(BODY + 50);
        assembly ("memory-safe") {
            isOver := call(GAS_ITEM, lender, 0, add(data, 32), mload(data), 0, 0)
            size := returndatasize()
            if eq(size, add(BODY, 32)) { returndatacopy(add(body, 32), 0, size) }
        }
        if (isOver || size != BODY + 32) return (false, body);
        bytes32 seal;
        assembly ("memory-safe") {
            seal := mload(add(add(body, 32), BODY))
            mstore(body, BODY)
        }
        return (seal == _seal(item, body), body);
    }

    /// Every callback: a concentrated pool asks for its payment, or the lender has lent.
    fallback() external {
        uint256 start = msg.data.length - PADDED;
        bytes calldata item = msg.data[start:start + ITEM];
        if (msg.sender == _address(item, 0)) {
            (int256 first, int256 second) = abi.decode(msg.data[4:68], (int256, int256));
            _transfer(_address(item, 22), msg.sender, uint256(first > 0 ? first : second));
            return;
        }
        bytes memory body = _measure(item);
        bytes32 seal = _seal(item, body);
        assembly ("memory-safe") {
            mstore(add(add(body, 32), BODY), seal)
            revert(add(body, 32), add(BODY, 32))
        }
    }

    /// Everything that is measured, with what was lent in hand.
    function _measure(bytes calldata item) private returns (bytes memory body) {
        body = new bytes(BODY + 64);
        address pool = _address(item, 0);
        address token = _address(item, 22);
        uint256 arrived = _balance(token, address(this));
        uint256 at;
        assembly ("memory-safe") {
            mstore(body, BODY)
            at := add(body, 32)
        }
        _put(at, arrived, 16);
        _put(at + 16, _balance(token, pool), 16);
        uint256 most = _amount(item, 136);
        if (arrived < most) most = arrived;
        _frame(abi.encodeCall(this.move, (token, pool, most)), at + 32, TRANSFER);
        _frame(abi.encodeCall(this.move, (token, _address(item, 84), most)), at + 32 + TRANSFER, TRANSFER);
        for (uint256 i = 0; i < 3; ++i) {
            uint256 to = at + 32 + 2 * TRANSFER + i * SWAP;
            _frame(abi.encodeCall(this.swap, (item, i)), to, SWAP);
            if (item[20] != 0x01) _more(item, i, to);
        }
    }

    /// Whether the pool would give one unit more: then it is not what it is taken for.
    function _more(bytes calldata item, uint256 i, uint256 to) private {
        (bool isOver, bytes memory said) = address(this).call(abi.encodeCall(this.more, (item, i)));
        if (!isOver && said.length == 1 && said[0] == 0x01) {
            assembly ("memory-safe") {
                mstore8(to, or(byte(0, mload(to)), 2))
            }
        }
    }

    /// Calls one of the functions below, which revert with an answer of `size` bytes; all are 0 if it fails.
    function _frame(bytes memory data, uint256 to, uint256 size) private {
        assembly ("memory-safe") {
            let isOver := call(gas(), address(), 0, add(data, 32), mload(data), 0, 0)
            switch and(iszero(isOver), eq(returndatasize(), size))
            case 1 { returndatacopy(to, 0, size) }
            // What is behind it is written later.
            default { calldatacopy(to, calldatasize(), size) }
        }
    }

    /// Moves a token, measures it, and takes it back.
    function move(address token, address to, uint256 amount) external {
        uint256 held = _balance(token, address(this));
        uint256 had = _balance(token, to);
        uint256 gasBefore = gasleft();
        bool isMade = _transfer(token, to, amount);
        uint256 used = gasBefore - gasleft();
        bytes memory out = new bytes(64);
        uint256 at = _start(out);
        at = _put(at, isMade ? 1 : 0, 1);
        at = _put(at, _less(held, _balance(token, address(this))), 16);
        at = _put(at, _less(_balance(token, to), had), 16);
        _put(at, used < 0xffffff ? used : 0xffffff, 3);
        _revert(out, TRANSFER);
    }

    /// Swaps one of the amounts, measures what arrives, and takes it back.
    function swap(bytes calldata item, uint256 i) external {
        (address pool, address token) = (_address(item, 0), _address(item, 22));
        (uint256 amount, uint256 said) = (_amount(item, 104 + 16 * i), _amount(item, 152 + 16 * i));
        uint256 had = _balance(token, pool);
        uint256 held = _balance(_address(item, 42), address(this));
        bool isMade;
        bool isSaid;
        if (item[20] == 0x01) {
            (isMade, said) = _concentrated(item, amount);
        } else {
            isSaid = _isSaid(pool, amount, token, said);
            isMade = _transfer(token, pool, amount) && _pair(item, said);
        }
        uint256 arrived = _less(_balance(_address(item, 42), address(this)), held);
        uint256 state = isMade ? 1 : 0;
        if (_less(_balance(token, pool), had) != amount) state |= 4;
        bytes memory out = new bytes(64);
        _put(_put(_put(_put(_start(out), state, 1), said, 16), arrived, 16), isSaid ? 1 : 0, 1);
        _revert(out, SWAP);
    }

    /// Whether a pair gives one unit more than expected, when nothing but the amount has been paid in.
    function more(bytes calldata item, uint256 i) external {
        (address pool, address token) = (_address(item, 0), _address(item, 22));
        // skim(address): what was given to the pair for nothing is not its price
        _call(pool, abi.encodeWithSelector(0xbc25cf77, address(this)));
        bool isMade = _transfer(token, pool, _amount(item, 104 + 16 * i)) && _pair(item, _amount(item, 152 + 16 * i) + 1);
        bytes memory out = new bytes(32);
        _put(_start(out), isMade ? 1 : 0, 1);
        _revert(out, 1);
    }

    function _pair(bytes calldata item, uint256 amount) private returns (bool) {
        (uint256 first, uint256 second) = item[21] != 0 ? (uint256(0), amount) : (amount, uint256(0));
        return _call(_address(item, 0), abi.encodeWithSelector(0x022c0d9f, first, second, address(this), ""));
    }

    function _concentrated(bytes calldata item, uint256 amount) private returns (bool isMade, uint256 paid) {
        bool isFirst = item[21] != 0;
        (bool isOver, bytes memory answer) = _address(item, 0).call(
            abi.encodeWithSelector(
                0x128acb08, address(this), isFirst, amount, isFirst ? SQRT_PRICE_MIN : SQRT_PRICE_MAX, item
            )
        );
        if (!isOver || answer.length < 64) return (false, 0);
        (int256 first, int256 second) = abi.decode(answer, (int256, int256));
        if (!isFirst) (first, second) = (second, first);
        // All of it must have been taken.
        return (first == int256(amount) && second <= 0, second < 0 ? uint256(-second) : 0);
    }

    function _isSaid(address pool, uint256 amount, address token, uint256 expected) private view returns (bool) {
        (bool isOver, uint256 said) = _view(pool, abi.encodeWithSelector(0xf140a35a, amount, token));
        return isOver && said == expected;
    }

    /// How many words slot0() or getReserves() answers with: forks have others.
    function _words(address pool, bool isConcentrated) private view returns (uint256 words) {
        bytes memory data = abi.encodeWithSelector(isConcentrated ? bytes4(0x3850c7bd) : bytes4(0x0902f1ac));
        assembly ("memory-safe") {
            words := 255
            if staticcall(GAS_VIEW, pool, add(data, 32), mload(data), 0, 0) {
                let size := returndatasize()
                if lt(size, 8128) { words := div(size, 32) }
            }
        }
    }

    function _transfer(address token, address to, uint256 amount) private returns (bool isMade) {
        bytes memory data = abi.encodeWithSelector(0xa9059cbb, to, amount);
        assembly ("memory-safe") {
            mstore(0, 1)
            isMade := call(GAS_TRANSFER, token, 0, add(data, 32), mload(data), 0, 32)
            // Some tokens answer with nothing.
            isMade := and(isMade, or(iszero(returndatasize()), eq(mload(0), 1)))
        }
    }

    function _call(address to, bytes memory data) private returns (bool isMade) {
        assembly ("memory-safe") {
            isMade := call(gas(), to, 0, add(data, 32), mload(data), 0, 0)
        }
    }

    function _balance(address token, address account) private view returns (uint256 held) {
        bool isOver;
        (isOver, held) = _view(token, abi.encodeWithSelector(0x70a08231, account));
        if (!isOver) return 0;
        if (held >> 128 != 0) return type(uint128).max;
    }

    function _view(address to, bytes memory data) private view returns (bool isOver, uint256 word) {
        assembly ("memory-safe") {
            isOver := staticcall(GAS_VIEW, to, add(data, 32), mload(data), 0, 32)
            isOver := and(isOver, gt(returndatasize(), 31))
            if isOver { word := mload(0) }
        }
    }

    function _seal(bytes calldata item, bytes memory body) private view returns (bytes32) {
        return keccak256(abi.encodePacked(secret, item, body));
    }

    function _address(bytes calldata item, uint256 at) private pure returns (address) {
        return address(bytes20(item[at:at + 20]));
    }

    function _amount(bytes calldata item, uint256 at) private pure returns (uint256) {
        return uint128(bytes16(item[at:at + 16]));
    }

    function _less(uint256 more_, uint256 less) private pure returns (uint256) {
        return more_ > less ? more_ - less : 0;
    }

    function _start(bytes memory out) private pure returns (uint256 at) {
        assembly ("memory-safe") {
            at := add(out, 32)
        }
    }

    /// Writes the low `size` bytes, and says where the next go. What stands behind them is overwritten later.
    function _put(uint256 at, uint256 value, uint256 size) private pure returns (uint256) {
        assembly ("memory-safe") {
            mstore(at, shl(sub(256, mul(8, size)), value))
        }
        return at + size;
    }

    function _revert(bytes memory out, uint256 size) private pure {
        assembly ("memory-safe") {
            revert(add(out, 32), size)
        }
    }
}
