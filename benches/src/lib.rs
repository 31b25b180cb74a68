//! What benches and tests share: published benchmarks and generated markets as blueprints and catalogues, and curves.

pub mod cpu_clock;
pub mod curves;
pub mod market;
pub mod medium;
pub mod mmkp;
pub mod published;
