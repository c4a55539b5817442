# shellcheck shell=bash
# Packages from the distribution: what is missing according to tools/packages.txt, and its installation.

is_installed() { [[ $(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]; }

# missing_packages STAGE...: one need per line, alternatives separated by spaces.
missing_packages() {
  local packages unless stage candidate
  while IFS='|' read -r packages unless stage _; do
    [[ $packages != \#* && " $* " == *" ${stage// /} "* ]] || continue
    unless=${unless// /}
    [[ -z $unless ]] || ! command -v "$unless" >/dev/null || continue
    for candidate in $packages; do
      ! is_installed "$candidate" || continue 2
    done
    # shellcheck disable=SC2086  # word splitting trims the column
    echo $packages
  done <tools/packages.txt
}

# The first of the alternatives that the distribution has.
available_package() {
  local candidate
  for candidate; do
    # `apt-cache show` would also accept a name that other packages merely mention.
    if [[ $(LC_ALL=C apt-cache policy "$candidate") == *"Candidate: "[^\(]* ]]; then
      echo "$candidate"
      return
    fi
  done
  die "this distribution has none of these packages: $*"
}

# "a b" -> "  a or b", for people.
or_lines() { sed 's/ / or /g; s/^/  /' <<<"$1"; }

confirm_installation() {
  say "These packages of your distribution are missing and will be installed:"
  say "$(or_lines "$1")"
  # shellcheck disable=SC2154  # assume_yes is set by ./dev
  [[ $assume_yes == no && -t 0 ]] || return 0
  local answer
  read -r -p "Install them now? [Y/n] " answer
  [[ $answer =~ ^([yY].*)?$ ]] || die "nothing was installed"
}

# need_packages STAGE...
need_packages() {
  local missing alternatives package chosen=()
  missing=$(missing_packages "$@")
  [[ -n $missing ]] || return 0
  if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    say "This is not a Debian system, so nothing is installed for you. Needed, by their Debian names:"
    say "$(or_lines "$missing")"
    say "Going on with what is there."
    return
  fi
  confirm_installation "$missing"
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300)
  as_root "${apt[@]}" update
  while read -r alternatives; do
    # shellcheck disable=SC2086  # alternatives are words
    package=$(available_package $alternatives)
    chosen+=("$package")
  done <<<"$missing"
  keep_services_off "${chosen[@]}"
  as_root "${apt[@]}" install --no-install-recommends "${chosen[@]}"
}

# A server that we want as a program is not to run as a service, neither from its installation on nor after a boot.
keep_services_off() {
  local name unit
  for name in nginx haproxy; do
    unit=/etc/systemd/system/$name.service
    [[ " $* " == *" $name"* && ! -e $unit && ! -L $unit ]] || continue
    as_root mkdir -p "${unit%/*}"
    as_root ln -s /dev/null "$unit"
    say "$name.service is masked, so that nothing starts it; to use it as a service: systemctl unmask $name"
  done
}
