//! Finds pieces of long texts in any text: whole ones, and those that a line break, a cut or a
//! prefix of each line has parted.
//!
//! Of each text that is looked for, a part of eight bytes stands in an index every few bytes. A place
//! of the text at which such a part is found is compared to both sides.
//!
//! Invariants: a piece is in one line; whether one is found depends on its line, and, where what is
//! left of it is short, on the line before and after.

use std::ops::Range;

/// What is in the index.
const GRAM: usize = 8;
/// A part stands in the index every so many bytes, and of a long text no more than so many parts.
const STRIDE: usize = 5;
const MOST_PARTS: usize = 256;
/// How full the index of bits is.
const PARTS_A_WORD: usize = 4;
/// A part that is in more places than these is looked up there only.
const MOST_PLACES: usize = 8;
/// A piece of a text that was parted has at least so many bytes, and so many bytes of the value.
const SHORTEST: usize = GRAM + STRIDE - 1;
const SHORTEST_OF_VALUE: usize = 7;
/// What stands before the text of each line: a time, a name.
const LONGEST_PREFIX: usize = 120;
/// The beginning of a text at the end of a line has at least so many bytes.
const SHORTEST_HEAD: usize = 4;

pub(super) struct Fragments {
    texts: Vec<Text>,
    /// Sorted: a part, and where it is from.
    parts: Vec<(u64, u32, u32)>,
    /// Bits for each part; for most places of most texts they are not there.
    seen: Vec<u64>,
    shift: u32,
    /// Sorted: how a text begins, and its number.
    heads: Vec<(u32, usize)>,
    /// The longest text, and the longest that the beginning of one can be without being a piece.
    longest: usize,
    most: usize,
}

struct Text {
    bytes: Vec<u8>,
    /// A piece of this length is one.
    least: usize,
    /// Of the value that it is a form of.
    of: usize,
}

/// A piece: where it is, of which text, and which part of that.
struct Piece {
    at: Range<usize>,
    text: usize,
    part: Range<usize>,
}

impl Fragments {
    /// Whether a form is long enough to be looked for here.
    pub fn takes(form: &[u8]) -> bool {
        form.len() >= SHORTEST
    }

    /// Takes forms with the length of their value, and a number that is given back.
    pub fn new(forms: Vec<(Vec<u8>, usize, usize)>) -> Self {
        let least = |form: &[u8], value: usize| match value < SHORTEST {
            true => form.len(),
            false => {
                let of_value = (SHORTEST_OF_VALUE * form.len()).div_ceil(value);
                of_value.max(stride(form) + GRAM - 1).min(form.len())
            }
        };
        let texts: Vec<_> = forms
            .into_iter()
            .map(|(bytes, value, of)| Text {
                least: least(&bytes, value),
                bytes,
                of,
            })
            .collect();
        let mut parts = Vec::new();
        for (number, text) in (0..).zip(&texts) {
            let last = text.bytes.len() - GRAM;
            for at in (0..=last).step_by(stride(&text.bytes)) {
                let place = u32::try_from(at).unwrap_or(u32::MAX);
                parts.push((gram(&text.bytes, at), number, place));
            }
        }
        parts.sort_unstable();
        let words = (parts.len() / PARTS_A_WORD).next_power_of_two().max(2);
        let mut heads: Vec<_> = (0..)
            .zip(&texts)
            .map(|(number, text)| (head_of(&text.bytes), number))
            .collect();
        heads.sort_unstable();
        let mut fragments = Self {
            longest: texts.iter().map(|text| text.bytes.len()).max().unwrap_or(0),
            most: texts.iter().map(|text| text.least).max().unwrap_or(0),
            texts,
            heads,
            seen: vec![0; words],
            shift: 64 - words.trailing_zeros(),
            parts: Vec::new(),
        };
        for (part, ..) in &parts {
            let (word, bits) = fragments.place(*part);
            fragments.seen[word] |= bits;
        }
        fragments.parts = parts;
        fragments
    }

    /// A word of what was seen, and three bits in it.
    fn place(&self, part: u64) -> (usize, u64) {
        let hash = part.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let word = usize::try_from(hash >> self.shift).unwrap_or(0);
        let bit = |from: u32| 1 << ((hash >> from) & 63);
        (word, bit(8) | bit(14) | bit(20))
    }

    /// Where pieces are, each with the number of its form.
    pub fn find(&self, bytes: &[u8], found: &mut Vec<(Range<usize>, usize)>) {
        if self.texts.is_empty() {
            return;
        }
        let mut pieces: Vec<Piece> = Vec::new();
        for at in 0..(bytes.len() + 1).saturating_sub(GRAM) {
            let part = gram(bytes, at);
            let (word, bits) = self.place(part);
            if self.seen[word] & bits == bits {
                self.look(bytes, at, part, &mut pieces);
            }
        }
        for piece in &pieces {
            let of = self.texts[piece.text].of;
            let rest = [self.tail(bytes, piece), self.head(bytes, piece)];
            found.push((piece.at.clone(), of));
            found.extend(rest.into_iter().flatten().map(|range| (range, of)));
        }
    }

