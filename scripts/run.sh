#!/usr/bin/env bash
# Runs the server together with the demo load until Ctrl-C. Arguments go to `spanhold serve`.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[[ -x $SPANHOLD ]] || fail "$SPANHOLD is not built: run \`make run\`"

pids=()
trap 'stop "${pids[@]}"' EXIT
trap 'say "Stopping"; exit 0' INT TERM

step 'Starting the server' start_server "$@"
server=$SERVER_PID
"$SPANHOLD" demo --endpoint "http://$OTLP_GRPC" &
demo=$!
# In this order: the demo would complain about a server that is gone.
pids=("$demo" "$server")

cat <<END

    Spanhold is up:  http://$HTTP

    OTLP/gRPC  $OTLP_GRPC
    OTLP/HTTP  http://$OTLP_HTTP/v1/traces
    A demo load is being sent; Ctrl-C stops both.

END

# Whichever ends first.
code=0
wait -n "$demo" "$server" || code=$?
if kill -0 "$server" 2>/dev/null; then
    say "The demo ended with code $code; the server goes on"
    code=0
    wait "$server" || code=$?
fi
fail "The server ended with code $code"
