# shellcheck shell=bash
# help                          this list
verb_help() {
  echo "usage: ./dev VERB [-y] [arguments]     (-y: install missing packages without asking)"
  local name
  # shellcheck disable=SC2154  # verbs is the list in ./dev
  for name in "${verbs[@]}"; do sed -n '2,${/^#/!q; s/^#/ /p}' "tools/dev/$name.sh"; done
}
