# shellcheck shell=bash
# setup [STAGE...]              install what the stages need (build test ci; default all)
verb_setup() {
  (($# > 0)) || set -- build test ci
  need_packages "$@"
  say "Everything for these stages is installed: $*"
}
