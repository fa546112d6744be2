//! Bytes of a terminal as keys.

/// The next key and how many bytes it takes; `None` if it isn't whole yet.
pub(super) fn next_key(input: &[u8]) -> Option<(Key, usize)> {
    let first = *input.first()?;
    if first == 27 {
        return escape_key(input);
    }
    if first < 0x80 {
        return Some((Key::Char(first as char), 1));
    }
    let len = match first {
        0xf0.. => 4,
        0xe0.. => 3,
        0xc0.. => 2,
        _ => 1,
    };
    let bytes = input.get(..len)?;
    Some((Key::Char(std::str::from_utf8(bytes).ok().and_then(|t| t.chars().next()).unwrap_or('\u{fffd}')), len))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Char(char),
    Up,
    Down,
    Left,
    Right,
    Home,
    End,
    Delete,
    WordLeft,
    WordRight,
    /// Alt-Backspace.
    WordErase,
    /// Alt-d.
    WordDelete,
    PasteStart,
    PasteEnd,
    Other,
}

/// A key that begins with ESC.
pub(super) fn escape_key(input: &[u8]) -> Option<(Key, usize)> {
    let key = match input.get(1)? {
        b'b' => Key::WordLeft,
        b'f' => Key::WordRight,
        b'd' => Key::WordDelete,
        127 | 8 => Key::WordErase,
        b'[' | b'O' => return control_key(input),
        _ => Key::Other,
    };
    Some((key, 2))
}

pub(super) fn control_key(input: &[u8]) -> Option<(Key, usize)> {
    let end = input[2..].iter().position(|b| (0x40..0x7f).contains(b))? + 2;
    let parameters = &input[2..end];
    let key = match (input[end], parameters) {
        (b'A', _) => Key::Up,
        (b'B', _) => Key::Down,
        (b'C', b"") => Key::Right,
        (b'D', b"") => Key::Left,
        (b'C', _) => Key::WordRight,
        (b'D', _) => Key::WordLeft,
        (b'H', _) | (b'~', b"1" | b"7") => Key::Home,
        (b'F', _) | (b'~', b"4" | b"8") => Key::End,
        (b'~', b"3") => Key::Delete,
        (b'~', b"200") => Key::PasteStart,
        (b'~', b"201") => Key::PasteEnd,
        _ => Key::Other,
    };
    Some((key, end + 1))
}
