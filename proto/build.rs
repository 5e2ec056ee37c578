//! Compiles every .proto file of this crate: Rust messages for the packages that are ours, descriptors for all of them.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::{Path, PathBuf};

/// Folders of this crate that hold .proto files.
const SOURCES: [&str; 7] = ["amino", "cosmos", "cosmos_proto", "gogoproto", "google", "tendermint", "virtengine"];

/// Cosmos packages that get Rust types here; the others have them in `cosmos_sdk_proto`, whose fields are the same.
const OWN: [&str; 4] = [
    "cosmos.consensus.v1",
    "cosmos.crypto.hd.v1",
    "cosmos.crypto.keyring.v1",
    "cosmos.tx.v1beta1", // theirs lacks `unordered` and `timeout_timestamp`
];

fn main() -> Result<(), Box<dyn Error>> {
    let mut files = Vec::new();
    for folder in SOURCES {
        println!("cargo:rerun-if-changed={folder}");
        proto_files(Path::new(folder), &mut files)?;
    }
    files.sort();

    let mut compiler = protox::Compiler::new(["."])?;
    compiler.include_imports(true).include_source_info(true).open_files(&files)?;
    let all = compiler.file_descriptor_set();
    compiler.include_source_info(false);
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), compiler.encode_file_descriptor_set())?;

    let mut config = prost_build::Config::new();
    config.enable_type_names().compile_well_known_types().include_file("packages.rs");
    let packages: BTreeSet<_> = all.file.iter().map(|f| f.package().to_owned()).collect();
    for package in packages.iter().filter(|p| !p.starts_with("virtengine.") && !OWN.contains(&p.as_str())) {
        let path = package.replace('.', "::");
        let path = match package.split('.').next() {
            Some("tendermint") => path.replacen("tendermint", "::tendermint_proto", 1),
            Some("cosmos") => format!("::cosmos_sdk_proto::{path}"),
            _ => format!("::tendermint_proto::{path}"), // Any, Duration, Timestamp; nothing else is referred to
        };
        config.extern_path(format!(".{package}"), path);
    }
    config.compile_fds(all)?;
    Ok(())
}

fn proto_files(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            proto_files(&path, files)?;
        } else if path.extension().is_some_and(|e| e == "proto") {
            files.push(path);
        }
    }
    Ok(())
}
