//! What benches and tests share: the published composition benchmarks as blueprints and catalogues.

pub mod market;
pub mod medium;
pub mod mmkp;
pub mod published;
