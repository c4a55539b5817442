# shellcheck shell=bash
# fresh [12|13]                 prove `run` and `test` in new minimal roots of Debian 12 and 13 (needs root)
verb_fresh() {
  local release releases=("$@")
  (($# > 0)) || releases=(12 13)
  ((EUID == 0)) || not_run "./dev fresh makes roots with debootstrap and enters them, which needs root"
  unshare --mount --pid --fork true 2>/dev/null || not_run "./dev fresh needs mount and process namespaces"
  need_packages test ci
  for release in "${releases[@]}"; do
    case $release in
      12) fresh_root bookworm ;;
      13) fresh_root trixie ;;
      *) die "usage: ./dev fresh [12|13]" ;;
    esac
  done
}

# Mounts and processes live in namespaces of their own, so nothing of them outlives this call, however it ends.
fresh_root() {
  local suite=$1 started=$SECONDS
  say "==== $suite: new root in build/fresh/$suite"
  make_root "$suite"
  say "==== $suite: root made in $(duration $((SECONDS - started)))"
  unshare --mount --propagation private --pid --fork --kill-child \
    bash tools/dev/lib/in-fresh-root.sh "$PWD/build/fresh/$suite" "$PWD/build/fresh/cache-$suite/apt"
  say "==== $suite: ./dev run and ./dev test work on a bare root; $(duration $((SECONDS - started))) in all"
}

make_root() {
  local suite=$1 root=$PWD/build/fresh/$1 cache=$PWD/build/fresh/cache-$1
  mkdir -p "$cache/debootstrap" "$cache/apt/partial"
  rm -rf --one-file-system "$root"
  if ! debootstrap --variant=minbase --cache-dir="$cache/debootstrap" "$suite" "$root" "$(mirror debian)" \
    >"$cache/log" 2>&1; then
    tail -n 20 "$cache/log" >&2
    die "debootstrap $suite failed"
  fi
  copy_apt_configuration "$suite" "$root"
  mkdir "$root/gputach"
  git ls-files -z --cached --others --exclude-standard | existing_files |
    tar --create --no-recursion --null --files-from=- | tar --extract --no-same-owner --directory="$root/gputach"
}

# The list of files may name some that were just removed from the working tree.
existing_files() {
  local file
  while IFS= read -r -d '' file; do [[ ! -f $file ]] || printf '%s\0' "$file"; done
}

# The address of the archive (debian, debian-security) that this machine itself uses.
mirror() {
  local found
  found=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources} 2>/dev/null |
    sed -n "s,^\(deb \|URIs:\).*\(https\?://[^ ]*/$1\)/\?\( .*\|\)$,\2,p" | head -n 1) || true
  echo "${found:-http://deb.debian.org/$1}"
}

# The root reaches the archive in the way in which the machine does: same settings, mirror, certificates and names.
copy_apt_configuration() {
  local suite=$1 root=$2
  cp -a /etc/apt/apt.conf.d/. "$root/etc/apt/apt.conf.d/"
  # Images for containers throw packages away after use; this root keeps them for the next one.
  printf '#clear DPkg::Post-Invoke;\n#clear APT::Update::Post-Invoke;\n' >"$root/etc/apt/apt.conf.d/zz-keep-packages"
  echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/a-power-cut-may-spoil-this-root"
  {
    echo "deb $(mirror debian) $suite main"
    echo "deb $(mirror debian) $suite-updates main"
    echo "deb $(mirror debian-security) $suite-security main"
  } >"$root/etc/apt/sources.list"
  mkdir -p "$root/etc/ssl/certs" "$root/usr/local/share/ca-certificates"
  cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/" 2>/dev/null || true
  cp -a /usr/local/share/ca-certificates/. "$root/usr/local/share/ca-certificates/" 2>/dev/null || true
  cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
}
