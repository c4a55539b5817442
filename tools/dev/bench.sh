# shellcheck shell=bash
# bench [--quick] [--only CELL]... measure beside nginx and a raw epoll loop; the whole run writes docs/results/http.md
# bench proxy [--quick] [--only CELL]... the same for forwarding, beside nginx and HAProxy: docs/results/proxy.md
# bench --gate                  what CI checks: instructions of a cached request, and a ratio to nginx
# bench --record-instructions   the count of now is what the gate expects from here on
verb_bench() {
  local programs=(gputach gputach_sim load_epoll) bundle=()
  need_packages build test bench
  case " $* " in
    *' --gate '* | *' --record-instructions '*) ;;
    *' proxy '*) programs+=(load_poller load_engine) ;;
    *' --only '*) programs+=(load_poller load_driver load_bench) ;;
    *)
      programs+=(load_poller load_driver load_bench)
      build_preset bundle gputach
      bundle=(--bundle build/bundle/gputach)
      ;;
  esac
  build_preset release "${programs[@]}"
  PYTHONDONTWRITEBYTECODE=1 exec python3 tests/load/bench.py --build build/release "${bundle[@]}" "$@"
}
