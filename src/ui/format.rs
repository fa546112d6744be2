//! Times, numbers and cut texts, as the page writes them.

use std::cell::RefCell;
use std::collections::BTreeMap;

use base::Time;
use protocol::Us;
use wasm_bindgen::JsCast;
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement};

use crate::js;

/// `12:04:33.412` (UTC).
pub fn clock(at_us: Us) -> String {
    let (_, _, _, h, m, s) = Time(at_us).civil();
    format!("{h:02}:{m:02}:{s:02}.{:03}", at_us.rem_euclid(1_000_000) / 1000)
}

/// `12:04:33` (UTC).
pub fn clock_s(at_us: Us) -> String {
    let (_, _, _, h, m, s) = Time(at_us).civil();
    format!("{h:02}:{m:02}:{s:02}")
}

/// A span in the unit that suits it: `412 µs`, `3.2 ms`, `18 s`, `5 min 2 s`, `3 h 10 min`.
pub fn span(us: i64) -> String {
    let whole = us / 1_000_000;
    match us.abs() {
        0..1_000 => format!("{us} µs"),
        1_000..10_000 => format!("{:.1} ms", us as f64 / 1e3),
        10_000..1_000_000 => format!("{} ms", us / 1000),
        1_000_000..10_000_000 => format!("{:.1} s", us as f64 / 1e6),
        10_000_000..60_000_000 => format!("{whole} s"),
        60_000_000..3_600_000_000 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole / 60 % 60),
    }
}

/// `1 284`: groups of three by a thin space.
pub fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push('\u{2009}');
        }
        out.push(c);
    }
    out
}

thread_local! {
    static RULER: RefCell<Ruler> = RefCell::new(Ruler::new());
}

/// Measures text on a canvas nobody sees; remembers widths of characters, which is what makes it cheap.
struct Ruler {
    context: Option<CanvasRenderingContext2d>,
    fonts: BTreeMap<(&'static str, bool), String>,
    widths: BTreeMap<(&'static str, bool, char), f32>,
}

impl Ruler {
    fn new() -> Ruler {
        let canvas = js::document().create_element("canvas").ok().and_then(|c| c.dyn_into::<HtmlCanvasElement>().ok());
        let context = canvas.and_then(|c| c.get_context("2d").ok().flatten()).and_then(|c| c.dyn_into().ok());
        Ruler { context, fonts: BTreeMap::new(), widths: BTreeMap::new() }
    }

    /// Width of `c` in hundredths of the font size.
    fn char_width(&mut self, family: &'static str, bold: bool, c: char) -> f32 {
        if let Some(width) = self.widths.get(&(family, bold, c)) {
            return *width;
        }
        let weight = if bold { "600 " } else { "" };
        let font = self.fonts.entry((family, bold)).or_insert_with(|| format!("{weight}100px {}", js::css_token(family)));
        let measured = self.context.as_ref().and_then(|context| {
            context.set_font(font);
            context.measure_text(c.encode_utf8(&mut [0; 4])).ok()
        });
        let width = measured.map_or(58.0, |m| m.width() as f32);
        self.widths.insert((family, bold, c), width);
        width
    }
}

/// Width of a text in px.
pub fn width(text: &str, size: f32, mono: bool, bold: bool) -> f32 {
    let family = if mono { "--mono" } else { "--font" };
    RULER.with_borrow_mut(|ruler| {
        let sum: f32 = text.chars().map(|c| ruler.char_width(family, bold, c)).sum();
        sum * size / 100.0
    })
}

/// The text if it fits into `room` px, else its beginning with an ellipsis.
pub fn fit(text: &str, size: f32, mono: bool, bold: bool, room: f32) -> String {
    if width(text, size, mono, bold) <= room {
        return text.to_owned();
    }
    let mut left = room - width("…", size, mono, bold);
    let mut out = String::new();
    for c in text.chars() {
        left -= width(c.encode_utf8(&mut [0; 4]), size, mono, bold);
        if left < 0.0 {
            break;
        }
        out.push(c);
    }
    out.truncate(out.trim_end_matches([' ', '-', '·']).len());
    out.push('…');
    out
}

/// A pod's name: if it doesn't fit, its middle goes, because its end is what tells it from its siblings.
pub fn fit_name(name: &str, size: f32, room: f32) -> String {
    const END: usize = 5;
    let count = name.chars().count();
    if count <= 2 * END || width(name, size, false, false) <= room {
        return fit(name, size, false, false, room);
    }
    let end: String = name.chars().skip(count - END).collect();
    let mut left = room - width(&end, size, false, false) - width("…", size, false, false);
    let mut begin = String::new();
    for c in name.chars().take(count - END) {
        left -= width(c.encode_utf8(&mut [0; 4]), size, false, false);
        if left < 0.0 {
            break;
        }
        begin.push(c);
    }
    format!("{}…{end}", begin.trim_end_matches('-'))
}
