//! Websockets as kubectl's exec and attach use them (`v5.channel.k8s.io`): the first byte of a message is its channel.
//! The handshake and the framing of RFC 6455, server side; no extensions.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::encode::base64;

/// Sub-protocols that are spoken, best first.
pub const PROTOCOLS: [&str; 2] = ["v5.channel.k8s.io", "v4.channel.k8s.io"];
/// A message longer than this ends the connection.
const MAX_MESSAGE: u64 = 32 << 20;

/// `Sec-WebSocket-Accept` for a client's key.
pub fn accept_key(key: &str) -> String {
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    base64(ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()).as_ref())
}

/// The sub-protocol to speak, of those that the client offers.
pub fn choose_protocol(offered: &str) -> Option<&'static str> {
    PROTOCOLS.into_iter().find(|p| offered.split(',').any(|o| o.trim() == *p))
}

/// A message of the peer.
pub enum Message {
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Close,
}

/// Reads the next message; fragments are put together.
///
/// # Errors
/// Those of the connection; an end in the midst of a message.
pub async fn read<R: AsyncRead + Unpin>(reader: &mut R) -> io::Result<Message> {
    let mut message = Vec::new();
    loop {
        let first = reader.read_u8().await?;
        let second = reader.read_u8().await?;
        let len = match second & 0x7f {
            126 => u64::from(reader.read_u16().await?),
            127 => reader.read_u64().await?,
            n => u64::from(n),
        };
        if len > MAX_MESSAGE || message.len() as u64 > MAX_MESSAGE {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut mask = [0; 4];
        if second & 0x80 != 0 {
            reader.read_exact(&mut mask).await?;
        }
        let mut data = vec![0; len as usize];
        reader.read_exact(&mut data).await?;
        data.iter_mut().enumerate().for_each(|(i, b)| *b ^= mask[i % 4]);
        match first & 0x0f {
            8 => return Ok(Message::Close),
            9 => return Ok(Message::Ping(data)),
            10 => {}
            _ => {
                message.extend(data);
                if first & 0x80 != 0 {
                    return Ok(Message::Binary(message));
                }
            }
        }
    }
}

/// Opcodes of what the server sends.
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PONG: u8 = 10;

/// Writes one message as one frame.
///
/// # Errors
/// Those of the connection.
pub async fn write<W: AsyncWrite + Unpin>(writer: &mut W, opcode: u8, parts: &[&[u8]]) -> io::Result<()> {
    let len: usize = parts.iter().map(|p| p.len()).sum();
    let mut frame = vec![0x80 | opcode];
    match len {
        0..126 => frame.push(len as u8),
        126..0x1_0000 => {
            frame.push(126);
            frame.extend((len as u16).to_be_bytes());
        }
        _ => {
            frame.push(127);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    parts.iter().for_each(|p| frame.extend_from_slice(p));
    writer.write_all(&frame).await?;
    writer.flush().await
}
