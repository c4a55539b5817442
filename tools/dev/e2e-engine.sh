# shellcheck shell=bash
# e2e-engine [ARGUMENTS]        OpenAI's clients through gputach against a real engine, llama.cpp (needs network once,
#                               then 10 minutes); --proxy '' leaves gputach out
engine_cache=$PWD/build/e2e-engine
engine_files=$PWD/tests/e2e_engine

verb_e2e-engine() {
  local through=()
  need_packages build engine
  mkdir -p "$engine_cache"
  rm -f "$engine_cache/not-run.txt"
  engine_python
  engine_model
  engine_node
  if [[ " $* " != *' --proxy '* && " $* " != *' --base-url '* ]]; then
    build_preset release gputach gputach_sim
    through=(--proxy "build/release/gputach serve --listen 127.0.0.1:0 --upstream {upstream}
                      --nvml-library build/release/libnvidia-ml.so.1")
  fi
  export PYTHONDONTWRITEBYTECODE=1
  python3 "$engine_files/run.py" --cache "$engine_cache" "${through[@]}" "$@"
}

# ./dev ci lists the reason at its end.
engine_not_run() {
  not_run "./dev e2e-engine: $*" | tee "$engine_cache/not-run.txt"
  exit 77
}

# once NAME INPUTS... -- COMMAND...: runs what was not run yet for these inputs.
once() {
  local stamp=$engine_cache/$1.done log=$engine_cache/$1.log inputs=()
  shift
  while [[ $1 != -- ]]; do
    inputs+=("$1")
    shift
  done
  shift
  local wanted
  wanted=$(cat "${inputs[@]}")
  [[ ! -e $stamp || $(<"$stamp") != "$wanted" ]] || return 0
  say "== $(basename "$stamp" .done): $* (log: $log)"
  "$@" >"$log" 2>&1 || {
    tail -n 20 "$log" >&2
    ! grep -qiE 'retrying|timed? ?out|ENOTFOUND|EAI_AGAIN|ECONNREFUSED|name resolution' "$log" ||
      engine_not_run "no network, and build/e2e-engine does not have what tests/e2e_engine asks for"
    die "this failed: $*"
  }
  echo "$wanted" >"$stamp"
}

engine_python() { once python "$engine_files/requirements.txt" -- install_python; }

# llama.cpp comes as source. Its speed matters to no test, so it is built in the shortest way; ccache keeps the objects.
install_python() {
  rm -rf "$engine_cache/venv"
  python3 -m venv "$engine_cache/venv"
  local options="-DMTMD_BUILD=OFF -DLLAVA_BUILD=OFF -DGGML_OPENMP=OFF -DGGML_LLAMAFILE=OFF"
  options+=" -DCMAKE_C_FLAGS_RELEASE=-O1 -DCMAKE_CXX_FLAGS_RELEASE=-O1"
  CMAKE_ARGS=$options CMAKE_BUILD_PARALLEL_LEVEL=$(parallel_jobs) \
    "$engine_cache/venv/bin/pip" --disable-pip-version-check install --requirement "$engine_files/requirements.txt"
}

engine_model() {
  once model "$engine_files/make_model.py" "$engine_files/requirements.txt" -- \
    "$engine_cache/venv/bin/python" "$engine_files/make_model.py" "$engine_cache/model.gguf"
}

engine_node() { once node "$engine_files/package.json" "$engine_files/package-lock.json" -- install_node; }

install_node() {
  cp "$engine_files"/package.json "$engine_files"/package-lock.json "$engine_cache"
  npm ci --prefix "$engine_cache" --no-audit --no-fund --ignore-scripts
}
