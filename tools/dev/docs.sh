# shellcheck shell=bash
# docs [--check]                rewrite the pages that the binary prints, or only compare them
printed_pages=(flags)

verb_docs() {
  local mode=${1:-rewrite} page printed
  [[ $mode == rewrite || $mode == --check ]] || die "usage: ./dev docs [--check]"
  need_packages build
  build_preset release gputach
  for page in "${printed_pages[@]}"; do
    printed=build/release/docs-$page.md
    build/release/gputach docs "$page" >"$printed"
    [[ -s $printed ]] || die "gputach docs $page printed nothing"
    if [[ $mode == rewrite ]]; then
      cp "$printed" "docs/$page.md"
    else
      diff -u "docs/$page.md" "$printed" || die "docs/$page.md differs from the binary; ./dev docs rewrites it"
    fi
  done
}
