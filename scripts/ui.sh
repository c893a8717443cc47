#!/usr/bin/env bash
# Builds the web page into ui/dist, which cargo embeds. Does nothing when it is up to date.
# With the argument `check`: types, unit tests and the size budget as well.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cd "$ROOT/ui"
# Written when a step is done; what it depends on is compared with it.
INSTALLED=node_modules/.spanhold-installed
BUILT=node_modules/.spanhold-built

install_packages() {
    npm ci --no-audit --no-fund --loglevel=error
    touch "$INSTALLED"
}

is_built() {
    [[ -e dist/index.html && -e $BUILT ]] || return 1
    local newer
    newer=$(find . \( -path ./node_modules -o -path ./dist -o -path ./e2e \) -prune -o -type f -newer "$BUILT" -print -quit)
    [[ -z $newer ]]
}

build() {
    npm run --silent build
    touch "$BUILT"
    # rustc only sees changes of files that it embedded before, not new ones.
    touch ../src/assets.rs
}

[[ $INSTALLED -nt package-lock.json ]] || step "Installing the web page's packages" install_packages
is_built || step 'Building the web page' build

case ${1:-} in
'') ;;
check)
    step "Checking the web page's types" npm run --silent check
    step "Running the web page's unit tests" npm run --silent test
    step "Checking the web page's size" npm run --silent size
    ;;
*) fail "usage: ${BASH_SOURCE[0]} [check]" ;;
esac
