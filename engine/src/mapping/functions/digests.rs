//! Functions that encode and digest bytes.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cel::common::types::{BYTES_TYPE, CelBytes, CelString, STRING_TYPE};
use cel::common::value::CowVal;
use cel::{DeclarationError, Env, ExecutionError};
use md5::Md5;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::super::meter;
use super::{argument, both, failure, global, made, text, wrong_type};

/// Bytes that are digested in one step.
const BYTES_PER_STEP: usize = 64;

pub(super) fn declare(environment: &mut Env) -> Result<(), DeclarationError> {
    for input in [&STRING_TYPE, &BYTES_TYPE] {
        both(environment, "base64", input, &[], |a| made("base64", STANDARD.encode(bytes("base64", &a)?)))?;
        both(environment, "md5", input, &[], |a| made("md5", hexadecimal(&Md5::digest(bytes("md5", &a)?))))?;
        both(environment, "sha256", input, &[], |a| {
            made("sha256", hexadecimal(&Sha256::digest(bytes("sha256", &a)?)))
        })?;
    }
    global(environment, "uuid5", &[&STRING_TYPE, &STRING_TYPE], |a| {
        let namespace = namespace(text("uuid5", &a, 0)?)?;
        made("uuid5", Uuid::new_v5(&namespace, text("uuid5", &a, 1)?.as_bytes()).to_string())
    })
}

fn bytes<'x>(function: &str, arguments: &'x [CowVal<'_, '_>]) -> Result<&'x [u8], ExecutionError> {
    let value = argument(function, arguments, 0)?;
    let text = value.downcast_ref::<CelString>().map(|text| text.inner().as_bytes());
    let bytes = text.or_else(|| value.downcast_ref::<CelBytes>().map(CelBytes::inner));
    let bytes = bytes.ok_or_else(|| wrong_type(function, arguments))?;
    meter::step((bytes.len() / BYTES_PER_STEP) as u64)?;
    Ok(bytes)
}

fn hexadecimal(digest: &[u8]) -> String {
    digest.iter().fold(String::with_capacity(2 * digest.len()), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A namespace of version 5 UUIDs: one of those RFC 9562 names, or a UUID.
pub(in super::super) fn namespace(name: &str) -> Result<Uuid, ExecutionError> {
    match name {
        "dns" => Ok(Uuid::NAMESPACE_DNS),
        "url" => Ok(Uuid::NAMESPACE_URL),
        "oid" => Ok(Uuid::NAMESPACE_OID),
        "x500" => Ok(Uuid::NAMESPACE_X500),
        other => Uuid::parse_str(other).map_err(|_| {
            failure(
                "uuid5",
                "the namespace is none of \"dns\", \"url\", \"oid\", \"x500\" and no UUID; use one of them",
            )
        }),
    }
}
