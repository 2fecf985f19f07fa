# Installs cargo-deb if it is missing. To be sourced.
cargo deb --version >/dev/null 2>&1 || cargo install --quiet --locked --version 3.8.0 cargo-deb
