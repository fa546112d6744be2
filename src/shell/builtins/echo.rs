//! `echo`.

use cri_api::{Sys, Text};

use super::Outcome;
use crate::eval::Shell;

/// What `echo` prints for its arguments.
pub fn echo(args: &[Text]) -> Vec<u8> {
    let (mut newline, mut escapes) = (true, false);
    let mut at = 0;
    while let Some(arg) =
        args.get(at).filter(|a| a.len() > 1 && a.starts_with('-') && a[1..].bytes().all(|b| b"neE".contains(&b)))
    {
        for byte in arg[1..].bytes() {
            match byte {
                b'n' => newline = false,
                b'e' => escapes = true,
                _ => escapes = false,
            }
        }
        at += 1;
    }
    let text = args[at..].join(" ");
    let mut bytes = text.into_bytes();
    if escapes {
        let unescaped = crate::text::unescape(&bytes);
        bytes = unescaped.bytes;
        newline &= !unescaped.stop;
    }
    if newline {
        bytes.push(b'\n');
    }
    bytes
}

pub fn builtin(shell: &mut Shell, sys: &mut Sys<'_>, argv: &[Text]) -> Outcome {
    if !sys.is_open(1) {
        let name = shell.arg0.clone();
        shell.out.push(2, format!("{name}: write error: Bad file descriptor\n").as_bytes());
        return Outcome::Done(1);
    }
    let bytes = echo(&argv[1..]);
    write_checked(shell, sys, &bytes)
}

/// Writes a builtin's output; an error (a full disk) is the builtin's.
pub(super) fn write_checked(shell: &mut Shell, sys: &mut Sys<'_>, bytes: &[u8]) -> Outcome {
    shell.out.push(1, bytes);
    match shell.out.flush(sys) {
        Ok(_) => Outcome::Done(0),
        Err(error) => {
            let name = shell.arg0.clone();
            shell.out.push(2, format!("{name}: write error: {error}\n").as_bytes());
            Outcome::Done(1)
        }
    }
}
