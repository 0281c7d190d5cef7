//! The tables of a recording, row by row: cryo's columns under cryo's names, and what these lack.
//!
//! Temperature: cold.

use alloy_primitives::{Address, B256, Bytes, U256};
use arrow_array::RecordBatch;
use arrow_schema::{Field, Schema, SchemaRef};
use gannet_engine::decode::head::Head;
use gannet_engine::decode::topics::MOVES;

use super::column::{Cell, Height, Millis, Misfit, Text};

/// A row of a table.
pub(crate) trait Row: Sized {
    /// The table's name, which is that of its folder.
    const TABLE: &'static str;

    /// Its columns.
    fn schema() -> SchemaRef;

    /// Rows as columns.
    ///
    /// # Errors
    /// Arrow's own; columns of one length and type do not fail.
    fn to_batch(rows: Vec<Self>) -> Result<RecordBatch, arrow_schema::ArrowError>;

    /// Columns as rows; columns of other names are passed over.
    ///
    /// # Errors
    /// The column's name, and what is wrong with it.
    fn from_batch(batch: &RecordBatch) -> Result<Vec<Self>, (&'static str, Misfit)>;

    /// The first column in which another row differs.
    fn differs(&self, other: &Self) -> Option<&'static str>;
}

fn read<T: Cell>(
    batch: &RecordBatch,
    name: &'static str,
    absent: impl Fn() -> Option<T>,
) -> Result<std::vec::IntoIter<T>, (&'static str, Misfit)> {
    let values = match batch.column_by_name(name) {
        Some(column) => T::read(column).map_err(|misfit| (name, misfit))?,
        None => {
            let absent = (0..batch.num_rows()).map(|_row| absent());
            let absent = absent.collect::<Option<Vec<_>>>();
            absent.ok_or_else(|| (name, Misfit::whole("is missing")))?
        }
    };
    Ok(values.into_iter())
}

/// Declares a table. A column that other data sets lack says what stands for it, and one whose
/// name is no Rust name says that too.
macro_rules! table {
    (
        $(#[$about:meta])* $row:ident in $table:literal {
            $($(#[$what:meta])* $column:ident $(as $name:literal)?: $type:ty $(= $absent:expr)?,)+
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub(crate) struct $row {
            $($(#[$what])* pub(crate) $column: $type,)+
        }

        impl Row for $row {
            const TABLE: &'static str = $table;

            fn schema() -> SchemaRef {
                SchemaRef::new(Schema::new(vec![$(
                    Field::new(
                        table!(@name $column $($name)?),
                        <$type as Cell>::data_type(),
                        <$type as Cell>::IS_OPTIONAL,
                    ),
                )+]))
            }

            fn to_batch(rows: Vec<Self>) -> Result<RecordBatch, arrow_schema::ArrowError> {
                $(let mut $column = Vec::with_capacity(rows.len());)+
                for row in rows {
                    $($column.push(row.$column);)+
                }
                RecordBatch::try_new(Self::schema(), vec![$(<$type as Cell>::write($column),)+])
            }

            fn from_batch(batch: &RecordBatch) -> Result<Vec<Self>, (&'static str, Misfit)> {
                $(let mut $column = read::<$type>(
                    batch,
                    table!(@name $column $($name)?),
                    || table!(@absent $type $(, $absent)?),
                )?;)+
                let next = |_row| Some(Self { $($column: $column.next()?,)+ });
                Ok((0..batch.num_rows()).filter_map(next).collect())
            }

            fn differs(&self, other: &Self) -> Option<&'static str> {
                $(if self.$column != other.$column {
                    return Some(table!(@name $column $($name)?));
                })+
                None
            }
        }
    };
    (@name $column:ident) => { stringify!($column) };
    (@name $column:ident $name:literal) => { $name };
    (@absent $type:ty) => { None::<$type> };
    (@absent $type:ty, $absent:expr) => { Some::<$type>($absent) };
}

table! {
    /// A block's header. What data sets leave out is none.
    BlockRow in "blocks" {
        block_hash: Option<B256> = None,
        author: Option<Address> = None,
        block_number: Height,
        gas_used: Option<u64> = None,
        extra_data: Option<Bytes> = None,
        timestamp: Option<Height> = None,
        base_fee_per_gas: Option<u64> = None,
        chain_id: u64 = 1,
        parent_hash: Option<B256> = None,
        gas_limit: Option<u64> = None,
        logs_bloom: Option<Bytes> = None,
        receipts_root: Option<B256> = None,
        difficulty: Option<U256> = None,
        mix_hash: Option<B256> = None,
        excess_blob_gas: Option<u64> = None,
        parent_beacon_block_root: Option<B256> = None,
        /// Whether the logs are all that the header's bloom filter speaks of; none where there is
        /// no filter.
        logs_complete: Option<bool> = None,
        /// The whole header's RLP, whose hash is the block's.
        header: Option<Bytes> = None,
        /// The withdrawals' RLP.
        withdrawals: Option<Bytes> = None,
        total_difficulty: Option<U256> = None,
        /// In bytes, as the node gives it: nodes count differently.
        size: Option<u64> = None,
    }
}

impl BlockRow {
    /// A block of which nothing but its height is known.
    pub(crate) const fn unknown(number: u64, chain_id: u64) -> Self {
        Self {
            block_hash: None,
            author: None,
            block_number: Height(number),
            gas_used: None,
            extra_data: None,
            timestamp: None,
            base_fee_per_gas: None,
            chain_id,
            parent_hash: None,
            gas_limit: None,
            logs_bloom: None,
            receipts_root: None,
            difficulty: None,
            mix_hash: None,
            excess_blob_gas: None,
            parent_beacon_block_root: None,
            logs_complete: None,
            header: None,
            withdrawals: None,
            total_difficulty: None,
            size: None,
        }
    }

    /// Whether its logs are said to be there, and there are some.
    pub(crate) fn has_logs(&self) -> bool {
        let bloom = self.logs_bloom.as_ref().filter(|_| self.logs_complete == Some(true));
        bloom.is_some_and(|bloom| bloom.iter().any(|byte| *byte != 0))
    }

    /// A block as far as its head tells of it, without its filter.
    pub(crate) fn of_head(head: &Head, chain_id: u64) -> Self {
        Self {
            block_hash: Some(head.hash),
            author: Some(head.miner),
            gas_used: Some(head.gas_used),
            timestamp: Some(Height(head.timestamp)),
            base_fee_per_gas: head.base_fee.and_then(|fee| u64::try_from(fee).ok()),
            parent_hash: Some(head.parent_hash),
            gas_limit: Some(head.gas_limit),
            ..Self::unknown(head.number, chain_id)
        }
    }
}

table! {
    /// A transaction, and what came of it.
    TransactionRow in "transactions" {
        block_number: Height,
        transaction_index: u64,
        transaction_hash: B256,
        nonce: Option<u64> = None,
        from_address: Option<Address> = None,
        to_address: Option<Address> = None,
        value_binary: Option<U256> = None,
        input: Option<Bytes> = None,
        gas_limit: Option<u64> = None,
        gas_used: Option<u64> = None,
        gas_price: Option<u64> = None,
        transaction_type: Option<u32> = None,
        max_priority_fee_per_gas: Option<u64> = None,
        max_fee_per_gas: Option<u64> = None,
        success: Option<bool> = None,
        chain_id: u64 = 1,
        /// EIP-2718 bytes.
        raw: Option<Bytes> = None,
        blob_gas_used: Option<u64> = None,
        blob_gas_price: Option<u64> = None,
    }
}

table! {
    /// An event log as it is kept.
    LogColumns in "logs" {
        block_number: Height,
        transaction_index: u32,
        log_index: u32,
        transaction_hash: B256,
        address: Address,
        topic0: Option<B256> = None,
        topic1: Option<B256> = None,
        topic2: Option<B256> = None,
        topic3: Option<B256> = None,
        data: Option<Bytes> = None,
        chain_id: u64 = 1,
        block_hash: Option<B256> = None,
        removed: bool = false,
    }
}

table! {
    /// An account before a block, as far as it is known.
    AccountRow in "accounts" {
        block_number: Height,
        address: Address,
        balance: U256,
        nonce: u64,
        code_hash: Option<B256>,
    }
}

table! {
    /// A slot of an account's storage before a block.
    StorageRow in "storage" {
        block_number: Height,
        address: Address,
        slot: U256,
        value: U256,
    }
}

table! {
    /// A contract's code.
    CodeRow in "codes" {
        code_hash: B256,
        code: Bytes,
    }
}

table! {
    /// The hash of an earlier block that a block asks for.
    BlockHashRow in "block_hashes" {
        block_number: Height,
        number: u64,
        hash: B256,
    }
}

table! {
    /// A pool before a block: what a segment starts from where no account's storage is known.
    PoolRow in "pools" {
        block_number: Height,
        address: Address,
        /// `constant_product`, `concentrated`, `solidly_volatile` or `solidly_stable`.
        kind: String,
        token0: Address,
        token1: Address,
        /// In millionths of what is paid in.
        fee_pips: u32,
        reserve0: Option<U256>,
        reserve1: Option<U256>,
        /// Of solidly's: those of its tokens.
        decimals0: Option<u32>,
        decimals1: Option<u32>,
        /// Q64.96.
        sqrt_price: Option<U256>,
        tick: Option<i64>,
        liquidity: Option<U256>,
        tick_spacing: Option<u32>,
    }
}

table! {
    /// A tick of a concentrated pool before a block; all that are initialised are there.
    TickRow in "ticks" {
        block_number: Height,
        pool: Address,
        tick: i64,
        /// Liquidity that comes in when the price rises through it, in decimal digits.
        net: String,
        gross: U256,
    }
}

table! {
    /// An input of a run, in the order in which the engine saw them.
    ArrivalRow in "arrivals" {
        seq: u64,
        /// By the run's own clock.
        received_ns: u64,
        /// frame, truncated, tick, link, order, or gap: inputs that were lost.
        kind: String,
        node: Option<u32> = None,
        source: Option<String> = None,
        /// Of a frame, whether more was behind it; of a link, whether it came up.
        flag: Option<bool> = None,
        bytes: Option<Bytes> = None,
    }
}

table! {
    /// A sighting of a pending transaction, under mempool-dumpster's names and in its types. What
    /// data sets leave out is none.
    MempoolRow in "mempool" {
        timestamp: Millis,
        hash: Text<B256>,
        chain_id as "chainId": Option<Text<u64>> = None,
        tx_type as "txType": Option<i64> = None,
        from: Option<Text<Address>> = None,
        /// None if it makes a contract.
        to: Option<Text<Address>> = None,
        value: Option<Text<U256>> = None,
        nonce: Option<Text<u64>> = None,
        gas: Option<Text<u64>> = None,
        gas_price as "gasPrice": Option<Text<U256>> = None,
        gas_tip_cap as "gasTipCap": Option<Text<U256>> = None,
        gas_fee_cap as "gasFeeCap": Option<Text<U256>> = None,
        data_size as "dataSize": Option<i64> = None,
        data_four_bytes as "data4Bytes": Option<String> = None,
        sources: Option<Vec<String>> = None,
        /// 0 if it was in no block when the data set was made.
        included_at_block_height as "includedAtBlockHeight": Option<i64> = None,
        included_block_timestamp as "includedBlockTimestamp": Option<Millis> = None,
        /// Negative if it was in a block before it was seen.
        inclusion_delay_ms as "inclusionDelayMs": Option<i64> = None,
        /// EIP-2718 bytes, without a blob transaction's sidecar.
        raw_tx as "rawTx": Option<Bytes> = None,
    }
}

table! {
    /// Which chain the rows of a data set are of.
    ChainRow in "" {
        chain_id: u64,
    }
}

table! {
    /// What data sets may say with a transaction about its block.
    HomeRow in "" {
        block_hash: Option<B256> = None,
        timestamp: Option<Height> = None,
    }
}

table! {
    /// A plan of a backtest. Amounts are decimal text, for they have more than 64 bits.
    PlanRow in "plans" {
        block_number: Height,
        planned_at: Height,
        timestamp: Height,
        strategy: String,
        outcome: String,
        why: String,
        /// In the order of the trade, with spaces between.
        pools: String,
        amount_in: String,
        profit_token: Address,
        profit: String,
        gained: Option<String>,
        /// After gas, in wei.
        net_wei: Option<String>,
        gas_used: u64,
        executed: bool,
        follows: Option<B256>,
        rival: Option<B256>,
        /// Whom it liquidates, and in which contract.
        borrower: Option<Address>,
        market: Option<Address>,
    }
}

/// An event log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogRow {
    pub(crate) block_number: u64,
    pub(crate) transaction_index: u32,
    pub(crate) log_index: u32,
    pub(crate) transaction_hash: B256,
    pub(crate) address: Address,
    pub(crate) topics: Vec<B256>,
    pub(crate) data: Bytes,
}

impl LogRow {
    /// Whether its event moves a pool.
    pub(crate) fn is_move(&self) -> bool {
        self.topics.first().is_some_and(|topic| MOVES.contains(topic))
    }

    /// As it is kept.
    pub(crate) fn to_columns(&self, chain_id: u64, block_hash: Option<B256>) -> LogColumns {
        let topic = |place: usize| self.topics.get(place).copied();
        LogColumns {
            block_number: Height(self.block_number),
            transaction_index: self.transaction_index,
            log_index: self.log_index,
            transaction_hash: self.transaction_hash,
            address: self.address,
            topic0: topic(0),
            topic1: topic(1),
            topic2: topic(2),
            topic3: topic(3),
            data: Some(self.data.clone()),
            chain_id,
            block_hash,
            removed: false,
        }
    }
}

impl From<LogColumns> for LogRow {
    fn from(columns: LogColumns) -> Self {
        let LogColumns { topic0, topic1, topic2, topic3, .. } = columns;
        Self {
            block_number: columns.block_number.0,
            transaction_index: columns.transaction_index,
            log_index: columns.log_index,
            transaction_hash: columns.transaction_hash,
            address: columns.address,
            topics: [topic0, topic1, topic2, topic3].into_iter().map_while(|topic| topic).collect(),
            data: columns.data.unwrap_or_default(),
        }
    }
}
