# shellcheck shell=bash
# golden                        rewrite the golden pages in tests/golden from the binary; review the difference
verb_golden() {
  need_packages build test
  build_preset release gputach gputach_sim
  GPUTACH_BUILD=build/release python3 tests/e2e/golden.py --rewrite
  git --no-pager diff --stat -- tests/golden
}
