//! `chmod`'s words for a mode: octal, or `u+x` and its kin.

/// Applies `755` or `u+x,go-w` to a mode.
pub(super) fn new_mode(text: &str, old: u16, is_dir: bool, umask: u16) -> Option<u16> {
    if let Ok(mode) = u16::from_str_radix(text, 8) {
        return Some(mode & 0o7777);
    }
    let mut mode = old;
    for clause in text.split(',') {
        let at = clause.find(['+', '-', '='])?;
        let (who, operation) = clause.split_at(at);
        let all = who.is_empty() || who.contains('a');
        let mut mask = 0;
        for (letter, bits) in [('u', 0o4700), ('g', 0o2070), ('o', 0o1007)] {
            if all || who.contains(letter) {
                mask |= bits;
            }
        }
        if who.is_empty() {
            mask &= !umask;
        }
        let mut bits = 0;
        for letter in operation[1..].chars() {
            bits |= match letter {
                'r' => 0o444,
                'w' => 0o222,
                'x' => 0o111,
                'X' if is_dir || old & 0o111 != 0 => 0o111,
                'X' => 0,
                's' => 0o6000,
                't' => 0o1000,
                'u' => ((old >> 6) & 7) * 0o111,
                'g' => ((old >> 3) & 7) * 0o111,
                'o' => (old & 7) * 0o111,
                _ => return None,
            };
        }
        mode = match operation.as_bytes()[0] {
            b'+' => mode | (bits & mask),
            b'-' => mode & !(bits & mask),
            _ => (mode & !(mask & 0o777)) | (bits & mask),
        };
    }
    Some(mode)
}
