//! `base64`, `md5sum`, `sha256sum`. The digests are written out here: they are forty lines, and a crate for each is more.

use std::fmt::Write;

use cri_api::{Errno, Text};

use super::filter::{Filter, FilterProgram, Next};
use super::{Io, Make};

pub(super) const TABLE: &[(&str, Make)] = &[
    ("base64", FilterProgram::<Base64>::boxed),
    ("md5sum", FilterProgram::<Digest>::boxed),
    ("sha256sum", FilterProgram::<Digest>::boxed),
];

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base64 with padding.
pub fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = (chunk[0] as u32) << 16 | (*chunk.get(1).unwrap_or(&0) as u32) << 8 | *chunk.get(2).unwrap_or(&0) as u32;
        for i in 0..4 {
            match i <= chunk.len() {
                true => out.push(ALPHABET[(word >> (18 - 6 * i)) as usize & 63] as char),
                false => out.push('='),
            }
        }
    }
    out
}

/// Decodes; blanks are skipped. The flag says that what followed isn't base64.
pub fn decode(text: &[u8]) -> (Vec<u8>, bool) {
    let (mut bytes, mut word, mut bits) = (Vec::new(), 0u32, 0);
    let mut padding = 0;
    for byte in text.iter().filter(|b| !b.is_ascii_whitespace()) {
        if *byte == b'=' {
            padding += 1;
            continue;
        }
        let Some(value) = ALPHABET.iter().position(|a| a == byte).filter(|_| padding == 0) else { return (bytes, true) };
        word = word << 6 | value as u32;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((word >> bits) as u8);
        }
    }
    (bytes, bits >= 6 || padding > 2)
}

#[derive(Clone)]
struct Base64 {
    decode: bool,
    width: usize,
    data: Vec<u8>,
}

impl Filter for Base64 {
    const LINES: bool = false;

    fn begin(io: &mut Io<'_, '_>) -> Result<(Base64, Vec<Text>), i32> {
        let options = io.options("dw:", &[("decode", 'd'), ("wrap", 'w')])?;
        let width = options.value('w').and_then(|w| w.parse().ok()).unwrap_or(76);
        Ok((Base64 { decode: options.has('d'), width, data: Vec::new() }, options.operands))
    }

    fn data(&mut self, _: &mut Io<'_, '_>, data: &[u8], _: bool) -> Next {
        self.data.extend_from_slice(data);
        Next::More
    }

    fn memory(&self) -> usize {
        self.data.len()
    }

    fn end(&mut self, io: &mut Io<'_, '_>, failed: bool) -> i32 {
        if self.decode {
            let (bytes, bad) = decode(&self.data);
            io.print(bytes);
            if bad {
                io.error("truncated input");
                return 1;
            }
            return failed as i32;
        }
        let text = encode(&self.data);
        if self.width == 0 {
            io.print(text);
        } else {
            for line in text.as_bytes().chunks(self.width) {
                io.print(line);
                io.print("\n");
            }
        }
        failed as i32
    }
}

/// `md5sum` and `sha256sum`.
#[derive(Clone)]
struct Digest {
    md5: bool,
    check: bool,
    quiet: bool,
    name: String,
    data: Vec<u8>,
    bad: bool,
}

impl Digest {
    fn hex(&self, data: &[u8]) -> String {
        let bytes = if self.md5 { md5(data).to_vec() } else { sha256(data).to_vec() };
        bytes.iter().fold(String::new(), |mut text, b| {
            let _ = write!(text, "{b:02x}");
            text
        })
    }

    fn check_list(&mut self, io: &mut Io<'_, '_>) {
        let list = String::from_utf8_lossy(&self.data).into_owned();
        for line in list.lines() {
            let Some((sum, path)) = line.split_once(' ') else { continue };
            let path = path.trim_start_matches([' ', '*']);
            let good = io.sys.read_file(path).is_ok_and(|bytes| self.hex(&bytes) == sum);
            self.bad |= !good;
            if !self.quiet {
                io.print(format!("{path}: {}\n", if good { "OK" } else { "FAILED" }));
            }
        }
    }
}

impl Filter for Digest {
    const LINES: bool = false;

    fn begin(io: &mut Io<'_, '_>) -> Result<(Digest, Vec<Text>), i32> {
        let options = io.options("cswb", &[("check", 'c')])?;
        let digest = Digest {
            md5: io.name() == "md5sum",
            check: options.has('c'),
            quiet: options.has('s'),
            name: String::new(),
            data: Vec::new(),
            bad: false,
        };
        Ok((digest, options.operands))
    }

    fn open(&mut self, _: &mut Io<'_, '_>, name: &str) -> Next {
        self.name = name.to_string();
        self.data.clear();
        Next::More
    }

