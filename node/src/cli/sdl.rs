//! `virtengine sdl`: deployment files, read without a node.

use super::context::{Context, Output, read, say};
use super::usage::group_specs;
use anyhow::anyhow;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clap::{Args, Subcommand};
use client::sdl::{Problem, canonical_json};
use proto::virtengine::deployment::v1::GroupSpec;
use serde_json::json;
use std::path::{Path, PathBuf};

#[derive(Subcommand)]
pub enum Sdl {
    /// Check a file; each mistake is a line FILE:LINE:COLUMN: KEY: what is allowed
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
                let groups = group_specs(&sdl, &file)?;
                let price = |g: &GroupSpec| g.price.as_ref().map(|c| format!("{}{}", c.amount, c.denom));
                let groups: Vec<_> = groups.iter().map(|g| json!({ "name": g.name, "price_per_hour": price(g) })).collect();
                context.print(&json!({ "valid": true, "manifest_hash": hex::encode(sdl.manifest_hash()), "groups": groups }));
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

/// The mistakes in a file, a line each.
pub fn refused(file: &Path, problems: &[Problem]) -> anyhow::Error {
    anyhow!("{}", problems.iter().map(|p| p.in_file(file.display())).collect::<Vec<_>>().join("\n"))
}
