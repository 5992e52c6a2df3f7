//! Primitives of the Jute encoding: big-endian integers, and strings, buffers and vectors behind an `i32` length,
//! where -1 means null.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use bytes::{BufMut, BytesMut};

use crate::error::DecodeError;

mod text;

/// No element of a vector is shorter than this: each begins with an `i32`.
const VEC_ELEMENT_LEN_MIN: usize = 4;

/// A value that can be read from bytes, borrowing from them where it can.
pub trait Decode<'a>: Sized {
    /// Reads the value, leaving the reader behind its last byte.
    ///
    /// # Errors
    /// Where the bytes end early or do not form such a value.
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError>;
}

/// A value that can be written as bytes.
pub trait Encode {
    /// Appends the value.
    fn encode(&self, out: &mut BytesMut);
}

/// Reads values from one frame, from front to back.
///
/// A count or length never makes it reserve more memory than the bytes left can justify.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    input: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte of `input`.
    #[must_use]
    pub fn new(input: &'a [u8]) -> Self {
        Self { input, offset: 0 }
    }

    /// Reads a record.
    ///
    /// # Errors
    /// See [`Decode::decode`].
    pub fn record<T: Decode<'a>>(&mut self) -> Result<T, DecodeError> {
        T::decode(self)
    }

    /// Reads a 32-bit integer.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        self.array().map(i32::from_be_bytes)
    }

    /// Reads a 64-bit integer.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        self.array().map(i64::from_be_bytes)
    }

    /// Reads a boolean: one byte, true unless it is zero.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        self.array::<1>().map(|[byte]| byte != 0)
    }

    /// Reads a string that must not be null. Bytes that are not UTF-8 are replaced, as Java does it, except that
    /// surrogate pairs in CESU-8 (what Java clients send for characters above U+FFFF) are understood.
    ///
    /// # Errors
    /// [`DecodeError::NullString`], [`DecodeError::NegativeLength`], [`DecodeError::Truncated`].
    pub fn str(&mut self) -> Result<Cow<'a, str>, DecodeError> {
        let offset = self.offset;
        self.opt_str()?.ok_or(DecodeError::NullString { offset })
    }

    /// Reads a string that may be null.
    ///
    /// # Errors
    /// [`DecodeError::NegativeLength`], [`DecodeError::Truncated`].
    pub fn opt_str(&mut self) -> Result<Option<Cow<'a, str>>, DecodeError> {
        Ok(self.buffer()?.map(text::decode))
    }

    /// Reads a buffer, which may be null.
    ///
    /// # Errors
    /// [`DecodeError::NegativeLength`], [`DecodeError::Truncated`].
    pub fn buffer(&mut self) -> Result<Option<&'a [u8]>, DecodeError> {
        let offset = self.offset;
        match self.i32()? {
            -1 => Ok(None),
            length => {
                let needed = usize::try_from(length)
                    .map_err(|_| DecodeError::NegativeLength { offset, length })?;
                self.take(needed).map(Some)
            }
        }
    }

    /// Reads a vector, which may be null, with `element` reading each of its elements. Every element takes at
    /// least four bytes, so a count over a quarter of the bytes left is refused before anything is reserved.
    /// A negative count other than -1 stands for an empty vector, as it does for Apache ZooKeeper.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`], and whatever `element` returns.
    pub fn vec<T>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<Vec<T>>, DecodeError> {
        let offset = self.offset;
        let count = match self.i32()? {
            -1 => return Ok(None),
            count => usize::try_from(count).unwrap_or(0),
        };
        let left = self.remaining();
        if count > left / VEC_ELEMENT_LEN_MIN {
            let needed = count.saturating_mul(VEC_ELEMENT_LEN_MIN);
            return Err(DecodeError::Truncated { offset, needed, left });
        }
        let mut elements = Vec::with_capacity(count);
        for _ in 0..count {
            elements.push(element(self)?);
        }
        Ok(Some(elements))
    }

    /// How many bytes are still unread.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.input.len() - self.offset
    }

    /// How many bytes have been read.
    #[must_use]
    pub fn position(&self) -> usize {
        self.offset
    }

    /// Whether everything has been read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    /// The bytes still unread; the reader stays where it is.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.input.get(self.offset..).unwrap_or_default()
    }

    fn take(&mut self, needed: usize) -> Result<&'a [u8], DecodeError> {
        let left = self.remaining();
        let Some(bytes) = self.rest().get(..needed) else {
            return Err(DecodeError::Truncated { offset: self.offset, needed, left });
        };
        self.offset += needed;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let Some(bytes) = self.rest().first_chunk::<N>() else {
            let left = self.remaining();
            return Err(DecodeError::Truncated { offset: self.offset, needed: N, left });
        };
        self.offset += N;
        Ok(*bytes)
    }
}

/// Appends a string as UTF-8 behind its length.
///
/// # Panics
/// Where the string is longer than `i32::MAX` bytes, which no frame can hold.
pub fn put_str(out: &mut BytesMut, text: &str) {
    put_len(out, text.len());
    out.put_slice(text.as_bytes());
}

