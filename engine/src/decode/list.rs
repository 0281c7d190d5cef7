//! A block's logs as a node lists them: the answer to `eth_getLogs`, or the receipts of all its
//! transactions (`transactionReceipts`, one notification a block). Or as a recording does, read.
//!
//! Temperature: warm.

use alloy_primitives::B256;

use super::DecodeError;
use super::log::Log;
use crate::wire::hex;
use crate::wire::json::{self, Scanner};

/// A list, as it came.
#[derive(Clone, Copy, Debug)]
pub enum List<'a> {
    /// A JSON array of logs.
    Logs(&'a [u8]),
    /// A JSON array of receipts, each with its logs.
    Receipts(&'a [u8]),
    /// Logs that are read already.
    Rows(&'a Rows<'a>),
}

/// Logs that are read already: of a recording's columns.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// Those of contracts that whoever reads follows, in order; others need not be there.
    pub logs: &'a [Log<'a>],
    /// Whether the block has no log at all.
    pub is_empty: bool,
}

impl<'a> List<'a> {
    /// Calls `visit` with each log, in order.
    ///
    /// # Errors
    /// When it is no such list, and what `visit` returns.
    pub fn each(
        self,
        mut visit: impl FnMut(&Log<'a>) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        match self {
            Self::Logs(logs) => visit_logs(logs, &mut visit),
            Self::Receipts(receipts) => {
                for receipt in json::items(receipts)? {
                    let mut scan = Scanner::new(receipt?);
                    scan.object()?;
                    while let Some(key) = scan.next_key()? {
                        match key {
                            b"logs" => visit_logs(scan.token()?, &mut visit)?,
                            _ => scan.skip()?,
                        }
                    }
                }
                Ok(())
            }
            Self::Rows(rows) => rows.logs.iter().try_for_each(visit),
        }
    }
}

fn visit_logs<'a>(
    logs: &'a [u8],
    visit: &mut impl FnMut(&Log<'a>) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    for item in json::items(logs)? {
        visit(&Log::parse(item?)?)?;
    }
    Ok(())
}

/// The block that these receipts are of, by the first of them; `None` if there are none.
///
/// # Errors
/// When it is no array of receipts.
pub fn block_of(receipts: &[u8]) -> Result<Option<B256>, DecodeError> {
    let Some(first) = json::items(receipts)?.next() else { return Ok(None) };
    let mut scan = Scanner::new(first?);
    scan.object()?;
    while let Some(key) = scan.next_key()? {
        if key == b"blockHash" {
            let hash = scan.value()?.scalar().and_then(|text| hex::fixed(text).ok());
            return hash.map(|hash| Some(B256::new(hash))).ok_or(DecodeError::Contradiction);
        }
        scan.skip()?;
    }
    Err(DecodeError::Contradiction)
}

#[cfg(test)]
mod tests {
    use std::format;
    use std::string::String;
    use std::vec::Vec;

    use super::*;

    fn log(index: u32) -> String {
        let hash = B256::repeat_byte(7);
        format!(
            r#"{{"address":"0x1111111111111111111111111111111111111111","topics":[],"data":"0x",
            "blockNumber":"0x1","blockHash":"{hash}","transactionHash":"{hash}",
            "transactionIndex":"0x0","logIndex":"{index:#x}","removed":false}}"#
        )
    }

    fn indices(list: List<'_>) -> Result<Vec<u32>, DecodeError> {
        let mut indices = Vec::new();
        list.each(|log| {
            indices.push(log.log_index);
            Ok(())
        })?;
        Ok(indices)
    }

    #[test]
    fn both_lists_give_the_same_logs() {
        let hash = B256::repeat_byte(9);
        let logs = format!("[{},{}]", log(0), log(1));
        let receipts = format!(
            r#"[{{"status":"0x1","blockHash":"{hash}","logs":[{}]}},{{"logs":[]}},
            {{"logs":[{}],"gasUsed":"0x1"}}]"#,
            log(0),
            log(1)
        );
        assert_eq!(indices(List::Logs(logs.as_bytes())), Ok([0, 1].into()));
        assert_eq!(indices(List::Receipts(receipts.as_bytes())), Ok([0, 1].into()));
        assert_eq!(block_of(receipts.as_bytes()), Ok(Some(hash)));
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for text in ["{}", "[1]", r#"[{"logs":1}]"#, r#"[{"logs":[{}]}]"#] {
            assert!(indices(List::Receipts(text.as_bytes())).is_err(), "{text}");
        }
        assert_eq!(block_of(b"[]"), Ok(None));
        assert!(block_of(br#"[{"logs":[]}]"#).is_err());
        assert!(block_of(br#"[{"blockHash":"0x12"}]"#).is_err());
    }
}
