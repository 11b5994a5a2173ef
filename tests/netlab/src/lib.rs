//! A test network on one machine: hosts are network namespaces, networks are bridges; rates by `tc`, NAT by nftables,
//! and delay, loss and reordering by cables of our own, since a kernel may lack netem. Needs root on Linux.
//!
//! The picture: each network is a bridge in a namespace of its own, each host a namespace with one interface per
//! network, named after it. In between runs a veth pair or, where the port asks for delay or loss, a [`cable`].

#[cfg(target_os = "linux")]
pub mod cable;
#[cfg(target_os = "linux")]
pub mod lab;
pub mod segment;
pub mod topology;

#[cfg(target_os = "linux")]
pub use self::lab::Lab;
pub use self::topology::{Nat, Network, Port, Topology};