/// Appends a buffer behind its length, or the mark of a null one.
///
/// # Panics
/// Where the buffer is longer than `i32::MAX` bytes, which no frame can hold.
pub fn put_buffer(out: &mut BytesMut, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => {
            put_len(out, bytes.len());
            out.put_slice(bytes);
        }
        None => out.put_i32(-1),
    }
}

fn put_len(out: &mut BytesMut, len: usize) {
    out.put_i32(i32::try_from(len).expect("no frame holds 2 GiB"));
}

/// The place of a vector's count, to be filled in by [`end_vec`].
#[derive(Debug)]
#[must_use = "the count is written by end_vec"]
pub struct VecMark(usize);

/// Begins a vector whose elements are appended by the caller; saves collecting them first.
pub fn begin_vec(out: &mut BytesMut) -> VecMark {
    let mark = VecMark(out.len());
    out.put_i32(0);
    mark
}

/// Writes the count of a vector begun with [`begin_vec`].
///
/// # Panics
/// Where `out` is not the buffer that the vector was begun in, or the count is over `i32::MAX`.
#[expect(clippy::needless_pass_by_value, reason = "a mark is used once")]
pub fn end_vec(out: &mut BytesMut, mark: VecMark, count: usize) {
    let count = i32::try_from(count).expect("no frame holds 2^31 elements");
    out[mark.0..mark.0 + 4].copy_from_slice(&count.to_be_bytes());
}

/// Defines a record: the struct and both directions of its encoding, its fields in wire order.
macro_rules! record {
    (
        $(#[$meta:meta])*
        pub struct $name:ident<$lt:lifetime> {
            $( $(#[$field_meta:meta])* pub $field:ident: $kind:ty, )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name<$lt> {
            $( $(#[$field_meta])* pub $field: $kind, )*
        }

        impl<$lt> $crate::codec::Decode<$lt> for $name<$lt> {
            fn decode(
                r: &mut $crate::codec::Reader<$lt>,
            ) -> Result<Self, $crate::error::DecodeError> {
                Ok(Self { $( $field: r.record()?, )* })
            }
        }

        impl $crate::codec::Encode for $name<'_> {
            fn encode(&self, out: &mut bytes::BytesMut) {
                $( $crate::codec::Encode::encode(&self.$field, out); )*
            }
        }
    };
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $( $(#[$field_meta:meta])* pub $field:ident: $kind:ty, )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name {
            $( $(#[$field_meta])* pub $field: $kind, )*
        }

        impl<'a> $crate::codec::Decode<'a> for $name {
            fn decode(
                r: &mut $crate::codec::Reader<'a>,
            ) -> Result<Self, $crate::error::DecodeError> {
                Ok(Self { $( $field: r.record()?, )* })
            }
        }

        impl $crate::codec::Encode for $name {
            fn encode(&self, out: &mut bytes::BytesMut) {
                $( $crate::codec::Encode::encode(&self.$field, out); )*
            }
        }
    };
}
pub(crate) use record;

impl Decode<'_> for i32 {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.i32()
    }
}

impl Encode for i32 {
    fn encode(&self, out: &mut BytesMut) {
        out.put_i32(*self);
    }
}

impl Decode<'_> for i64 {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.i64()
    }
}

impl Encode for i64 {
    fn encode(&self, out: &mut BytesMut) {
        out.put_i64(*self);
    }
}

impl Decode<'_> for bool {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.bool()
    }
}

impl Encode for bool {
    fn encode(&self, out: &mut BytesMut) {
        out.put_u8(u8::from(*self));
    }
}

impl<'a> Decode<'a> for Cow<'a, str> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        r.str()
    }
}

impl Encode for Cow<'_, str> {
    fn encode(&self, out: &mut BytesMut) {
        put_str(out, self);
    }
}

impl<'a> Decode<'a> for Option<Cow<'a, str>> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        r.opt_str()
    }
}

impl Encode for Option<Cow<'_, str>> {
    fn encode(&self, out: &mut BytesMut) {
        put_buffer(out, self.as_ref().map(|text| text.as_bytes()));
    }
}

impl<'a> Decode<'a> for Option<&'a [u8]> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        r.buffer()
    }
}

impl Encode for Option<&[u8]> {
    fn encode(&self, out: &mut BytesMut) {
        put_buffer(out, *self);
    }
}

impl<'a, T: Decode<'a>> Decode<'a> for Option<Vec<T>> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        r.vec(T::decode)
    }
}

impl<T: Encode> Encode for Option<Vec<T>> {
    fn encode(&self, out: &mut BytesMut) {
        match self {
            Some(elements) => elements.encode(out),
            None => out.put_i32(-1),
        }
    }
}

/// A null vector is read as an empty one, for the records in which both mean the same.
impl<'a, T: Decode<'a>> Decode<'a> for Vec<T> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(r.vec(T::decode)?.unwrap_or_default())
    }
}

impl<T: Encode> Encode for Vec<T> {
    fn encode(&self, out: &mut BytesMut) {
        put_len(out, self.len());
        for element in self {
            element.encode(out);
        }
    }
}

#[cfg(test)]
mod codec_test;
