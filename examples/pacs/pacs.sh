#!/usr/bin/env bash
# A PACS on this machine, and what comes out of it, de-identified, as a version of a dataset.
#
#   pacs.sh WORK STUDY...     WORK: a folder for all of it; STUDY: files or folders with DICOM objects
#
# Orthanc (Debian: orthanc) is the PACS; storescp (Debian: dcmtk) is where it sends to. Objects go in by
# C-STORE and by HTTP, come out by C-STORE and as archives, and both ways give the same records.
# Both servers listen on free ports of 127.0.0.1, keep their files in WORK, and end with this script.
set -euo pipefail
export LC_ALL=C
[ $# -ge 2 ] || { echo "usage: pacs.sh WORK STUDY..." >&2; exit 2; }
[ -n "${DS_BIN_DIR:-}" ] && PATH=$DS_BIN_DIR:$PATH
PATH=$PATH:/usr/sbin
for tool in Orthanc storescp storescu echoscu curl dsprep dsver; do
    command -v $tool >/dev/null || { echo "pacs.sh: no $tool in PATH" >&2; exit 1; }
done
WORK=$1
shift
mkdir -p "$WORK"/{inbox,orthanc}
WORK=$(cd "$WORK" && pwd)
# All addresses are this machine's own.
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY
DEADLINE=${PACS_DEADLINE:-60} # seconds that a server may take

pids=()
finish() {
    local pid
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
say() { printf '%s\n' "$*"; }

# free_port: one of 127.0.0.1 where nobody listens now.
free_port() {
    local p
    while :; do
        p=$((20000 + (RANDOM * 32768 + RANDOM) % 40000))
        (: <"/dev/tcp/127.0.0.1/$p") 2>/dev/null || { echo "$p" && return; }
    done
}

# ready PID COMMAND...: until the command succeeds; fails when the server ends, or takes too long.
ready() {
    local pid=$1 end=$((SECONDS + DEADLINE))
    shift
    until "$@" >/dev/null 2>&1; do
        kill -0 "$pid" 2>/dev/null || return 1
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.05
    done
    kill -0 "$pid" 2>/dev/null
}

# serve NAME START READY: starts a server by two functions; another port when somebody took the first.
serve() {
    local _
    for _ in 1 2 3 4 5; do
        "$2"
        ready "$!" "$3" && pids+=("$!") && return
        kill "$!" 2>/dev/null || true
        wait "$!" 2>/dev/null || true
    done
    say "pacs.sh: $1 does not answer; see $WORK/$1.log" >&2
    exit 1
}

# ---- where the PACS sends to ------------------------------------------------------------------------

start_storescp() {
    SCP_PORT=$(free_port)
    storescp --accept-all --aetitle DSPREP --output-directory "$WORK/inbox" "$SCP_PORT" >"$WORK/storescp.log" 2>&1 &
}
ask_storescp() { echoscu -to 10 -ta 30 -td 30 -aec DSPREP 127.0.0.1 "$SCP_PORT"; }
serve storescp start_storescp ask_storescp

# ---- the PACS ---------------------------------------------------------------------------------------

start_orthanc() {
    DICOM_PORT=$(free_port)
    HTTP_PORT=$(free_port)
    cat >"$WORK/orthanc.json" <<EOF
{
  "Name": "PACS", "StorageDirectory": "$WORK/orthanc", "IndexDirectory": "$WORK/orthanc",
  "HttpPort": $HTTP_PORT, "DicomPort": $DICOM_PORT, "DicomAet": "PACS",
  "RemoteAccessAllowed": false, "AuthenticationEnabled": false, "Plugins": [],
  "DicomModalities": { "dsprep": [ "DSPREP", "127.0.0.1", $SCP_PORT ] }
}
EOF
    Orthanc "$WORK/orthanc.json" >"$WORK/orthanc.log" 2>&1 &
}
rest() { curl --silent --show-error --fail --max-time 120 "http://127.0.0.1:$HTTP_PORT$1" "${@:2}"; }
ask_orthanc() { rest /system && echoscu -to 10 -ta 30 -td 30 -aec PACS 127.0.0.1 "$DICOM_PORT"; }
serve orthanc start_orthanc ask_orthanc
say "Orthanc: http://127.0.0.1:$HTTP_PORT and DICOM port $DICOM_PORT; storescp: port $SCP_PORT"

# ---- in: a modality sends (C-STORE), a person uploads (HTTP) ----------------------------------------

find "$@" -type f -print0 | sort -z >"$WORK/files"
half=$(($(tr -cd '\0' <"$WORK/files" | wc -c) / 2))
n=0
while IFS= read -r -d '' file; do
    if [ $((n++)) -lt $half ]; then
        storescu -aec PACS 127.0.0.1 "$DICOM_PORT" "$file" >>"$WORK/storescu.log" 2>&1
    else
        rest /instances --data-binary @"$file" --output /dev/null
    fi
done <"$WORK/files"
say "sent: $n objects"

# ---- out: every study to storescp, and as an archive ------------------------------------------------

rm -f "$WORK"/inbox/* "$WORK"/*.zip
rest /studies | tr -d '[]", ' | grep . >"$WORK/studies"
while read -r study; do
    rest /modalities/dsprep/store --data "$study" --output /dev/null
    rest "/studies/$study/archive" --output "$WORK/$study.zip"
done <"$WORK/studies"
say "received: $(find "$WORK/inbox" -type f | wc -l) objects of $(wc -l <"$WORK/studies") studies"

# ---- records, and a version -------------------------------------------------------------------------

[ -s "$WORK/site.key" ] || (umask 077 && head -c 32 /dev/urandom >"$WORK/site.key")
export DSVER_STORE=$WORK/store
[ -d "$DSVER_STORE" ] || dsver init "$DSVER_STORE"
records() { # records REPORT INPUT...
    local report=$1
    shift
    dsprep dicom --deid "${PACS_DEID:-basic,retain-modified-dates,clean-structured-content}" --key-file "$WORK/site.key" \
        --record study --burned-in hold --hold "$WORK/held" --report "$WORK/$report" "$@"
}
partial() { "$@" || [ $? -eq 3 ]; } # what is held is told, and no failure here
partial records inbox.json "$WORK/inbox" >"$WORK/inbox.dsr"
partial records archives.json "$WORK"/*.zip >"$WORK/archives.dsr"
root() { dsprep check "$1" | sed -n 's/.* root \(sha256:[0-9a-f]*\).*/\1/p'; }
[ "$(root "$WORK/inbox.dsr")" = "$(root "$WORK/archives.dsr")" ] ||
    { say "pacs.sh: the two ways out gave other records" >&2; exit 1; }
say "both ways out: $(root "$WORK/inbox.dsr")"
dsver commit -m "received from the PACS" pacs <"$WORK/inbox.dsr"
dsver log pacs
