# Shared by install.sh, start.sh and stop.sh. Source it; it runs nothing.
#
# The work directory is that of a running `openstack` peer (its env, run/, conf/, db/). Ours beside it:
#   W/run-more/*.pid   one file per process: "<pid> <start time of that pid in clock ticks>"
#   W/log-more/*.log   what each process printed
#   W/more/            configuration, keys, swift's files; W/more/NAME.made: passwords and ports of a service, mode 600
# Installed software is kept in $PEERS_CACHE/openstack-more (default: ~/.cache/fulcrum-peers).

set -euo pipefail
PEERS_CACHE=${PEERS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/fulcrum-peers}
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
unset PYTHONDONTWRITEBYTECODE PYTHONPATH || true
VENV=$PEERS_CACHE/openstack-more/venv
SERVICES="cinder swift octavia"

say() { printf 'openstack-more: %s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

# processes_of SERVICE: the names of its processes, in the order of their start.
processes_of() {
  case $1 in
    cinder)  echo cinder-scheduler cinder-volume cinder-api ;;
    swift)   echo swift-account swift-container swift-object swift-proxy ;;
    octavia) echo octavia-worker octavia-api ;;
  esac
}

# workdir DIR: sets W, M (our part), R (pids) and L (logs).
workdir() {
  [ -d "${1:-}" ] || die "no such directory: ${1:-(none)}"
  W=$(cd "$1" && pwd -P); M=$W/more R=$W/run-more L=$W/log-more
}

# free_port [N]: N free loopback TCP ports, one a line, all different.
free_port() {
  python3 - "${1:-1}" <<'PY'
import socket, sys
s = [socket.socket() for _ in range(int(sys.argv[1]))]
for x in s: x.bind(("127.0.0.1", 0))
for x in s: print(x.getsockname()[1])
PY
}
hex() { head -c "${1:-12}" /dev/urandom | od -An -tx1 | tr -d ' \n'; }

# --- processes -------------------------------------------------------------

_ticks() { local s; s=$(cat "/proc/$1/stat" 2>/dev/null) || return 1; s=${s##*) }; set -- $s; echo "${20}"; }
# alive_in DIR NAME: the process in DIR/NAME.pid runs and is the one that was started.
alive_in() {
  local pid t; [ -e "$1/$2.pid" ] && read -r pid t < "$1/$2.pid" || return 1
  [ "$(_ticks "$pid" || true)" = "$t" ] || return 1
  ! grep -q '^State:.[ZX]' "/proc/$pid/status" 2>/dev/null
}
alive() { alive_in "$R" "$1"; }

# spawn NAME COMMAND...: starts it in a session of its own, log in L/NAME.log.
spawn() {
  local name=$1 i pid; shift
  setsid "$@" </dev/null >>"$L/$name.log" 2>&1 &
  pid=$!; disown "$pid" 2>/dev/null || true
  for i in 1 2 3 4 5; do _ticks "$pid" >/dev/null && break; sleep 0.05; done
  echo "$pid $(_ticks "$pid" || echo 0)" > "$R/$name.pid"
}

# stop_these NAME...: TERM to all, then KILL after 15 s; with each its session, which nothing else shares.
stop_these() {
  local n p pid t i
  for n in "$@"; do alive "$n" && kill -s TERM "$(cut -d' ' -f1 "$R/$n.pid")" 2>/dev/null || true; done
  for n in "$@"; do
    [ -e "$R/$n.pid" ] && read -r pid t < "$R/$n.pid" || continue
    for i in $(seq 150); do alive "$n" || break; sleep 0.1; done
    if alive "$n"; then say "$n did not end; killing it"; kill -s KILL -- "-$pid" 2>/dev/null || true; sleep 0.2; fi
    # children that outlived it are in its process group; W's name in their arguments or environment says that they are ours
    for p in $(ps -eo pgid=,pid= | awk -v g="$pid" '$1 == g { print $2 }'); do
      ! grep -qsF "$M/" "/proc/$p/cmdline" "/proc/$p/environ" || kill -s KILL "$p" 2>/dev/null || true
    done
    rm -f "$R/$n.pid"
  done
}

# memory NAME...: megabytes (proportional set size) of these processes, children included.
memory() {
  local n roots=(); for n in "$@"; do [ -e "$R/$n.pid" ] && roots+=("$(cut -d' ' -f1 "$R/$n.pid")"); done
  ps -eo pid=,ppid= | awk -v roots="${roots[*]}" '
    { parent[$1]=$2 } END { n=split(roots,r," "); for(i=1;i<=n;i++) want[r[i]]=1
      for (p in parent) { q=p; while (q in parent && !(q in want)) q=parent[q]; if (q in want) print p } }' |
  while read -r pid; do awk '/^Pss:/{print $2}' "/proc/$pid/smaps_rollup" 2>/dev/null || true; done |
  awk '{s+=$1} END {printf "%d\n", s/1024}'
}
