// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.30;

import {Forger, IToken, _call} from "./HostilePair.sol";

/// @notice What a malicious V3 shaped pool may do when it is asked to swap.
enum V3Deed {
    /// Nothing: pays nothing, calls nobody.
    Keep,
    /// The callback as it should be, and no payment.
    CallOnly,
    /// Pays, and asks twice.
    AskTwice,
    /// Pays, and asks for a hundred times its due.
    AskMore,
    /// Pays, and asks for its due in the token that it pays out.
    AskOtherToken,
    /// Pays, and calls back with one bit of the data turned over.
    ChangeData,
    /// Pays, and calls back in the form of a V2 shaped pair.
    ChangeForm,
    /// Pays, and calls back from another contract.
    CallFromElsewhere,
    /// Pays, and says that it paid twice as much.
    SayMore,
    /// Pays, and says that it paid half as much.
    SayLess,
    /// Pays, and says that it was paid.
    SayPaid,
    /// Tries every call of `raids` before its callback and after it, and is honest else.
    Raid
}

/// @notice Looks like a V3 shaped pool, and pays what it was told to.
contract HostileV3Pool {
    V3Deed private immutable deed;
    IToken private immutable loot;
    uint256 private immutable payment;
    Forger private immutable accomplice = new Forger();
    address[] private targets;
    bytes[] private messages;

    /// @param loot_ The token that it pays in.
    /// @param payment_ How much of it.
    constructor(V3Deed deed_, IToken loot_, uint256 payment_) {
        (deed, loot, payment) = (deed_, loot_, payment_);
    }

    /// @notice Adds a call to be tried while the executor's program runs.
    function plan(address target, bytes calldata message) external {
        targets.push(target);
        messages.push(message);
    }

    function swap(address to, bool zeroForOne, int256 amount, uint160, bytes memory data) external {
        if (deed == V3Deed.Keep) return;
        if (deed == V3Deed.Raid) _raid();
        if (deed != V3Deed.CallOnly) loot.transfer(to, payment);
        if (deed == V3Deed.ChangeData) data[40] ^= 0x01;
        bytes memory message = _message(zeroForOne, amount, data);
        if (deed == V3Deed.CallFromElsewhere) return accomplice.forge(msg.sender, message);
        _call(msg.sender, message);
        if (deed == V3Deed.AskTwice) _call(msg.sender, message);
        if (deed == V3Deed.Raid) _raid();
    }

    function _message(bool zeroForOne, int256 asked, bytes memory data)
        private
        view
        returns (bytes memory)
    {
        int256 paid = -int256(payment);
        if (deed == V3Deed.ChangeForm) {
            return abi.encodeWithSignature(
                "anyCall(address,uint256,uint256,bytes)", msg.sender, 0, 0, data
            );
        }
        if (deed == V3Deed.AskMore) asked *= 100;
        if (deed == V3Deed.SayMore) paid *= 2;
        if (deed == V3Deed.SayLess) paid /= 2;
        if (deed == V3Deed.SayPaid) paid = -paid;
        if (deed == V3Deed.AskOtherToken) zeroForOne = !zeroForOne;
        (int256 amount0, int256 amount1) = zeroForOne ? (asked, paid) : (paid, asked);
        // The name of the callback does not matter: forks have their own.
        return abi.encodeWithSignature("anyCall(int256,int256,bytes)", amount0, amount1, data);
    }

    function _raid() private {
        for (uint256 i = 0; i < targets.length; i++) {
            (bool entered,) = targets[i].call(messages[i]);
            require(!entered, "a raid succeeded");
        }
    }
}
