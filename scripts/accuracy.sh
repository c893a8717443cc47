#!/usr/bin/env bash
# Sends a month of a made-up platform with all kinds of trouble to a real server, and compares its reports with the truth.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

step "Holding reports against the truth" \
    cargo test --release --workspace --test integration -- accuracy::reports_of_a_month --ignored --nocapture
