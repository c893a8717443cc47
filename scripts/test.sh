#!/usr/bin/env bash
# Everything that CI runs, cheapest first; the first failure ends it. Cold it takes long, nearly all of it RocksDB's C++:
# keep CARGO_TARGET_DIR. All of it is one profile and one set of features, so that RocksDB is compiled once.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

log=$(mktemp)
trap 'rm -f "$log"' EXIT

# counted COMMAND...: keeps what it prints, for the sum at the end.
counted() { "$@" 2>&1 | tee -a "$log"; }

# Adds up the closing lines of cargo's test runner and of vitest.
sum_up() {
    sed 's/\x1b\[[0-9;]*m//g' "$log" | awk '
        /^ *test result: / { passed += $4; failed += $6; skipped += $8 }
        /^ *Tests +[0-9]/ {
            for (i = 2; i < NF; i++) {
                if ($(i + 1) ~ /^passed/) passed += $i
                if ($(i + 1) ~ /^failed/) failed += $i
                if ($(i + 1) ~ /^skipped/) skipped += $i
            }
        }
        END { printf "total: %d passed, %d failed, %d skipped\n", passed, failed, skipped }'
}

scripts/setup.sh test
step 'Checking the format' cargo fmt --all --check
step 'Checking the format of the fuzz targets' rustfmt --check --edition 2024 fuzz/fuzz_targets/*.rs fuzz/src/lib.rs
counted scripts/ui.sh check
scripts/test-tools.sh
# shellcheck disable=SC1091
source "$TOOLS/env"
step 'Linting' cargo clippy --release --workspace --all-targets -- -D warnings
step 'Running the tests' counted cargo test --release --workspace
step 'Fuzzing' scripts/fuzz.sh
# The tests have built the server too, with the page that is checked here.
step 'Looking at the web page in a browser' counted scripts/e2e.sh
sum_up
