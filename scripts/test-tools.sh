#!/usr/bin/env bash
# Installs what the tests start besides our own binary: clients on the OpenTelemetry SDKs, readers of Parquet and S3
# servers, all at pinned versions. Each lies in a folder named after a hash of what it is made from, so that a second
# run does nothing.
# Writes $TOOLS/env, which says where they are; run `scripts/setup.sh test` first.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

CLIENTS=$ROOT/tests/clients
PINS=$ROOT/scripts/pins
# Folders of other versions are kept for a while: another clone may be using them.
UNUSED_DAYS_MAX=14

mkdir -p "$TOOLS"
# Two runs at once would install into each other's folders.
exec {lock}>"$TOOLS/lock"
flock "$lock"

# install NAME MAKER INPUT...: calls MAKER with an empty folder as its argument, unless an earlier run has finished with the
# same inputs (files, or words such as a version). Sets FOLDER.
install() {
    local name=$1 maker=$2 key input
    shift 2
    key=$(for input in "$@"; do if [[ -f $input ]]; then cat "$input"; else echo "$input"; fi; done | sha256sum | cut -c 1-12)
    FOLDER=$TOOLS/$name-$key
    if [[ ! -e $FOLDER/.complete ]]; then
        rm -rf "$FOLDER"
        mkdir -p "$FOLDER"
        step "Installing $name" "$maker" "$FOLDER"
        touch "$FOLDER/.complete"
    fi
    touch "$FOLDER"
    find "$TOOLS" -mindepth 1 -maxdepth 1 -name "$name-*" -mtime +"$UNUSED_DAYS_MAX" -exec rm -rf {} +
}

# virtual_environment FOLDER REQUIREMENTS
virtual_environment() {
    python3 -m venv "$1"
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps -r "$2"
}

make_python_client() { virtual_environment "$1" "$CLIENTS/python/requirements.txt"; }

make_parquet_readers() { virtual_environment "$1" "$PINS/parquet-readers-requirements.txt"; }

make_schemathesis() { virtual_environment "$1" "$PINS/schemathesis-requirements.txt"; }

make_moto() { virtual_environment "$1" "$PINS/moto-requirements.txt"; }

make_js_client() {
    cp "$CLIENTS"/js/{package.json,package-lock.json,*.js} "$1"
    (cd "$1" && npm ci --silent --no-audit --no-fund)
}

make_go_client() { (cd "$CLIENTS/go" && go build -trimpath -o "$1/" ./cmd/...); }

# From source: the largest of these, some minutes on two cores.
# shellcheck disable=SC2153
make_versitygw() { GOBIN=$1 go install -trimpath -ldflags='-s -w' "$VERSITYGW"; }

# A virtual environment is bound to the Python that made it.
python=$(python3 -c 'import sys; print(sys.executable, sys.version)')

install python-client make_python_client "$CLIENTS/python/requirements.txt" "$python"
python_client=$FOLDER
install parquet-readers make_parquet_readers "$PINS/parquet-readers-requirements.txt" "$python"
parquet_readers=$FOLDER
install moto make_moto "$PINS/moto-requirements.txt" "$python"
moto=$FOLDER
install schemathesis make_schemathesis "$PINS/schemathesis-requirements.txt" "$python"
schemathesis=$FOLDER
install js-client make_js_client "$CLIENTS"/js/{package.json,package-lock.json,*.js}
js_client=$FOLDER
mapfile -t go_sources < <(find "$CLIENTS/go" -type f | LC_ALL=C sort)
install go-client make_go_client "${go_sources[@]}"
go_client=$FOLDER
install versitygw make_versitygw "$VERSITYGW"
versitygw=$FOLDER

cat >"$TOOLS/env.new" <<END
export SPANHOLD_TEST_PYTHON='$python_client/bin/python'
export SPANHOLD_TEST_PARQUET_PYTHON='$parquet_readers/bin/python'
export SPANHOLD_TEST_NODE='$(command -v node)'
export SPANHOLD_TEST_JS_DIR='$js_client'
export SPANHOLD_TEST_GO_CONTROLPLANE='$go_client/controlplane'
export SPANHOLD_TEST_GO_AGENT='$go_client/agent'
export SPANHOLD_TEST_MOTO_SERVER='$moto/bin/moto_server'
export SPANHOLD_TEST_SCHEMATHESIS='$schemathesis/bin/schemathesis'
export SPANHOLD_TEST_VERSITYGW='$versitygw/versitygw'
END
mv "$TOOLS/env.new" "$TOOLS/env"
say "Test tools are in place; \`source $TOOLS/env\` for running the tests by hand"
