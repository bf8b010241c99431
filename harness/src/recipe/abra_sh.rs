//! `abra.sh`: the versions of configs that it exports. The file is read and never run.

use std::collections::BTreeMap;

use crate::recipe::{EnvFile, StackName};

/// What a recipe's `abra.sh` exports with a literal value, and what was passed over.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AbraSh {
    pub exports: BTreeMap<String, String>,
    /// Exports whose value only a shell could tell, with their line.
    pub notes: Vec<String>,
}

impl AbraSh {
    /// Reads each line of the form `export NAME=literal`; the last of one name wins.
    pub fn parse(text: &str) -> Self {
        let mut found = Self::default();
        for (index, line) in text.lines().enumerate() {
            let Some(words) = line.trim_start().strip_prefix("export ") else {
                continue;
            };
            found.read(words.trim_start(), index + 1);
        }
        found
    }

    /// What compose files are interpolated with: the app's env file, over it these exports, and
    /// `STACK_NAME` where the env file has none.
    pub fn variables(&self, env: &EnvFile, stack: &StackName) -> BTreeMap<String, String> {
        let mut all = BTreeMap::from([("STACK_NAME".to_owned(), stack.to_string())]);
        all.extend(env.variables().clone());
        all.extend(self.exports.clone());
        all
    }

    /// Reads `A=1 B="2"  # comment`.
    fn read(&mut self, words: &str, line: usize) {
        let mut rest = words;
        while let Some((name, behind)) = rest.split_once('=') {
            if !is_name(name) {
                return;
            }
            let (value, next) = match behind.chars().next() {
                Some(quote @ ('"' | '\'')) => match behind[1..].split_once(quote) {
                    Some((value, next)) => (value, next),
                    None => return self.skip(name, line),
                },
                _ => {
                    let end = behind
                        .find(|c: char| c.is_whitespace() || c == ';')
                        .unwrap_or(behind.len());
                    behind.split_at(end)
                }
            };
            if value.contains(['$', '`', '\\', '"', '\'']) {
                return self.skip(name, line);
            }
            self.exports.insert(name.to_owned(), value.to_owned());
            rest = next.trim_start();
        }
    }

    fn skip(&mut self, name: &str, line: usize) {
        self.notes.push(format!(
            "abra.sh line {line}: the value of `{name}` is not literal; passed over, as the file is not run"
        ));
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literal_exports_are_read_and_nothing_is_run() {
        let found = AbraSh::parse(
            "# export OLD_VERSION=v0\n\
             export APP_CONF_VERSION=v3\n\
             export A_VERSION=v1 B_VERSION=\"v2\" # both\n\
             export C_VERSION='v4';\n\
             export D=$(cat /etc/passwd)\n\
             export E=\"unclosed\n\
             backup() {\n  echo NOT=this\n}\n\
             export APP_CONF_VERSION=v5\n",
        );
        let exports = found
            .exports
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>();
        assert_eq!(
            exports,
            [
                "APP_CONF_VERSION=v5",
                "A_VERSION=v1",
                "B_VERSION=v2",
                "C_VERSION=v4"
            ]
        );
        insta::assert_snapshot!(found.notes.join("\n"), @r"
        abra.sh line 5: the value of `D` is not literal; passed over, as the file is not run
        abra.sh line 6: the value of `E` is not literal; passed over, as the file is not run
        ");
    }

    #[test]
    fn variables_are_the_env_file_with_the_exports_over_it() {
        let stack = "a.ci.test"
            .parse::<crate::recipe::AppDomain>()
            .unwrap()
            .stack();
        let env = EnvFile::parse("DOMAIN=a.ci.test\nC_VERSION=old").unwrap();
        let all = AbraSh::parse("export C_VERSION=v2").variables(&env, &stack);
        let all = all.iter().map(|(name, value)| format!("{name}={value}"));
        assert_eq!(
            all.collect::<Vec<_>>(),
            ["C_VERSION=v2", "DOMAIN=a.ci.test", "STACK_NAME=a_ci_test"]
        );
    }
}
