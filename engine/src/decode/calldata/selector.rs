//! Functions by their selectors.
//!
//! Temperature: hot.

/// An enum of functions, and what is known of each: its signature, and the selector that is its
/// hash.
macro_rules! functions {
    (
        $(#[$about:meta])*
        $functions:ident {
            $($(#[$doc:meta])* $name:ident = $signature:literal, $selector:literal;)*
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum $functions {
            $($(#[$doc])* #[doc = concat!("\n\n`", $signature, "`")] $name,)*
        }

        impl $functions {
            /// Every one of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The function with this selector.
            #[must_use]
            #[inline]
            pub const fn of(selector: [u8; 4]) -> Option<Self> {
                match u32::from_be_bytes(selector) {
                    $($selector => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// Its selector.
            #[must_use]
            pub const fn selector(self) -> [u8; 4] {
                match self {
                    $(Self::$name => u32::to_be_bytes($selector),)*
                }
            }

            /// What its selector is the hash of.
            #[must_use]
            pub const fn signature(self) -> &'static str {
                match self {
                    $(Self::$name => $signature,)*
                }
            }
        }
    };
}

pub(super) use functions;
