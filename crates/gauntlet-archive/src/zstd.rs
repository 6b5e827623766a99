//! One Zstandard frame (RFC 8878) through `ruzstd`, with its window held to a limit and its checksum compared.

use std::io::{self, Read};

use gauntlet_limits::{Limit, LimitHit, Limits};
use ruzstd::decoding::errors::FrameDecoderError;
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use crate::input::Input;

pub(crate) const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Decompresses one frame; at its end the input stands right behind it.
pub(crate) struct ZstdFrame<R: Read> {
    inner: StreamingDecoder<Input<R>, FrameDecoder>,
}

impl<R: Read> ZstdFrame<R> {
    /// Reads the frame header. The window, which is memory that the input asks for, is held to `header_bytes`.
    pub(crate) fn new(input: Input<R>, limits: &Limits) -> io::Result<Self> {
        match StreamingDecoder::new_with_max_window_size(input, limits.header_bytes) {
            Ok(inner) => Ok(Self { inner }),
            Err(FrameDecoderError::WindowSizeTooBig { .. }) => {
                Err(LimitHit { limit: Limit::HeaderBytes, allowed: limits.header_bytes }.into())
            }
            Err(FrameDecoderError::DictNotProvided { dict_id }) => {
                let message = format!("zstd frame needs the dictionary {dict_id}");
                Err(io::Error::new(io::ErrorKind::Unsupported, message))
            }
            Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        }
    }

    pub(crate) fn into_inner(self) -> Input<R> {
        self.inner.into_inner()
    }
}

impl<R: Read> Read for ZstdFrame<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        let n = self.inner.read(out)?;
        if n == 0
            && let Some(stated) = self.inner.decoder.get_checksum_from_data()
            && self.inner.decoder.get_calculated_checksum() != Some(stated)
        {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "zstd content does not have its checksum"));
        }
        Ok(n)
    }
}
