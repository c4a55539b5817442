#!/usr/bin/env bash
# in-fresh-root.sh ROOT APT_CACHE: what ./dev fresh does with a new root, inside namespaces of its own.
set -euo pipefail
root=$1
apt_cache=$2

build_seconds_max=1800
answer_seconds_max=10

mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount --bind "$apt_cache" "$root/var/cache/apt/archives"

inside=(chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8)
for name in http_proxy https_proxy no_proxy; do
  [[ ! -v $name ]] || inside+=("$name=${!name}")
done

fail() {
  echo "fresh: $*" >&2
  exit 1
}

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("", 0)); print(s.getsockname()[1])'; }

# wait_for SECONDS COMMAND...: until it succeeds, the daemon ends, or the time is over.
wait_for() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    [[ -n $(jobs -rp) ]] || fail "./dev run ended by itself"
    ((SECONDS < deadline)) || fail "./dev run gave no answer in time"
    sleep 0.2
  done
}

answers() { curl -s --fail --max-time "$answer_seconds_max" -o "$root/answer.json" "$url"; }

# The bare root first: ./dev run may rely on nothing but what it installs itself.
started=$SECONDS
port=$(free_port)
url=http://127.0.0.1:$port/proxy/stats
"${inside[@]}" /gputach/dev run -y --port "$port" </dev/null &
daemon=$!
trap 'kill -KILL "$daemon" 2>/dev/null || true' EXIT
wait_for "$build_seconds_max" answers
jq -e '(.gpus | length) == 8 and (.timestamp | endswith("Z"))' "$root/answer.json" >/dev/null ||
  fail "not an answer with 8 GPUs: $(head -c 400 "$root/answer.json")"
echo "==== ./dev run: 8 GPUs, $((SECONDS - started)) s after the command on a bare root"

kill -TERM "$daemon"
status=0
wait "$daemon" || status=$?
((status == 0)) || fail "./dev run ended with status $status after SIGTERM, not with 0"
echo "==== ./dev run: status 0 after SIGTERM"

started=$SECONDS
"${inside[@]}" /gputach/dev test -y </dev/null
echo "==== ./dev test: passed in $((SECONDS - started)) s"
