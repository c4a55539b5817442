# shellcheck shell=bash
# lint                          layer check, tidy check, shellcheck, clang-tidy over src
verb_lint() {
  need_packages build test ci
  python3 tools/check_layers.py
  python3 tools/tidy.py
  shellcheck --external-sources dev .ci/run tools/dev/*.sh tools/dev/lib/*.sh
  # The compile commands are all that is needed of this build.
  configure_preset release
  local files
  files=$(find src -name '*.cc' ! -name '*_test.cc' ! -name '*_bench.cc' | LC_ALL=C sort)
  say "== clang-tidy: $(wc -l <<<"$files") files"
  xargs -P "$(parallel_jobs)" -n 1 clang-tidy-19 -p build/release --quiet --warnings-as-errors='*' <<<"$files"
}
