# shellcheck shell=bash
# ci                            everything the build service checks, in stages, with the time of each
verb_ci() {
  export CI=true
  table=''
  ci_started=$SECONDS
  trap ci_summary EXIT
  mkdir -p build
  rm -f build/*/not-run.txt
  stage 'packages'              ./dev setup -y
  stage 'format'                ./dev fmt --check
  stage 'layers and tidy'       bash -c 'python3 tools/check_layers.py && python3 tools/tidy.py'
  # First: what they fetch is also what tests need.
  stage 'NVML declarations'     ./dev abi
  stage 'upstream servers'      ./dev upstreams
  stage 'README test command'   readme_test
  stage 'printed documents'     ./dev docs --check
  stage 'lint'                  ./dev lint
  stage 'fuzzing'               ./dev fuzz 10
  stage 'benchmark gate'        ./dev bench --gate
  stage 'address and undefined' ./dev test asan
  stage 'thread sanitizer'      ./dev test tsan
  stage 'device bundle'         ./dev device-bundle --try
  stage 'simulated schedules'   ./dev simulate --seeds 10000
  ci_passed=yes
}

ci_passed=no

# stage NAME COMMAND...: each stage is a process of its own; the first that fails ends the run. Status 77 is "not run".
stage() {
  local name=$1 started=$SECONDS status=0
  shift
  printf '\n==== %s: %s\n' "$name" "$*"
  "$@" </dev/null || status=$?
  local verdict=ok
  ((status == 0)) || verdict="FAILED (exit status $status)"
  ((status != 77)) || verdict='NOT RUN'
  table+=$(printf '  %-24s %-16s %s' "$name" "$(duration $((SECONDS - started)))" "$verdict")$'\n'
  ((status == 0 || status == 77)) || exit 1
}

# What the README tells people to type is what is run.
readme_test() {
  local command
  command=$(awk '/^ *```/ { fenced = !fenced; next } fenced && /^ *(\$ )?\.\/dev test( |$)/ { print; exit }' README.md)
  [[ -n $command ]] || die "README.md shows no ./dev test in a fenced block"
  bash -c "${command#*\$ }"
}

ci_summary() {
  local total reasons
  total=$(duration $((SECONDS - ci_started)))
  reasons=$(find build -maxdepth 2 -name not-run.txt -exec cat {} +)
  printf '\n==== stages\n%s' "$table"
  [[ -z $reasons ]] || printf 'Checks that this machine could not run:\n%s\n' "$(sort <<<"$reasons" | uniq -c)"
  if [[ $ci_passed == yes ]]; then
    echo "CI PASSED: every stage is ok; $total; NOT RUN: $(grep -c . <<<"$reasons" || true) checks"
  else
    echo "CI FAILED in the last stage above; $total"
  fi
}
