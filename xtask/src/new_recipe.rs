//! `new-recipe`: a crate for a recipe's own tests, which compiles and runs at once.
//!
//! The test that it comes with asserts something that can fail (a text of the app's own on the front
//! page), so that a crate nobody has edited yet is no crate that proves nothing.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use harness::fault::Fault;
use harness::recipe::names::RecipeName;

use crate::{exit, place};

/// Begin a crate for a recipe's own tests
#[derive(Debug, Args)]
pub struct NewRecipe {
    /// The recipe's name in the catalogue
    name: RecipeName,
}

impl NewRecipe {
    pub fn run(self) -> Result<u8> {
        let root = place::workspace();
        write(&root, &self.name)?;
        lock(&root)?;
        let name = &self.name;
        println!("recipes/{name} is there. Next:");
        println!("  edit recipes/{name}/tests/main.rs and recipes/{name}/PARITY.md");
        println!("  cargo xtask ci --recipe {name}");
        Ok(exit::PASS)
    }
}

fn write(root: &Path, name: &RecipeName) -> Result<()> {
    let package = format!("recipe-{name}");
    // Cargo's names are narrower than a recipe's.
    if name.as_str().contains('.') {
        return Err(Fault::usage(format!(
            "`{name}` has a dot, and cargo takes none in the name of a package"
        ))
        .into());
    }
    let folder = root.join("recipes").join(name.as_str());
    match fs::create_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(Fault::usage(format!("{} is there already", folder.display())).into());
        }
        made => made.with_context(|| format!("making {}", folder.display()))?,
    }
    let fill = |template: &str| {
        template
            .replace("{package}", &package)
            .replace("{name}", name.as_str())
    };
    for (file, template) in [
        ("Cargo.toml", CARGO),
        ("tests/main.rs", TESTS),
        ("PARITY.md", PARITY),
    ] {
        let path = folder.join(file);
        let parent = path.parent().expect("a file below a folder has a parent");
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&path, fill(template)))
            .with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

/// The new package goes into `Cargo.lock`: runs are `--locked`.
fn lock(root: &Path) -> Result<()> {
    let status = Command::new("cargo")
        .args(["update", "--quiet", "--workspace", "--offline"])
        .current_dir(root)
        .status()
        .context("starting cargo update")?;
    ensure!(status.success(), "cargo update ended with {status}");
    Ok(())
}

const CARGO: &str = include_str!("new_recipe/Cargo.toml.template");
const TESTS: &str = include_str!("new_recipe/main.rs.template");
const PARITY: &str = include_str!("new_recipe/PARITY.md.template");

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("recipes")).unwrap();
        root
    }

    #[test]
    fn a_new_crate_is_named_after_its_recipe_throughout() {
        let root = root();
        write(root.path(), &"hedge-doc".parse().unwrap()).unwrap();
        let folder = root.path().join("recipes/hedge-doc");
        let read = |file: &str| fs::read_to_string(folder.join(file)).unwrap();
        for file in ["Cargo.toml", "tests/main.rs", "PARITY.md"] {
            assert!(!read(file).contains("{name}"), "{file}");
            assert!(!read(file).contains("{package}"), "{file}");
        }
        assert!(read("Cargo.toml").contains("name = \"recipe-hedge-doc\""));
        assert!(read("tests/main.rs").contains("Suite::new(\"hedge-doc\")"));
    }

    #[test]
    fn a_crate_that_is_there_is_not_overwritten() {
        let root = root();
        let name = "hedge-doc".parse().unwrap();
        write(root.path(), &name).unwrap();
        let file = root.path().join("recipes/hedge-doc/PARITY.md");
        fs::write(&file, "mine").unwrap();
        let error = write(root.path(), &name).unwrap_err();
        assert_eq!(exit::of_error(&error), exit::USAGE);
        assert_eq!(fs::read_to_string(file).unwrap(), "mine");
    }

    #[test]
    fn a_name_that_cargo_refuses_is_refused_before_anything_is_written() {
        let root = root();
        let error = write(root.path(), &"a.b".parse().unwrap()).unwrap_err();
        assert_eq!(exit::of_error(&error), exit::USAGE);
        assert!(!root.path().join("recipes/a.b").exists());
    }
}
