# shellcheck shell=bash
# device-bundle [--try]         make build/device-bundle.tar.gz: what a machine with a GPU needs to check gputach
bundle_files=(verify comparison.py nvidia_smi.py served.py README.md)
bundle_glibc_max=2.36  # of Debian 12

verb_device-bundle() {
  [[ $# == 0 || $* == --try ]] || die "usage: ./dev device-bundle [--try]"
  need_packages build
  build_preset bundle gputach
  local binary=build/bundle/gputach folder=build/device-bundle/gputach-device archive=build/device-bundle.tar.gz
  check_needs "$binary"
  rm -rf build/device-bundle "$archive"
  mkdir -p "$folder"
  cp LICENSE "${bundle_files[@]/#/tests/device/}" "$folder"
  # The debugger's sections are two thirds of the file and of no use there.
  strip --strip-debug -o "$folder/gputach" "$binary"
  # The same bytes from the same input.
  tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -C build/device-bundle -c gputach-device |
    gzip -9n >"$archive"
  say "$archive ($(stat -c %s "$archive") bytes). On a machine with an NVIDIA GPU:"
  say "  tar xf device-bundle.tar.gz && gputach-device/verify"
  [[ $* != --try ]] || try_bundle "$archive"
}

# Unpacked elsewhere, it reads the simulated driver; without a GPU its check says so.
try_bundle() {
  local folder status=0
  folder=$(mktemp -d)
  tar -xf "$1" -C "$folder"
  build_preset release gputach_sim
  "$folder/gputach-device/gputach" once --nvml-library build/release/libnvidia-ml.so.1 >/dev/null ||
    die "the bundled binary does not read the simulated driver"
  "$folder/gputach-device/verify" || status=$?
  rm -rf "$folder"
  ((status == 0 || status == 77)) || die "the bundled check ended with status $status"
}

# Nothing but the C library, and no newer one than the oldest system that is served.
check_needs() {
  local others newest
  others=$(LC_ALL=C objdump -p "$1" | awk '$1 == "NEEDED" { print $2 }' |
    grep -vE '^(libc|libm|ld-linux-(x86-64|aarch64))\.so\.[0-9]+$' || true)
  [[ -z $others ]] || die "$1 needs more than the C library: $others"
  newest=$(LC_ALL=C objdump -T "$1" | grep -oE 'GLIBC_[0-9.]+' | sort -Vu | tail -n 1)
  [[ $(printf '%s\n' "$newest" "GLIBC_$bundle_glibc_max" | sort -V | tail -n 1) == "GLIBC_$bundle_glibc_max" ]] ||
    die "$1 needs $newest, which Debian 12 does not have; build the bundle there"
}
