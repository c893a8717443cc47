# shellcheck shell=bash
# What the other scripts share. Source it; it changes to the root of the repository.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT"

# Everything that is installed for this project without the system's package manager lives here.
TOOLS=${SPANHOLD_TOOLS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/spanhold/tools}
# Node and Go, where the system has none or an old one (scripts/setup.sh).
TOOLCHAIN=$TOOLS/toolchain
SPANHOLD=${CARGO_TARGET_DIR:-$ROOT/target}/release/spanhold

PATH=$TOOLCHAIN/bin:$PATH
# A shell that was open when rustup ran does not know of it yet.
command -v cargo >/dev/null || PATH=$PATH:$HOME/.cargo/bin
export PATH

# shellcheck source=scripts/pins/versions.env
source "$ROOT/scripts/pins/versions.env"

say() { printf '==> %s\n' "$*" >&2; }

fail() {
    say "$*"
    exit 1
}

# step TITLE COMMAND...: runs the command; says before what it does and afterwards how long it took. A failure ends the script.
step() {
    STEP=$1
    STEP_BEGAN=$SECONDS
    shift
    say "$STEP"
    "$@"
    say "$STEP: $((SECONDS - STEP_BEGAN)) s"
    STEP=''
}

# By a trap and not by looking at the code: within `command || …` bash does not stop at the first failure.
STEP=''
set -E
trap '[[ -z $STEP ]] || ((BASH_SUBSHELL)) || say "$STEP: FAILED after $((SECONDS - STEP_BEGAN)) s"' ERR

# at_least FOUND LEAST: compares versions.
at_least() { [[ $(printf '%s\n' "$1" "$2" | sort -V | head -n 1) == "$2" ]]; }

# start_server ARGUMENTS...: starts `spanhold serve` and waits until it is ready.
# Sets SERVER_PID, and OTLP_GRPC, OTLP_HTTP and HTTP to its addresses.
# shellcheck disable=SC2034
start_server() {
    local line out pipe
    # A named pipe, for `wait -n` knows only what was started with `&`.
    pipe=$(mktemp -d)
    mkfifo "$pipe/out"
    "$SPANHOLD" serve "$@" >"$pipe/out" &
    SERVER_PID=$!
    exec {out}<"$pipe/out"
    rm -r "$pipe"
    while IFS= read -r line <&"$out"; do
        case $line in
        'listening otlp_grpc='*) OTLP_GRPC=${line#*=} ;;
        'listening otlp_http='*) OTLP_HTTP=${line#*=} ;;
        'listening http='*) HTTP=${line#*=} ;;
        ready) return 0 ;;
        esac
    done
    fail 'The server ended before it was ready; its last words are above'
}

# stop PID...: asks processes that this script started to end, one after the other, and waits for each.
stop() {
    local pid
    for pid in "$@"; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
}
