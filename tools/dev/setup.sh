# shellcheck shell=bash
# setup [STAGE...]              install what the stages need (build test ci bench engine; default all but engine)
verb_setup() {
  (($# > 0)) || set -- build test ci bench
  need_packages "$@"
  say "Everything for these stages is installed: $*"
}
