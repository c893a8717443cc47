#!/usr/bin/env bash
# Runs the store's simulation: `--steps N` many steps with seeds that were not run before, `--seed N` one seed again.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

STEPS=100000
while (($#)); do
    case $1 in
    --steps) STEPS=${2:?--steps needs a number} ;;
    --seed) SPANHOLD_SIM_SEED=${2:?--seed needs a number} ;;
    *) fail "Unknown argument $1: give --steps N or --seed N" ;;
    esac
    shift 2
done
if [[ -n ${SPANHOLD_SIM_SEED:-} ]]; then
    export SPANHOLD_SIM_SEED
    title="Simulating seed $SPANHOLD_SIM_SEED"
else
    export SPANHOLD_SIM_STEPS=$STEPS
    title="Simulating $STEPS steps"
fi
step "$title" cargo test --release --workspace --test sim -- --nocapture
