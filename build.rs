//! Has the binary rebuilt when the web page was: cargo does not see by itself that embedded files were added.

fn main() {
    // Cargo takes a missing folder for one that always changes. An empty one makes a binary without the page.
    if let Err(error) = std::fs::create_dir_all("ui/dist") {
        println!("cargo::warning=ui/dist cannot be created, the binary will have no web page: {error}");
    }
    println!("cargo::rerun-if-changed=ui/dist");
    println!("cargo::rerun-if-changed=build.rs");
}
