//! Reads the protobuf encoding field by field, without types.

use crate::schema::{BYTES, FIXED32, FIXED64, VARINT};

/// What is left of an encoded message.
pub(crate) struct Reader<'a>(pub &'a [u8]);

/// A field's value as the encoding has it.
#[derive(Clone, Copy)]
pub(crate) enum Raw<'a> {
    /// The 0, 4 or 8 byte forms as one integer.
    Number(u64),
    Bytes(&'a [u8]),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    #[error("unexpected EOF")]
    Truncated,
    #[error("variable length integer overflow")]
    Overflow,
    #[error("invalid field number")]
    FieldNumber,
    #[error("cannot parse reserved wire type")]
    WireType,
}

impl<'a> Reader<'a> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next field's number and wire type.
    pub fn tag(&mut self) -> Result<(u32, u8), WireError> {
        let tag = self.varint()?;
        match u32::try_from(tag >> 3) {
            Ok(number @ 1..=0x1fff_ffff) => Ok((number, (tag & 7) as u8)),
            _ => Err(WireError::FieldNumber),
        }
    }

    /// The value that follows a tag. Groups are refused: no message has any.
    pub fn value(&mut self, wire_type: u8) -> Result<Raw<'a>, WireError> {
        match wire_type {
            VARINT => Ok(Raw::Number(self.varint()?)),
            FIXED64 => Ok(Raw::Number(u64::from_le_bytes(self.take(8)?.try_into().expect("8 bytes")))),
            FIXED32 => Ok(Raw::Number(u32::from_le_bytes(self.take(4)?.try_into().expect("4 bytes")).into())),
            BYTES => {
                let len = self.varint()?;
                Ok(Raw::Bytes(self.take(usize::try_from(len).map_err(|_| WireError::Truncated)?)?))
            }
            _ => Err(WireError::WireType),
        }
    }

    pub fn varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0;
        for (i, byte) in self.0.iter().enumerate().take(10) {
            if i == 9 && *byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte & 0x80 == 0 {
                self.0 = &self.0[i + 1..];
                return Ok(value);
            }
        }
        Err(if self.0.len() < 10 { WireError::Truncated } else { WireError::Overflow })
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(WireError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }
}

/// The type URL and the value of an encoded `Any`.
pub(crate) fn any(bytes: &[u8]) -> Result<(&[u8], &[u8]), WireError> {
    let mut parts: (&[u8], &[u8]) = (&[], &[]);
    let mut reader = Reader(bytes);
    while !reader.is_empty() {
        let (number, wire_type) = reader.tag()?;
        match (number, reader.value(wire_type)?) {
            (1, Raw::Bytes(type_url)) => parts.0 = type_url,
            (2, Raw::Bytes(value)) => parts.1 = value,
            _ => {}
        }
    }
    Ok(parts)
}
