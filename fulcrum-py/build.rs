//! Copies the price tables, rates and blueprints of `examples/`, which the wheel brings along.

use std::{env, error::Error, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_EXTENSION_MODULE").is_none() {
        return Ok(());
    }
    let (root, out) = (env::var("CARGO_MANIFEST_DIR")?, env::var("OUT_DIR")?);
    for folder in ["catalogue", "rates", "blueprints"] {
        let from = Path::new(&root).join("../examples").join(folder);
        println!("cargo::rerun-if-changed={}", from.display());
        let to = Path::new(&out).join("examples").join(folder);
        // What was removed from the folder goes from the copy, too.
        if to.exists() {
            fs::remove_dir_all(&to)?;
        }
        fs::create_dir_all(&to)?;
        for file in fs::read_dir(&from).map_err(|error| format!("{}: {error}", from.display()))? {
            let file = file?;
            fs::copy(file.path(), to.join(file.file_name()))?;
        }
    }
    Ok(())
}
