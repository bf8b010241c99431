//! A value of a parsed compose file together with where it stands.

use std::str::FromStr;
use std::time::Duration;

use serde_yaml_ng::Value;

/// A value that has not the shape that it should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shape {
    /// Keys from the top, with dots between them.
    pub at: String,
    pub expected: &'static str,
    pub found: String,
}

pub(super) struct Node<'a> {
    pub value: &'a Value,
    pub at: String,
}

impl<'a> Node<'a> {
    pub fn new(value: &'a Value, at: impl Into<String>) -> Self {
        Self {
            value,
            at: at.into(),
        }
    }

    pub fn wrong(&self, expected: &'static str) -> Shape {
        Shape {
            at: self.at.clone(),
            expected,
            found: match self.value {
                Value::Null => "nothing".to_owned(),
                Value::Sequence(_) => "a list".to_owned(),
                Value::Mapping(_) => "a map".to_owned(),
                Value::Tagged(tagged) => format!("the tag `{}`", tagged.tag),
                scalar => format!("`{}`", scalar_text(scalar).unwrap_or_default()),
            },
        }
    }

    pub fn is_null(&self) -> bool {
        self.value.is_null()
    }

    /// The value below `key`; none where it is absent or null.
    pub fn get(&self, key: &str) -> Option<Node<'a>> {
        self.value
            .get(key)
            .filter(|value| !value.is_null())
            .map(|value| Node::new(value, format!("{}.{key}", self.at)))
    }

    pub fn read<T>(
        &self,
        key: &str,
        how: impl FnOnce(&Node<'a>) -> Result<T, Shape>,
    ) -> Result<Option<T>, Shape> {
        self.get(key).map(|node| how(&node)).transpose()
    }

    pub fn entries(&self) -> Result<Vec<(String, Node<'a>)>, Shape> {
        let map = match self.value {
            Value::Null => return Ok(Vec::new()),
            Value::Mapping(map) => map,
            _ => return Err(self.wrong("a map")),
        };
        map.iter()
            .map(|(key, value)| {
                let key = scalar_text(key).ok_or_else(|| self.wrong("a map with plain keys"))?;
                let node = Node::new(value, format!("{}.{key}", self.at));
                Ok((key, node))
            })
            .collect()
    }

    pub fn items(&self) -> Result<Vec<Node<'a>>, Shape> {
        let Value::Sequence(items) = self.value else {
            return Err(self.wrong("a list"));
        };
        Ok(items
            .iter()
            .enumerate()
            .map(|(index, value)| Node::new(value, format!("{}[{index}]", self.at)))
            .collect())
    }

    pub fn is_map(&self) -> bool {
        self.value.is_mapping()
    }

    pub fn text(&self) -> Result<String, Shape> {
        scalar_text(self.value).ok_or_else(|| self.wrong("a string"))
    }

    /// One string, or a list of them.
    pub fn texts(&self) -> Result<Vec<String>, Shape> {
        match self.value {
            Value::Sequence(_) => self.items()?.iter().map(Node::text).collect(),
            _ => Ok(vec![self.text()?]),
        }
    }

    /// A command: a list of words, or a string that is split as a shell does.
    pub fn words(&self) -> Result<Vec<String>, Shape> {
        match self.value {
            Value::Sequence(_) => self.texts(),
            _ => shlex::split(&self.text()?)
                .ok_or_else(|| self.wrong("words whose quotes are closed")),
        }
    }

    /// `[KEY=value, BARE]` or `{KEY: value, BARE: }`.
    pub fn pairs(&self) -> Result<Vec<(String, Option<String>)>, Shape> {
        if !self.value.is_sequence() {
            return self
                .entries()?
                .into_iter()
                .map(|(key, node)| Ok((key, (!node.is_null()).then(|| node.text()).transpose()?)))
                .collect();
        }
        let pair = |text: String| match text.split_once('=') {
            Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
            None => (text, None),
        };
        Ok(self.texts()?.into_iter().map(pair).collect())
    }

    pub fn flag(&self) -> Result<bool, Shape> {
        match self.text()?.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "y" => Ok(true),
            "false" | "no" | "off" | "n" => Ok(false),
            _ => Err(self.wrong("true or false")),
        }
    }

    pub fn number<T: FromStr>(&self) -> Result<T, Shape> {
        self.text()?.parse().map_err(|_| self.wrong("a number"))
    }

    /// A file mode: octal where it begins with a zero, as YAML 1.1 has it.
    pub fn mode(&self) -> Result<u32, Shape> {
        let text = self.text()?;
        let mode = match text.strip_prefix('0') {
            Some(octal) if !octal.is_empty() => {
                u32::from_str_radix(octal.trim_start_matches('o'), 8).ok()
            }
            _ => text.parse().ok(),
        };
        mode.ok_or_else(|| self.wrong("a file mode, such as 0440"))
    }

    /// `1h30m`, `10s`, `1.5s`, `500ms`.
    pub fn duration(&self) -> Result<Duration, Shape> {
        parse_duration(&self.text()?).ok_or_else(|| self.wrong("a duration, such as 1m30s"))
    }
}

pub(super) fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null => Some(String::new()),
        Value::Sequence(_) | Value::Mapping(_) | Value::Tagged(_) => None,
    }
}

fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let (number, behind) = rest.split_at(digits);
        let end = behind
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(behind.len());
        let (unit, next) = behind.split_at(end);
        let seconds = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        total += Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?;
        rest = next;
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("10s", Some(10_000))]
    #[case("1m30s", Some(90_000))]
    #[case("500ms", Some(500))]
    #[case("1.5s", Some(1500))]
    #[case("0", Some(0))]
    #[case("10", None)]
    #[case("", None)]
    #[case("s", None)]
    fn a_duration_reads_as_docker_reads_it(#[case] text: &str, #[case] ms: Option<u64>) {
        assert_eq!(parse_duration(text), ms.map(Duration::from_millis));
    }

    #[rstest::rstest]
    #[case("0555", Some(0o555))]
    #[case("0o440", Some(0o440))]
    #[case("292", Some(292))]
    #[case("0", Some(0))]
    #[case("rw", None)]
    fn a_mode_with_a_leading_zero_is_octal(#[case] text: &str, #[case] mode: Option<u32>) {
        let value: Value = serde_yaml_ng::from_str(text).unwrap();
        assert_eq!(Node::new(&value, "mode").mode().ok(), mode);
    }
}
