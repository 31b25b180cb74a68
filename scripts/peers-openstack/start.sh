#!/usr/bin/env bash
# start.sh WORKDIR [cinder] [swift] [octavia]: starts them (all three by default) beside the running `openstack` peer in WORKDIR.
# Prints one line for each, `NAME: up` or `NAME: DOWN: why` with the end of the log, and `ready` when at least one is up.
# Ports are free ones unless given: CINDER_PORT SWIFT_PORT OCTAVIA_PORT. PEER_WAIT: seconds that each may take (default 180).
H=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd); . "$H/lib.sh"
[ $# -ge 1 ] || die "usage: start.sh WORKDIR [cinder] [swift] [octavia]"
workdir "$1"; shift; [ $# -gt 0 ] || set -- $SERVICES
for s in "$@"; do [ -n "$(processes_of "$s")" ] || die "no such service: $s"; done
[ -x "$VENV/bin/cinder-api" ] && [ -e "$VENV/.made-from" ] || die "not installed: run install.sh"
[ -e "$W/env" ] && [ -e "$W/conf/nova.conf" ] && alive_in "$W/run" keystone && alive_in "$W/run" rabbitmq && alive_in "$W/run" db ||
  die "no running openstack peer in $W"
. "$W/env"

base() { sed -n "s|^$1|\1|p" "$W/conf/nova.conf" | head -n 1; }      # base PATTERN: what its group matches in the peer's nova.conf
DB_PORT=$(base 'connection = .*@127.0.0.1:\([0-9]*\)/.*')
RABBIT_PORT=$(base 'transport_url = .*@127.0.0.1:\([0-9]*\)/.*')
TOKEN_CACHE_SECONDS=$(base 'token_cache_time = \(.*\)')
sql() { local db=$1; shift; (cd "$W/db" && mariadb --no-defaults -S db.sock -u root -BN "$db" "$@"); }

umask 077; mkdir -p "$M" "$R" "$L"; chmod 700 "$M" "$R"
exec 9>"$M/lock"; flock 9
# The peer's own start.sh empties the cloud: what we made for an earlier one is worth nothing then.
this="$OS_AUTH_URL $DB_PORT $RABBIT_PORT $(cat "$W/run/db.pid")"
if [ "$(cat "$M/made-for" 2>/dev/null || true)" != "$this" ]; then
  if [ -e "$M/made-for" ]; then
    say "the openstack peer was started anew: beginning anew too"
    for s in $SERVICES; do stop_these $(processes_of "$s"); done
    [ ! -e "$M/swift.made" ] || (. "$M/swift.made"; rm -rf "$SWIFT_DEVICES")
    rm -rf "$M"/*
  fi
  echo "$this" > "$M/made-for"
fi

# --- what the services share ----------------------------------------------

# stop_reason WHY LOG: ends the start of one service (in its subshell); LOG is the name of the log whose end is shown
stop_reason() { echo "$1" > "$M/$SERVICE.why"; echo "$2" > "$M/$SERVICE.why-log"; exit 1; }
step() { local n=$1; shift; "$@" >>"$L/$n.log" 2>&1 || stop_reason "$n failed" "$n"; }
# ports and passwords stay the same when a service is started again in the same cloud
made() {  # made SERVICE NAME=VALUE...
  local s=$1 kv; shift
  [ -e "$M/$s.made" ] || for kv in "$@"; do printf '%s=%q\n' "${kv%%=*}" "${kv#*=}"; done > "$M/$s.made"
  . "$M/$s.made"
}
render() {  # render TEMPLATE OUT NAME...: @NAME@ becomes the variable's value
  local t=$1 o=$2 n args=(); shift 2
  for n in M VENV DB_PORT RABBIT_PORT TOKEN_CACHE_SECONDS PASSWORD "$@"; do args+=(-e "s|@$n@|${!n}|g"); done
  sed "${args[@]}" -e "s|@KEYSTONE@|$OS_AUTH_URL|g" -e "s|@GLANCE@|$FULCRUM_OS_IMAGE|g" -e "s|@REGION@|$OS_REGION_NAME|g" \
    -e "s|@USER@|$(id -un)|g" "$H/conf/$t.in" > "$o"
}
database() {  # database NAME
  sql mysql -e "create database if not exists $1; create user if not exists $1@'%' identified by '$DB_PASSWORD';
    alter user $1@'%' identified by '$DB_PASSWORD'; grant all on $1.* to $1@'%'" >>"$L/$1-db.log" 2>&1 ||
    stop_reason "making the database failed" "$1-db"
}
register() { step "$1-register" env PASSWORD="$PASSWORD" python3 "$H/seed.py" register "$@"; }
wsgi() {  # wsgi NAME PORT MODULE ARGUMENT...: the services read the command line of the process that they run in
  local name=$1 port=$2 module=$3 a args=; shift 3
  for a in "$name" "$@"; do args="$args\"$a\", "; done
  cat > "$M/$name.gunicorn.py" <<PY
import sys
sys.argv = [$args]
wsgi_app = "$module:application"
bind = "127.0.0.1:$port"
worker_class = "gthread"
workers = 1
threads = 8
timeout = 300
graceful_timeout = 3
keepalive = 30
control_socket_disable = True
PY
  spawn "$name" env -u http_proxy -u https_proxy GUNICORN_CMD_ARGS="--config $M/$name.gunicorn.py" "$VENV/bin/gunicorn"
}
# answers SERVICE URL: until an authenticated request is answered well; ends at once when a process has died.
answers() {
  local end=$((SECONDS + ${PEER_WAIT:-180})) n
  until python3 "$H/seed.py" probe "$1" "$2" >"$L/$1-probe.log" 2>&1; do
    for n in $(processes_of "$1"); do alive "$n" || stop_reason "$n exited while starting" "$n"; done
    [ $SECONDS -lt $end ] || stop_reason "not healthy after ${PEER_WAIT:-180} s" "$1-probe"
    sleep 0.3
  done
}

# --- the services -----------------------------------------------------------

up_cinder() {
  made cinder PORT="${CINDER_PORT:-$(free_port)}" PASSWORD="$(hex)" DB_PASSWORD="$(hex)"
  mkdir -p "$M/cinder/locks" "$M/cinder/coordination"
  local c=$M/cinder/cinder.conf; render cinder.conf "$c" DB_PASSWORD
  register cinder "http://127.0.0.1:$PORT" & local registering=$!
  database cinder
  step cinder-migrate "$VENV/bin/cinder-manage" --config-file "$c" db sync
  wsgi cinder-api "$PORT" cinder.wsgi.api --config-file "$c"
  spawn cinder-scheduler "$VENV/bin/cinder-scheduler" --config-file "$c"
  spawn cinder-volume "$VENV/bin/cinder-volume" --config-file "$c"
  wait $registering || exit 1
  answers cinder "http://127.0.0.1:$PORT"
  step cinder-types python3 "$H/seed.py" resources cinder "http://127.0.0.1:$PORT"
}

up_swift() {
  local p; mapfile -t p < <(free_port 4)
  made swift PORT="${SWIFT_PORT:-${p[0]}}" PASSWORD="$(hex)" HASH="$(hex)" ACCOUNT_PORT="${p[1]}" CONTAINER_PORT="${p[2]}" \
    OBJECT_PORT="${p[3]}" SWIFT_DEVICES="$(swift_devices)"
  [ -n "$SWIFT_DEVICES" ] || stop_reason "no directory with extended attributes (set SWIFT_DEVICES_IN)" none
  register swift "http://127.0.0.1:$PORT" & local registering=$!
  mkdir -p "$M/swift" "$SWIFT_DEVICES/d1"
  render swift.conf "$M/swift/swift.conf" HASH
  local k port
  for k in account container object; do
    port=${k^^}_PORT; port=${!port}
    KIND=$k PORT=$port render swift-storage.conf "$M/swift/$k-server.conf" KIND PORT SWIFT_DEVICES
  done
  [ -e "$M/swift/object.ring.gz" ] || step swift-ring "$VENV/bin/python" "$H/rings.py" "$M/swift" \
    account="$ACCOUNT_PORT" container="$CONTAINER_PORT" object="$OBJECT_PORT"
  SWIFT_PORT=$PORT render swift-proxy.conf "$M/swift/proxy-server.conf" SWIFT_PORT
  for k in account container object proxy; do
    spawn "swift-$k" env -u http_proxy -u https_proxy "$VENV/bin/swift-$k-server" "$M/swift/$k-server.conf" -v
  done
  wait $registering || exit 1
  answers swift "http://127.0.0.1:$PORT"
}
# swift keeps its metadata in extended attributes: the first directory whose file system has them
swift_devices() {
  local d; for d in ${SWIFT_DEVICES_IN:-"$M" /var/tmp /tmp}; do
    d=$(mktemp -d "$d/fulcrum-swift.XXXXXX" 2>/dev/null) || continue
    if python3 -c 'import os,sys; os.setxattr(sys.argv[1], "user.swift.metadata", b"x" * 2048)' "$d" 2>/dev/null; then echo "$d"; return; fi
    rmdir "$d"
  done
}

up_octavia() {
  made octavia PORT="${OCTAVIA_PORT:-$(free_port)}" PASSWORD="$(hex)" DB_PASSWORD="$(hex)" CA_PASSWORD="$(hex)" CERTS_PASSWORD="$(hex 16)"
  mkdir -p "$M/octavia/locks"
  local c=$M/octavia/octavia.conf; OCTAVIA_PORT=$PORT render octavia.conf "$c" DB_PASSWORD OCTAVIA_PORT CA_PASSWORD CERTS_PASSWORD
  register octavia "http://127.0.0.1:$PORT" & local registering=$!
  [ -e "$M/octavia/ca.crt" ] || step octavia-ca openssl req -x509 -newkey rsa:2048 -days 3650 -subj "/CN=octavia test" \
    -passout "pass:$CA_PASSWORD" -keyout "$M/octavia/ca.key" -out "$M/octavia/ca.crt"
  database octavia
  step octavia-migrate "$VENV/bin/octavia-db-manage" --config-file "$c" upgrade head
  spawn octavia-worker "$VENV/bin/octavia-worker" --config-file "$c"
  wsgi octavia-api "$PORT" octavia.wsgi.api --config-file "$c"
  wait $registering || exit 1
  answers octavia "http://127.0.0.1:$PORT"
}

# healthy SERVICE: all its processes run and it answers; then nothing is changed.
healthy() {
  local n; [ -e "$M/$1.made" ] || return 1
  for n in $(processes_of "$1"); do alive "$n" || return 1; done
  (. "$M/$1.made"; python3 "$H/seed.py" probe "$1" "http://127.0.0.1:$PORT") >/dev/null 2>&1
}

# one service: in a subshell of its own, so that its failure is its own; the result is left in M/NAME.result
one() {
  local s=$1 t=$SECONDS
  if healthy "$s"; then echo up > "$M/$s.result"; return; fi
  stop_these $(processes_of "$s"); rm -f "$M/$s".why*
  if ( SERVICE=$s; "up_$s" ); then
    echo up > "$M/$s.result"; echo "$((SECONDS - t))" > "$M/$s.seconds"
  else
    echo "DOWN: $(cat "$M/$s.why" 2>/dev/null || echo "failed, see start-$s.log")" > "$M/$s.result"
    stop_these $(processes_of "$s")
  fi
}
jobs=()
for s in "$@"; do one "$s" >>"$L/start-$s.log" 2>&1 9>&- & jobs+=($!); done
for j in "${jobs[@]}"; do wait "$j" || true; done

some=
for s in "$@"; do
  r=$(cat "$M/$s.result" 2>/dev/null || echo "DOWN: failed, see start-$s.log")
  echo "$s: $r"
  if [ "$r" = up ]; then some=1; else
    log=$L/$(cat "$M/$s.why-log" 2>/dev/null || echo "start-$s").log
    [ ! -e "$log" ] || { echo "  last lines of $log:"; tail -n "${PEER_LOG_LINES:-20}" "$log" | sed 's/^/  /'; }
  fi
done
[ -n "$some" ] || exit 1
echo ready
