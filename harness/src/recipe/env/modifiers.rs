//! What the comment behind a secret's version asks of the secret.

use std::str::FromStr;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    /// Letters and digits without those that look alike.
    Default,
    Hex,
    Alnum,
    /// Letters, digits and `!@#$%^&*_-+=`.
    Special,
    /// Letters, digits and those special characters that need no quoting.
    SafeSpecial,
}

impl FromStr for Charset {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "default" => Ok(Self::Default),
            "hex" => Ok(Self::Hex),
            "alnum" => Ok(Self::Alnum),
            "special" => Ok(Self::Special),
            "safespecial" => Ok(Self::SafeSpecial),
            _ => Err(()),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Modifiers {
    pub length: Option<u32>,
    pub charset: Option<Charset>,
    /// False: never generated, somebody must give it.
    pub generate: bool,
}

impl Default for Modifiers {
    fn default() -> Self {
        Self {
            length: None,
            charset: None,
            generate: true,
        }
    }
}

impl Modifiers {
    /// Takes over what a comment says, and returns what in it could not be understood.
    pub(super) fn read(&mut self, comment: &str) -> Vec<String> {
        let mut odd = Vec::new();
        for word in comment.split([' ', '\t', ',', '#']) {
            match word.split_once('=') {
                Some(("length", value)) => match value.parse() {
                    Ok(length) if (1..=1024).contains(&length) => self.length = Some(length),
                    _ => odd.push(format!("`{word}`: a length is a number from 1 to 1024")),
                },
                Some(("charset", value)) => match value.parse() {
                    Ok(charset) => self.charset = Some(charset),
                    Err(()) => odd.push(format!(
                        "`{word}`: the charsets are default, hex, alnum, special and safespecial"
                    )),
                },
                Some(("generate", "false")) => self.generate = false,
                Some(("generate", "true")) => self.generate = true,
                Some(("generate", _)) => odd.push(format!("`{word}`: `true` or `false`")),
                _ => {}
            }
        }
        odd
    }
}
