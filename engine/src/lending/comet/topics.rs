//! The topics of Comet's events: the keccak of each event's signature.
//!
//! A test computes every one of them.
//!
//! Temperature: hot.

use crate::decode::topics::topics;

topics! {
    /// Base tokens supplied, or a debt repaid.
    SUPPLY = "Supply(address,address,uint256)",
        "d1cf3d156d5f8f0d50f6c122ed609cec09d35c9b9fb3fff6ea0959134dae424e";
    /// Base tokens withdrawn, or borrowed.
    WITHDRAW = "Withdraw(address,address,uint256)",
        "9b1bfa7fa9ee420a16e124f794c35ac9f90472acc99140eb2f6447c714cad8eb";
    /// The positive part of a move of base tokens, from or to zero.
    TRANSFER = "Transfer(address,address,uint256)",
        "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef";
    /// Collateral put in.
    SUPPLY_COLLATERAL = "SupplyCollateral(address,address,address,uint256)",
        "fa56f7b24f17183d81894d3ac2ee654e3c26388d17a28dbd9549b8114304e1f4";
    /// Collateral moved to another account.
    TRANSFER_COLLATERAL = "TransferCollateral(address,address,address,uint256)",
        "29db89d45e1a802b4d55e202984fce9faf1d30aedf86503ff1ea0ed9ebb64201";
    /// Collateral taken out.
    WITHDRAW_COLLATERAL = "WithdrawCollateral(address,address,address,uint256)",
        "d6d480d5b3068db003533b170d67561494d72e3bf9fa40a266471351ebba9e16";
    /// A debt that became the protocol's.
    ABSORB_DEBT = "AbsorbDebt(address,address,uint256,uint256)",
        "1547a878dc89ad3c367b6338b4be6a65a5dd74fb77ae044da1e8747ef1f4f62f";
    /// Collateral that became the protocol's.
    ABSORB_COLLATERAL = "AbsorbCollateral(address,address,address,uint256,uint256)",
        "9850ab1af75177e4a9201c65a2cf7976d5d28e40ef63494b44366f86b2f9412e";
    /// Collateral that the protocol sold.
    BUY_COLLATERAL = "BuyCollateral(address,address,uint256,uint256)",
        "f891b2a411b0e66a5f0a6ff1368670fefa287a13f541eb633a386a1a9cc7046b";
    /// What is paused from now on.
    PAUSE_ACTION = "PauseAction(bool,bool,bool,bool,bool)",
        "3be39979091ae7ca962aa1c44e645f2df3c221b79f324afa5f44aedc8d2f690d";
    /// Base tokens that the protocol's governor took.
    WITHDRAW_RESERVES = "WithdrawReserves(address,uint256)",
        "ec4431f2ba1a9382f6b0c4352b888cba6f7db91667d9f776abe5ad8ddc5401b6";
    /// Another implementation behind the market's proxy: all of its terms may be others.
    UPGRADED = "Upgraded(address)",
        "bc7cd75a20ee27fd9adebab32041f755214dbc6bffa90cc0225b39da2e5c2d3b";
}
