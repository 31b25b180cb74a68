//! One folder for each kind of API.

pub mod catalogue_file;
#[cfg(feature = "scaleway")]
pub mod scaleway;
