//! What is embedded is compiled in again when a file of it changes: `include_dir` alone doesn't see
//! that.

fn main() {
    println!("cargo:rerun-if-changed=recipe");
}
