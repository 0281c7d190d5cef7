//! Columns of a recording: how a value is written, and from which types it is read.
//!
//! Written are the types of cryo's data sets. Read are also those that other builds of it write:
//! wider or narrower numbers, `binary` for `large_binary`, hexadecimal text for bytes.
//!
//! Temperature: cold.
#![expect(clippy::wildcard_enum_match_arm, reason = "arrow has many types that are none of ours")]

use std::sync::Arc;

use alloy_primitives::{Address, B256, Bytes, U256, hex};
use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    ArrowPrimitiveType, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{
    Array, ArrayRef, BooleanArray, LargeBinaryArray, LargeStringArray, UInt32Array, UInt64Array,
};
use arrow_schema::{DataType, TimeUnit};

/// A cell that is not what its column says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Misfit {
    /// Its row, from 0; none if the whole column does not fit.
    pub(crate) row: Option<usize>,
    pub(crate) what: String,
}

impl Misfit {
    fn at(row: usize, what: impl Into<String>) -> Self {
        Self { row: Some(row), what: what.into() }
    }

    pub(crate) fn whole(what: impl Into<String>) -> Self {
        Self { row: None, what: what.into() }
    }
}

/// What a column holds.
pub(crate) trait Cell: Sized {
    /// The type that is written.
    fn data_type() -> DataType;

    /// Whether the column may be absent, or have holes.
    const IS_OPTIONAL: bool = false;

    /// The values as a column.
    fn write(values: Vec<Self>) -> ArrayRef;

    /// The column's values.
    ///
    /// # Errors
    /// The first cell that is no such value.
    fn read(column: &dyn Array) -> Result<Vec<Self>, Misfit>;
}

/// What stands in a cell, or nothing; the values' types say which.
trait Whole: Sized {
    fn data_type() -> DataType;
    fn write(values: Vec<Option<Self>>) -> ArrayRef;
    fn read(column: &dyn Array) -> Result<Vec<Option<Self>>, Misfit>;
}

impl<T: Whole> Cell for Option<T> {
    const IS_OPTIONAL: bool = true;

    fn data_type() -> DataType {
        T::data_type()
    }

    fn write(values: Vec<Self>) -> ArrayRef {
        T::write(values)
    }

    fn read(column: &dyn Array) -> Result<Vec<Self>, Misfit> {
        T::read(column)
    }
}

/// A cell that must hold something.
macro_rules! required {
    ($($type:ty),+) => {$(
        impl Cell for $type {
            fn data_type() -> DataType {
                <Self as Whole>::data_type()
            }

            fn write(values: Vec<Self>) -> ArrayRef {
                <Self as Whole>::write(values.into_iter().map(Some).collect())
            }

            fn read(column: &dyn Array) -> Result<Vec<Self>, Misfit> {
                let values = <Self as Whole>::read(column)?.into_iter().enumerate();
                let values = values.map(|(row, value)| {
                    value.ok_or_else(|| Misfit::at(row, "found nothing; wanted a value"))
                });
                values.collect()
            }
        }
    )+};
}

required!(u32, u64, Height, bool, B256, Address, U256, Bytes, String);

/// A block's height, or its time in seconds: cryo gives them 32 bits, so they are read from any
/// and written as these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Height(pub(crate) u64);

impl Whole for Height {
    fn data_type() -> DataType {
        DataType::UInt32
    }

    fn write(values: Vec<Option<Self>>) -> ArrayRef {
        // 2^32 blocks, or seconds, are beyond the year 2100.
        let narrow = |height: Self| u32::try_from(height.0).unwrap_or(u32::MAX);
        let values = values.into_iter().map(|value| value.map(narrow));
        Arc::new(values.collect::<UInt32Array>())
    }

    fn read(column: &dyn Array) -> Result<Vec<Option<Self>>, Misfit> {
        Ok(<u64 as Whole>::read(column)?.into_iter().map(|value| value.map(Self)).collect())
    }
}

impl Whole for u32 {
    fn data_type() -> DataType {
        DataType::UInt32
    }

    fn write(values: Vec<Option<Self>>) -> ArrayRef {
        Arc::new(values.into_iter().collect::<UInt32Array>())
    }

    fn read(column: &dyn Array) -> Result<Vec<Option<Self>>, Misfit> {
        let values = <u64 as Whole>::read(column)?.into_iter().enumerate();
        let narrow = |(row, value): (usize, Option<u64>)| {
            let narrow = |value: u64| {
                let wanted = "wanted less than 4294967296";
                Self::try_from(value)
                    .map_err(|_too_large| Misfit::at(row, format!("found {value}; {wanted}")))
            };
            value.map(narrow).transpose()
        };
        values.map(narrow).collect()
    }
}

impl Whole for u64 {
    fn data_type() -> DataType {
        DataType::UInt64
    }

    fn write(values: Vec<Option<Self>>) -> ArrayRef {
        Arc::new(values.into_iter().collect::<UInt64Array>())
    }

