//! `images`: the image kit, listed or built.

use clap::{Args, Subcommand};
use fixtures::images::{ImageError, ensure};
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
        let known = fixtures::images::catalogue();
        match self.what {
            What::List => known.iter().for_each(|name| println!("{name}")),
            What::Build { names } => {
                let names = if names.is_empty() { known } else { names };
                for name in names {
                    let id = ensure(&name, &mut |line| eprintln!("{line}")).map_err(fault)?;
                    println!("{name}  {}", id.as_str());
                }
            }
        }
        Ok(exit::PASS)
    }
}

fn fault(error: ImageError) -> Fault {
    match error {
        ImageError::Unknown { .. } => Fault::usage(error.to_string()),
        _ => Fault::infra(error.to_string()),
    }
}
