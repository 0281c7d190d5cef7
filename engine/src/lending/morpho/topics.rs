//! The topics of Morpho's events: the keccak of each event's signature.
//!
//! A test computes every one of them.
//!
//! Temperature: hot.

use crate::decode::topics::topics;

topics! {
    /// A new market.
    CREATE_MARKET = "CreateMarket(bytes32,(address,address,address,address,uint256))",
        "ac4b2400f169220b0c0afdde7a0b32e775ba727ea1cb30b35f935cdaab8683ac";
    /// Interest added to a market.
    ACCRUE_INTEREST = "AccrueInterest(bytes32,uint256,uint256,uint256)",
        "9d9bd501d0657d7dfe415f779a620a62b78bc508ddc0891fbbd8b7ac0f8fce87";
    /// Assets lent.
    SUPPLY = "Supply(bytes32,address,address,uint256,uint256)",
        "edf8870433c83823eb071d3df1caa8d008f12f6440918c20d75a3602cda30fe0";
    /// Assets taken back by a lender.
    WITHDRAW = "Withdraw(bytes32,address,address,address,uint256,uint256)",
        "a56fc0ad5702ec05ce63666221f796fb62437c32db1aa1aa075fc6484cf58fbf";
    /// Assets borrowed.
    BORROW = "Borrow(bytes32,address,address,address,uint256,uint256)",
        "570954540bed6b1304a87dfe815a5eda4a648f7097a16240dcd85c9b5fd42a43";
    /// A debt repaid.
    REPAY = "Repay(bytes32,address,address,uint256,uint256)",
        "52acb05cebbd3cd39715469f22afbf5a17496295ef3bc9bb5944056c63ccaa09";
    /// Collateral given.
    SUPPLY_COLLATERAL = "SupplyCollateral(bytes32,address,address,uint256)",
        "a3b9472a1399e17e123f3c2e6586c23e504184d504de59cdaa2b375e880c6184";
    /// Collateral taken back.
    WITHDRAW_COLLATERAL = "WithdrawCollateral(bytes32,address,address,address,uint256)",
        "e80ebd7cc9223d7382aab2e0d1d6155c65651f83d53c8b9b06901d167e321142";
    /// A position liquidated.
    LIQUIDATE =
        "Liquidate(bytes32,address,address,uint256,uint256,uint256,uint256,uint256)",
        "a4946ede45d0c6f06a0f5ce92c9ad3b4751452d2fe0e25010783bcab57a67e41";
    /// A market's new fee.
    SET_FEE = "SetFee(bytes32,uint256)",
        "139d6f58e9a127229667c8e3b36e88890a66cfc8ab1024ddc513e189e125b75b";
    /// Who receives the fees from now on.
    SET_FEE_RECIPIENT = "SetFeeRecipient(address)",
        "2e979f80fe4d43055c584cf4a8467c55875ea36728fc37176c05acd784eb7a73";
    /// A right to act for an account, given or taken.
    SET_AUTHORIZATION = "SetAuthorization(address,address,address,bool)",
        "d5e969f01efe921d3f766bdebad25f0a05e3f237311f56482bf132d0326309c0";
    /// The adaptive curve's new rate at target.
    BORROW_RATE_UPDATE = "BorrowRateUpdate(bytes32,uint256,uint256)",
        "7120161a7b3d31251e01294ab351ef15a41b91659a36032e4641bb89b121e321";
    /// A new pre-liquidation contract.
    CREATE_PRE_LIQUIDATION =
        "CreatePreLiquidation(address,bytes32,(uint256,uint256,uint256,uint256,uint256,address))",
        "c36ddf254f2ae7c3a2c82dc525fed9a804cdaf8102b19b3caa5aeda5afcca382";
    /// A position pre-liquidated; the market reports what that changes.
    PRE_LIQUIDATE = "PreLiquidate(bytes32,address,address,uint256,uint256,uint256)",
        "d5b01f148b35d6069b626af105bf8881bc2e30ee1ce3de4630903abab0ba8580";
}
