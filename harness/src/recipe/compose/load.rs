//! From the files of a commit to the model.
//!
//! Each file is parsed, anchors and merge keys are resolved, variables are put into the values of
//! the tree, and only then the files are merged.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use serde_yaml_ng::Value;

use super::error::{ComposeError, Place};
use super::interpolate::{self, Problem};
use super::layer::Layer;
use super::model::{Compose, MountKind};
use super::node::Shape;
use crate::recipe::env::EnvFile;

/// The parts of a file that variables are put into.
const SECTIONS: [&str; 5] = ["services", "volumes", "networks", "secrets", "configs"];

/// The compose files that an app selects: `COMPOSE_FILE`, or `compose.yml`.
pub fn compose_files(env: &EnvFile) -> Result<Vec<PathBuf>, ComposeError> {
    let mut files = Vec::new();
    for name in env.get("COMPOSE_FILE").unwrap_or_default().split(':') {
        let name = name.trim();
        if name.is_empty() {
            continue;
        }
        if !stays_inside(Path::new(name)) {
            return Err(ComposeError::Escapes {
                path: name.to_owned(),
                asked_by: "`COMPOSE_FILE` names".to_owned(),
            });
        }
        let file = PathBuf::from(name);
        if !files.contains(&file) {
            files.push(file);
        }
    }
    if files.is_empty() {
        files.push(PathBuf::from("compose.yml"));
    }
    Ok(files)
}

impl Compose {
    /// Reads and merges `files`, which are relative to `tree`, in their order.
    pub fn load(
        tree: &Path,
        files: &[PathBuf],
        variables: &BTreeMap<String, String>,
    ) -> Result<Self, ComposeError> {
        let mut merged = Layer::default();
        let mut images_by_file = BTreeMap::new();
        let mut has_version = Vec::new();
        let mut notes = Vec::new();
        for file in files {
            let source = SourceFile::read(tree, file)?;
            let mut layer = source.layer(variables, &mut notes)?;
            source.complete(tree, &mut layer)?;
            has_version.push(layer.has_version);
            notes.extend(
                layer
                    .notes
                    .iter()
                    .map(|note| format!("{}: {note}", file.display())),
            );
            for (name, service) in &layer.services {
                if let Some(image) = &service.image {
                    let named: &mut Vec<_> = images_by_file.entry(name.clone()).or_default();
                    named.push((file.clone(), image.clone()));
                }
            }
            merged.merge(layer);
        }
        let mut compose = Self::from(merged);
        for service in compose.services.values_mut() {
            for (name, value) in &mut service.environment {
                if value.is_none() {
                    *value = variables.get(name).cloned();
                }
            }
        }
        compose.images_by_file = images_by_file;
        compose.has_version = has_version;
        compose.notes = notes;
        compose.check_references()?;
        Ok(compose)
    }

    fn check_references(&self) -> Result<(), ComposeError> {
        for (name, service) in &self.services {
            let volumes = service.mounts.iter().filter_map(|mount| match &mount.kind {
                MountKind::Volume(key) => Some(key),
                _ => None,
            });
            let undeclared = None
                .or_else(|| missing("volume", volumes, &self.volumes))
                .or_else(|| {
                    let keys = service.secrets.iter().map(|grant| &grant.source);
                    missing("secret", keys, &self.secrets)
                })
                .or_else(|| {
                    let keys = service.configs.iter().map(|grant| &grant.source);
                    missing("config", keys, &self.configs)
                })
                .or_else(|| {
                    let keys = service.networks.keys().filter(|key| *key != "default");
                    missing("network", keys, &self.networks)
                });
            if let Some((kind, key)) = undeclared {
                return Err(ComposeError::Undeclared {
                    at: format!("service `{name}`"),
                    kind,
                    key,
                });
            }
        }
        Ok(())
    }
}

fn missing<'a, T>(
    kind: &'static str,
    keys: impl Iterator<Item = &'a String>,
    declared: &BTreeMap<String, T>,
) -> Option<(&'static str, String)> {
    let mut keys = keys;
    let key = keys.find(|key| !declared.contains_key(*key))?;
    Some((kind, key.clone()))
}

