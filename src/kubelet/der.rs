//! What certificates and requests for them are made of: DER elements, names, PEM.
//!
//! TLS is not modelled in the bottle; these have the form of the real ones, so that whoever reads a subject finds it.

use apimachinery::jwt;
use base::{Seed, Time};

pub const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const UTF8: u8 = 0x0c;
/// A number of the arc for examples (RFC 5612): no algorithm signs here.
const ALGORITHM: &[u8] = &[0x30, 0x0b, 0x06, 0x09, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x81, 0xfd, 0x59, 0x01];
/// `id-ecPublicKey` on the curve P-256.
const EC_KEY: &[u8] = &[
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07,
];

/// An element: tag, length, content.
pub fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match content.len() {
        n if n < 0x80 => out.push(n as u8),
        n if n < 0x100 => out.extend([0x81, n as u8]),
        n => out.extend([0x82, (n >> 8) as u8, n as u8]),
    }
    out.extend(content);
    out
}

/// `O=…, CN=…` (empty parts are left out).
pub fn name(organization: &str, common_name: &str) -> Vec<u8> {
    let part = |last: u8, text: &str| match text {
        "" => Vec::new(),
        text => {
            let pair = element(SEQUENCE, &[&[0x06, 0x03, 0x55, 0x04, last][..], &element(UTF8, text.as_bytes())].concat());
            element(SET, &pair)
        }
    };
    element(SEQUENCE, &[part(10, organization), part(3, common_name)].concat())
}

/// A public key that nobody has the private key of.
fn public_key(seed: Seed) -> Vec<u8> {
    let mut bits = vec![0, 4];
    bits.extend((0..8).flat_map(|n| seed.draw(n).to_be_bytes()));
    element(SEQUENCE, &[EC_KEY, &element(BIT_STRING, &bits)].concat())
}

/// A certificate of a subject, in PEM.
pub fn certificate(subject: (&str, &str), issuer: &str, from: Time, to: Time, seed: Seed) -> String {
    let serial = seed.draw(100) >> 1;
    let body = [
        &element(0xa0, &element(INTEGER, &[2]))[..],
        &element(INTEGER, &serial.to_be_bytes()),
        ALGORITHM,
        &name("", issuer),
        &element(SEQUENCE, &[utc_time(from), utc_time(to)].concat()),
        &name(subject.0, subject.1),
        &public_key(seed),
    ];
    let der =
        element(SEQUENCE, &[&element(SEQUENCE, &body.concat())[..], ALGORITHM, &element(BIT_STRING, b"\0not signed")].concat());
    pem("CERTIFICATE", &der)
}

/// A request for a certificate of a subject, in PEM.
pub fn request(subject: (&str, &str), seed: Seed) -> String {
    let info = [&element(INTEGER, &[0])[..], &name(subject.0, subject.1), &public_key(seed), &[0xa0, 0]].concat();
    let der = element(SEQUENCE, &[&element(SEQUENCE, &info)[..], ALGORITHM, &element(BIT_STRING, b"\0not signed")].concat());
    pem("CERTIFICATE REQUEST", &der)
}

pub fn pem(label: &str, der: &[u8]) -> String {
    let text = jwt::standard64(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn utc_time(time: Time) -> Vec<u8> {
    let (y, mo, d, h, mi, s) = time.civil();
    element(0x17, format!("{:02}{mo:02}{d:02}{h:02}{mi:02}{s:02}Z", y % 100).as_bytes())
}
