//! Tokens with claims, as a JWT has them: three parts, signed with a keyed hash. kube-apiserver signs for its own requests, the
//! controller manager for token Secrets; both hold the key.
//!
//! A real cluster signs with an RSA or elliptic key. What clients do with a token is the same: they send it back, and decode its
//! claims. The signature is no protection against anybody who has the program; nothing here needs one.

use base::{Digest, Seed};

use crate::value::Value;
use crate::{json, value};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// base64url without padding.
pub fn encode64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 4 / 3 + 3);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |w, b| w << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..=chunk.len() {
            out.push(ALPHABET[(word >> (18 - 6 * i) & 63) as usize] as char);
        }
    }
    out
}

/// The bytes of base64url without padding; the error is the place of the first bad character.
pub fn decode64(text: &str) -> Result<Vec<u8>, usize> {
    let mut out = Vec::with_capacity(text.len() * 3 / 4);
    let (mut word, mut bits) = (0u32, 0);
    for (i, c) in text.bytes().enumerate() {
        let digit = ALPHABET.iter().position(|a| *a == c).ok_or(i)? as u32;
        word = word << 6 | digit;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((word >> bits) as u8);
            word &= (1 << bits) - 1;
        }
    }
    // One digit alone holds no byte.
    if bits == 6 { Err(text.len() - 1) } else { Ok(out) }
}

fn signature(seed: Seed, signed: &str) -> String {
    let mut bytes = Vec::with_capacity(32);
    for part in 0..4 {
        let mut digest = Digest::new();
        digest.write_u64(seed.derive("service-account-key").draw(part));
        digest.write(signed.as_bytes());
        bytes.extend(digest.finish().to_be_bytes());
    }
    encode64(&bytes)
}

/// A token with this payload.
pub fn sign(key: Seed, payload: &Value) -> String {
    let part = |v: &Value| encode64(json::to_string(v).as_bytes());
    let signed = format!("{}.{}", part(&value!({"alg": "KH256", "kid": "kubottle"})), part(payload));
    let signature = signature(key, &signed);
    format!("{signed}.{signature}")
}

/// The payload of a token that this key signed; nothing else is checked.
pub fn verify(key: Seed, token: &str) -> Option<Value> {
    let (signed, given) = token.rsplit_once('.')?;
    if signature(key, signed) != given {
        return None;
    }
    json::parse(&decode64(signed.split_once('.')?.1).ok()?).ok()
}

/// The bytes of base64 of the standard alphabet.
pub fn from_standard64(text: &str) -> Option<Vec<u8>> {
    decode64(&text.trim_end_matches('=').replace('+', "-").replace('/', "_")).ok()
}

/// base64 of the standard alphabet with padding, as `data` of a Secret has it.
pub fn standard64(bytes: &[u8]) -> String {
    let mut text = encode64(bytes).replace('-', "+").replace('_', "/");
    while text.len() % 4 != 0 {
        text.push('=');
    }
    text
}
