//! What a user of the chain needs: keys, sealed envelopes, deployment files, and talking to a node.

pub mod address;
pub mod envelope;
pub mod keyring;
pub mod keys;
pub mod rpc;
pub mod sdl;
pub mod sign;
pub mod tx;
