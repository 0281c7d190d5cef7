//! Memory that is asked for before it is needed.
//!
//! Temperature: hot.

/// Bytes of a cache line.
#[cfg(target_arch = "x86_64")]
const LINE_BYTES: usize = 64;

/// Asks memory for all of a value, and waits for nothing. Nothing is read.
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "a hint, which may name any address")]
#[inline]
pub(crate) fn prefetch<T>(value: &T) {
    use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    let start = core::ptr::from_ref(value).cast::<i8>();
    for line in 0..=size_of::<T>() / LINE_BYTES {
        // SAFETY: a prefetch of any address does nothing but that; it faults never.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(line * LINE_BYTES)) }
    }
}

/// Other processors look ahead by themselves.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
pub(crate) const fn prefetch<T>(_value: &T) {}
