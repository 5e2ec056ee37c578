pub mod abci;
pub mod engine;
pub mod cli;
pub mod server;
