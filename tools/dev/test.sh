# shellcheck shell=bash
# test [PRESET] [CTEST ARGS]    build, then run every test (default preset release)
verb_test() {
  local preset=release
  if (($# > 0)) && [[ $1 != -* ]]; then
    preset=$1
    shift
  fi
  need_packages build test
  build_preset "$preset"
  run_tests "$preset" "$@"
}

run_tests() {
  local preset=$1 status=0
  shift
  local launcher=()
  [[ $preset != tsan ]] || ! addresses_are_too_random || launcher=(setarch "$(uname -m)" --addr-no-randomize)
  say "== test: $preset"
  "${launcher[@]}" ctest --preset "$preset" --parallel 2 "$@" || status=$?
  list_not_run "$preset"
  return "$status"
}

# The thread sanitizer of g++ 12 cannot map its shadow where addresses are randomised over more than 28 bits.
addresses_are_too_random() { (($(cat /proc/sys/vm/mmap_rnd_bits 2>/dev/null || echo 28) > 28)); }

# Every check that the machine could not do has said so; here they are in one place, with their number.
list_not_run() {
  local log=build/$1/Testing/Temporary/LastTest.log list=build/$1/not-run.txt
  grep -o 'NOT RUN: .*' "$log" >"$list" || true
  if [[ -s $list ]]; then
    echo "Checks that this machine could not run:"
    sed 's/^/  /' "$list"
  fi
  echo "NOT RUN, in total: $(wc -l <"$list")"
  # What is installed before the tests run must be found by them.
  ! grep 'is not installed' "$list" || die "these checks were not run although the machine can run them"
}
