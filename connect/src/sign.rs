//! Signatures over requests: OAuth 1, AWS Signature Version 4, and keyed hashes of a vendor's own. Pure: time and nonce are arguments.

pub mod aws;
pub mod keyed;
pub mod oauth1;

use aws_lc_rs::digest;

/// A hash in lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// SHA-256 of a body in lower-case hexadecimal digits.
pub fn sha256(body: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, body).as_ref())
}
