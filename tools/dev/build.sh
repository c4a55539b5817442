# shellcheck shell=bash
# build [PRESET]                build everything (release dev asan tsan; default release)
verb_build() {
  local preset=${1:-release}
  need_packages build
  build_preset "$preset"
  say "Binary: build/$preset/gputach   Simulated driver: build/$preset/libnvidia-ml.so.1"
}
