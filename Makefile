# The commands of this project. `make serve` is the main job, `make test` is everything that CI needs; both set up what is missing.
SHELL := /bin/bash
ENV := . "$$(tools/setup.sh --print-env)";
PORT ?= 8080

.PHONY: serve build test lint bench setup browser-test engines-test clean

setup:
	@tools/setup.sh

# Builds the static site into dist/ (servable from any path).
build: setup
	@$(ENV) cargo fetch --quiet && trunk build --release

# Builds the site and serves it on loopback; prints the URL.
serve: build
	@echo "Kubottle: http://127.0.0.1:$(PORT)/"
	@cd dist && python3 -m http.server --bind 127.0.0.1 $(PORT) >/dev/null

lint: setup
	@$(ENV) cargo fmt --all --check && cargo clippy --workspace --all-targets --quiet -- -D warnings

# Lints, all Rust tests, and the page's crates for wasm32. The browser is a command of its own.
test: setup
	@$(ENV) tools/test.sh

browser-test: build
	@$(ENV) tools/browser-test.sh

# The same site in Firefox and WebKitGTK; ENGINES=firefox or webkit is one of them.
engines-test: build
	@tools/setup.sh --engines
	@$(ENV) tools/engines-test.sh

bench: build
	@$(ENV) tools/bench.sh

clean:
	rm -rf target dist www/dist
