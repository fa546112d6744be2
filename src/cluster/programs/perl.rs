//! `perl`, as far as the best known Job needs it: `perl -Mbignum=bpi -wle 'print bpi(2000)'` computes π and takes some seconds of CPU for
//! it. Left out by name: every other program; they end with a message that says so.

use cri_api::machine::Sys;
use cri_api::{Poll, Program};

/// Steps of one turn.
const TURN: u32 = 1000;
/// More digits than that take too long here.
const MOST: usize = 5000;

#[derive(Clone, Default)]
struct Perl {
    /// Digits, and steps that they still cost.
    work: Option<(usize, u64)>,
}

/// The constructor for the program table.
pub fn start(_name: &str) -> Box<dyn Program> {
    Box::new(Perl::default())
}

impl Program for Perl {
    fn poll(&mut self, sys: &mut Sys<'_>) -> Poll {
        let Some((digits, left)) = &mut self.work else {
            let argv: Vec<String> = sys.argv().iter().skip(1).map(|a| a.to_string()).collect();
            let Some(digits) = digits_wanted(&argv) else {
                let text = format!(
                    "perl: this bottle has no Perl. It knows one program, -Mbignum=bpi -wle 'print bpi(N)' with N up to {MOST}.\n"
                );
                let _ = sys.write(2, text.as_bytes());
                return Poll::Exit(255);
            };
            // A step is a twenty-thousandth of a core-second: two thousand digits take five seconds.
            self.work = Some((digits, (digits * digits / 40) as u64));
            return Poll::Ready;
        };
        if *left > 0 {
            *left = left.saturating_sub(u64::from(TURN));
            sys.charge(TURN);
            return Poll::Ready;
        }
        let _ = sys.write(1, format!("{}\n", pi(*digits)).as_bytes());
        Poll::Exit(0)
    }
}

/// How many digits of π are to be printed.
fn digits_wanted(argv: &[String]) -> Option<usize> {
    if !argv.iter().any(|a| a == "-Mbignum=bpi") {
        return None;
    }
    let script = argv.last()?.trim().trim_end_matches(';');
    let inner = script.strip_prefix("print")?.trim().strip_prefix("bpi(")?.strip_suffix(')')?;
    inner.trim().parse().ok().filter(|n| (1..=MOST).contains(n))
}

/// π to so many significant digits, rounded. By Machin's formula, π = 16 arctan(1/5) − 4 arctan(1/239), in limbs of nine digits.
fn pi(digits: usize) -> String {
    const BASE: u64 = 1_000_000_000;
    // One limb before the point, and two more than needed behind it for what rounding loses.
    let limbs = digits / 9 + 4;
    let divide = |number: &mut [u64], by: u64| {
        let mut rest = 0;
        for limb in number {
            let value = rest * BASE + *limb;
            (*limb, rest) = (value / by, value % by);
        }
    };
    let mut sum = vec![0_i64; limbs];
    for (factor, x, sign) in [(16, 5_u64, 1_i64), (4, 239, -1)] {
        let mut power = vec![0; limbs];
        power[0] = factor;
        divide(&mut power, x);
        let mut n = 1;
        while power.iter().any(|limb| *limb != 0) {
            let mut term = power.clone();
            divide(&mut term, n);
            let sign = if n % 4 == 1 { sign } else { -sign };
            for (total, limb) in sum.iter_mut().zip(&term) {
                *total += sign * *limb as i64;
            }
            divide(&mut power, x * x);
            n += 2;
        }
    }
    // Carries, from the last limb up; then the digits, of which the one behind the last rounds.
    for i in (1..limbs).rev() {
        let carry = sum[i].div_euclid(BASE as i64);
        sum[i] -= carry * BASE as i64;
        sum[i - 1] += carry;
    }
    let mut text: Vec<u8> = sum[0].to_string().into_bytes();
    for limb in &sum[1..] {
        text.extend(format!("{limb:09}").bytes());
    }
    let up = text[digits] >= b'5';
    text.truncate(digits);
    for digit in text.iter_mut().rev().take(if up { digits } else { 0 }) {
        if *digit != b'9' {
            *digit += 1;
            break;
        }
        *digit = b'0';
    }
    if digits > 1 {
        text.insert(1, b'.');
    }
    String::from_utf8(text).expect("digits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pi_is_computed() {
        assert_eq!(pi(1), "3");
        assert_eq!(pi(10), "3.141592654");
        assert_eq!(pi(50), "3.1415926535897932384626433832795028841971693993751");
        // The six nines at digits 763 to 768 are followed by an 8.
        assert!(pi(1000).contains("134999999837"));
        let two_thousand = pi(2000);
        assert_eq!(two_thousand.len(), 2001);
        assert!(pi(2040).starts_with(&two_thousand[..1990]), "more digits begin alike");
    }

    #[test]
    fn only_that_program_is_known() {
        let wanted = |line: &str| digits_wanted(&line.split('|').map(String::from).collect::<Vec<_>>());
        assert_eq!(wanted("-Mbignum=bpi|-wle|print bpi(2000)"), Some(2000));
        assert_eq!(wanted("-Mbignum=bpi|-wle|print bpi(9999999)"), None);
        assert_eq!(wanted("-wle|print bpi(2000)"), None);
        assert_eq!(wanted("-e|print 1"), None);
    }
}
