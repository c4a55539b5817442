# shellcheck shell=bash
# e2e [CTEST ARGS]              build, then run the tests of the whole binary only
source tools/dev/test.sh

verb_e2e() { verb_test release -L e2e "$@"; }
