# shellcheck shell=bash
# simulate [--seeds N]          drive supervisor, crew and cache through N seeded fault schedules (default 10000)
# simulate --seed S             the same with the one that failed
verb_simulate() {
  local seeds=10000 seed=
  case ${1:-} in
    '') ;;
    --seeds) seeds=${2:?--seeds needs a number} ;;
    --seed) seed=${2:?--seed needs a number} ;;
    *) die "usage: ./dev simulate [--seeds N | --seed S]" ;;
  esac
  [[ ${seed:-$seeds} =~ ^[1-9][0-9]*$ ]] || die "${1:-} needs a positive number, not '${2:-}'"
  need_packages build
  build_preset release simulate_test
  GPUTACH_SIMULATE_SEEDS=$seeds GPUTACH_SIMULATE_SEED=$seed build/release/tests/simulate_test
}
