//! The protobuf wire format, read in place: tags, varints, lengths. Nothing is copied or allocated.
//!
//! Source: <https://protobuf.dev/programming-guides/encoding/>. Accepts no more than prost does; groups, which OTLP
//! has never used, are refused here and left to prost.

/// The bytes break the wire format, or a field has a type that the message does not give it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed protobuf")]
pub struct WireError;

/// The value of one field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Field<'a> {
    /// `int32`, `int64`, `uint32`, `uint64`, `bool`, enums.
    Varint(u64),
    /// `fixed64`, `double`.
    Fixed64(u64),
    /// `string`, `bytes`, messages.
    Bytes(&'a [u8]),
    /// `fixed32`, `float`.
    Fixed32(u32),
}

impl<'a> Field<'a> {
    /// The bytes of a `bytes` field or an embedded message.
    ///
    /// # Errors
    /// When the field has another wire type.
    pub fn bytes(self) -> Result<&'a [u8], WireError> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(WireError),
        }
    }

    /// The text of a `string` field.
    ///
    /// # Errors
    /// When the field has another wire type or is not UTF-8.
    pub fn str(self) -> Result<&'a str, WireError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| WireError)
    }

    /// Checks that a `string` field is one, without looking at it further.
    ///
    /// # Errors
    /// When the field has another wire type or is not UTF-8.
    #[inline]
    pub fn check_str(self) -> Result<(), WireError> {
        let bytes = self.bytes()?;
        // Most text is ASCII, and telling that takes a fraction of decoding it.
        if bytes.is_ascii() { Ok(()) } else { self.str().map(drop) }
    }

    /// The number of a varint field.
    ///
    /// # Errors
    /// When the field has another wire type.
    pub fn varint(self) -> Result<u64, WireError> {
        match self {
            Self::Varint(number) => Ok(number),
            _ => Err(WireError),
        }
    }

    /// The number of a `fixed64` or `double` field.
    ///
    /// # Errors
    /// When the field has another wire type.
    pub fn fixed64(self) -> Result<u64, WireError> {
        match self {
            Self::Fixed64(number) => Ok(number),
            _ => Err(WireError),
        }
    }

    /// The number of a `fixed32` field.
    ///
    /// # Errors
    /// When the field has another wire type.
    pub fn fixed32(self) -> Result<u32, WireError> {
        match self {
            Self::Fixed32(number) => Ok(number),
            _ => Err(WireError),
        }
    }
}

/// Reads the fields of one message in order.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Over the bytes of one message.
    #[must_use]
    pub const fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// What was not read yet.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next field's number and value; `None` at the end of the message.
    ///
    /// # Errors
    /// When the bytes break the wire format.
    #[expect(
        clippy::inline_always,
        reason = "a field then stays in registers: a tenth of all the CPU time of receiving"
    )]
    #[inline(always)]
    pub fn try_next(&mut self) -> Result<Option<(u32, Field<'a>)>, WireError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = u32::try_from(self.varint()?).map_err(|_| WireError)?;
        let number = key >> 3;
        if number == 0 {
            return Err(WireError);
        }
        // Not a `match`: its jump goes somewhere else each time, and most fields have a length.
        let wire_type = key & 7;
        let value = if wire_type == 2 {
            let length = usize::try_from(self.varint()?).map_err(|_| WireError)?;
            Field::Bytes(self.take(length)?)
        } else if wire_type == 0 {
            Field::Varint(self.varint()?)
        } else if wire_type == 1 {
            Field::Fixed64(u64::from_le_bytes(self.array()?))
        } else if wire_type == 5 {
            Field::Fixed32(u32::from_le_bytes(self.array()?))
        } else {
            return Err(WireError);
        };
        Ok(Some((number, value)))
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, WireError> {
        // Nearly every tag and length is one byte.
        if let [first, rest @ ..] = self.rest
            && *first < 0x80
        {
            self.rest = rest;
            return Ok(u64::from(*first));
        }
        self.long_varint()
    }

    /// Apart, so that the short case is inlined where it is needed.
    #[inline(never)]
    fn long_varint(&mut self) -> Result<u64, WireError> {
        let mut number = 0u64;
        for (position, byte) in self.rest.iter().take(10).enumerate() {
            // The tenth byte holds bit 63 alone.
            if position == 9 && *byte > 1 {
                return Err(WireError);
            }
            number |= u64::from(byte & 0x7f) << (7 * position);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[position + 1..];
                return Ok(number);
            }
        }
        Err(WireError)
    }

    #[inline]
    fn take(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(WireError)?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        self.take(N)?.try_into().map_err(|_| WireError)
    }
}

/// For messages that were checked already: ends at the first malformed field.
impl<'a> Iterator for Fields<'a> {
    type Item = (u32, Field<'a>);

    #[expect(clippy::inline_always, reason = "as `try_next`")]
    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        self.try_next().ok().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_each_wire_type() {
        let message = [0x08, 0x96, 0x01, 0x11, 1, 0, 0, 0, 0, 0, 0, 0, 0x1a, 2, b'h', b'i', 0x25, 7, 0, 0, 0];
        let fields: Vec<_> = Fields::new(&message).collect();
        assert_eq!(
            fields,
            [(1, Field::Varint(150)), (2, Field::Fixed64(1)), (3, Field::Bytes(b"hi")), (4, Field::Fixed32(7))]
        );
    }

    #[test]
    fn refuses_what_breaks_the_format() {
        let too_long_varint = [0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02];
        let cut_length = [0x0a, 5, b'x'];
        let field_zero = [0x00, 0x00];
        let group = [0x0b, 0x0c];
        for message in [&too_long_varint[..], &cut_length, &field_zero, &group] {
            assert_eq!(Fields::new(message).try_next(), Err(WireError), "{message:?}");
        }
    }
}
