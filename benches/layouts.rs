//! `cargo bench --bench layouts`: what sizes of batches and levels of zstd cost and save on the mixed load, with and without
//! ids and times taken out first, and then with what a batch has that came before as dictionary. The figures behind `store`'s choices.

use std::io::Write;
use std::time::Instant;

use bytes::Bytes;
use proto::split::split;
use proto::strip::{Scratch, Stripped, strip};
use spanhold::load::{Arrangement, requests};

const SPANS: usize = 100_000;
const PIECE_BYTES: [usize; 5] = [32 << 10, 64 << 10, 128 << 10, 256 << 10, 1 << 20];
const LEVELS: [i32; 3] = [1, 3, 6];

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout();
    writeln!(
        out,
        "arrangement  piece kB  level  bytes/span  us/span  stripped: bytes/span  of that random  us/span  with dictionary: bytes/span  us/span"
    )?;
    for arrangement in [Arrangement::Whole, Arrangement::Scattered] {
        let requests = requests(SPANS, arrangement, 1);
        for piece_bytes in PIECE_BYTES {
            let (pieces, spans) = cut(&requests, piece_bytes);
            for level in LEVELS {
                let mut compressor = zstd::bulk::Compressor::new(level)?;
                let began = Instant::now();
                let mut whole_bytes = 0;
                for piece in &pieces {
                    whole_bytes += compressor.compress(piece)?.len();
                }
                let whole_us = began.elapsed().as_secs_f64() * 1e6 / spans;
                let began = Instant::now();
                let (mut random_bytes, mut text_bytes) = (0, 0);
                let (mut scratch, mut parts) = (Scratch::default(), Stripped::default());
                for piece in &pieces {
                    strip(piece, &mut scratch, &mut parts).map_err(std::io::Error::other)?;
                    random_bytes += parts.trace_ids.len() + parts.span_ids.len() + parts.other_parents.len();
                    text_bytes += compressor.compress(&parts.text)?.len();
                }
                let stripped_us = began.elapsed().as_secs_f64() * 1e6 / spans;
                strip(&pieces[0], &mut scratch, &mut parts).map_err(std::io::Error::other)?;
                let dictionary = zstd::dict::EncoderDictionary::copy(&parts.text, level);
                let mut compressor = zstd::bulk::Compressor::with_prepared_dictionary(&dictionary)?;
                let began = Instant::now();
                let mut after_bytes = 0;
                for piece in &pieces {
                    strip(piece, &mut scratch, &mut parts).map_err(std::io::Error::other)?;
                    after_bytes += compressor.compress(&parts.text)?.len();
                }
                let after_us = began.elapsed().as_secs_f64() * 1e6 / spans;
                writeln!(
                    out,
                    "{arrangement:11}  {:8}  {level:5}  {:10.1}  {whole_us:7.3}  {:20.1}  {:14.1}  {stripped_us:7.3}  {:27.1}  {after_us:7.3}",
                    piece_bytes >> 10,
                    whole_bytes as f64 / spans,
                    (random_bytes + text_bytes) as f64 / spans,
                    random_bytes as f64 / spans,
                    (random_bytes + after_bytes) as f64 / spans,
                )?;
            }
        }
    }
    Ok(())
}

/// The requests in pieces, and how many spans they have.
fn cut(requests: &[Bytes], piece_bytes: usize) -> (Vec<Vec<u8>>, f64) {
    let (mut pieces, mut spans) = (Vec::new(), 0);
    for request in requests {
        split(request, piece_bytes, |piece, count| {
            pieces.push(piece.to_vec());
            spans += count;
        });
    }
    (pieces, spans as f64)
}
