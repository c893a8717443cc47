use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use http::HeaderValue;
use prometheus_client::metrics::gauge::Gauge;

use super::*;
use crate::Settings;
use crate::admit::Gate;
use crate::testing::permit;

const TEXT: &[u8] = b"spans, spans, spans and again spans";
const MIB: usize = 1 << 20;

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).expect("in memory");
    encoder.finish().expect("in memory")
}

fn zlib(plain: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).expect("in memory");
    encoder.finish().expect("in memory")
}

fn raw_deflate(plain: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).expect("in memory");
    encoder.finish().expect("in memory")
}

fn zstd(plain: &[u8]) -> Vec<u8> {
    zstd::encode_all(plain, 3).expect("in memory")
}

fn headers(name: &'static str, value: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static(value))])
}

#[test]
fn content_types() {
    let format = |value| Format::of(&headers("content-type", value));
    assert_eq!(format("application/x-protobuf"), Ok(Format::Protobuf));
    assert_eq!(format("application/json"), Ok(Format::Json));
    assert_eq!(format("Application/JSON; charset=utf-8"), Ok(Format::Json));
    assert_eq!(format("text/plain"), Err(Refusal::UnsupportedType("text/plain".to_owned())));
    assert!(Format::of(&HeaderMap::new()).is_err());
}

#[test]
fn content_encodings() {
    let encoding = |value| Encoding::of_http(&headers("content-encoding", value));
    assert_eq!(Encoding::of_http(&HeaderMap::new()), Ok(Encoding::Identity));
    assert_eq!(encoding("identity"), Ok(Encoding::Identity));
    assert_eq!(encoding("GZIP"), Ok(Encoding::Gzip));
    assert_eq!(encoding("zstd"), Ok(Encoding::Zstd));
    assert_eq!(encoding("deflate"), Ok(Encoding::Deflate));
    assert_eq!(encoding("br"), Err(Refusal::UnsupportedEncoding("br".to_owned())));
    assert!(encoding("gzip, zstd").is_err());
    let mut twice = headers("content-encoding", "gzip");
    twice.append(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    assert!(Encoding::of_http(&twice).is_err());
}

#[test]
fn decompresses_every_encoding() {
    let cases = [
        (Encoding::Identity, TEXT.to_vec()),
        (Encoding::Gzip, gzip(TEXT)),
        (Encoding::Zstd, zstd(TEXT)),
        (Encoding::Deflate, zlib(TEXT)),
        (Encoding::Deflate, raw_deflate(TEXT)),
    ];
    for (encoding, bytes) in cases {
        assert_eq!(decompress(encoding, bytes, MIB, &mut permit()).as_deref(), Ok(TEXT), "{encoding:?}");
    }
}

#[test]
fn concatenated_members_are_one_body() {
    let gzip_twice = [gzip(TEXT), gzip(TEXT)].concat();
    let zstd_twice = [zstd(TEXT), zstd(TEXT)].concat();
    let expected = [TEXT, TEXT].concat();
    assert_eq!(decompress(Encoding::Gzip, gzip_twice, MIB, &mut permit()), Ok(expected.clone()));
    assert_eq!(decompress(Encoding::Zstd, zstd_twice, MIB, &mut permit()), Ok(expected));
}

#[test]
fn an_empty_body_is_empty_whatever_its_encoding() {
    for encoding in [Encoding::Identity, Encoding::Gzip, Encoding::Zstd, Encoding::Deflate] {
        assert_eq!(decompress(encoding, Vec::new(), MIB, &mut permit()), Ok(Vec::new()));
    }
}

#[test]
fn the_limit_itself_is_allowed_and_one_byte_more_is_not() {
    let plain = vec![7; 100_000];
    for (encoding, bytes) in [
        (Encoding::Identity, plain.clone()),
        (Encoding::Gzip, gzip(&plain)),
        (Encoding::Zstd, zstd(&plain)),
        (Encoding::Deflate, zlib(&plain)),
    ] {
        assert_eq!(decompress(encoding, bytes.clone(), 100_000, &mut permit()), Ok(plain.clone()));
        let refusal = decompress(encoding, bytes, 99_999, &mut permit()).expect_err("one byte too many");
        assert_eq!(
            refusal.to_string(),
            "the request is larger than 99999 bytes after decompression: send smaller batches, or raise \
             decompressed_bytes_max"
        );
    }
}

#[test]
fn a_bomb_is_charged_no_more_than_the_limit() {
    let bomb = vec![0; 64 * MIB];
    let settings = Settings { in_flight_bytes_max: 4 * MIB, ..Settings::default() };
    for (encoding, bytes) in [(Encoding::Gzip, gzip(&bomb)), (Encoding::Zstd, zstd(&bomb))] {
        let held = Gauge::default();
        let gate = Gate::new(&settings, Gauge::default(), held.clone());
        let mut permit = gate.enter().expect("a free place");
        let refusal = decompress(encoding, bytes, 2 * MIB, &mut permit).expect_err("a bomb");
        assert!(matches!(refusal, Refusal::TooLarge { .. }), "{refusal:?}");
        assert!(held.get() <= 2 * MIB as i64 + 1, "{} bytes charged", held.get());
    }
}

#[test]
fn what_others_hold_is_not_available() {
    let settings = Settings { in_flight_bytes_max: MIB, ..Settings::default() };
    let gate = Gate::new(&settings, Gauge::default(), Gauge::default());
    let mut other = gate.enter().expect("a free place");
    other.hold(MIB / 2).expect("half of it");
    let mut permit = gate.enter().expect("a free place");
    let refusal = decompress(Encoding::Gzip, gzip(&vec![0; MIB]), 2 * MIB, &mut permit).expect_err("no room");
    assert!(matches!(refusal, Refusal::Overloaded(_)), "{refusal:?}");
}

#[test]
fn a_zstd_window_beyond_the_limit_is_refused_before_it_is_allocated() {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).expect("in memory");
    encoder.window_log(27).expect("a large window");
    encoder.write_all(TEXT).expect("in memory");
    let bytes = encoder.finish().expect("in memory");
    let refusal = decompress(Encoding::Zstd, bytes, MIB, &mut permit()).expect_err("128 MiB of window");
    assert!(matches!(refusal, Refusal::Undecodable(_)), "{refusal:?}");
}

