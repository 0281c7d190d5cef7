// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.20;

interface IV3Pool {
    function tickBitmap(int16 word) external view returns (uint256);

    function ticks(int24 tick)
        external
        view
        returns (uint128 gross, int128 net, uint256, uint256, int56, uint160, uint32, bool);
}

/// Every initialized tick of a Uniswap V3 pool in one call. It is never deployed: its code is laid over an address.
contract Ticks {
    int24 private constant LAST = 887272;

    function all(IV3Pool pool, int24 spacing)
        external
        view
        returns (int24[] memory index, int128[] memory net, uint128[] memory gross)
    {
        int24 last = (LAST / spacing) >> 8;
        uint256 count = 0;
        for (int24 word = -last - 1; word <= last; word++) {
            for (uint256 bits = pool.tickBitmap(int16(word)); bits != 0; bits &= bits - 1) count++;
        }
        index = new int24[](count);
        net = new int128[](count);
        gross = new uint128[](count);
        count = 0;
        for (int24 word = -last - 1; word <= last; word++) {
            uint256 bits = pool.tickBitmap(int16(word));
            for (int24 bit = 0; bits >> uint24(bit) != 0; bit++) {
                if ((bits >> uint24(bit)) & 1 == 0) continue;
                int24 tick = (word * 256 + bit) * spacing;
                index[count] = tick;
                (gross[count], net[count],,,,,,) = pool.ticks(tick);
                count++;
            }
        }
    }
}
