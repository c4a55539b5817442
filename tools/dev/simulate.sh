# shellcheck shell=bash
# simulate [--seeds N]          drive supervisor and cache through N seeded fault schedules (default 2000)
verb_simulate() {
  local seeds=2000
  case ${1:-} in
    '') ;;
    --seeds) seeds=${2:?--seeds needs a number} ;;
    *) die "usage: ./dev simulate [--seeds N]" ;;
  esac
  [[ $seeds =~ ^[1-9][0-9]*$ ]] || die "--seeds needs a positive number, not '$seeds'"
  need_packages build
  build_preset release simulate_test
  GPUTACH_SIMULATE_SEEDS=$seeds build/release/tests/simulate_test
}
