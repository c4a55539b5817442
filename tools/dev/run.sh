# shellcheck shell=bash
# run [SCENARIO] [--port N] [-- FLAGS]
#                               build and serve: the real GPUs, or the simulated driver where there are none
verb_run() {
  local scenario='' port=8080 address_flags=()
  while (($# > 0)) && [[ $1 != -- ]]; do
    case $1 in
      --port)
        port=${2:?--port needs a number}
        address_flags=(--listen "[::]:$port")
        shift 2
        ;;
      -*) die "usage: ./dev run [-y] [SCENARIO] [--port N] [-- FLAGS OF gputach serve]" ;;
      *)
        scenario=$1
        shift
        ;;
    esac
  done
  (($# == 0)) || shift  # the lone --

  ! port_is_taken "$port" || die "port $port is taken; choose another with: ./dev run --port N"
  need_packages build
  build_preset release gputach gputach_sim
  choose_driver "$scenario"
  say "Serving http://localhost:$port/proxy/stats    Ctrl-C ends it. In another terminal:"
  say "  curl -s http://localhost:$port/proxy/stats"
  # In place of this shell, so that signals and the exit status are the daemon's own.
  exec build/release/gputach serve "${address_flags[@]}" "${driver_flags[@]}" "$@"
}

port_is_taken() { (exec 3<>"/dev/tcp/localhost/$1") 2>/dev/null; }

# Sets driver_flags (and the simulator's scenario). Simulated figures are only served on an explicit flag.
choose_driver() {
  local scenario=$1 reason=''
  driver_flags=()
  if [[ -n $scenario ]]; then
    reason="Scenario '$scenario' was asked for"
  elif ! find_driver_library; then
    reason="There is no NVIDIA driver here (libnvidia-ml.so.1 was not found)"
  elif [[ ! -e /dev/nvidiactl && ! -e /dev/dxg ]]; then
    reason="There is no NVIDIA GPU here (a driver library, but neither /dev/nvidiactl nor /dev/dxg)"
  fi
  if [[ -z $reason ]]; then
    say "NVIDIA driver found: the figures are those of this machine's GPUs."
    return
  fi
  export GPUTACH_SIM_SCENARIO=${scenario:-${GPUTACH_SIM_SCENARIO:-h100x8-busy}}
  driver_flags=(--nvml-library build/release/libnvidia-ml.so.1)
  say "$reason: all figures are SIMULATED (scenario $GPUTACH_SIM_SCENARIO)."
}

# True when the driver library is there; adds its path to driver_flags where the linker would not find it.
find_driver_library() {
  local wsl=/usr/lib/wsl/lib/libnvidia-ml.so.1 known
  known=$(PATH=$PATH:/usr/sbin:/sbin ldconfig -p) || known=''
  if [[ $known != *libnvidia-ml.so.1* ]]; then
    [[ -e $wsl ]] || return 1
    driver_flags=(--nvml-library "$wsl")
  fi
}
