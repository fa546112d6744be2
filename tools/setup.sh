#!/usr/bin/env bash
# Brings a machine to everything that building and testing Kubottle needs. Idempotent; a warm run takes a second.
#
#   tools/setup.sh [--no-browser] [--engines]        then:  . "$(tools/setup.sh --print-env)"
#
# Installs into $KUBOTTLE_TOOLS (default ~/.cache/kubottle/tools): wasm-bindgen (the version of Cargo.lock), Trunk, wasm-opt. By the system's
# package manager, if missing: a C compiler, Node.js, Chromium with its driver; with --engines also Firefox and WebKitGTK with theirs
# (geckodriver is built, where there is no package of it). The wasm32 standard library comes from the first of
#   present   the rustc on PATH has it
#   rustup    `rustup target add` (not where RUSTUP_AUTO_INSTALL=0 says that rustup must not fetch)
#   debian    Debian's rustc-web, with the library built from its sources (needs apt)
# WASM_STD=present|rustup|debian forces one.
set -euo pipefail
cd "$(dirname "$0")/.."
TOOLS=${KUBOTTLE_TOOLS:-$HOME/.cache/kubottle/tools}
ENV_FILE=$TOOLS/env.sh
TARGET=wasm32-unknown-unknown
TRUNK_VERSION=0.22.1
BINARYEN_VERSION=132.0.0
GECKODRIVER_VERSION=0.37.1
BROWSER=1
ENGINES=0
for argument in "$@"; do
  case $argument in
    --print-env) echo "$ENV_FILE"; exit 0 ;;
    --no-browser) BROWSER=0 ;;
    --engines) ENGINES=1 ;;
    *) echo "setup.sh: unknown option $argument" >&2; exit 2 ;;
  esac
done
WASM_BINDGEN_VERSION=$(awk '/^name = "wasm-bindgen"$/ { getline; gsub(/[^0-9.]/, ""); print; exit }' Cargo.lock)
mkdir -p "$TOOLS/bin" "$TOOLS/npm"

say() { printf '[setup] %s\n' "$*"; }
SUDO=; [ "$(id -u)" = 0 ] || SUDO=sudo

apt_install() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f='${Status}\n' "$package" 2>/dev/null | grep -q '^install ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || { echo "setup.sh: please install: ${missing[*]}" >&2; return 1; }
  say "apt: ${missing[*]}"
  $SUDO apt-get update -qq
  $SUDO env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$TOOLS/apt.log" 2>&1 ||
    { tail -n 20 "$TOOLS/apt.log" >&2; return 1; }
}

has_std() { compgen -G "$("$1" --print target-libdir --target $TARGET)/libstd*.rlib" >/dev/null; }

# Debian ships rustc without a wasm32 library: it is built here from the matching sources, always in one place, because the place
# is part of the hashes by which cargo knows crates. Its dependencies come from the crate registry by its own lock file.
build_debian_std() {
  local libdir=/usr/lib/rustlib/$TARGET/lib stamp build release
  apt_install rustc-web cargo-web rust-web-src rust-web-clippy rustfmt-web lld-22 gcc libc6-dev pkg-config libssl-dev
  stamp=$(/usr/bin/rustc -vV | sha256sum | cut -c1-16)
  if [ "$(cat $libdir/.stamp 2>/dev/null)" != "$stamp" ]; then
    say "building the standard library for $TARGET"
    build=$(mktemp -d)
    release=$(/usr/bin/rustc -vV | sed -n 's/^release: //p')
    (
      cd "$build"
      env -u RUSTUP_TOOLCHAIN -u CARGO_ENCODED_RUSTFLAGS RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR="$build" \
        RUSTFLAGS="-Zforce-unstable-if-unmarked -Cembed-bitcode=yes -Cdebuginfo=0 --remap-path-prefix=$HOME/.cargo=/cargo" \
        /usr/bin/cargo build --manifest-path "/usr/src/rustc-$release/library/sysroot/Cargo.toml" \
        --target $TARGET --release --locked --features "panic-unwind backtrace" >"$TOOLS/std.log" 2>&1
    ) || { tail -n 20 "$TOOLS/std.log" >&2; return 1; }
    $SUDO rm -rf $libdir
    $SUDO mkdir -p $libdir
    $SUDO cp "$build/$TARGET/release/deps/"*.rlib $libdir/
    echo "$stamp" | $SUDO tee $libdir/.stamp >/dev/null
    rm -rf "$build"
  fi
  # One toolchain for native and wasm: rustup's proxies follow RUSTUP_TOOLCHAIN; without rustup /usr/bin is it.
  if command -v rustup >/dev/null; then
    rustup toolchain link debian-web /usr >/dev/null 2>&1
    echo 'export RUSTUP_TOOLCHAIN=debian-web' >>"$ENV_FILE.new"
  else
    echo 'export PATH="/usr/bin:$PATH"' >>"$ENV_FILE.new"
  fi
  echo 'export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=/usr/bin/wasm-ld-22' >>"$ENV_FILE.new"
}

