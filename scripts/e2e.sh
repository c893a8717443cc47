#!/usr/bin/env bash
# Looks at the web page in a real browser: starts the server on free ports with an empty data folder, sends it the
# demo's traces and the history of a small platform, and runs ui/e2e against it.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

data=$(mktemp -d)
server=''
trap '[[ -z $server ]] || stop "$server"; rm -rf "$data"' EXIT

start_server --data-dir "$data" --otlp-grpc-listen 127.0.0.1:0 --otlp-http-listen 127.0.0.1:0 --http-listen 127.0.0.1:0
server=$SERVER_PID
"$SPANHOLD" demo --once --history 20m --endpoint "http://$OTLP_GRPC"
# Days of operations, failovers and runs, some of them under way. Nothing is wrong with its spans but what a page has to show.
"$SPANHOLD" demo --profile ctl --from -3d --instances 100 --failovers-per-day 40 --thin 10000 \
    --pathologies pending-spans,links,retries --endpoint "http://$OTLP_GRPC" --http-endpoint "http://$OTLP_HTTP"
export SPANHOLD_URL=http://$HTTP SPANHOLD_OTLP_URL=http://$OTLP_HTTP
cd "$ROOT/ui"
npm run --silent e2e
