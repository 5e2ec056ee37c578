//! Deployment files: the Stack Definition Language (SDL), versions 2.0 and 2.1, as Akash documents it, so that files
//! written for Akash work here unchanged.
//!
//! ```
//! # let text = "version: '2.0'\nservices: {web: {image: nginx}}\nprofiles: {compute: {web: {resources: {cpu: {units: 0.5}, \
//! #   memory: {size: 512Mi}, storage: {size: 1Gi}}}}, placement: {dcloud: {pricing: {web: {denom: uve, amount: 100}}}}}\n\
//! #   deployment: {web: {dcloud: {profile: web, count: 1}}}";
//! let sdl = client::sdl::Sdl::parse(text).map_err(|problems| problems[0].clone())?;
//! assert_eq!(sdl.specs().unwrap()[0].price.amount, 100);
//! # Ok::<_, client::sdl::Problem>(())
//! ```
//!
//! What is our own:
//! * Prices are per unit and **hour**. The chain knows one price per group: `Σ amount × count`, rounded up once ([`Sdl::specs`]).
//! * Unknown keys, duplicate keys and references to what is not declared are refused; [`Sdl::parse_lenient`] only warns
//!   of unknown keys.
//! * Groups come in the order of their placements' names, wherever these stand in the file, as Akash's own tools have them: the
//!   first is gseq 1.
//! * No service need be exposed to the world: a batch job or a pod may have no port.
//! * A volume that is persistent must be mounted by one of the services that get it.
//! * `depends_on` and `depends-on`, which many files have, are read as `dependencies`; none has an effect.
//! * Limits of a network (CPUs, replicas, groups, bytes of a manifest) are the chain's parameters and not checked here.
//! * A key-broker's `credentials.uri` and `keyRef` are not supported.

mod link;
mod model;
mod parse;
mod read;
mod yaml;

pub use model::{Endpoint, EndpointKind, GroupSpec, PriceSpec, ResourceSpec, Sdl, Storage, canonical_json, hash_manifest};
use yaml::Pos;

/// More problems than these are counted, not listed.
const MAX_PROBLEMS: usize = 100;

/// A mistake in a deployment file. It shows as `line:column: path: expected …, got …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// The key, such as `services.web.expose[0].port`; empty for the file as a whole.
    pub path: String,
    /// What is allowed there and what was found. Values that may be secrets are not shown.
    pub message: String,
}

impl Problem {
    fn new(pos: Pos, path: &str, message: String) -> Self {
        Problem { line: pos.line, column: pos.column, path: path.to_owned(), message }
    }

    /// `FILE:line:column: path: expected …, got …`
    pub fn in_file(&self, file: impl std::fmt::Display) -> String {
        format!("{file}:{self}")
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{}:{}: ", self.line, self.column)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}
