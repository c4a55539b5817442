# shellcheck shell=bash
# faults                        bring about every fault of tests/e2e/fault_table.py; rewrite its table in the documents
verb_faults() {
  need_packages build test
  build_preset release gputach gputach_sim gputach_sim_old_drivers
  FAULTS='' GPUTACH_BUILD=build/release python3 tests/e2e/faults_test.py \
    Faults.test_every_fault_shows_what_the_table_says_and_is_over_in_time
  GPUTACH_BUILD=build/release python3 tests/e2e/fault_report.py
}
