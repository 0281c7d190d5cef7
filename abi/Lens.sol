// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.30;

/// @title Lens
/// @notice Reads many contracts in one call. It is never deployed: its creation code is the data of an
/// `eth_call` without a recipient, and what its constructor returns is the answer.
///
/// @dev `asked` is one byte that says what is asked, and then items of one size, back to back. The
/// answer is a zero byte (no contract's code may begin with 0xEF) and one answer for each item, in
/// their order. Numbers are big-endian.
///
/// - It stops by itself before the gas or the bytes that an answer may have run out: the answer then
///   has fewer items than were asked, and the others are asked again.
/// - What a contract does to a call (reverts, burns its gas, answers something else or nothing) is
///   one item's answer, its first byte 0, and nobody else's trouble: each call has its own gas, and no
///   more than two words of an answer are looked at.
///
/// | what | item | answer |
/// |---|---|---|
/// | 0 pairs | pool 20 | ok 1, reserves 16 + 16 |
/// | 1 tokens | token 20 | decimals 1, 255 if there are none |
/// | 2 listed | factory 20, place 4 | ok 1, pair 20, tokens 20 + 20 |
/// | 3 concentrated | pool 20, tokens 20 + 20 | ok 1, √price 20, tick 3, liquidity 16, fee 3, spacing 3, tokens held 16 + 16 |
/// | 4 ticks | pool 20, spacing 3, first and last bitmap word 2 + 2 | state 1, next word 2, count 2, then each tick: index 3, gross 16, net 16 |
/// | 5 solidly | pool 20, factory 20, stable 1 | ok 1, reserves 16 + 16, fee in 1/10,000 2 |
///
/// The state of ticks is 1 when the last word has been read, 2 when words from "next" on are left, 0 when
/// the pool has no bitmap.
contract Lens {
    /// Less than the 24,576 bytes that code may have (EIP-170), by the longest answer of fixed size.
    uint256 private constant ROOM = 24_400;
    /// What one byte of the answer costs: kept as code (200), and its memory.
    uint256 private constant GAS_PER_BYTE = 210;
    /// Kept for what follows the last call.
    uint256 private constant GAS_KEPT = 60_000;
    /// What one call may use. A proxied token's or pool's view takes less than half of it.
    uint256 private constant GAS_CALL = 150_000;
    /// What reading one tick may use: four slots that were never read, and a proxy.
    uint256 private constant GAS_TICK = 25_000;

    constructor(bytes memory asked) {
        bytes memory out = new bytes(ROOM + 176);
        uint256 from;
        uint256 to;
        uint256 kind;
        assembly ("memory-safe") {
            kind := byte(0, mload(add(asked, 32)))
            from := add(asked, 33)
            to := add(add(asked, 32), mload(asked))
        }
        uint256 length = kind == 4 ? _ticks(from, to, out) : _all(kind, from, to, out);
        assembly ("memory-safe") {
            return(add(out, 32), length)
        }
    }

    /// Items whose answers are all of one size.
    function _all(uint256 kind, uint256 from, uint256 to, bytes memory out) private view returns (uint256 length) {
        uint256 step = [20, 20, 24, 60, 0, 41][kind];
        uint256 calls = [uint256(1), 1, 3, 6, 0, 3][kind];
        length = 1;
        for (uint256 at = from; at + step <= to; at += step) {
            if (length > ROOM || _isShort(length, calls * GAS_CALL)) break;
            uint256 end;
            assembly ("memory-safe") {
                end := add(add(out, 32), length)
            }
            if (kind == 0) end = _pair(at, end);
            else if (kind == 1) end = _token(at, end);
            else if (kind == 2) end = _listed(at, end);
            else if (kind == 3) end = _concentrated(at, end);
            else end = _solidly(at, end);
            assembly ("memory-safe") {
                length := sub(end, add(out, 32))
            }
        }
    }

    function _pair(uint256 at, uint256 end) private view returns (uint256) {
        (bool ok, uint256 first, uint256 second) = _reserves(_address(at));
        end = _put(end, ok ? 1 : 0, 1);
        return _put(_put(end, first, 16), second, 16);
    }

    function _token(uint256 at, uint256 end) private view returns (uint256) {
        (bool ok, uint256 decimals,) = _call(_address(at), 0x313ce567, 0, 0, 0, 1); // decimals()
        return _put(end, ok && decimals < 255 ? decimals : 255, 1);
    }

    function _listed(uint256 at, uint256 end) private view returns (uint256) {
        (bool ok, uint256 pair,) = _call(_address(at), 0x1e3dd18b, _word(at + 20, 4), 0, 1, 1); // allPairs(uint256)
        (bool hasFirst, uint256 first,) = _call(address(uint160(pair)), 0x0dfe1681, 0, 0, 0, 1); // token0()
        (bool hasSecond, uint256 second,) = _call(address(uint160(pair)), 0xd21220a7, 0, 0, 0, 1); // token1()
        end = _put(end, ok && hasFirst && hasSecond ? 1 : 0, 1);
        return _put(_put(_put(end, pair, 20), first, 20), second, 20);
    }

    function _concentrated(uint256 at, uint256 end) private view returns (uint256) {
        address pool = _address(at);
        // Only the first two words: what follows them differs from fork to fork.
        (bool ok, uint256 price, uint256 tick) = _call(pool, 0x3850c7bd, 0, 0, 0, 2); // slot0()
        (bool hasLiquidity, uint256 liquidity,) = _call(pool, 0x1a686502, 0, 0, 0, 1); // liquidity()
        (bool hasFee, uint256 fee,) = _call(pool, 0xddca3f43, 0, 0, 0, 1); // fee()
        (bool hasSpacing, uint256 spacing,) = _call(pool, 0xd0c93a7c, 0, 0, 0, 1); // tickSpacing()
        ok = ok && hasLiquidity && hasFee && hasSpacing && price >> 160 == 0 && liquidity >> 128 == 0 && fee >> 24 == 0;
        end = _put(_put(_put(end, ok ? 1 : 0, 1), price, 20), tick, 3);
        end = _put(_put(_put(end, liquidity, 16), fee, 3), spacing, 3);
        return _put(_put(end, _held(_address(at + 20), pool), 16), _held(_address(at + 40), pool), 16);
    }

    function _solidly(uint256 at, uint256 end) private view returns (uint256) {
        address pool = _address(at);
        (bool ok, uint256 first, uint256 second) = _reserves(pool);
        // getFee(address,bool) of the factory; where it has none, fee() of the pair
        (bool hasFee, uint256 fee,) =
            _call(_address(at + 20), 0xcc56b2c5, uint256(uint160(pool)), _word(at + 40, 1), 2, 1);
        if (!hasFee) (hasFee, fee,) = _call(pool, 0xddca3f43, 0, 0, 0, 1);
        end = _put(end, ok && hasFee && fee < 10_000 ? 1 : 0, 1);
        return _put(_put(_put(end, first, 16), second, 16), fee, 2);
    }

    /// What a pool really has of a token; at most what 128 bits hold.
    function _held(address token, address pool) private view returns (uint256 held) {
        bool ok;
        (ok, held,) = _call(token, 0x70a08231, uint256(uint160(pool)), 0, 1, 1); // balanceOf(address)
        if (!ok) return 0;
        if (held >> 128 != 0) return type(uint128).max;
    }

    function _reserves(address pool) private view returns (bool ok, uint256 first, uint256 second) {
        (ok, first, second) = _call(pool, 0x0902f1ac, 0, 0, 0, 2); // getReserves()
        ok = ok && first >> 128 == 0 && second >> 128 == 0;
    }

    /// Slices of pools' bitmaps, with the ticks that are set in them.
    function _ticks(uint256 from, uint256 to, bytes memory out) private view returns (uint256 length) {
        length = 1;
        for (uint256 at = from; at + 27 <= to; at += 27) {
            if (length > ROOM || _isShort(length, GAS_CALL)) break;
            uint256 start;
            assembly ("memory-safe") {
                start := add(add(out, 32), length)
            }
            (uint256 state, int256 next, uint256 end) = _slice(at, start, ROOM - length);
            // Nothing of it was read: it is asked again as it was.
            if (state == 2 && next == _signed(at + 23, 2)) break;
            uint256 header = (state << 32) | (uint256(uint16(int16(next))) << 16) | ((end - start - 5) / 35);
            assembly ("memory-safe") {
                // In front of ticks that stand there already.
                mstore(start, or(shl(216, header), and(mload(start), sub(shl(216, 1), 1))))
            }
            length += end - start;
            if (state == 2) break;
        }
    }

    function _slice(uint256 at, uint256 start, uint256 room)
        private
        view
        returns (uint256 state, int256 word, uint256 end)
    {
        address pool = _address(at);
        int256 last = _signed(at + 25, 2);
        end = start + 5;
        for (word = _signed(at + 23, 2); word <= last; ++word) {
            if (_isShort(ROOM - room + (end - start), GAS_CALL)) return (2, word, end);
            (bool ok, uint256 bitmap,) = _call(pool, 0x5339c296, uint256(word), 0, 1, 1); // tickBitmap(int16)
            if (!ok) return (0, word, start + 5);
            if (bitmap == 0) continue;
            uint256 count = 0;
            for (uint256 bits = bitmap; bits != 0; bits &= bits - 1) ++count;
            uint256 bytesAfter = end - start + count * 35;
            if (bytesAfter > room || _isShort(ROOM - room + bytesAfter, count * (GAS_TICK + 2_000))) return (2, word, end);
            end = _set(pool, word * 256, bitmap, _signed(at + 20, 3), end);
        }
        state = 1;
    }

    /// The ticks of one word.
    function _set(address pool, int256 base, uint256 bitmap, int256 spacing, uint256 end)
        private
        view
        returns (uint256)
    {
        for (int256 bit = 0; bitmap != 0; ++bit) {
            if (bitmap & 1 != 0) {
                int256 index = (base + bit) * spacing;
                (, uint256 gross, uint256 net) = _callWith(GAS_TICK, pool, 0xf30dba93, uint256(index), 0, 1, 2); // ticks(int24)
                end = _put(_put(_put(end, uint256(index), 3), gross, 16), net, 16);
            }
            bitmap >>= 1;
        }
        return end;
    }

    /// Whether there is not gas enough for `more`, and for an answer of `length`.
    function _isShort(uint256 length, uint256 more) private view returns (bool) {
        // A call gets at most 63/64 of what is left.
        return gasleft() < GAS_KEPT + length * GAS_PER_BYTE + more + more / 32;
    }

    function _call(address to, uint256 selector, uint256 first, uint256 second, uint256 arguments, uint256 words)
        private
        view
        returns (bool, uint256, uint256)
    {
        return _callWith(GAS_CALL, to, selector, first, second, arguments, words);
    }

    /// The first two words that a view answers; not ok if it answers fewer than `words`.
    function _callWith(
        uint256 gasMost,
        address to,
        uint256 selector,
        uint256 first,
        uint256 second,
        uint256 arguments,
        uint256 words
    ) private view returns (bool ok, uint256 a, uint256 b) {
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, shl(224, selector))
            mstore(add(free, 4), first)
            mstore(add(free, 36), second)
            ok := staticcall(gasMost, to, free, add(4, mul(32, arguments)), 0, 64)
            ok := and(ok, iszero(lt(returndatasize(), mul(32, words))))
            if ok {
                a := mload(0)
                if gt(words, 1) { b := mload(32) }
            }
        }
    }

    function _address(uint256 at) private pure returns (address) {
        return address(uint160(_word(at, 20)));
    }

    function _word(uint256 at, uint256 size) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := shr(sub(256, mul(8, size)), mload(at))
        }
    }

    function _signed(uint256 at, uint256 size) private pure returns (int256 word) {
        assembly ("memory-safe") {
            word := signextend(sub(size, 1), shr(sub(256, mul(8, size)), mload(at)))
        }
    }

    /// Writes the low `size` bytes, and says where the next go. What stands behind them is overwritten later.
    function _put(uint256 at, uint256 value, uint256 size) private pure returns (uint256) {
        assembly ("memory-safe") {
            mstore(at, shl(sub(256, mul(8, size)), value))
        }
        return at + size;
    }
}
