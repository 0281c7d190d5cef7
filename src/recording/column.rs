//! Columns of a recording: how a value is written, and from which types it is read.
//!
//! Written are the types of cryo's data sets. Read are also those that other builds of it write:
//! wider or narrower numbers, `binary` for `large_binary`, hexadecimal text for bytes.
//!
//! Temperature: cold.
#![expect(clippy::wildcard_enum_match_arm, reason = "arrow has many types that are none of ours")]

use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use alloy_primitives::{Address, B256, Bytes, U256, hex};
use arrow_array::builder::{LargeStringBuilder, ListBuilder};
use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    ArrowPrimitiveType, Int32Type, Int64Type, TimestampMillisecondType, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Int64Array, LargeBinaryArray, LargeStringArray,
    TimestampMillisecondArray, UInt32Array, UInt64Array,
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
    pub(crate) fn at(row: usize, what: impl Into<String>) -> Self {
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

required!(u32, u64, i64, Height, Millis, bool, B256, Address, U256, Bytes, String, Text<B256>);

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
        whole(column, "wanted 0 or more")
    }
}

impl Whole for i64 {
    fn data_type() -> DataType {
        DataType::Int64
    }

    fn write(values: Vec<Option<Self>>) -> ArrayRef {
        Arc::new(values.into_iter().collect::<Int64Array>())
    }

    fn read(column: &dyn Array) -> Result<Vec<Option<Self>>, Misfit> {
        whole(column, "wanted less than 9223372036854775808")
    }
}

/// Whole numbers, or their text.
fn whole<N>(column: &dyn Array, wanted: &str) -> Result<Vec<Option<N>>, Misfit>
where
    N: FromStr + TryFrom<u8> + TryFrom<u16> + TryFrom<u32> + TryFrom<u64>,
    N: TryFrom<i32> + TryFrom<i64>,
{
    match column.data_type() {
        DataType::UInt8 => numbers::<UInt8Type, N>(column, wanted),
        DataType::UInt16 => numbers::<UInt16Type, N>(column, wanted),
        DataType::UInt32 => numbers::<UInt32Type, N>(column, wanted),
        DataType::UInt64 => numbers::<UInt64Type, N>(column, wanted),
        DataType::Int32 => numbers::<Int32Type, N>(column, wanted),
        DataType::Int64 => numbers::<Int64Type, N>(column, wanted),
        // As data sets of pending transactions have them.
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            numbers::<TimestampMillisecondType, N>(column, wanted)
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => texts(column, |text| {
            text.parse().map_err(|_no_number| format!("found {text:?}; wanted a number"))
        }),
        other => Err(Misfit::whole(format!("is of type {other}; wanted whole numbers"))),
    }
}

fn numbers<T, N>(column: &dyn Array, wanted: &str) -> Result<Vec<Option<N>>, Misfit>
where
    T: ArrowPrimitiveType,
    T::Native: TryInto<N> + Display,
{
    let column = column.as_primitive::<T>();
    let read = |(row, value): (usize, Option<T::Native>)| {
        let whole = |value: T::Native| {
            value.try_into().map_err(|_beyond| Misfit::at(row, format!("found {value}; {wanted}")))
        };
        value.map(whole).transpose()
    };
    column.iter().enumerate().map(read).collect()
}

/// Milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Millis(pub(crate) u64);

impl Whole for Millis {
    fn data_type() -> DataType {
        DataType::Timestamp(TimeUnit::Millisecond, None)
    }

    fn write(values: Vec<Option<Self>>) -> ArrayRef {
        // 2^63 milliseconds are beyond any clock.
        let signed = |time: Self| i64::try_from(time.0).unwrap_or(i64::MAX);
        let values = values.into_iter().map(|value| value.map(signed));
        Arc::new(values.collect::<TimestampMillisecondArray>())
    }

    fn read(column: &dyn Array) -> Result<Vec<Option<Self>>, Misfit> {
        Ok(<u64 as Whole>::read(column)?.into_iter().map(|value| value.map(Self)).collect())
    }
}

/// A value that is written as text; an empty one says that there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Text<T>(pub(crate) T);

/// Values that are written as text, and from which other columns they are read.
macro_rules! spelled {
    ($($type:ty: $wanted:literal, $spell:expr, $other:expr;)+) => {$(
        impl Whole for Text<$type> {
            fn data_type() -> DataType {
                DataType::LargeUtf8
            }

            fn write(values: Vec<Option<Self>>) -> ArrayRef {
                let spell = |Self(value): Self| ($spell)(value);
                let values = values.into_iter().map(|value| value.map(spell));
                Arc::new(values.collect::<LargeStringArray>())
            }

            fn read(column: &dyn Array) -> Result<Vec<Option<Self>>, Misfit> {
                if !matches!(
                    column.data_type(),
                    DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
                ) {
                    let values = $other(column)?.into_iter();
                    return Ok(values.map(|value| value.map(Self)).collect());
                }
                let values = texts(column, |text| match text {
                    "" => Ok(None),
                    text => match text.parse() {
                        Ok(value) => Ok(Some(Self(value))),
                        Err(_) => Err(format!("found {text:?}; wanted {}", $wanted)),
                    },
                });
                Ok(values?.into_iter().map(Option::flatten).collect())
            }
        }
    )+};
}

fn words(column: &dyn Array) -> Result<Vec<Option<U256>>, Misfit> {
    let numbers = <u64 as Whole>::read(column)?.into_iter();
    Ok(numbers.map(|number| number.map(U256::from)).collect())
}

spelled! {
    B256: "32 bytes in hexadecimal digits", |hash| format!("{hash:#x}"), <B256 as Whole>::read;
    Address: "an address", |address| format!("{address:#x}"), <Address as Whole>::read;
    U256: "a number", |number: U256| number.to_string(), words;
    u64: "a number", |number: u64| number.to_string(), <u64 as Whole>::read;
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

/// Several texts.
impl Whole for Vec<String> {
    fn data_type() -> DataType {
        DataType::new_list(DataType::LargeUtf8, true)
    }

    fn write(values: Vec<Option<Self>>) -> ArrayRef {
        let mut list = ListBuilder::new(LargeStringBuilder::new());
        for value in values {
            list.append_option(value.map(|texts| texts.into_iter().map(Some)));
        }
        Arc::new(list.finish())
    }

    fn read(column: &dyn Array) -> Result<Vec<Option<Self>>, Misfit> {
        let within = |(row, items): (usize, Option<ArrayRef>)| {
            let Some(items) = items else { return Ok(None) };
            let texts = texts(&items, |text| Ok(text.to_owned()));
            let texts = texts.map_err(|misfit| Misfit::at(row, misfit.what))?;
            Ok(Some(texts.into_iter().flatten().collect()))
        };
        match column.data_type() {
            DataType::List(_) => column.as_list::<i32>().iter().enumerate().map(within).collect(),
            DataType::LargeList(_) => {
                column.as_list::<i64>().iter().enumerate().map(within).collect()
            }
            _ => texts(column, |text| Ok(text.split_whitespace().map(str::to_owned).collect())),
        }
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
