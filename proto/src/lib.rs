//! The wire: messages as Rust types, their descriptors, and what follows from descriptors alone: JSON, amino JSON, REST
//! paths and the refusal of unknown fields. No rules of the chain.

pub mod amino;
pub mod json;
pub mod rest;
mod schema;
pub mod strict;
mod time;
mod wire;
pub mod yaml;

pub use schema::{FILE_DESCRIPTOR_SET, descriptors};
pub use time::{cmp_millis, duration, duration_millis, millis, shown_time, sortable, timestamp};

#[allow(clippy::all, rustdoc::all)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/packages.rs"));
}

pub use generated::virtengine;
pub use tendermint_proto as tendermint;
pub use tendermint_proto::google::protobuf::{Any, Duration, Timestamp};

/// A message as transactions and answers hold it: under the type URL that its name gives.
pub fn any<M: prost::Message + prost::Name>(message: &M) -> Any {
    Any { type_url: format!("/{}", M::full_name()), value: message.encode_to_vec() }
}

/// The Cosmos packages, as Cosmos SDK v0.53 has them.
pub mod cosmos {
    pub use crate::generated::cosmos::consensus;
    pub use cosmos_sdk_proto::cosmos::{auth, authz, bank, base, distribution, feegrant, genutil, gov, mint, slashing, staking, upgrade};

    /// Keys, their files and multi-signatures.
    pub mod crypto {
        pub use crate::generated::cosmos::crypto::{hd, keyring};
        pub use cosmos_sdk_proto::cosmos::crypto::{ed25519, multisig, secp256k1};
    }

    /// Transactions.
    pub mod tx {
        pub use crate::generated::cosmos::tx::v1beta1;
        pub use cosmos_sdk_proto::cosmos::tx::signing;
    }
}