[ "${RUSTUP_TOOLCHAIN:-}" != debian-web ] || unset RUSTUP_TOOLCHAIN # called again from a shell that has env.sh
echo "export PATH=\"$TOOLS/bin:\$PATH\"" >"$ENV_FILE.new"
route=${WASM_STD:-auto}
if [ "$route" = auto ]; then
  route=debian
  if command -v rustc >/dev/null && [ "$(rustc --print sysroot)" != /usr ] && has_std rustc; then
    route=present
  elif [ "${RUSTUP_AUTO_INSTALL:-1}" != 0 ] && command -v rustup >/dev/null && timeout 300 rustup target add $TARGET && has_std rustc; then
    route=present
  fi
elif [ "$route" = rustup ]; then
  rustup target add $TARGET
fi
[ "$route" != debian ] || build_debian_std
. "$ENV_FILE.new"
mv "$ENV_FILE.new" "$ENV_FILE"

# `make lint` and `make test` format and lint; a minimal toolchain lacks both.
for component in clippy rustfmt; do
  tool=$([ $component = clippy ] && echo clippy-driver || echo rustfmt)
  "$tool" --version >/dev/null 2>&1 || { command -v rustup >/dev/null && rustup component add "$component"; }
done

version() { "$TOOLS/bin/$1" --version 2>/dev/null | grep -oE '[0-9]+\.[0-9]+\.[0-9]+[^ ]*' | head -n 1; }
# Tools are built for being built fast: they run for seconds.
install_crate() {
  say "building $1 $2 (once)"
  CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_DEBUG=0 CARGO_PROFILE_RELEASE_STRIP=true \
    CARGO_PROFILE_RELEASE_OPT_LEVEL="$3" CARGO_TARGET_DIR=$TOOLS/build cargo install -q "$1" --version "=$2" --root "$TOOLS" --force "${@:4}"
  rm -rf "$TOOLS/build"
}
# Not --locked: its lock file may name a version of a crate that a mirror lacks.
[ "$(version wasm-bindgen)" = "$WASM_BINDGEN_VERSION" ] || install_crate wasm-bindgen-cli "$WASM_BINDGEN_VERSION" 1 --no-default-features
if [ "$(version trunk)" != "$TRUNK_VERSION" ]; then
  command -v apt-get >/dev/null && apt_install pkg-config libssl-dev
  install_crate trunk "$TRUNK_VERSION" 0 --locked --no-default-features --features native-tls --ignore-rust-version
fi
command -v npm >/dev/null || apt_install nodejs npm
if ! "$TOOLS/bin/wasm-opt" --version 2>/dev/null | grep -q "${BINARYEN_VERSION%%.*}"; then
  npm install --silent --no-audit --no-fund --prefix "$TOOLS/npm" "binaryen@$BINARYEN_VERSION"
  ln -sf "$TOOLS/npm/node_modules/.bin/wasm-opt" "$TOOLS/bin/wasm-opt"
fi
if [ $BROWSER = 1 ] && ! command -v chromium >/dev/null; then
  apt_install chromium chromium-driver
fi
if [ $ENGINES = 1 ]; then
  apt_install firefox-esr webkit2gtk-driver xvfb
  command -v geckodriver >/dev/null || install_crate geckodriver "$GECKODRIVER_VERSION" 0
fi
[ -d www/node_modules ] || (cd www && npm ci --silent --no-audit --no-fund)
say "ready: $(rustc --version | cut -d' ' -f1-2), wasm-bindgen $WASM_BINDGEN_VERSION, trunk $TRUNK_VERSION"
