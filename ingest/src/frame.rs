//! The five bytes before a gRPC message: a flag that says whether it is compressed, and its length.
//!
//! Source: gRPC over HTTP/2, "Length-Prefixed-Message". A unary request is exactly one such message.

use crate::refusal::Refusal;

/// One byte of flag, four of length (big-endian).
pub(crate) const PREFIX_BYTES: usize = 5;

/// Puts the prefix of an uncompressed message before it.
pub(crate) fn frame(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut framed = Vec::with_capacity(PREFIX_BYTES + message.len());
    framed.push(0);
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(message);
    framed
}

/// Takes the prefix off the body of a unary request. Returns whether the message is compressed, and the message.
pub(crate) fn unframe(mut body: Vec<u8>) -> Result<(bool, Vec<u8>), Refusal> {
    let Some(&[flag, a, b, c, d]) = body.first_chunk::<PREFIX_BYTES>() else {
        return Err(Refusal::Undecodable("the gRPC message is missing".to_owned()));
    };
    let compressed = match flag {
        0 => false,
        1 => true,
        _ => return Err(Refusal::Protocol("the compressed flag of a gRPC message must be 0 or 1")),
    };
    let declared = u32::from_be_bytes([a, b, c, d]) as usize;
    let received = body.len() - PREFIX_BYTES;
    if declared != received {
        let reason = format!("the gRPC message is {received} bytes long and declared as {declared}");
        return Err(Refusal::Undecodable(reason));
    }
    body.drain(..PREFIX_BYTES);
    Ok((compressed, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unframes_what_it_framed() {
        assert_eq!(unframe(frame(b"spans")), Ok((false, b"spans".to_vec())));
        assert_eq!(unframe(frame(b"")), Ok((false, Vec::new())));
        assert_eq!(unframe(vec![1, 0, 0, 0, 2, 7, 8]), Ok((true, vec![7, 8])));
    }

    #[test]
    fn refuses_what_is_not_one_message() {
        for body in [&b""[..], &[0, 0, 0, 0], &[0, 0, 0, 0, 2, 7], &[0, 0, 0, 0, 1, 7, 8], &[0, 255, 255, 255, 255]] {
            assert!(matches!(unframe(body.to_vec()), Err(Refusal::Undecodable(_))), "{body:?}");
        }
        assert!(matches!(unframe(vec![2, 0, 0, 0, 0]), Err(Refusal::Protocol(_))));
    }
}
