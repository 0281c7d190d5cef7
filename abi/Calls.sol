// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.30;

/// @title Calls
/// @notice Asks many contracts one view each, in one call. Like `Lens.sol` it is never deployed: its creation code
/// is the data of an `eth_call` without a recipient, and what its constructor returns is the answer.
///
/// @dev `asked` is a list of items, back to back: contract 20, the most bytes of its answer that are wanted 2, length
/// of the call 1, the call. The answer is a zero byte (no contract's code may begin with 0xEF) and for each item, in
/// their order: ok 1, length 2, the answer's bytes. Numbers are big-endian.
///
/// It stops by itself before the gas or the bytes that an answer may have run out; the other items are asked again.
/// A call that reverts, or burns its gas, is one item's answer (not ok, no bytes) and nobody else's trouble. An
/// account without code answers with no bytes.
contract Calls {
    /// Less than the 24,576 bytes that code may have (EIP-170).
    uint256 private constant ROOM = 24_400;
    /// What one byte of the answer costs: kept as code (200), and its memory.
    uint256 private constant GAS_PER_BYTE = 210;
    /// Kept for what follows the last call.
    uint256 private constant GAS_KEPT = 60_000;
    /// What one call may use: an oracle that goes through several feeds and rates takes less than half of it.
    uint256 private constant GAS_CALL = 700_000;

    constructor(bytes memory asked) {
        // Three bytes in front of an answer are written as a whole word.
        bytes memory out = new bytes(ROOM + 32);
        uint256 length = 1;
        assembly ("memory-safe") {
            let from := add(asked, 32)
            let to := add(from, mload(asked))
            let start := add(out, 32)
            for {} lt(add(from, 22), to) {} {
                let head := mload(from)
                let most := and(shr(80, head), 0xffff)
                let size := and(shr(72, head), 0xff)
                let next := add(add(from, 23), size)
                if gt(next, to) { break }
                if gt(add(add(length, 3), most), ROOM) { break }
                // A call gets at most 63/64 of what is left.
                let bytesAfter := add(add(length, 3), most)
                let needed := add(add(GAS_KEPT, mul(bytesAfter, GAS_PER_BYTE)), add(GAS_CALL, div(GAS_CALL, 32)))
                if lt(gas(), needed) { break }
                let end := add(start, length)
                let ok := staticcall(GAS_CALL, shr(96, head), add(from, 23), size, 0, 0)
                let answered := mul(ok, returndatasize())
                if gt(answered, most) { answered := most }
                mstore(end, or(shl(248, ok), shl(232, answered)))
                returndatacopy(add(end, 3), 0, answered)
                length := add(add(length, 3), answered)
                from := next
            }
            return(start, length)
        }
    }
}