    /// Compares what is around a place with the texts that have its part.
    fn look(&self, bytes: &[u8], at: usize, part: u64, pieces: &mut Vec<Piece>) {
        let first = self.parts.partition_point(|(other, ..)| *other < part);
        let places = self.parts[first..].iter().take(MOST_PLACES);
        for (_, number, place) in places.take_while(|(other, ..)| *other == part) {
            let (number, place) = (*number as usize, *place as usize);
            let known = pieces.iter().rev().take(MOST_PLACES).any(|piece| {
                piece.text == number
                    && piece.at.contains(&at)
                    && piece.part.start + (at - piece.at.start) == place
            });
            if known {
                continue;
            }
            let text = &self.texts[number];
            let after = same(bytes[at..].iter(), text.bytes[place..].iter());
            let before = same(bytes[..at].iter().rev(), text.bytes[..place].iter().rev());
            if before + after >= text.least {
                pieces.push(Piece {
                    at: at - before..at + after,
                    text: number,
                    part: place - before..place + after,
                });
            }
        }
    }

    /// The short rest of a text in the line after the piece.
    fn tail(&self, bytes: &[u8], piece: &Piece) -> Option<Range<usize>> {
        let text = &self.texts[piece.text];
        let rest = &text.bytes[piece.part.end..];
        if rest.is_empty() || rest.len() >= text.least {
            return None;
        }
        let line = after_break(bytes, piece.at.end)?;
        let near = &bytes[line..bytes.len().min(line + LONGEST_PREFIX + rest.len())];
        let near = near.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let places = 0..(near.len() + 1).saturating_sub(rest.len());
        let is_rest = |at: &usize| {
            let begins = *at == 0 || !near[at - 1].is_ascii_alphanumeric();
            begins && near[*at..].starts_with(rest)
        };
        let at = line + places.into_iter().find(is_rest)?;
        Some(at..at + rest.len())
    }

    /// The short beginning of a text at the end of the line before the piece.
    fn head(&self, bytes: &[u8], piece: &Piece) -> Option<Range<usize>> {
        let text = &self.texts[piece.text];
        let first = &text.bytes[..piece.part.start];
        if first.len() < SHORTEST_HEAD || first.len() >= text.least {
            return None;
        }
        let from = piece.at.start.saturating_sub(LONGEST_PREFIX + 1);
        let near = &bytes[from..piece.at.start];
        let end = from + near.iter().rposition(|byte| *byte == b'\n')?;
        let end = before_break(bytes, end);
        bytes[..end]
            .ends_with(first)
            .then(|| end - first.len()..end)
    }

    /// From where on what is found may be another once more bytes follow.
    pub fn open(&self, bytes: &[u8], found: &[(Range<usize>, usize)]) -> usize {
        let line = bytes.iter().rposition(|byte| *byte == b'\n');
        let begin = line.map_or(0, |at| at + 1);
        if bytes.len() - begin > 2 * self.reach() {
            // A line without an end: a piece is no longer than the longest text.
            return bytes.len() - self.reach();
        }
        let Some(end) = line else { return 0 };
        let end = before_break(bytes, end);
        // What ends the line before may go on, and what is at its end may begin something.
        let goes_on = found.iter().filter(|(range, _)| range.end >= end);
        let first = goes_on.map(|(range, _)| range.start).min().unwrap_or(begin);
        let from = bytes[..end].iter().rposition(|byte| *byte == b'\n');
        let from = from
            .map_or(0, |at| at + 1)
            .max(end.saturating_sub(self.most));
        let mut ends = from..(end + 1).saturating_sub(SHORTEST_HEAD).max(from);
        let may_begin = ends.find(|at| self.begins(&bytes[*at..end]));
        begin.min(first).min(may_begin.unwrap_or(begin))
    }

    /// Whether something begins so, and is not yet a piece.
    fn begins(&self, rest: &[u8]) -> bool {
        let head = head_of(rest);
        let first = self.heads.partition_point(|(other, _)| *other < head);
        let mut same = self.heads[first..]
            .iter()
            .take_while(|(other, _)| *other == head);
        same.any(|(_, number)| {
            let text = &self.texts[*number];
            rest.len() < text.least && text.bytes.starts_with(rest)
        })
    }

    fn reach(&self) -> usize {
        self.longest + LONGEST_PREFIX + SHORTEST
    }
}

fn stride(text: &[u8]) -> usize {
    STRIDE.max(text.len() / MOST_PARTS)
}

fn head_of(bytes: &[u8]) -> u32 {
    let head = bytes
        .get(..SHORTEST_HEAD)
        .and_then(|head| head.try_into().ok());
    head.map_or(0, u32::from_le_bytes)
}

fn gram(bytes: &[u8], at: usize) -> u64 {
    let part = bytes
        .get(at..at + GRAM)
        .and_then(|part| part.try_into().ok());
    part.map_or(0, u64::from_le_bytes)
}

/// How many are the same from the beginning.
fn same<'a>(one: impl Iterator<Item = &'a u8>, other: impl Iterator<Item = &'a u8>) -> usize {
    one.zip(other)
        .take_while(|(one, other)| one == other)
        .count()
}

/// Where the next line begins, if this is the end of one. A shell and mails end a line that goes on
/// with a sign.
fn after_break(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at..];
    let ends: [&[u8]; 4] = [b"\n", b"\r\n", b"\\\n", b"=\r\n"];
    let end = ends
        .into_iter()
        .chain([&b"=\n"[..]])
        .find(|end| rest.starts_with(end))?;
    Some(at + end.len())
}

/// Where the text of a line ends whose line break is at `at`.
fn before_break(bytes: &[u8], at: usize) -> usize {
    let line = &bytes[..at];
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let shorter = line.strip_suffix(b"\\").or(line.strip_suffix(b"="));
    shorter.unwrap_or(line).len()
}
