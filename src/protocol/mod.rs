//! One folder an agent's protocol: its words translated into ours, and our answers rendered in its shapes.
//!
//! No protocol knows another, and nothing outside knows a protocol's words but the exchange of its documents.

pub mod fcos;
