//! What was given for a key, and where.

use std::fmt::Display;
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use url::Url;

use super::{ConfigError, Secret};

/// The two places that settings come from.
pub struct Given<'a> {
    file: Option<&'a Path>,
    env: &'a dyn Fn(&str) -> Option<String>,
}

/// A value that is not yet looked at.
#[derive(Debug)]
pub struct Text {
    text: String,
    /// The file and the key, or the variable.
    at: String,
}

impl<'a> Given<'a> {
    pub fn new(file: Option<&'a Path>, env: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { file, env }
    }

    /// The environment's value, else the file's.
    pub fn text(&self, variable: &str, key: &str, in_file: Option<String>) -> Option<Text> {
        self.variable(variable)
            .or_else(|| in_file.map(|text| self.in_file(key, text)))
    }

    pub fn variable(&self, name: &str) -> Option<Text> {
        let text = (self.env)(name).filter(|text| !text.trim().is_empty())?;
        Some(Text {
            text,
            at: format!("the environment's {name}"),
        })
    }

    pub fn in_file(&self, key: impl Display, text: String) -> Text {
        Text {
            text,
            at: match self.file {
                Some(file) => format!("{}: {key}", file.display()),
                None => key.to_string(),
            },
        }
    }

    pub fn default(&self, key: &str, text: &str) -> Text {
        self.in_file(key, text.to_owned())
    }

    /// The variable's names, separated by commas, else the file's.
    pub fn list(&self, variable: &str, key: &str, in_file: Vec<String>) -> Vec<Text> {
        let Some(all) = self.variable(variable) else {
            let in_file = in_file.into_iter().enumerate();
            return in_file
                .map(|(index, text)| self.in_file(format!("{key}[{index}]"), text))
                .collect();
        };
        let names = all.text.split(',').map(str::trim);
        names
            .filter(|name| !name.is_empty())
            .map(|name| Text {
                text: name.to_owned(),
                at: all.at.clone(),
            })
            .collect()
    }

    pub fn number(
        &self,
        key: &str,
        in_file: Option<u64>,
        default: u64,
        bounds: RangeInclusive<u64>,
    ) -> Result<u64, ConfigError> {
        let number = in_file.unwrap_or(default);
        self.in_file(key, number.to_string()).number(bounds)
    }

    pub fn url(
        &self,
        variable: &str,
        key: &str,
        in_file: Option<String>,
    ) -> Result<Option<Url>, ConfigError> {
        let text = self.text(variable, key, in_file);
        text.map(|text| text.url()).transpose()
    }

    pub fn path(
        &self,
        variable: &str,
        key: &str,
        in_file: Option<String>,
    ) -> Result<Option<PathBuf>, ConfigError> {
        let text = self.text(variable, key, in_file);
        text.map(|text| text.path()).transpose()
    }

    pub fn secret(
        &self,
        variable: &str,
        key: &str,
        in_file: Option<String>,
    ) -> Result<Option<Secret>, ConfigError> {
        let Some(text) = self.text(variable, key, in_file) else {
            return Ok(None);
        };
        let read = Secret::read(&text.path()?);
        read.map(Some)
            .map_err(|(wrong, advice)| text.bad(wrong, advice))
    }

    /// The path of a file of trusted certificates.
    pub fn ca(
        &self,
        variable: &str,
        key: &str,
        in_file: Option<String>,
    ) -> Result<Option<PathBuf>, ConfigError> {
        let Some(text) = self.text(variable, key, in_file) else {
            return Ok(None);
        };
        let path = text.path()?;
        let advice = "name a PEM file of the certificates to trust";
        let pem = fs::read_to_string(&path)
            .map_err(|error| text.bad(format!("{}: {error}", path.display()), advice))?;
        if !pem.contains("-----BEGIN CERTIFICATE-----") {
            return Err(text.bad(format!("{} holds no certificate", path.display()), advice));
        }
        Ok(Some(path))
    }

    pub fn missing(&self, variable: &'static str, key: &str, meaning: &str) -> ConfigError {
        self.unset(Some(variable), key, meaning)
    }

    pub fn unset(&self, variable: Option<&'static str>, key: &str, meaning: &str) -> ConfigError {
        ConfigError::Missing {
            key: key.to_owned(),
            meaning: meaning.to_owned(),
            file: match self.file {
                Some(file) => file.display().to_string(),
                None => "a file (docs/bridge.toml is an example)".to_owned(),
            },
            variable,
        }
    }
}

impl Text {
    pub fn as_str(&self) -> &str {
        self.text.trim()
    }

    pub fn bad(&self, wrong: impl Into<String>, advice: impl Into<String>) -> ConfigError {
        ConfigError::Bad {
            at: self.at.clone(),
            wrong: wrong.into(),
            advice: advice.into(),
        }
    }

    pub fn parse<T>(&self, advice: &str) -> Result<T, ConfigError>
    where
        T: FromStr,
        T::Err: Display,
    {
        self.as_str().parse().map_err(|error: T::Err| {
            let said = error.to_string();
            // Our own types say what they were given.
            let wrong = match said.contains('`') {
                true => said,
                false => format!("`{}`: {said}", self.text),
            };
            self.bad(wrong, advice)
        })
    }

    pub fn check(
        &self,
        good: impl Fn(&str) -> bool,
        wrong: &str,
        advice: &str,
    ) -> Result<String, ConfigError> {
        let text = self.as_str();
        if good(text) {
            Ok(text.to_owned())
        } else {
            Err(self.bad(format!("`{text}` {wrong}"), advice))
        }
    }

    pub fn number(&self, bounds: RangeInclusive<u64>) -> Result<u64, ConfigError> {
        let (low, high) = (bounds.start(), bounds.end());
        let advice = format!("write a whole number from {low} to {high}");
        let number = self.parse(&advice)?;
        if !bounds.contains(&number) {
            return Err(self.bad(format!("{number} is out of bounds"), advice));
        }
        Ok(number)
    }

    /// An address that paths are put behind: it ends with a slash.
    fn url(&self) -> Result<Url, ConfigError> {
        let advice = "write the address alone, say https://git.example.org";
        let mut url: Url = self.parse(advice)?;
        let wrong = if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            "is no http address"
        } else if !url.username().is_empty() || url.password().is_some() {
            // Not repeated: it may be a secret.
            return Err(self.bad("a name or password is in the address", advice));
        } else if url.query().is_some() || url.fragment().is_some() {
            "has a query or a fragment"
        } else {
            if !url.path().ends_with('/') {
                url.set_path(&format!("{}/", url.path()));
            }
            return Ok(url);
        };
        Err(self.bad(format!("`{}` {wrong}", self.text), advice))
    }

    pub fn path(&self) -> Result<PathBuf, ConfigError> {
        let path = PathBuf::from(self.as_str());
        if path.is_absolute() {
            Ok(path)
        } else {
            Err(self.bad(
                format!("`{}` is no whole path", self.text),
                "write it from the root, beginning with `/`",
            ))
        }
    }
}
