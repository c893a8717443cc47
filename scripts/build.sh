#!/usr/bin/env bash
# Builds the one binary.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

title='Building the server'
[[ -x $SPANHOLD ]] || title+=' (the first time this compiles RocksDB: about a quarter of an hour on two cores)'
step "$title" cargo build --release "$@"
