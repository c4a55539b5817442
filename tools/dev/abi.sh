# shellcheck shell=bash
# abi [--all]                   hold our declarations of NVML against NVIDIA's header and bindings (needs network once)
cross_compiler=aarch64-linux-gnu-g++
abi_cache=$PWD/build/abi-cache

verb_abi() {
  local all=()
  case ${1:-} in
    '') ;;
    --all) all=(--all) ;;
    *) die "usage: ./dev abi [--all]" ;;
  esac
  need_packages build test ci
  mkdir -p "$abi_cache"
  rm -f "$abi_cache/not-run.txt"
  command -v "$cross_compiler" >/dev/null || abi_not_run "there is no $cross_compiler"
  fetch_bindings
  fetch_headers
  build_go_reader
  build_preset release gputach gputach_sim

  local python=$abi_cache/venv/bin/python build=$PWD/build/release
  export PYTHONDONTWRITEBYTECODE=1
  say "== abi: NVIDIA's header"
  "$python" tests/abi/official/check_official.py --cache "$abi_cache"
  say "== abi: NVIDIA's bindings"
  "$python" tests/abi/readers/check_readers.py --build "$build" --binding "$abi_cache/binding" \
    --go-reader "$abi_cache/go-reader"
  say "== abi: mutants"
  local log=$abi_cache/mutants.log status=0
  "$python" tests/abi/check_mutants.py --cache "$abi_cache" --build "$build" --work "$abi_cache/mutants" \
    "${all[@]}" >"$log" || status=$?
  # Each mutant has a line in the log; those of single declarations are many and alike.
  grep -v 'caught by check_official.py' "$log" || true
  return "$status"
}

# ./dev ci lists the reason at its end.
abi_not_run() {
  not_run "./dev abi: $*" | tee "$abi_cache/not-run.txt"
  exit 77
}

# fetch LOG_NAME COMMAND...: a command that loads something. No network is no failure; anything else that goes wrong is.
fetch() {
  local log=$abi_cache/$1.log
  shift
  "$@" >"$log" 2>&1 && return
  tail -n 20 "$log" >&2
  grep -qiE 'retrying|timed? ?out|dial tcp|no such host|connection refused|proxyconnect|name resolution' "$log" ||
    die "this failed: $*"
  abi_not_run "no network, and build/abi-cache does not have what versions.txt asks for"
}

# versions_of ROLE...: "requirement sha256" lines of tests/abi/versions.txt.
versions_of() {
  local role requirement sha256
  while read -r role requirement sha256; do
    [[ " $* " != *" $role "* ]] || echo "$requirement $sha256"
  done <tests/abi/versions.txt
}

# pip_fetch REQUIREMENT SHA256 PIP_ARGUMENTS...: one package, and only if it is the one that was pinned.
pip_fetch() {
  local pinned=$abi_cache/pinned.txt
  echo "$1 --hash=sha256:$2" >"$pinned"
  fetch "$1" "$abi_cache/venv/bin/pip" --disable-pip-version-check --retries 1 --timeout 20 "${@:3}" --no-deps \
    --only-binary=:all: --require-hashes --requirement "$pinned"
}

# The Python binding, in a virtual environment of its own.
fetch_bindings() {
  local requirement sha256 stamp
  read -r requirement sha256 <<<"$(versions_of binding)"
  stamp=$abi_cache/$requirement.installed
  [[ ! -e $stamp ]] || return 0
  rm -rf "$abi_cache/venv" "$abi_cache"/*.installed
  python3 -m venv "$abi_cache/venv"
  pip_fetch "$requirement" "$sha256" install
  ln -sfn "$("$abi_cache/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \
    "$abi_cache/binding"
  touch "$stamp"
}

# The headers; the wheel for one platform, because pinned, and because the header is the same in all.
fetch_headers() {
  local requirement sha256 folder wheels=$abi_cache/wheels
  while read -r requirement sha256; do
    folder=$abi_cache/headers/$requirement
    [[ ! -e $folder/nvml.h ]] || continue
    rm -rf "$wheels"
    pip_fetch "$requirement" "$sha256" download --platform manylinux2014_x86_64 --dest "$wheels"
    mkdir -p "$folder"
    python3 -c 'import sys, zipfile
archive = zipfile.ZipFile(sys.argv[1])
name, = [name for name in archive.namelist() if name.endswith("/nvml.h")]
sys.stdout.buffer.write(archive.read(name))' "$wheels"/*.whl >"$folder/part"
    mv "$folder/part" "$folder/nvml.h"
  done <<<"$(versions_of reference newest older)"
}

# The Go binding; modules and objects stay in the cache, writable, so that it can be removed.
build_go_reader() {
  fetch go-reader env --chdir=tests/abi/readers/go-nvml \
    GOMODCACHE="$abi_cache/go-mod" GOCACHE="$abi_cache/go-build" CGO_CFLAGS=-w \
    go build -mod=readonly -modcacherw -o "$abi_cache/go-reader" .
}
