//! Our own transactions' receipts: what they used, and what the executor gained.
//!
//! Temperature: warm.

use alloy_primitives::{Address, B256, U256};

use super::DecodeError;
use super::log::Log;
use super::topics::{TRANSFER, WITHDRAWAL};
use crate::units::{BlockNumber, Gas, Wei};
use crate::wire::hex;
use crate::wire::json::{self, Scanner, Value};

/// Whose balance of what is followed through a receipt's logs.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    /// The token.
    pub token: Address,
    /// The holder.
    pub holder: Address,
    /// Who gets what the holder sweeps, if that is known: still ours, so no loss.
    pub owner: Option<Address>,
}

/// What a receipt says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Whether it succeeded.
    pub is_success: bool,
    /// Gas used.
    pub gas_used: Gas,
    /// `effectiveGasPrice`.
    pub gas_price: Wei,
    /// The block.
    pub block_hash: B256,
    /// The block's height.
    pub block_number: BlockNumber,
    /// Its place in the block.
    pub index: u32,
    /// Change of the account's balance, in the token's smallest unit.
    pub gained: i128,
}

impl Receipt {
    /// Reads a receipt object, or `None` from `null`: not mined yet.
    ///
    /// # Errors
    /// When a required field is missing or wrong.
    pub fn parse(result: Value<'_>, account: &Account) -> Result<Option<Self>, DecodeError> {
        let span = match result {
            Value::Null => return Ok(None),
            Value::Object(span) => span,
            Value::Str(_) | Value::Number(_) | Value::Bool(_) | Value::Array(_) => {
                return Err(DecodeError::Contradiction);
            }
        };
        let mut scan = Scanner::new(span);
        scan.object()?;
        let (mut status, mut gas_used, mut gas_price) = (None, None, None);
        let (mut block_hash, mut block_number) = (None, None);
        let (mut index, mut gained) = (None, 0);
        while let Some(key) = scan.next_key()? {
            match key {
                b"status" => status = Some(quantity(scan.value()?)? == 1),
                b"gasUsed" => gas_used = u64::try_from(quantity(scan.value()?)?).ok().map(Gas),
                b"effectiveGasPrice" => gas_price = Some(Wei(quantity(scan.value()?)?)),
                b"blockHash" => {
                    let text = scan.value()?.scalar().and_then(|text| hex::fixed(text).ok());
                    block_hash = text.map(B256::new);
                }
                b"blockNumber" => {
                    let number = u64::try_from(quantity(scan.value()?)?).ok();
                    block_number = number.map(BlockNumber);
                }
                b"transactionIndex" => index = u32::try_from(quantity(scan.value()?)?).ok(),
                b"logs" => gained = gained_in(scan.token()?, account)?,
                _ => scan.skip()?,
            }
        }
        let receipt = (|| {
            Some(Self {
                is_success: status?,
                gas_used: gas_used?,
                gas_price: gas_price?,
                block_hash: block_hash?,
                block_number: block_number?,
                index: index?,
                gained,
            })
        })();
        receipt.map(Some).ok_or(DecodeError::Contradiction)
    }
}

/// What the account gained, less what it lost, by these logs.
fn gained_in(logs: &[u8], account: &Account) -> Result<i128, DecodeError> {
    let holder = account.holder.into_word();
    let owner = account.owner.map(|owner| owner.into_word());
    let mut gained = 0_i128;
    for item in json::items(logs)? {
        let log = Log::parse(item?)?;
        if log.address != account.token {
            continue;
        }
        let topics = &log.topics[..log.topics.len().min(usize::from(log.topic_count))];
        let (from, to) = match *topics {
            [TRANSFER, from, to] if from == holder && owner == Some(to) => continue,
            [TRANSFER, from, to] => (from == holder, to == holder),
            [WITHDRAWAL, from] => (from == holder, false),
            _ => continue,
        };
        if from == to {
            continue;
        }
        let amount = i128::try_from(log.word(0)?).map_err(|_beyond| DecodeError::Contradiction)?;
        let change = if to { amount } else { -amount };
        gained = gained.checked_add(change).ok_or(DecodeError::Contradiction)?;
    }
    Ok(gained)
}

/// Reads a quantity (`eth_getBalance`, `eth_getTransactionCount`, a word of `eth_call`).
///
/// # Errors
/// When it is no quantity of at most 128 bits.
pub fn quantity(value: Value<'_>) -> Result<u128, DecodeError> {
    let number: Option<U256> = value.scalar().and_then(|text| hex::quantity_u256(text).ok());
    let number = number.and_then(|number| u128::try_from(number).ok());
    number.ok_or(DecodeError::Contradiction)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLDER: Address = Address::repeat_byte(0xee);
    const TOKEN: Address = Address::repeat_byte(0x77);
    const OWNER: Address = Address::repeat_byte(0x0f);

    fn log(index: u32, topics: &[B256], amount: u128) -> alloc::string::String {
        let topics: alloc::vec::Vec<_> =
            topics.iter().map(|topic| alloc::format!("\"{topic}\"")).collect();
        alloc::format!(
            r#"{{"address":"{TOKEN:#x}","topics":[{}],"data":"0x{amount:064x}","blockHash":"{:#x}",
            "blockNumber":"0x2","transactionHash":"{:#x}","transactionIndex":"0x1",
            "logIndex":"{index:#x}","removed":false}}"#,
            topics.join(","),
            B256::repeat_byte(1),
            B256::repeat_byte(2)
        )
    }

    #[test]
    fn what_the_executor_gained_is_transfers_in_less_transfers_and_withdrawals_out() {
        let (me, other) = (HOLDER.into_word(), Address::ZERO.into_word());
        let logs = [
            log(0, &[TRANSFER, other, me], 1_000),
            log(1, &[TRANSFER, me, other], 300),
            log(2, &[TRANSFER, other, other], 9_999),
            log(3, &[WITHDRAWAL, me], 50),
            log(4, &[TRANSFER, me, me], 7),
            log(5, &[TRANSFER, me, OWNER.into_word()], 600),
        ]
        .join(",");
        let json = alloc::format!(
            r#"{{"status":"0x1","gasUsed":"0x5208","effectiveGasPrice":"0x3b9aca00",
            "transactionIndex":"0x4","blockNumber":"0x2","blockHash":"{:#x}","logs":[{logs}]}}"#,
            B256::repeat_byte(1)
        );
        let account = Account { token: TOKEN, holder: HOLDER, owner: Some(OWNER) };
        let receipt = Receipt::parse(Value::Object(json.as_bytes()), &account).unwrap().unwrap();
        assert_eq!(receipt.gained, 650);
        assert_eq!((receipt.gas_used, receipt.index), (Gas(21_000), 4));
        assert!(receipt.is_success);
    }

    #[test]
    fn a_transaction_that_is_not_mined_has_no_receipt() {
        let account = Account { token: TOKEN, holder: HOLDER, owner: Some(OWNER) };
        assert_eq!(Receipt::parse(Value::Null, &account), Ok(None));
    }

    #[test]
    fn half_a_receipt_is_an_error() {
        let account = Account { token: TOKEN, holder: HOLDER, owner: Some(OWNER) };
        assert!(Receipt::parse(Value::Object(br#"{"status":"0x1"}"#), &account).is_err());
    }
}