/// One compose file as it was found.
struct SourceFile {
    name: PathBuf,
    text: String,
}

impl SourceFile {
    fn read(tree: &Path, name: &Path) -> Result<Self, ComposeError> {
        let path = resolve(tree, name, "is a selected compose file")?;
        let text = std::fs::read_to_string(&path).map_err(|source| ComposeError::Unreadable {
            file: name.to_owned(),
            source,
        })?;
        Ok(Self {
            name: name.to_owned(),
            text,
        })
    }

    fn layer(
        &self,
        variables: &BTreeMap<String, String>,
        notes: &mut Vec<String>,
    ) -> Result<Layer, ComposeError> {
        let yaml = |error: serde_yaml_ng::Error| ComposeError::Yaml {
            place: Place {
                file: self.name.clone(),
                line: error.location().and_then(|at| at.line().try_into().ok()),
                column: error.location().and_then(|at| at.column().try_into().ok()),
            },
            message: error.to_string(),
        };
        let mut raw: Value = serde_yaml_ng::from_str(&self.text).map_err(yaml)?;
        raw.apply_merge().map_err(yaml)?;
        let mut tree = raw.clone();
        let mut unset = BTreeSet::new();
        for section in SECTIONS {
            if let Some(value) = tree.get_mut(section) {
                self.fill(value, section, variables, &mut unset)?;
            }
        }
        for variable in unset {
            let place = self.place(self.line_of_variable(&variable));
            notes.push(format!(
                "{place}: `{variable}` has no value and no default; taken as empty"
            ));
        }
        Layer::read(&tree, &raw).map_err(|shape| self.shape(shape))
    }

