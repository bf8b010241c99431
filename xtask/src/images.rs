//! `images`: the image kit, listed or built.

use clap::{Args, Subcommand};
use harness::fault::Fault;

use crate::exit;

/// List or build the images of the built-in recipes
#[derive(Debug, Args)]
pub struct Images {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// The names of all images of the kit
    List,
    /// Build what is not built yet
    Build {
        /// These only; all without
        names: Vec<String>,
    },
}

impl Images {
    pub fn run(self) -> anyhow::Result<u8> {
        let known = kit::catalogue()?;
        match self.what {
            What::List => known.iter().for_each(|name| println!("{name}")),
            What::Build { names } => {
                let names = if names.is_empty() { known } else { names };
                for name in names {
                    let id = kit::ensure(&name, &mut |line| eprintln!("{line}"))?;
                    println!("{name}  {id}");
                }
            }
        }
        Ok(exit::PASS)
    }
}

/// JOINT: `fixtures::images`. When it is there, these are its `catalogue` and `ensure`, with its
/// error made a [`Fault`].
mod kit {
    use super::Fault;

    pub fn catalogue() -> Result<Vec<String>, Fault> {
        Err(absent())
    }

    pub fn ensure(_name: &str, _progress: &mut dyn FnMut(&str)) -> Result<String, Fault> {
        Err(absent())
    }

    fn absent() -> Fault {
        Fault::usage("this build has no image kit")
    }
}
