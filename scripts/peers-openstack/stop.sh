#!/usr/bin/env bash
# stop.sh WORKDIR: ends what start.sh started there (before the stop.sh of the openstack peer). Logs stay, swift's files go.
# The databases and the entries in keystone stay: start.sh in the same cloud takes them up again.
H=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd); . "$H/lib.sh"
[ -d "${1:-}" ] || die "usage: stop.sh WORKDIR"
workdir "$1"
all=(); for s in $SERVICES; do all+=($(processes_of "$s")); done
[ ! -d "$R" ] || stop_these "${all[@]}"
if [ -e "$M/swift.made" ]; then (. "$M/swift.made"; rm -rf "$SWIFT_DEVICES"); rm -rf "$M/swift.made" "$M/swift"; fi
say stopped
