pub mod abci;
pub mod cli;
pub mod engine;
pub mod server;
