// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.30;

interface IToken {
    function transfer(address to, uint256 amount) external returns (bool);
}

/// @notice What a malicious pool may do when it is asked to swap.
enum Deed {
    /// Nothing: keeps its input, pays nothing, calls nobody.
    Keep,
    /// The callback as it should be, and no payment.
    CallOnly,
    /// The callback with one bit of the data turned over.
    ChangeData,
    /// The callback twice.
    CallTwice,
    /// The callback with another sender than the executor.
    ChangeSender,
    /// The callback from another contract.
    CallFromElsewhere,
    /// Tries every call of `raids`, then pays what was asked for.
    Raid
}

/// @notice Looks like a pair, with reserves that it made up.
contract HostilePair {
    Deed private immutable deed;
    IToken private immutable loot;
    Forger private immutable accomplice = new Forger();
    address[] private targets;
    bytes[] private messages;

    /// @param loot_ The token that it pays in, if it pays.
    constructor(Deed deed_, IToken loot_) {
        (deed, loot) = (deed_, loot_);
    }

    /// @notice Adds a call to be tried while the executor's program runs.
    function plan(address target, bytes calldata message) external {
        targets.push(target);
        messages.push(message);
    }

    function getReserves() external pure returns (uint112, uint112, uint32) {
        return (1e24, 2e24, 0);
    }

    function swap(uint256 amount0Out, uint256 amount1Out, address to, bytes memory data) external {
        if (deed == Deed.Keep) return;
        if (deed == Deed.Raid) return _raid(amount0Out + amount1Out, to);
        if (deed == Deed.ChangeData) data[40] ^= 0x01;
        address sender = deed == Deed.ChangeSender ? address(this) : msg.sender;
        // The name of the callback does not matter: forks have their own.
        bytes memory message =
            abi.encodeWithSignature("anyCall(address,uint256,uint256,bytes)", sender, 0, 0, data);
        if (deed == Deed.CallFromElsewhere) return accomplice.forge(msg.sender, message);
        _call(msg.sender, message);
        if (deed == Deed.CallTwice) _call(msg.sender, message);
    }

    function _raid(uint256 amount, address to) private {
        for (uint256 i = 0; i < targets.length; i++) {
            (bool entered,) = targets[i].call(messages[i]);
            require(!entered, "a raid succeeded");
        }
        loot.transfer(to, amount);
    }
}

/// @notice Calls whom it is told to, in its own name.
contract Forger {
    function forge(address target, bytes calldata message) external {
        _call(target, message);
    }
}

/// @dev Calls, and passes on what a failed call reverted with.
function _call(address target, bytes memory message) {
    (bool done, bytes memory answer) = target.call(message);
    if (done) return;
    assembly {
        revert(add(answer, 32), mload(answer))
    }
}
