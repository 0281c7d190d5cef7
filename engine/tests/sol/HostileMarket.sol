// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.30;

import {Forger, _call} from "./HostilePair.sol";

/// @notice Looks like any lender, any market and any V3 shaped pool, and does what it was told to,
/// each time that it is called.
contract HostileMarket {
    /// @notice What to do next.
    enum Deed {
        /// Calls `target` with `message`, whatever comes of it.
        Try,
        /// The same, and passes on what it reverts with.
        Demand,
        /// Calls the caller back with the bytes that it gave, in the form of the lowest three bits
        /// of `amount`, the rest of which is a fee or what it claims to have paid.
        CallBack,
        /// The same with one bit of the bytes turned over.
        CallBackChanged,
        /// The same from another contract.
        CallBackFromElsewhere
    }

    struct Step {
        Deed deed;
        address target;
        uint256 amount;
        bytes message;
    }

    Forger private immutable accomplice = new Forger();
    mapping(uint256 call => Step[] steps) private plans;
    uint256 private calls;

    /// @notice Adds a step to what it does when it is called for this time, counted from 0.
    function plan(uint256 call, Step calldata step) external {
        plans[call].push(step);
    }

    fallback() external {
        bytes memory data = _data();
        Step[] storage steps = plans[calls++];
        for (uint256 i = 0; i < steps.length; i++) {
            Step memory step = steps[i];
            if (step.deed == Deed.Try) {
                (bool done,) = step.target.call(step.message);
                done;
            } else if (step.deed == Deed.Demand) {
                _call(step.target, step.message);
            } else {
                bytes memory given = bytes.concat(data);
                if (step.deed == Deed.CallBackChanged && given.length != 0) {
                    given[given.length / 2] ^= 0x01;
                }
                bytes memory message = _message(step.amount & 7, step.amount >> 3, given);
                if (step.deed != Deed.CallBackFromElsewhere) _call(msg.sender, message);
                else accomplice.forge(msg.sender, message);
            }
        }
    }

    /// @dev The bytes that are to be handed back, if the function that is called has any.
    function _data() private pure returns (bytes memory) {
        uint256 index = 0;
        // flashLoan of Morpho; of Balancer, flashLoanSimple, preLiquidate; swap; liquidate.
        if (msg.sig == 0xe0232b42) index = 2;
        if (msg.sig == 0x5c38449e || msg.sig == 0x42b0b77c || msg.sig == 0x3078f50a) index = 3;
        if (msg.sig == 0x128acb08) index = 4;
        if (msg.sig == 0xd8eabcb8) index = 8;
        if (index == 0) return "";
        uint256 at = 4 + uint256(bytes32(msg.data[4 + 32 * index:]));
        return msg.data[at + 32:at + 32 + uint256(bytes32(msg.data[at:]))];
    }

    function _message(uint256 form, uint256 fee, bytes memory data)
        private
        view
        returns (bytes memory)
    {
        // The names do not matter: the executor does not look at them.
        if (form == 0) {
            return abi.encodeWithSignature(
                "a(address,uint256,uint256,bytes)", msg.sender, 0, 0, data
            );
        }
        if (form == 1) {
            int256 paid = -int256(fee);
            return abi.encodeWithSignature("a(int256,int256,bytes)", paid, paid, data);
        }
        if (form == 3) {
            uint256[] memory fees = new uint256[](1);
            fees[0] = fee;
            return abi.encodeWithSignature(
                "a(address[],uint256[],uint256[],bytes)", new address[](1), fees, fees, data
            );
        }
        if (form == 4) {
            return abi.encodeWithSignature(
                "a(address,uint256,uint256,address,bytes)", address(0), 0, fee, msg.sender, data
            );
        }
        return abi.encodeWithSignature("a(uint256,bytes)", fee, data);
    }
}

interface ITaken {
    function transfer(address to, uint256 amount) external returns (bool);
    function transferFrom(address from, address to, uint256 amount) external returns (bool);
}

interface IPreLiquidator {
    function onPreLiquidate(uint256 repaidAssets, bytes calldata data) external;
}

/// @notice Pays and takes in the order of Morpho's pre-liquidation contracts, at its own price.
contract PreLiquidation {
    ITaken private immutable debt;
    ITaken private immutable collateral;
    /// @dev Debt for a unit of collateral, or for a share, in 1e-18.
    uint256 private immutable price;

    constructor(ITaken debt_, ITaken collateral_, uint256 price_) {
        (debt, collateral, price) = (debt_, collateral_, price_);
    }

    function preLiquidate(address, uint256 seized, uint256 shares, bytes calldata data)
        external
        returns (uint256, uint256)
    {
        require((seized == 0) != (shares == 0), "one of two");
        if (seized == 0) seized = shares;
        uint256 repaid = seized * price / 1e18;
        collateral.transfer(msg.sender, seized);
        if (data.length != 0) IPreLiquidator(msg.sender).onPreLiquidate(repaid, data);
        debt.transferFrom(msg.sender, address(this), repaid);
        return (seized, repaid);
    }
}
