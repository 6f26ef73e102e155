//! The laboratory around the dataplane and the control plane, and everything the one binary does.

pub mod capture;
pub mod cli;
pub mod drive;
pub mod explain;
pub mod live;
pub mod manifest;
pub mod measure;
pub mod place;
pub mod report;
pub mod sa_file;
pub mod scenario;
pub mod staged;
pub mod wireshark;
pub mod world;
