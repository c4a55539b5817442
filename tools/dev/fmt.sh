# shellcheck shell=bash
# fmt [--check]                 format all C++ in place, or only say what is not formatted
formatter_major=19

verb_fmt() {
  local formatter
  formatter=$(find_formatter)
  case ${1:-} in
    '') cpp_files | xargs "$formatter" -i ;;
    --check) cpp_files | xargs "$formatter" --dry-run --Werror ;;
    *) die "usage: ./dev fmt [--check]" ;;
  esac
}

# Two versions of a formatter never agree, so only one major version is accepted.
find_formatter() {
  local name version=none
  for name in "clang-format-$formatter_major" clang-format; do
    command -v "$name" >/dev/null || continue
    version=$("$name" --version)
    if [[ $version =~ version\ $formatter_major\. ]]; then
      echo "$name"
      return
    fi
  done
  die "clang-format $formatter_major is needed (found: $version); ./dev setup ci installs it"
}
