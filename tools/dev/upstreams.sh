# shellcheck shell=bash
# upstreams                     fetch the servers of other makers that smuggling is tried on (needs network once)
upstreams_cache=$PWD/build/upstreams
upstreams_wanted=$PWD/tests/e2e/upstreams/requirements.txt

verb_upstreams() {
  need_packages build test ci
  mkdir -p "$upstreams_cache"
  rm -f "$upstreams_cache/not-run.txt"
  if ! cmp -s "$upstreams_wanted" "$upstreams_cache/installed.txt"; then
    rm -rf "$upstreams_cache/venv" "$upstreams_cache/installed.txt"
    python3 -m venv "$upstreams_cache/venv"
    upstreams_install
    cp "$upstreams_wanted" "$upstreams_cache/installed.txt"
  fi
  say "== upstreams: uvicorn is in build/upstreams"
}

# No network is no failure; anything else that goes wrong is.
upstreams_install() {
  local log=$upstreams_cache/install.log
  "$upstreams_cache/venv/bin/pip" --disable-pip-version-check --retries 1 --timeout 20 install --no-deps \
    --requirement "$upstreams_wanted" >"$log" 2>&1 && return
  tail -n 20 "$log" >&2
  grep -qiE 'retrying|timed? ?out|connection refused|proxyconnect|name resolution' "$log" || die "pip failed"
  # ./dev ci lists the reason at its end, and the test says it, too.
  not_run "uvicorn as upstream: no network, and build/upstreams does not have what requirements.txt asks for" |
    tee "$upstreams_cache/not-run.txt"
  exit 77
}
