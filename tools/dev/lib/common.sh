# shellcheck shell=bash
# Shared by all verbs.

say() { printf '%s\n' "$*" >&2; }

die() {
  say "dev: $*"
  exit 1
}

not_run() {
  printf 'NOT RUN: %s\n' "$*"
  exit 77
}

as_root() {
  if ((EUID == 0)); then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    die "this needs root, and there is no sudo: $*"
  fi
}

# One compiler process for each processor, but no more than memory allows: a Boost unit takes about 1.5 GB.
parallel_jobs() {
  local kibibytes_available processors by_memory
  kibibytes_available=$(sed -n 's/^MemAvailable: *\([0-9]*\) kB/\1/p' /proc/meminfo)
  processors=$(nproc)
  by_memory=$((kibibytes_available / 1500000))
  ((by_memory >= 1)) || by_memory=1
  echo $((processors < by_memory ? processors : by_memory))
}

# build_preset PRESET [TARGET...]
build_preset() {
  local preset=$1
  shift
  say "== build: $preset"
  configure_preset "$preset"
  cmake --build --preset "$preset" --parallel "$(parallel_jobs)" ${1:+--target "$@"}
}

# What cmake says while all is well is the same each time; it is shown when something is wrong.
configure_preset() {
  local log=build/$1/configure.log
  mkdir -p "build/$1"
  cmake --preset "$1" >"$log" 2>&1 || {
    cat "$log" >&2
    die "cmake --preset $1 failed"
  }
}

# Our own C++ text.
cpp_files() { find src sim tests \( -name '*.cc' -o -name '*.h' \) -print | LC_ALL=C sort; }

duration() { printf '%d min %02d s' $(($1 / 60)) $(($1 % 60)); }
