#!/usr/bin/env bash
# Installs cinder, swift and octavia into a virtual environment of their own. Quick when it is there.
# The `openstack` peer brings MariaDB, RabbitMQ and the other services. No compiler is needed: every package comes as a wheel.
H=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd); . "$H/lib.sh"

need=()
for p in python3-venv openssl curl procps mariadb-client-core; do
  dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || need+=("$p")
done
if [ ${#need[@]} -gt 0 ]; then
  [ "$(id -u)" = 0 ] || die "needs Debian packages: ${need[*]} (run as root: apt-get install ${need[*]})"
  say "apt-get install ${need[*]}"; mkdir -p "$PEERS_CACHE"; export DEBIAN_FRONTEND=noninteractive
  log=$PEERS_CACHE/apt-more.log
  apt-get install -y --no-install-recommends "${need[@]}" >"$log" 2>&1 ||
    { apt-get update >>"$log" 2>&1 && apt-get install -y --no-install-recommends "${need[@]}" >>"$log" 2>&1; } ||
    { tail -n 15 "$log" >&2; die "apt-get install failed"; }
fi

want=$( { cat "$H/requirements.txt" "$H/constraints.txt"; python3 -V; } | sha256sum | cut -c1-16)
[ "$(cat "$VENV/.made-from" 2>/dev/null || true)" != "$want" ] || { say "installed"; exit 0; }
say "pip install -r requirements.txt"
rm -rf "$VENV"; mkdir -p "$(dirname "$VENV")"; log=$(dirname "$VENV")/pip.log
python3 -m venv "$VENV"
"$VENV/bin/pip" install -q -c "$H/constraints.txt" -r "$H/requirements.txt" >"$log" 2>&1 ||
  { tail -n 15 "$log" >&2; die "pip install failed"; }
# the three that could fail at run time only: cinder's driver is among its tests, swift wants two compiled libraries
"$VENV/bin/python" -c 'import cinder.tests.fake_driver, pyeclib.ec_iface, xattr' >>"$log" 2>&1 ||
  { tail -n 15 "$log" >&2; die "the packages do not load"; }
echo "$want" > "$VENV/.made-from"
say "installed"
