# What the tests of dsprep share. DS_ROOT is the tree; programs are first in PATH.

: "${DS_ROOT:=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}"
export PATH=${DS_BIN_DIR:-$DS_ROOT/build/release/bin}:$PATH
GOLDEN=$DS_ROOT/tests/compat/v1
TOKENIZER=$DS_ROOT/tests/cli/data/bytelevel.json

setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
    export LC_ALL=C
    unset NO_COLOR DS_FAKE_TTY
}

# lines N: N different lines of text, the same on every machine.
lines() {
    awk -v n="$1" 'BEGIN {
        s = 7
        for (i = 0; i < n; i++) {
            line = "line " i
            for (k = 0; k < 12; k++) { s = (s * 16807) % 2147483647; line = line " w" (s % 5000) }
            print line
        }
    }'
}

# stream N: a DSR file s.dsr of N records in several blocks (about 80 bytes a record).
stream() {
    lines "$1" >lines.txt
    dsprep text -q --split line lines.txt >s.dsr
}

# exits STATUS COMMAND...: runs it and says what differs.
exits() {
    local want=$1
    shift
    run "$@"
    if [ "$status" -ne "$want" ]; then
        echo "exit $status, not $want: $*"
        echo "$output"
        return 1
    fi
}

# fails COMMAND...: any failure, but no crash.
fails() {
    run "$@"
    if [ "$status" -eq 0 ] || [ "$status" -gt 127 ]; then
        echo "exit $status: $*"
        echo "$output"
        return 1
    fi
}

# has WORD...: the output of the last run holds each.
has() {
    local w
    for w in "$@"; do
        case $output in
        *"$w"*) ;;
        *)
            echo "no '$w' in: $output"
            return 1
            ;;
        esac
    done
}

# flip FILE OFFSET: inverts one byte in place.
flip() {
    local b
    b=$(od -An -tu1 -j "$2" -N 1 "$1" | tr -d ' ')
    printf "\\x$(printf %02x $((b ^ 255)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# resum CHECKPOINT: its lineage.json with the digest of the files that lie there now.
resum() {
    local sum
    sum=$(cd "$1" && find . -type f ! -path ./lineage.json | sed 's|^\./||' | LC_ALL=C sort | while read -r f; do
        read -r digest _ < <(sha256sum "$f")
        echo "$digest $(stat -c %s "$f") $f"
    done | sha256sum)
    sed -i "s/\(\"subject\":[^}]*\"sha256\":\"\)[0-9a-f]*/\1${sum%% *}/" "$1/lineage.json"
}

# chain_tar: chain.tar, a file `a` of which b to e are other names, each by way of one before it.
chain_tar() {
    python3 - <<'P'
import io, tarfile
with tarfile.open('chain.tar', 'w') as t:
    for name, to in ('a', ''), ('b', 'a'), ('c', 'b'), ('d', 'c'), ('e', 'b'):
        i = tarfile.TarInfo(name)
        i.type, i.linkname, i.size = tarfile.LNKTYPE if to else tarfile.REGTYPE, to, 0 if to else 4
        t.addfile(i, None if to else io.BytesIO(b'text'))
P
}