    /// Puts variables into the values below `value`. Keys stay as they are.
    fn fill(
        &self,
        value: &mut Value,
        at: &str,
        variables: &BTreeMap<String, String>,
        unset: &mut BTreeSet<String>,
    ) -> Result<(), ComposeError> {
        match value {
            Value::String(text) => {
                let mut missing = Vec::new();
                *text = interpolate::interpolate(text, variables, &mut missing)
                    .map_err(|problem| self.problem(problem, at, text))?;
                unset.extend(missing);
            }
            Value::Sequence(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.fill(item, &format!("{at}[{index}]"), variables, unset)?;
                }
            }
            Value::Mapping(map) => {
                for (key, item) in map {
                    let key = super::node::scalar_text(key).unwrap_or_default();
                    self.fill(item, &format!("{at}.{key}"), variables, unset)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Reads env files, and checks that files of configs and secrets are there and inside.
    fn complete(&self, tree: &Path, layer: &mut Layer) -> Result<(), ComposeError> {
        for (name, service) in &mut layer.services {
            for file in std::mem::take(&mut service.env_files) {
                let asked_by = format!("is an `env_file` of service `{name}`");
                let path = resolve(tree, Path::new(&file), &asked_by)?;
                let text = std::fs::read_to_string(&path)
                    .map_err(|source| ComposeError::Unreadable { file: path, source })?;
                for (key, value) in env_file(&text) {
                    service.environment.entry(key).or_insert(value);
                }
            }
        }
        let configs = layer.configs.iter().map(|config| ("config", config));
        let secrets = layer.secrets.iter().map(|secret| ("secret", secret));
        for (kind, (key, object)) in configs.chain(secrets) {
            if let Some(file) = &object.file {
                resolve(
                    tree,
                    Path::new(file),
                    &format!("is the file of {kind} `{key}`"),
                )?;
            }
        }
        Ok(())
    }

    fn problem(&self, problem: Problem, at: &str, text: &str) -> ComposeError {
        let text = text
            .lines()
            .find(|line| line.contains('$'))
            .unwrap_or(text)
            .trim();
        let place = self.place(line_with(&self.text, text));
        let at = at.to_owned();
        match problem {
            Problem::Invalid => ComposeError::Interpolation {
                place,
                at,
                text: text.to_owned(),
            },
            Problem::Required { variable, message } => ComposeError::Required {
                place,
                at,
                variable,
                message,
            },
        }
    }

    fn shape(&self, shape: Shape) -> ComposeError {
        ComposeError::Shape {
            place: self.place(nearest_line_of_path(&self.text, &shape.at)),
            at: shape.at,
            expected: shape.expected,
            found: shape.found,
        }
    }

    fn place(&self, line: Option<usize>) -> Place {
        Place {
            file: self.name.clone(),
            line: line.and_then(|line| line.try_into().ok()),
            column: None,
        }
    }

    fn line_of_variable(&self, name: &str) -> Option<usize> {
        let mut lines = self.text.lines();
        let found = lines.position(|line| {
            !line.trim_start().starts_with('#') && interpolate::variables_in(line).contains(&name)
        });
        found.map(|index| index + 1)
    }
}

fn line_with(text: &str, needle: &str) -> Option<usize> {
    let found = text.lines().position(|line| line.contains(needle));
    found.map(|index| index + 1)
}

/// The line of a dotted path of keys in block style: the first key at the margin, each other below the
/// one before, where lines are indented more. A parser of YAML that keeps positions would be exact; this is
/// for people who look for the place.
pub(in crate::recipe) fn line_of_path(text: &str, path: &str) -> Option<usize> {
    let lines = text.lines().collect::<Vec<_>>();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut found = None;
    for key in path.split('.') {
        let key = key.split('[').next().unwrap_or(key);
        let (from, parent) = found.map_or((0, None), |at: usize| (at, Some(indent(lines[at - 1]))));
        let below = lines[from..].iter().take_while(|line| {
            let nothing = line.trim().is_empty() || line.trim_start().starts_with('#');
            nothing || parent.is_none_or(|parent| indent(line) > parent)
        });
        let is_key = |line: &&str| {
            if parent.is_none() && indent(line) > 0 {
                return false;
            }
            let line = line.trim_start().trim_start_matches(['"', '\'']);
            line.strip_prefix(key)
                .is_some_and(|rest| rest.trim_start_matches(['"', '\'']).starts_with(':'))
        };
        let offset = below.into_iter().position(is_key)?;
        found = Some(from + offset + 1);
    }
    found
}

/// The line of the path, or of as much of it as stands in the file.
pub(in crate::recipe) fn nearest_line_of_path(text: &str, path: &str) -> Option<usize> {
    let ends = path.match_indices('.').map(|(at, _)| at);
    let ends = ends.chain([path.len()]).collect::<Vec<_>>();
    ends.into_iter()
        .rev()
        .find_map(|end| line_of_path(text, &path[..end]))
}

fn env_file(text: &str) -> Vec<(String, Option<String>)> {
    text.lines()
        .map(str::trim_start)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| match line.split_once('=') {
            Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
            None => (line.trim_end().to_owned(), None),
        })
        .collect()
}

fn stays_inside(path: &Path) -> bool {
    path.components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

/// The real path of a file of the recipe, which is there and inside the recipe's folder.
fn resolve(tree: &Path, path: &Path, asked_by: &str) -> Result<PathBuf, ComposeError> {
    let escapes = || ComposeError::Escapes {
        path: path.display().to_string(),
        asked_by: asked_by.to_owned(),
    };
    if !stays_inside(path) {
        return Err(escapes());
    }
    let unreadable = |source| ComposeError::Unreadable {
        file: path.to_owned(),
        source,
    };
    let root = tree.canonicalize().map_err(unreadable)?;
    let real = match root.join(path).canonicalize() {
        Ok(real) => real,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(ComposeError::Missing {
                file: path.to_owned(),
                asked_by: asked_by.to_owned(),
                present: compose_files_in(&root),
            });
        }
        Err(error) => return Err(unreadable(error)),
    };
    if real.starts_with(&root) {
        Ok(real)
    } else {
        Err(escapes())
    }
}

fn compose_files_in(root: &Path) -> Vec<String> {
    let names = std::fs::read_dir(root).into_iter().flatten().flatten();
    let mut names = names
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with("compose") && name.ends_with("yml"))
        .collect::<Vec<_>>();
    names.sort();
    names
}
