//! The topics of a market's events: the keccak of each event's signature.
//!
//! A test computes every one of them.
//!
//! Temperature: hot.

use crate::decode::topics::topics;

topics! {
    RESERVE_DATA = "ReserveDataUpdated(address,uint256,uint256,uint256,uint256,uint256)",
        "804c9b842b2748a22bb64b345453a3de7ca54a6ca45ce00d415894979e22897a";
    COLLATERAL_ENABLED = "ReserveUsedAsCollateralEnabled(address,address)",
        "00058a56ea94653cdf4f152d227ace22d4c00ad99e2a43f58cb7d9e3feb295f2";
    COLLATERAL_DISABLED = "ReserveUsedAsCollateralDisabled(address,address)",
        "44c58d81365b66dd4b1a7f36c25aa97b8c71c361ee4937adc1a00000227db5dd";
    USER_EMODE_SET = "UserEModeSet(address,uint8)",
        "d728da875fc88944cbf17638bcbe4af0eedaef63becd1d1c57cc097eb4608d84";
    SUPPLY = "Supply(address,address,address,uint256,uint16)",
        "2b627736bca15cd5381dcf80b0bf11fd197d01a037c52b927a881a10fb73ba61";
    WITHDRAW = "Withdraw(address,address,address,uint256)",
        "3115d1449a7b732c986cba18244e897a450f61e1bb8d589cd2e69e6c8924f9f7";
    BORROW = "Borrow(address,address,address,uint256,uint8,uint256,uint16)",
        "b3d084820fb1a9decffb176436bd02558d15fac9b0ddfed8c465bc7359d7dce0";
    REPAY = "Repay(address,address,address,uint256,bool)",
        "a534c8dbe71f871f9f3530e97a74601fea17b426cae02e1c5aee42c96c784051";
    LIQUIDATION_CALL = "LiquidationCall(address,address,address,uint256,uint256,address,bool)",
        "e413a321e8681d831f4dbccbca790d2952b56f977908e45be37335533e005286";
    MINTED_TO_TREASURY = "MintedToTreasury(address,uint256)",
        "bfa21aa5d5f9a1f0120a95e7c0749f389863cbdbfff531aa7339077a5bc919de";
    DEFICIT_CREATED = "DeficitCreated(address,address,uint256)",
        "2bccfb3fad376d59d7accf970515eb77b2f27b082c90ed0fb15583dd5a942699";
    DEFICIT_COVERED = "DeficitCovered(address,address,uint256)",
        "84b203e49f1a4b553088061534231969a68ad1c81be192205e96d23a206cb26a";
    MINT = "Mint(address,address,uint256,uint256,uint256)",
        "458f5fa412d0f69b08dd84872b0215675cc67bc1d5b6fd93300a1c3878b86196";
    BURN = "Burn(address,address,uint256,uint256,uint256)",
        "4cf25bc1d991c17529c25213d3cc0cda295eeaad5f13f361969b12ea48015f90";
    BALANCE_TRANSFER = "BalanceTransfer(address,address,uint256,uint256)",
        "4beccb90f994c31aced7a23b5611020728a23d8ec5cddd1a3e9d97b96fda8666";
    RESERVE_INITIALIZED = "ReserveInitialized(address,address,address,address,address)",
        "3a0ca721fc364424566385a1aa271ed508cc2c0949c2272575fb3013a163a45f";
    COLLATERAL_CONFIGURATION = "CollateralConfigurationChanged(address,uint256,uint256,uint256)",
        "637febbda9275aea2e85c0ff690444c8d87eb2e8339bbede9715abcc89cb0995";
    RESERVE_ACTIVE = "ReserveActive(address,bool)",
        "c36c7d11ba01a5869d52aa4a3781939dab851cbc9ee6e7fdcedc7d58898a3f1e";
    RESERVE_FROZEN = "ReserveFrozen(address,bool)",
        "0c4443d258a350d27dc50c378b2ebf165e6469725f786d21b30cab16823f5587";
    RESERVE_PAUSED = "ReservePaused(address,bool)",
        "e188d542a5f11925d3a3af33703cdd30a43cb3e8066a3cf68b1b57f61a5a94b5";
    PROTOCOL_FEE = "LiquidationProtocolFeeChanged(address,uint256,uint256)",
        "b5b0a963825337808b6e3154de8e98027595a5cad4219bb3a9bc55b192f4b391";
    GRACE_CHANGED = "LiquidationGracePeriodChanged(address,uint40)",
        "df4f96448786bcd6fecc9f1fa25f1fbbbee6a5c9e76d635a615ac57bb5983d10";
    GRACE_DISABLED = "LiquidationGracePeriodDisabled(address)",
        "1df36dc1651d06d990805068d22811a3a9ca4396190787ef59f9102e61868fff";
    CATEGORY_ADDED = "EModeCategoryAdded(uint8,uint256,uint256,uint256,address,string)",
        "0acf8b4a3cace10779798a89a206a0ae73a71b63acdd3be2801d39c2ef7ab3cb";
    CATEGORY_COLLATERAL = "AssetCollateralInEModeChanged(address,uint8,bool)",
        "79409190108b26fcb0e4570f8e240f627bf18fd01a55f751010224d5bd486098";
    ASSET_CATEGORY = "EModeAssetCategoryChanged(address,uint8,uint8)",
        "5bb69795b6a2ea222d73a5f8939c23471a1f85a99c7ca43c207f1b71f10c6264";
    CATEGORY_ISOLATION = "EModeCategoryIsolationChanged(uint8,bool)",
        "ea07f8a4f488dcc1dc8c27b9c526ac8ba2d04b8024e206616f306c51d9b16826";
    ASSET_SOURCE = "AssetSourceUpdated(address,address)",
        "22c5b7b2d8561d39f7f210b6b326a1aa69f15311163082308ac4877db6339dc1";
    FALLBACK_ORACLE = "FallbackOracleUpdated(address)",
        "ce7a780d33665b1ea097af5f155e3821b809ecbaa839d3b33aa83ba28168cefb";
    PRICE_ORACLE = "PriceOracleUpdated(address,address)",
        "56b5f80d8cac1479698aa7d01605fd6111e90b15fc4d2b377417f46034876cbd";
    POOL_UPDATED = "PoolUpdated(address,address)",
        "90affc163f1a2dfedcd36aa02ed992eeeba8100a4014f0b4cdc20ea265a66627";
    UPGRADED = "Upgraded(address)",
        "bc7cd75a20ee27fd9adebab32041f755214dbc6bffa90cc0225b39da2e5c2d3b";
}
