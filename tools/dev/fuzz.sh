# shellcheck shell=bash
# fuzz [SECONDS] [TARGET]       every parser of untrusted bytes under libFuzzer, each for SECONDS (default 60)
# fuzz --replay TARGET FILE     one input again
fuzz_program=$PWD/build/fuzz/tests/fuzz
fuzz_found=$PWD/build/fuzz/found

verb_fuzz() {
  if [[ ${1:-} == --replay ]]; then
    (($# == 3)) || die "usage: ./dev fuzz --replay TARGET FILE"
    fuzz_build
    GPUTACH_FUZZ_TARGET=$2 exec "$fuzz_program" "$3"
  fi
  local seconds=60
  if [[ ${1:-} =~ ^[0-9]+$ ]]; then
    seconds=$1
    shift
  fi
  local targets=("$@") target failed=()
  (($# > 0)) || mapfile -t targets < <(cd tests/fuzz/corpus && printf '%s\n' */ | tr -d /)
  for target in "${targets[@]}"; do
    [[ -d tests/fuzz/corpus/$target ]] || die "no target '$target'; there are: $(ls tests/fuzz/corpus)"
  done
  fuzz_build
  for target in "${targets[@]}"; do fuzz_one "$target" "$seconds" || failed+=("$target"); done
  ((${#failed[@]} == 0)) || die "properties are broken: ${failed[*]}; the inputs are in build/fuzz/found"
  say "== fuzz: no property is broken"
}

fuzz_build() {
  need_packages build ci
  build_preset fuzz fuzz
}

# What earlier runs have found interesting stays in build/fuzz/corpus and is where the next run begins.
fuzz_one() {
  local target=$1 seconds=$2 seed=${GPUTACH_TEST_SEED:-$((RANDOM * 32768 + RANDOM + 1))}
  local grown=$PWD/build/fuzz/corpus/$target log=$PWD/build/fuzz/$target.log
  mkdir -p "$grown" "$fuzz_found"
  say "== fuzz: $target for $seconds s; GPUTACH_TEST_SEED=$seed"
  GPUTACH_FUZZ_TARGET=$target "$fuzz_program" -seed="$seed" -max_total_time="$seconds" -timeout=10 \
    -rss_limit_mb=2048 -max_len=20000 -dict="tests/fuzz/$target.dict" -artifact_prefix="$fuzz_found/$target-" \
    -print_final_stats=1 "$grown" "tests/fuzz/corpus/$target" >"$log" 2>&1 && {
    grep -E '^stat::number_of_executed_units|^#[0-9]+.*DONE' "$log" >&2
    return
  }
  tail -n 40 "$log" >&2
  local input
  input=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
  say "again: ./dev fuzz --replay $target ${input#"$PWD"/}"
  say "for good: cp ${input#"$PWD"/} tests/fuzz/corpus/$target/NAME"
  return 1
}
