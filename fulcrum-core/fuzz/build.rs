//! Links the programs so that comparisons pass `src/compares.rs`.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_ARCH").as_deref() != Ok("x86_64") {
        return;
    }
    for kind in ["cmp", "const_cmp"] {
        for bytes in [1, 2, 4, 8] {
            println!("cargo:rustc-link-arg-bins=-Wl,--wrap=__sanitizer_cov_trace_{kind}{bytes}");
        }
    }
}
