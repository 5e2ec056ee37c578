//! `virtengine sdl`: deployment files, read without a node.

use super::context::{Context, Output, read, say};
use anyhow::{anyhow, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clap::{Args, Subcommand};
use client::envelope::{DEFAULT_MAX_BYTES, most_bytes};
use client::sdl::{Problem, canonical_json};
use serde_json::json;
use std::path::{Path, PathBuf};

#[derive(Subcommand)]
pub enum Sdl {
    /// Check a file; each mistake is a line FILE:LINE:COLUMN: KEY: what is allowed. What only this chain does not take, such as
    /// prices in another denomination, is a warning
    Validate(File),
    /// The groups, each with its resources, requirements and prices per unit
    Groups(File),
    /// What the provider is to run, with the secrets that the file holds
    Manifest(File),
    /// SHA-256 of the manifest, which the deployment commits to
    Hash(File),
}

#[derive(Args)]
pub struct File {
    file: PathBuf,
}

impl Sdl {
    pub fn run(self, context: &Context) -> anyhow::Result<()> {
        let json = context.output == Output::Json;
        match self {
            Sdl::Validate(File { file }) => {
                let sdl = parse(&file)?;
                let mut warnings: Vec<String> = Vec::new();
                let groups: Vec<_> = match sdl.specs() {
                    Ok(specs) => specs
                        .iter()
                        .map(|g| json!({ "name": g.name, "price_per_hour": format!("{}{}", g.price.amount, g.price.denom) }))
                        .collect(),
                    Err(problems) => {
                        warnings.extend(problems.iter().map(|p| p.in_file(file.display())));
                        sdl.groups().as_array().into_iter().flatten().map(|g| json!({ "name": g["name"] })).collect()
                    }
                };
                warnings.extend(check_size(&sdl, DEFAULT_MAX_BYTES).err().map(|e| format!("{}: {e}", file.display())));
                let mut shown = json!({ "valid": true, "manifest_hash": hex::encode(sdl.manifest_hash()), "groups": groups });
                if !warnings.is_empty() {
                    shown["warnings"] = json!(warnings);
                }
                context.print(&shown);
            }
            Sdl::Groups(File { file }) => context.print(&parse(&file)?.groups()),
            // The bytes that are hashed and sealed.
            Sdl::Manifest(File { file }) if json => say(canonical_json(&parse(&file)?.manifest())),
            Sdl::Manifest(File { file }) => context.print(&parse(&file)?.manifest()),
            Sdl::Hash(File { file }) => {
                let hash = parse(&file)?.manifest_hash();
                match json {
                    true => context.print(&json!({ "hex": hex::encode(hash), "base64": BASE64_STANDARD.encode(hash) })),
                    false => say(hex::encode(hash)),
                }
            }
        }
        Ok(())
    }
}

/// A deployment file that is in order; otherwise an error with every mistake, a line each.
pub fn parse(file: &Path) -> anyhow::Result<client::sdl::Sdl> {
    client::sdl::Sdl::parse(&read(file)?).map_err(|problems| refused(file, &problems))
}

/// Refuses a manifest whose envelope, sealed to provider and tenant, would not fit on a lease.
pub fn check_size(sdl: &client::sdl::Sdl, max: usize) -> anyhow::Result<()> {
    let manifest = canonical_json(&sdl.manifest()).len();
    let sealed = most_bytes(manifest, 2);
    if sealed > max {
        bail!("manifest: expected at most {max} bytes when it is sealed, got {sealed}, of which {manifest} are its own");
    }
    Ok(())
}

/// The mistakes in a file, a line each.
pub fn refused(file: &Path, problems: &[Problem]) -> anyhow::Error {
    anyhow!("{}", problems.iter().map(|p| p.in_file(file.display())).collect::<Vec<_>>().join("\n"))
}
