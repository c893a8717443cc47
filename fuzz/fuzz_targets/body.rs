//! Decompression: never more than the limit comes out, and what was compressed comes out as it was.

#![no_main]

use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use libfuzzer_sys::fuzz_target;

/// Small, so that the fuzzer reaches it.
const BYTES_MAX: usize = 100_000;

// The first byte says how the rest is compressed, and whether the rest is compressed already.
fuzz_target!(|input: &[u8]| {
    let Some((&how, rest)) = input.split_first() else { return };
    let encoding = ["identity", "gzip", "deflate", "zstd"][usize::from(how % 4)];
    if how < 128 {
        if let Ok(bytes) = ingest::fuzzing::decompress(encoding, rest.to_vec(), BYTES_MAX) {
            assert!(bytes.len() <= BYTES_MAX, "{} bytes", bytes.len());
        }
        return;
    }
    // Repeated, so that some of it passes the limit.
    let plain = rest.repeat(usize::from(how & 127) + 1);
    match ingest::fuzzing::decompress(encoding, compress(encoding, how, &plain), BYTES_MAX) {
        Ok(bytes) => assert!(bytes == plain, "{} bytes came back as {}", plain.len(), bytes.len()),
        Err(why) => assert!(plain.len() > BYTES_MAX, "{} bytes: {why}", plain.len()),
    }
});

fn compress(encoding: &str, how: u8, plain: &[u8]) -> Vec<u8> {
    let finished = match encoding {
        "gzip" => write(GzEncoder::new(Vec::new(), Compression::fast()), plain).finish(),
        "deflate" if how & 4 == 0 => write(ZlibEncoder::new(Vec::new(), Compression::fast()), plain).finish(),
        "deflate" => write(DeflateEncoder::new(Vec::new(), Compression::fast()), plain).finish(),
        "zstd" => zstd::encode_all(plain, 1),
        _ => Ok(plain.to_vec()),
    };
    finished.expect("memory")
}

fn write<W: Write>(mut encoder: W, plain: &[u8]) -> W {
    encoder.write_all(plain).expect("memory");
    encoder
}
