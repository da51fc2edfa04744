//! The migrations are compiled in: a new file in their folder makes this crate build again.

fn main() {
    println!("cargo:rerun-if-changed=../migrations");
}
