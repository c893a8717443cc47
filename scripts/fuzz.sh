#!/usr/bin/env bash
# Runs fuzz targets with `cargo fuzz`, the stable compiler, and the RocksDB that the workspace has compiled already.
#   scripts/fuzz.sh                                   every target for some seconds from its seeds, as `make test` does
#   scripts/fuzz.sh TARGET [-- LIBFUZZER_OPTIONS]     one target, until it is stopped; what it learns stays in fuzz/corpus
#   scripts/fuzz.sh TARGET FILE                       one input, such as a crash that was found
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

TARGETS=(protobuf view json body batch manifest block)
# Of each target in `make test`.
SECONDS_EACH=${SPANHOLD_FUZZ_SECONDS:-5}
# Longest that one input may take.
INPUT_SECONDS_MAX=10
# Who needs more for some kB of input has believed a length that a sender made up.
RSS_MB_MAX=512
# Room that is asked for and not used counts here. Parquet's reader asks for as much as a page's header says, 2 GB at most.
ADDRESS_SPACE_KB_MAX=$((4 << 20))

workspace_target=${CARGO_TARGET_DIR:-$ROOT/target}
# Coverage works with every compiler; sanitizers, which look for errors of unsafe code, want a nightly one.
options=(--sanitizer none --target-dir "$workspace_target/fuzz")
libfuzzer=(-timeout="$INPUT_SECONDS_MAX" -rss_limit_mb="$RSS_MB_MAX")

# Half a minute, once: without optimisation, for all it does is to start cargo.
install_cargo_fuzz() {
    local folder=$TOOLS/cargo-fuzz-$CARGO_FUZZ
    PATH=$folder/bin:$PATH
    [[ -x $folder/bin/cargo-fuzz ]] || step 'Installing cargo-fuzz' \
        cargo install --quiet --debug --locked --root "$folder" --target-dir "$workspace_target/fuzz/tool" "cargo-fuzz@$CARGO_FUZZ"
}

# Without the debug information that cargo fuzz asks for: functions have their names without, and it takes time and room.
fuzz() { RUSTFLAGS=-Cdebuginfo=0 cargo fuzz "$@"; }

# Sets ROCKSDB_LIB_DIR, by which RocksDB's build script links a library instead of compiling for half an hour.
find_rocksdb() {
    local libraries=("$workspace_target"/release/build/librocksdb-sys-*/out/librocksdb.a)
    if [[ ! -e ${libraries[0]} ]]; then
        scripts/build.sh
        libraries=("$workspace_target"/release/build/librocksdb-sys-*/out/librocksdb.a)
    fi
    ROCKSDB_LIB_DIR=$(dirname "${libraries[-1]}")
    export ROCKSDB_LIB_DIR ROCKSDB_STATIC=1
}

build() {
    find_rocksdb
    # The versions of the workspace; cargo adds libFuzzer.
    [[ fuzz/Cargo.lock -nt Cargo.lock ]] || cp Cargo.lock fuzz/Cargo.lock
    step 'Building the fuzz targets' fuzz build "${options[@]}"
}

# seeds TARGET: sets SEEDS to the folders that tests/fuzz_seeds.rs has made for it.
seeds() {
    case $1 in
    view) SEEDS=(fuzz/seeds/protobuf) ;;
    json) SEEDS=(fuzz/seeds/json fuzz/seeds/protobuf) ;;
    *) SEEDS=("fuzz/seeds/$1") ;;
    esac
}

# run TARGET [CORPUS...] [-- OPTIONS]
run() {
    (ulimit -v "$ADDRESS_SPACE_KB_MAX" && fuzz run "${options[@]}" "$@")
}

# The seed of the random numbers is fixed, so that a change is judged by what it changes.
run_briefly() {
    local target=$1 found
    found=$(mktemp -d)
    seeds "$target"
    if run "$target" "$found" "${SEEDS[@]}" -- "${libfuzzer[@]}" -seed=1 -max_total_time="$SECONDS_EACH" &>"$log"; then
        rm -r "$found"
        say "$target: $(grep -o 'Done .*' "$log")"
    else
        rm -r "$found"
        cat "$log" >&2
        fail "The fuzz target $target failed; its input is above, and in fuzz/artifacts/$target"
    fi
}

install_cargo_fuzz
build
if (($# > 0)); then
    target=$1
    shift
    seeds "$target"
    case ${1:-} in
    '' | --)
        mkdir -p "fuzz/corpus/$target"
        run "$target" "fuzz/corpus/$target" "${SEEDS[@]}" -- "${libfuzzer[@]}" "${@:2}"
        ;;
    *) run "$target" "$@" ;;
    esac
    exit
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for target in "${TARGETS[@]}"; do
    run_briefly "$target"
done
