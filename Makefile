# The verbs of this repository. What they do is in scripts/, which can be run by themselves.
# ARGS goes to the command that is run last: make run ARGS='--cold s3://bucket/prefix'.

.DEFAULT_GOAL := help
.PHONY: help run test sim accuracy bench fuzz fmt lint ui

ARGS ?=

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## install what is missing, build, run the server with a demo load; ARGS go to `spanhold serve`
	@scripts/setup.sh
	@scripts/ui.sh
	@scripts/build.sh
	@scripts/run.sh $(ARGS)

test: ## install what is missing and run everything that CI runs
	@scripts/test.sh

sim: ## run the store's simulation for long: ARGS='--steps 1000000', or one seed again: ARGS='--seed 7'
	@scripts/setup.sh
	@scripts/sim.sh $(ARGS)

accuracy: ## hold reports of a month against what really happened, and print how right they are
	@scripts/setup.sh
	@scripts/accuracy.sh

bench: ## measure the server end to end; ARGS go to the load run
	@scripts/setup.sh
	@scripts/build.sh
	@scripts/bench.sh $(ARGS)

fuzz: ## run the fuzz targets: all for some seconds, or with ARGS='TARGET -- -max_total_time=600' one for longer
	@scripts/setup.sh
	@scripts/fuzz.sh $(ARGS)

fmt: ## format the code
	cargo fmt --all
	rustfmt --edition 2024 fuzz/fuzz_targets/*.rs fuzz/src/lib.rs

lint: ## check format, lints and the web page's types
	@scripts/setup.sh
	cargo fmt --all --check
	rustfmt --check --edition 2024 fuzz/fuzz_targets/*.rs fuzz/src/lib.rs
	@scripts/ui.sh check
	cargo clippy --release --workspace --all-targets -- -D warnings

ui: ## build the web page that the binary embeds
	@scripts/setup.sh
	@scripts/ui.sh