    fn read(column: &dyn Array) -> Result<Vec<Option<Self>>, Misfit> {
        match column.data_type() {
            DataType::UInt8 => numbers::<UInt8Type>(column),
            DataType::UInt16 => numbers::<UInt16Type>(column),
            DataType::UInt32 => numbers::<UInt32Type>(column),
            DataType::UInt64 => numbers::<UInt64Type>(column),
            DataType::Int32 => numbers::<Int32Type>(column),
            DataType::Int64 => numbers::<Int64Type>(column),
            // Milliseconds, as data sets of pending transactions have them.
            DataType::Timestamp(TimeUnit::Millisecond, _) => {
                numbers::<arrow_array::types::TimestampMillisecondType>(column)
            }
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => texts(column, |text| {
                text.parse().map_err(|_no_number| format!("found {text:?}; wanted a number"))
            }),
            other => Err(Misfit::whole(format!("is of type {other}; wanted whole numbers"))),
        }
    }
}

fn numbers<T: ArrowPrimitiveType>(column: &dyn Array) -> Result<Vec<Option<u64>>, Misfit>
where
    T::Native: TryInto<u64> + std::fmt::Display,
{
    let column = column.as_primitive::<T>();
    let read = |(row, value): (usize, Option<T::Native>)| {
        let whole = |value: T::Native| {
            let negative = |_negative| Misfit::at(row, format!("found {value}; wanted 0 or more"));
            value.try_into().map_err(negative)
        };
        value.map(whole).transpose()
    };
    column.iter().enumerate().map(read).collect()
}

impl Whole for bool {
    fn data_type() -> DataType {
        DataType::Boolean
    }

    fn write(values: Vec<Option<Self>>) -> ArrayRef {
        Arc::new(values.into_iter().collect::<BooleanArray>())
    }

    fn read(column: &dyn Array) -> Result<Vec<Option<Self>>, Misfit> {
        match column.as_boolean_opt() {
            Some(column) => Ok(column.iter().collect()),
            None => {
                let found = column.data_type();
                Err(Misfit::whole(format!("is of type {found}; wanted true or false")))
            }
        }
    }
}

impl Whole for String {
    fn data_type() -> DataType {
        DataType::LargeUtf8
    }

    fn write(values: Vec<Option<Self>>) -> ArrayRef {
        Arc::new(values.into_iter().collect::<LargeStringArray>())
    }

    fn read(column: &dyn Array) -> Result<Vec<Option<Self>>, Misfit> {
        texts(column, |text| Ok(text.to_owned()))
    }
}

fn texts<T>(
    column: &dyn Array,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<Option<T>>, Misfit> {
    let read = |(row, value): (usize, Option<&str>)| {
        value.map(&read).transpose().map_err(|what| Misfit::at(row, what))
    };
    match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().iter().enumerate().map(read).collect(),
        DataType::LargeUtf8 => column.as_string::<i64>().iter().enumerate().map(read).collect(),
        DataType::Utf8View => column.as_string_view().iter().enumerate().map(read).collect(),
        other => Err(Misfit::whole(format!("is of type {other}; wanted text"))),
    }
}

fn bytes<T>(
    column: &dyn Array,
    read: impl Fn(&[u8]) -> Result<T, String>,
) -> Result<Vec<Option<T>>, Misfit> {
    let raw = |(row, value): (usize, Option<&[u8]>)| {
        value.map(&read).transpose().map_err(|what| Misfit::at(row, what))
    };
    match column.data_type() {
        DataType::Binary => column.as_binary::<i32>().iter().enumerate().map(raw).collect(),
        DataType::LargeBinary => column.as_binary::<i64>().iter().enumerate().map(raw).collect(),
        DataType::BinaryView => column.as_binary_view().iter().enumerate().map(raw).collect(),
        DataType::FixedSizeBinary(_) => {
            column.as_fixed_size_binary().iter().enumerate().map(raw).collect()
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => texts(column, |text| {
            let bytes = hex::decode(text)
                .map_err(|_no_hex| format!("found {text:?}; wanted hexadecimal digits"))?;
            read(&bytes)
        }),
        other => Err(Misfit::whole(format!("is of type {other}; wanted bytes"))),
    }
}

/// Values that are written as bytes.
macro_rules! bytes {
    ($($type:ty: $read:expr, $write:expr;)+) => {$(
        impl Whole for $type {
            fn data_type() -> DataType {
                DataType::LargeBinary
            }

            fn write(values: Vec<Option<Self>>) -> ArrayRef {
                let values = values.into_iter().map(|value| value.map($write));
                Arc::new(values.collect::<LargeBinaryArray>())
            }

            fn read(column: &dyn Array) -> Result<Vec<Option<Self>>, Misfit> {
                bytes(column, $read)
            }
        }
    )+};
}

bytes! {
    B256: |bytes| Self::try_from(bytes).map_err(|_length| sized(bytes, "32")), |hash: Self| hash.0;
    Address: |bytes| Self::try_from(bytes).map_err(|_length| sized(bytes, "20")),
        |address: Self| address.0.0;
    U256: |bytes| Self::try_from_be_slice(bytes).ok_or_else(|| sized(bytes, "at most 32")),
        |word: Self| word.to_be_bytes::<32>();
    Bytes: |bytes| Ok(Self::copy_from_slice(bytes)), |bytes: Self| bytes.0;
}

fn sized(bytes: &[u8], wanted: &str) -> String {
    format!("found {} bytes; wanted {wanted}", bytes.len())
}
