//! Scenarios of the market over the memory store, with the real modules below it.

mod bids;
mod deployments;
mod due;
mod golden;
mod keys;
mod leases;
mod providers;
mod queries;
mod random;
mod usage;
mod world;