#[test]
fn damaged_bodies_are_undecodable() {
    for (encoding, mut bytes) in
        [(Encoding::Gzip, gzip(TEXT)), (Encoding::Zstd, zstd(TEXT)), (Encoding::Deflate, zlib(TEXT))]
    {
        let whole = bytes.clone();
        bytes.truncate(bytes.len() / 2);
        for damaged in [bytes, TEXT.to_vec(), whole[3..].to_vec()] {
            let refusal = decompress(encoding, damaged, MIB, &mut permit()).expect_err("damaged");
            assert!(matches!(refusal, Refusal::Undecodable(_)), "{encoding:?} {refusal:?}");
        }
    }
}

#[tokio::test]
async fn reads_up_to_the_limit() {
    let read = async |length: usize, limit: usize| {
        let mut body = Body::from(vec![1; length]);
        read(&mut body, &HeaderMap::new(), limit, Duration::from_secs(1), &mut permit()).await
    };
    assert_eq!(read(10, 10).await, Ok(vec![1; 10]));
    assert_eq!(read(0, 10).await, Ok(Vec::new()));
    assert!(matches!(read(11, 10).await, Err(Refusal::TooLarge { stage: "as sent", limit: 10, .. })));
}

#[tokio::test]
async fn a_declared_length_over_the_limit_is_refused_before_the_body_is_read() {
    let mut body = Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let headers = headers("content-length", "11");
    let outcome = read(&mut body, &headers, 10, Duration::from_secs(60), &mut permit()).await;
    assert!(matches!(outcome, Err(Refusal::TooLarge { .. })));
}

#[tokio::test]
async fn a_sender_that_stops_in_the_middle_is_slow() {
    let some = futures::stream::iter([Ok::<_, std::io::Error>(vec![1, 2, 3])]);
    let mut body = Body::from_stream(futures::StreamExt::chain(some, futures::stream::pending()));
    let outcome = read(&mut body, &HeaderMap::new(), 10, Duration::from_millis(50), &mut permit()).await;
    assert_eq!(outcome, Err(Refusal::Slow(Duration::from_millis(50))));
}

#[tokio::test]
async fn a_connection_that_fails_interrupts() {
    let broken = futures::stream::iter([Ok(vec![1]), Err(std::io::Error::other("reset"))]);
    let mut body = Body::from_stream(broken);
    let outcome = read(&mut body, &HeaderMap::new(), 10, Duration::from_secs(30), &mut permit()).await;
    assert!(matches!(outcome, Err(Refusal::Interrupted(_))), "{outcome:?}");
}
