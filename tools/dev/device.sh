# shellcheck shell=bash
# device [ARGS OF verify]       on a machine with an NVIDIA GPU: hold gputach against nvidia-smi
verb_device() {
  [[ $(nvidia-smi -L 2>/dev/null) == 'GPU '* ]] || not_run 'no NVIDIA GPU'
  need_packages build
  build_preset release gputach
  exec python3 tests/device/verify --binary build/release/gputach --output build/device-results "$@"
}
