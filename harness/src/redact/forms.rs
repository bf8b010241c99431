//! The forms in which programs print a value.
//!
//! Not covered: what is compressed, encrypted or hashed, reversed, in UTF-16, or in words that were
//! swapped (`od -x`).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

/// A part of a value (a line of a key, a piece of base64) is looked for from this length on.
pub(super) const SHORTEST_PART: usize = 8;

/// All forms of a value that stand in one line, some of them twice.
pub(super) fn forms(value: &[u8]) -> Vec<Vec<u8>> {
    let value = own_part(value);
    let mut forms = base64_forms(value);
    forms.extend(base32_forms(value));
    forms.extend(hex_forms(value));
    forms.extend(url_forms(value));
    if let Ok(text) = std::str::from_utf8(value) {
        forms.extend(json_forms(text));
        forms.extend(html_forms(text));
        forms.extend(quoted_forms(text));
    }
    forms.push(value.escape_ascii().to_string().into());
    // A key in several lines is printed line by line, with something in front of each.
    forms.extend(lines(value).map(<[u8]>::to_owned));
    forms.retain(|form| !form.contains(&b'\n'));
    forms
}

/// A value without the lines that begin and end a key, which are the same in all keys.
fn own_part(value: &[u8]) -> &[u8] {
    let is_frame = |line: &[u8]| line.starts_with(b"-----");
    let after_first = value.iter().position(|&byte| byte == b'\n');
    let rest = match after_first {
        Some(at) if is_frame(value) => &value[at + 1..],
        _ => value,
    };
    let before_last = rest.iter().rposition(|&byte| byte == b'\n');
    match before_last {
        Some(at) if is_frame(&rest[at + 1..]) => rest[..at].trim_ascii(),
        _ => rest,
    }
}

fn lines(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = value.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
    let whole = !value.contains(&b'\n');
    lines
        .filter(move |line| whole || line.len() >= 2 * SHORTEST_PART && !line.starts_with(b"-----"))
}

/// In base64 a value looks different by where it stands; its outermost digits depend on its
/// neighbours.
fn base64_forms(value: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = Vec::new();
    for engine in [&STANDARD, &URL_SAFE] {
        forms.push(engine.encode(value).into_bytes());
        for before in 0..3 {
            let mut text = vec![0; before];
            text.extend_from_slice(value);
            let digits = engine.encode(&text).into_bytes();
            let from = [0, 2, 3][before];
            let to = text.len() / 3 * 4 + [0, 1, 2][text.len() % 3];
            if to >= from + SHORTEST_PART {
                forms.push(digits[from..to].to_owned());
            }
        }
    }
    forms
}

/// Five bytes are eight digits: as in base64, and in both alphabets and cases.
fn base32_forms(value: &[u8]) -> Vec<Vec<u8>> {
    const ALPHABETS: [&[u8; 32]; 2] = [
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
        b"0123456789ABCDEFGHIJKLMNOPQRSTUV",
    ];
    let mut forms = Vec::new();
    for alphabet in ALPHABETS {
        for before in 0..5 {
            let bits = before * 8..(before + value.len()) * 8;
            let bit = |at: usize| {
                let byte = (at / 8).checked_sub(before).and_then(|at| value.get(at));
                byte.map_or(0, |byte| (byte >> (7 - at % 8)) & 1)
            };
            let digit = |nth: usize| {
                let index = (0..5).fold(0, |sum, at| (sum << 1) | bit(nth * 5 + at));
                alphabet[usize::from(index)]
            };
            // Those that hold nothing of a neighbour; at the end of a text there is none.
            let inner = bits.start.div_ceil(5)..bits.end / 5;
            let whole = inner.start..bits.end.div_ceil(5);
            for digits in [inner, whole] {
                let upper: Vec<u8> = digits.map(digit).collect();
                if upper.len() >= SHORTEST_PART {
                    forms.push(upper.to_ascii_lowercase());
                    forms.push(upper);
                }
            }
        }
    }
    forms
}

fn hex_forms(value: &[u8]) -> Vec<Vec<u8>> {
    let joined = |before: &str, between: &str, upper: bool| {
        let digits = |byte: &u8| match upper {
            true => format!("{before}{byte:02X}"),
            false => format!("{before}{byte:02x}"),
        };
        let all: Vec<String> = value.iter().map(digits).collect();
        all.join(between).into_bytes()
    };
    let shapes = [
        ("", ""),
        ("", ":"),
        ("", " "),
        ("", "-"),
        ("\\x", ""),
        ("%", ""),
        ("=", ""),
        ("0x", ", "),
        ("0x", ","),
        ("0x", " "),
    ];
    let mut forms = Vec::new();
    for (before, between) in shapes {
        forms.extend([true, false].map(|upper| joined(before, between, upper)));
    }
    // As `xxd` prints it: two bytes together, from an even or an odd one on.
    let hex = joined("", "", false);
    for first in [2, 4] {
        let (head, rest) = hex.split_at(first.min(hex.len()));
        let pairs = rest.chunks(4);
        let groups: Vec<&[u8]> = std::iter::once(head).chain(pairs).collect();
        forms.push(groups.join(&b' '));
    }
    forms
}