    fn data(&mut self, _: &mut Io<'_, '_>, data: &[u8], _: bool) -> Next {
        self.data.extend_from_slice(data);
        Next::More
    }

    fn memory(&self) -> usize {
        self.data.len()
    }

    fn close(&mut self, io: &mut Io<'_, '_>) {
        if self.check {
            return self.check_list(io);
        }
        io.sys.charge(self.data.len() as u32 / 256);
        let line = format!("{}  {}\n", self.hex(&self.data), self.name);
        io.print(line);
    }

    fn open_error(&mut self, io: &mut Io<'_, '_>, name: &str, error: Errno) {
        io.error(format!("can't open '{name}': {error}"));
    }

    fn end(&mut self, io: &mut Io<'_, '_>, failed: bool) -> i32 {
        if self.bad && !self.quiet {
            io.error("WARNING: 1 of 1 computed checksums did NOT match");
        }
        (failed || self.bad) as i32
    }
}

/// Message, a one bit, zeros, and the length in bits.
fn padded(data: &[u8], big_endian: bool) -> Vec<u8> {
    let mut bytes = data.to_vec();
    bytes.push(0x80);
    while bytes.len() % 64 != 56 {
        bytes.push(0);
    }
    let bits = (data.len() as u64).wrapping_mul(8);
    bytes.extend(if big_endian { bits.to_be_bytes() } else { bits.to_le_bytes() });
    bytes
}

/// MD5 (RFC 1321).
pub fn md5(data: &[u8]) -> [u8; 16] {
    const SHIFTS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];
    const SINES: [u32; 64] = [
        0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501, 0x698098d8, 0x8b44f7af,
        0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821, 0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa,
        0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8, 0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8,
        0x676f02d9, 0x8d2a4c8a, 0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
        0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665, 0xf4292244, 0x432aff97,
        0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1, 0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1,
        0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
    ];
    let mut state: [u32; 4] = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476];
    for block in padded(data, false).chunks_exact(64) {
        let word = |i: usize| u32::from_le_bytes([block[4 * i], block[4 * i + 1], block[4 * i + 2], block[4 * i + 3]]);
        let [mut a, mut b, mut c, mut d] = state;
        for i in 0..64 {
            let (f, g) = match i / 16 {
                0 => ((b & c) | (!b & d), i),
                1 => ((d & b) | (!d & c), (5 * i + 1) % 16),
                2 => (b ^ c ^ d, (3 * i + 5) % 16),
                _ => (c ^ (b | !d), (7 * i) % 16),
            };
            let sum = a.wrapping_add(f).wrapping_add(SINES[i]).wrapping_add(word(g));
            (a, d, c) = (d, c, b);
            b = b.wrapping_add(sum.rotate_left(SHIFTS[i / 16][i % 4]));
        }
        for (slot, value) in state.iter_mut().zip([a, b, c, d]) {
            *slot = slot.wrapping_add(value);
        }
    }
    let mut out = [0; 16];
    for (i, word) in state.iter().enumerate() {
        out[4 * i..4 * i + 4].copy_from_slice(&word.to_le_bytes());
    }
    out
}

/// SHA-256 (FIPS 180-4).
pub fn sha256(data: &[u8]) -> [u8; 32] {
    const K: [u32; 64] = [
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01,
        0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
        0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
        0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
        0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08,
        0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
        0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
    ];
    let mut state: [u32; 8] = [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19];
    for block in padded(data, true).chunks_exact(64) {
        let mut w = [0u32; 64];
        for i in 0..16 {
            w[i] = u32::from_be_bytes([block[4 * i], block[4 * i + 1], block[4 * i + 2], block[4 * i + 3]]);
        }
        for i in 16..64 {
            let s0 = w[i - 15].rotate_right(7) ^ w[i - 15].rotate_right(18) ^ (w[i - 15] >> 3);
            let s1 = w[i - 2].rotate_right(17) ^ w[i - 2].rotate_right(19) ^ (w[i - 2] >> 10);
            w[i] = w[i - 16].wrapping_add(s0).wrapping_add(w[i - 7]).wrapping_add(s1);
        }
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = state;
        for i in 0..64 {
            let s1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
            let choice = (e & f) ^ (!e & g);
            let t1 = h.wrapping_add(s1).wrapping_add(choice).wrapping_add(K[i]).wrapping_add(w[i]);
            let s0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
            let t2 = s0.wrapping_add((a & b) ^ (a & c) ^ (b & c));
            (h, g, f, e, d, c, b, a) = (g, f, e, d.wrapping_add(t1), c, b, a, t1.wrapping_add(t2));
        }
        for (slot, value) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
            *slot = slot.wrapping_add(value);
        }
    }
    let mut out = [0; 32];
    for (i, word) in state.iter().enumerate() {
        out[4 * i..4 * i + 4].copy_from_slice(&word.to_be_bytes());
    }
    out
}
