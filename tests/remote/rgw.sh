#!/usr/bin/env bash
# A Ceph cluster of one, in memory, with its S3 gateway on loopback: for tests and benchmarks.
#
#   rgw.sh start DIR [PORT]    its files go to DIR; S3 at http://127.0.0.1:PORT (7580), key AK, secret SK
#   rgw.sh stop DIR            ends what start began, and nothing else
#
# Debian: ceph-mon ceph-mgr ceph-osd radosgw ceph-common.
set -eu

stop() {
    local f
    for f in "$1"/pids/*.pid; do
        # nothing of it is kept, and an OSD whose monitor is gone takes long to end
        if [ -s "$f" ]; then kill -KILL "$(cat "$f")" 2>/dev/null || true; fi
    done
}

configure() { # DIR PORT
    local id
    id=$(cat /proc/sys/kernel/random/uuid)
    mkdir -p "$1/pids" "$1/mon" "$1/mgr" "$1/osd" "$1/rgw"
    printf '%s\n' "[global]" "fsid = $id" "mon host = v1:127.0.0.1:$(($2 + 1))" \
        "auth cluster required = none" "auth service required = none" "auth client required = none" \
        "public addr = 127.0.0.1" "cluster addr = 127.0.0.1" \
        "osd objectstore = memstore" "memstore device bytes = ${RGW_BYTES:-4294967296}" \
        "osd pool default size = 1" "osd pool default min size = 1" "osd pool default pg num = 4" \
        "mon allow pool size one = true" "osd crush chooseleaf type = 0" \
        "pid file = $1/pids/\$name.pid" "log file = $1/\$name.log" "admin socket = $1/\$name.\$pid.sock" \
        "run dir = $1" "mon data = $1/mon" "mgr data = $1/mgr" "osd data = $1/osd" "rgw data = $1/rgw" \
        "[client.rgw.one]" "rgw frontends = beast endpoint=127.0.0.1:$2" >"$1/ceph.conf"
    monmaptool --create --fsid "$id" --addv one "[v1:127.0.0.1:$(($2 + 1))]" "$1/monmap"
}

until_true() { # SECONDS COMMAND
    local i
    for ((i = 0; i < $1 * 2; i++)); do
        if eval "$2"; then return 0; fi
        sleep 0.5
    done
    return 1
}

start() { # DIR PORT
    local uuid
    configure "$1" "$2" || return 1
    ceph-mon -i one --mkfs --monmap "$1/monmap"
    ceph-mon -i one </dev/null
    ceph-mgr -i one
    uuid=$(cat /proc/sys/kernel/random/uuid)
    ceph osd create "$uuid"
    ceph-osd -i 0 --mkfs --osd-uuid "$uuid"
    ceph osd crush add osd.0 1 host=one root=default
    ceph-osd -i 0
    until_true 60 'ceph osd stat | grep -q "1 up"' || return 1
    radosgw -n client.rgw.one
    until_true 90 "curl -s -o /dev/null http://127.0.0.1:$2/" || return 1
    timeout 60 radosgw-admin user create --uid=one --display-name=one --access-key=AK --secret-key=SK
}

[ $# -ge 2 ] || { echo "usage: rgw.sh start|stop DIR [PORT]" >&2; exit 2; }
mkdir -p "$2"
dir=$(cd "$2" && pwd)
export CEPH_CONF=$dir/ceph.conf
case $1 in
start)
    start "$dir" "${3:-7580}" >"$dir/start.log" 2>&1 || {
        tail -n 5 "$dir/start.log" >&2
        stop "$dir"
        exit 1
    }
    ;;
stop) stop "$dir" ;;
esac