fn url_forms(value: &[u8]) -> Vec<Vec<u8>> {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let component = |byte: u8| unreserved(byte) || b"!*'()".contains(&byte);
    let printable = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'=';
    let form = url::form_urlencoded::byte_serialize(value).collect::<String>();
    let mut forms = vec![
        escaped(value, '%', unreserved, false),
        escaped(value, '%', unreserved, true),
        escaped(value, '%', component, false),
        form.into_bytes(),
    ];
    // Encoded once more.
    for once in forms.clone() {
        forms.push(escaped(&once, '%', unreserved, false));
        forms.push(escaped(&once, '%', unreserved, true));
    }
    // Quoted-printable.
    forms.push(escaped(value, '=', printable, false));
    forms
}

fn escaped(value: &[u8], sign: char, keep: impl Fn(u8) -> bool, lower: bool) -> Vec<u8> {
    let mut text = Vec::new();
    for &byte in value {
        if keep(byte) {
            text.push(byte);
        } else if lower {
            text.extend_from_slice(format!("{sign}{byte:02x}").as_bytes());
        } else {
            text.extend_from_slice(format!("{sign}{byte:02X}").as_bytes());
        }
    }
    text
}

fn json_forms(text: &str) -> Vec<Vec<u8>> {
    let json = in_json(text);
    let for_html = ['<', '>', '&', '\'']
        .into_iter()
        .fold(json.clone(), |text, sign| {
            text.replace(sign, &format!("\\u{:04x}", u32::from(sign)))
        });
    let slashes = json.replace('/', "\\/");
    // JSON in a text of JSON.
    let twice = in_json(&json);
    let ascii = ascii_only(&json);
    [
        for_html.replace("\\u0027", "'"),
        for_html,
        slashes,
        twice,
        ascii,
        json,
    ]
    .map(String::into_bytes)
    .into()
}

fn in_json(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    json[1..json.len() - 1].to_owned()
}

/// JSON as some programs write it: every other character as `\uXXXX`.
fn ascii_only(json: &str) -> String {
    let mut text = String::new();
    for unit in json.encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii() => text.push(char::from(byte)),
            _ => text.push_str(&format!("\\u{unit:04x}")),
        }
    }
    text
}

/// Which signs are written as entities, and how, differs from program to program.
fn html_forms(text: &str) -> Vec<Vec<u8>> {
    const NAMED: [(char, &str); 3] = [('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;")];
    const QUOTES: [&[(char, &str)]; 6] = [
        &[],
        &[('"', "&quot;")],
        &[('"', "&quot;"), ('\'', "&#39;")],
        &[('"', "&quot;"), ('\'', "&apos;")],
        &[('"', "&quot;"), ('\'', "&#x27;")],
        &[('"', "&#34;"), ('\'', "&#39;")],
    ];
    let with = |names: &[&[(char, &str)]]| {
        let mut written = String::new();
        for sign in text.chars() {
            let mut all = names.iter().flat_map(|names| names.iter());
            match all.find(|(of, _)| *of == sign) {
                Some((_, name)) => written.push_str(name),
                None => written.push(sign),
            }
        }
        written
    };
    let mut forms: Vec<String> = QUOTES
        .iter()
        .map(|quotes| with(&[&NAMED, quotes]))
        .collect();
    let more: [(char, &str); 3] = [('/', "&#x2F;"), ('`', "&#x60;"), ('=', "&#x3D;")];
    forms.push(with(&[&NAMED, QUOTES[2], &more]));
    forms.push(with(&[&NAMED, QUOTES[4], &more]));
    let numbers: [fn(u32) -> String; 3] = [
        |code| format!("&#{code};"),
        |code| format!("&#x{code:x};"),
        |code| format!("&#x{code:X};"),
    ];
    let kept: [fn(char) -> bool; 4] = [
        |_| false,
        |sign| sign.is_ascii_alphanumeric(),
        |sign| sign.is_alphanumeric(),
        |sign| !"&<>\"'".contains(sign),
    ];
    for number in numbers {
        for keep in kept {
            let one = |sign: char| match keep(sign) {
                true => sign.to_string(),
                false => number(u32::from(sign)),
            };
            forms.push(text.chars().map(one).collect());
        }
    }
    forms.into_iter().map(String::into_bytes).collect()
}

/// As a shell and the languages write a text between quotes.
fn quoted_forms(text: &str) -> Vec<Vec<u8>> {
    let debug = format!("{text:?}");
    let debug = debug[1..debug.len() - 1].to_owned();
    let backslashes = |signs: &str| -> String {
        let one = |sign: char| match signs.contains(sign) {
            true => format!("\\{sign}"),
            false => sign.to_string(),
        };
        text.chars().map(one).collect()
    };
    [
        text.replace('\'', "'\\''"),
        text.replace('\'', "'\"'\"'"),
        backslashes("\"\\$`"),
        backslashes("'\\"),
        backslashes(" \t!\"#$&'()*,;<>?[\\]^`{|}~"),
        debug.replace("\\\"", "\"").replace('\'', "\\'"),
        debug,
        text.escape_debug().to_string(),
        text.escape_default().to_string(),
    ]
    .map(String::into_bytes)
    .into()
}
