#!/usr/bin/env bash
# Measures the server end to end, once with whole traces in each request, once with the spans of a trace scattered over
# senders, and once without deriving runs and steps; then lookups among many blocks, and reports over months. Arguments go
# to the load runs; `--help` lists them.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

for arrangement in whole scattered; do
    step "Load run, arrangement $arrangement" cargo bench --quiet --profile release --bench load -- --arrangement "$arrangement" "$@"
done
SPANHOLD_DERIVE_OPERATIONS=false step 'Load run, whole, without runs and steps' \
    cargo bench --quiet --profile release --bench load -- --arrangement whole "$@"
step 'Trace by id among 1,000 blocks' cargo bench --quiet --profile release --bench blocks
# With the features of the whole workspace, or else half of it is built anew.
step 'Reports over months' cargo bench --quiet --profile release --workspace --bench derived
