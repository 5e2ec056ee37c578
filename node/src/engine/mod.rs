//! What drives the application: CometBFT as our child, CometBFT run by the operator, or blocks made in this process.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use crate::abci::Address;

pub mod comet;
pub mod solo;

/// `--engine`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Engine {
    /// CometBFT, started and stopped with the node.
    #[default]
    Comet,
    /// CometBFT, started by the operator; the node serves its ABCI socket.
    External,
    /// Blocks made by the node alone: for development and tests, never for a network of more than one.
    Solo,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Comet => "comet",
            Self::External => "external",
            Self::Solo => "solo",
        })
    }
}

/// The version of CometBFT that is spoken and built; clients choose their decoders by it.
pub const COMETBFT_VERSION: &str = "0.38.25";

/// The ABCI socket of the node at `home`: inside it, or where its path would exceed what the system allows, in the
/// directory for temporary files under a name made from it.
pub fn socket(home: &Path) -> Address {
    /// `sun_path` holds 108 bytes with the closing zero; macOS and the BSDs have 104.
    const LONGEST: usize = 103;
    let inside = home.join("data/abci.sock");
    let path = if inside.as_os_str().len() <= LONGEST {
        inside
    } else {
        let home = home.canonicalize().unwrap_or_else(|_| home.to_path_buf());
        let id = hex::encode(&Sha256::digest(home.as_os_str().as_encoded_bytes())[..8]);
        std::env::temp_dir().join(format!("virtengine-{id}.sock"))
    };
    Address::Unix(path)
}

fn config_file(home: &Path) -> PathBuf {
    home.join("config/config.toml")
}

fn genesis_file(home: &Path) -> PathBuf {
    home.join("config/genesis.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_path_fits_however_deep_the_home_is() {
        let Address::Unix(short) = socket(Path::new("/home/a/.virtengine")) else { panic!() };
        assert_eq!(short, Path::new("/home/a/.virtengine/data/abci.sock"));
        let deep = PathBuf::from("/deep".repeat(40));
        let Address::Unix(long) = socket(&deep) else { panic!() };
        assert!(long.as_os_str().len() <= 103, "{}", long.display());
        assert_eq!(socket(&deep), Address::Unix(long));
    }
}
