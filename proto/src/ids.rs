//! Trace and span ids: parsed at the edge, never zero inside.
//!
//! Format: W3C Trace Context, 16 and 8 bytes, printed as lower-case hex.

use std::fmt;
use std::str::FromStr;

/// The text was not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Wrong number of bytes or hex digits.
    #[error("{what} must be {expected} bytes ({} hex digits), got {got} bytes", expected * 2)]
    Length {
        /// `trace id` or `span id`.
        what: &'static str,
        /// Bytes that the id has.
        expected: usize,
        /// Bytes that were given.
        got: usize,
    },
    /// A character that is no hex digit, or half a byte.
    #[error("{what} must be written in hex digits")]
    NotHex {
        /// `trace id` or `span id`.
        what: &'static str,
    },
    /// All bytes are zero, which OTLP defines as invalid.
    #[error("{what} is all zero")]
    Zero {
        /// `trace id` or `span id`.
        what: &'static str,
    },
}

macro_rules! id_type {
    ($name:ident, $len:expr, $what:expr, $doc:expr) => {
        #[doc = $doc]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $len]);

        impl $name {
            /// Number of bytes.
            pub const LEN: usize = $len;

            /// Takes the bytes of the wire.
            ///
            /// # Errors
            /// When the length is wrong or every byte is zero.
            pub fn from_bytes(bytes: &[u8]) -> Result<Self, IdError> {
                let id: [u8; $len] =
                    bytes.try_into().map_err(|_| IdError::Length { what: $what, expected: $len, got: bytes.len() })?;
                if id == [0; $len] {
                    return Err(IdError::Zero { what: $what });
                }
                Ok(Self(id))
            }

            /// The bytes, most significant first.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                if !text.bytes().all(|b| b.is_ascii_hexdigit()) {
                    return Err(IdError::NotHex { what: $what });
                }
                if text.len() != $len * 2 {
                    return Err(IdError::Length { what: $what, expected: $len, got: text.len() / 2 });
                }
                let mut bytes = [0; $len];
                for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
                    *byte = hex_digit(pair[0]) << 4 | hex_digit(pair[1]);
                }
                Self::from_bytes(&bytes)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = [0u8; $len * 2];
                for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
                    pair[0] = HEX_DIGITS[usize::from(byte >> 4)];
                    pair[1] = HEX_DIGITS[usize::from(byte & 15)];
                }
                f.write_str(std::str::from_utf8(&text).unwrap_or_default())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

id_type!(TraceId, 16, "trace id", "Identifies a trace: 16 bytes, never all zero.");
id_type!(SpanId, 8, "span id", "Identifies a span within its trace: 8 bytes, never all zero.");

impl TraceId {
    /// The low 8 bytes as a span id: what pg_tracing sends as the parent of a span that has none.
    #[must_use]
    pub fn low_half(&self) -> Option<SpanId> {
        SpanId::from_bytes(&self.0[8..]).ok()
    }
}

const HEX_DIGITS: &[u8; 16] = b"0123456789abcdef";

fn hex_digit(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_and_parses() {
        let text = "0af7651916cd43dd8448eb211c80319c";
        let id: TraceId = text.parse().expect("a valid id");
        assert_eq!(id.to_string(), text);
        assert_eq!(text.to_uppercase().parse::<TraceId>(), Ok(id));
        assert_eq!(id.low_half().expect("not zero").to_string(), "8448eb211c80319c");
    }

    #[test]
    fn refuses_what_is_no_id() {
        assert!(matches!("00".repeat(16).parse::<TraceId>(), Err(IdError::Zero { .. })));
        assert!(matches!("ab".parse::<TraceId>(), Err(IdError::Length { got: 1, .. })));
        assert!(matches!("zz".repeat(8).parse::<SpanId>(), Err(IdError::NotHex { .. })));
        assert!(matches!(SpanId::from_bytes(&[1; 7]), Err(IdError::Length { got: 7, .. })));
    }
}
