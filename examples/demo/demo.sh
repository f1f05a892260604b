#!/usr/bin/env bash
# The tools at work on this machine's own documentation: from raw files to a versioned, tokenized
# data set, an edit, a second version that costs a little, and the proof that nothing was lost.
# `make demo` runs it.
#
#   demo.sh [FOLDER]      FOLDER keeps what it makes (default: a new one under $TMPDIR)
#
# DS_DEMO_FROM    folders to take text from (default: where Debian keeps documentation)
# DS_DEMO_BYTES   how much of it (default 40 MiB)
#
# DS_DEMO_STEPS   steps of each training (default 60)
#
# Takes a minute or two on two cores and 300 MB of disk. Needs no network and no rights.
set -euo pipefail
export LC_ALL=C
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
[ -n "${DS_BIN_DIR:-}" ] && PATH=$DS_BIN_DIR:$PATH
for tool in dsprep dstok dsver dstrain; do
    command -v $tool >/dev/null && continue
    echo "demo: no $tool in PATH: run it by \`make demo\`" >&2
    exit 1
done
CAP=${DS_DEMO_BYTES:-$((40 << 20))}
FROM=${DS_DEMO_FROM:-/usr/share/common-licenses /usr/share/doc /usr/share/man /usr/share/perl
    /usr/share/info /usr/include $ROOT /usr/lib/python3 /usr/share}
if [ $# -gt 0 ]; then
    mkdir -p "$1"
    WORK=$(cd "$1" && pwd)
else
    WORK=$(mktemp -d "${TMPDIR:-/tmp}/ds-demo.XXXXXX")
fi
cd "$WORK"
rm -rf docs store base runs reviewed ./*.dsr ./*.jsonl tok.json

step=0
say() { step=$((step + 1)); printf '\n\033[1m%d. %s\033[0m\n' "$step" "$*"; }
[ -t 1 ] && [ -z "${NO_COLOR:-}" ] ||
    say() { step=$((step + 1)); printf '\n%d. %s\n' "$step" "$*"; }
# show COMMAND: prints a shell line, then runs it.
show() { printf '$ %s\n' "$1"; eval "$1"; }
bytes() { find "$1" -type f -printf '%s\n' | awk '{ s += $1 } END { printf "%d", s }'; }
mb() { awk -v n="$1" 'BEGIN { printf "%.1f MB", n / 1e6 }'; }

# ---- a corpus: text that every Debian system has -------------------------------------------------

# Lists candidates, best folders first, up to CAP bytes and a third of it from one folder; a
# compressed file weighs four times its size.
candidates() {
    local dir
    for dir in $FROM; do
        [ -d "$dir" ] || continue
        find "$dir" -xdev \( -name .git -o -name build -o -name .dsver \) -prune -o \
            -type f -size -2048k -readable \( -name '*.txt*' -o -name '*.md' -o -name copyright \
            -o -name 'changelog*' -o -name 'README*' -o -name 'NEWS*' -o -name '*.[1-8]' \
            -o -name '*.[1-8].gz' -o -name '*.p[mlo]' -o -name '*.pod' -o -name '*.[ch]' \
            -o -name '*.py' -o -name '*.html' -o -name '*.info*' -o -name '*.conf' \
            -o -path '*/common-licenses/*' \) -printf '%s\t%p\n' 2>/dev/null |
            sort -t "$(printf '\t')" -k 2 | sed "s|^|$dir\t|"
    done | awk -F '\t' -v cap=$CAP '
        !seen[$3]++ && $2 > 0 {
            w = $3 ~ /\.gz$/ ? 4 * $2 : $2
            if (sum + w > cap || of[$1] + w > cap / 3) next
            sum += w; of[$1] += w; print $3
        }'
}

say "Collecting documentation from this machine"
mkdir docs
candidates | tr '\n' '\0' |
    (cd / && xargs -0 -r cp --parents -t "$WORK/docs" 2>/dev/null) || true
chmod -R u+rw docs
find docs -name '*.gz' -print0 | xargs -0 -r gzip -dqf 2>/dev/null || true
find docs -name '*.gz' -delete
# Files that are not UTF-8 text would be named and refused; here they are left out.
{ grep -rlaP '\x00' docs; LC_ALL=C.UTF-8 grep -rlavx '.*' docs; } 2>/dev/null |
    sort -u | tr '\n' '\0' | xargs -0 -r rm -f || true
files=$(find docs -type f | wc -l)
raw=$(bytes docs)
echo "$files files, $(mb "$raw"), in $WORK/docs"
if [ "$files" -lt 20 ]; then
    echo "demo: too little text on this machine" >&2
    exit 1
fi

# ---- tokenizer -----------------------------------------------------------------------------------

say "Training a tokenizer on it"
show 'dstok train --vocab-size 8192 -o tok.json docs'

# ---- first version -------------------------------------------------------------------------------

say "Files into typed records, tokens beside the text, into the store"
show 'dsver init store'
export DSVER_STORE=$WORK/store
show 'dsprep text docs | dsprep tokenize -t tok.json >v1.dsr'
show 'dsprep info v1.dsr'
show 'dsver commit -m "documentation" docs <v1.dsr'
size1=$(bytes store)

say "Records are shown as JSON lines, straight from the store"
show 'dsver cat docs | dsprep head -n 2 | cut -c 1-200' || true # the producer is ended by SIGPIPE

say "The same data again: nothing to store"
show 'dsprep text docs | dsprep tokenize -q -t tok.json | dsver commit -m "again" docs'

# ---- second version ------------------------------------------------------------------------------

say "Editing one file in a hundred, and committing the whole folder again"
find docs -type f | sort | awk 'NR % 100 == 1' >edited
while IFS= read -r f; do
    printf '\nReviewed: this page was looked at again.\n' >>"$f"
done <edited
echo "$(wc -l <edited) files of $files changed"
show 'dsprep text docs | dsprep tokenize -t tok.json >v2.dsr'
show 'dsver commit -m "one page in a hundred reviewed" docs <v2.dsr'
size2=$(bytes store)

say "What is in the store"
show 'dsver log docs'
show 'dsver show docs'
printf '%-34s %12s\n' 'text' "$(mb "$raw")" \
    'stream with tokens, version 1' "$(mb "$(stat -c %s v1.dsr)")" \
    'store after version 1' "$(mb "$size1")" 'added by version 2' "$(mb $((size2 - size1)))"

# ---- proof ---------------------------------------------------------------------------------------

say "Reading everything back: every byte is verified, both versions are what was committed"
show 'dsver fsck --read-data'
for v in 1 2; do
    rev=docs$([ $v = 1 ] && echo '~1' || true)
    dsprep cat --data v$v.dsr >want.jsonl
    dsver cat "$rev" | dsprep cat --data >got.jsonl
    cmp want.jsonl got.jsonl
    size=$(mb "$(stat -c %s got.jsonl)")
    echo "$rev: $(wc -l <got.jsonl) records, $size as JSON lines: identical"
done
rm -f want.jsonl got.jsonl

say "A stream that was damaged on its way, by one bit, is not committed"
cp v2.dsr bad.dsr
middle=$(($(stat -c %s bad.dsr) / 2))
byte=$(od -An -tu1 -j $middle -N 1 bad.dsr | tr -d ' ')
printf "\\x$(printf %02x $((byte ^ 1)))" | dd of=bad.dsr bs=1 seek=$middle conv=notrunc status=none
before=$(dsver log docs)
echo '$ dsver commit -m "damaged" docs <bad.dsr'
unnoticed() { echo "demo: damage went unnoticed" >&2; exit 1; }
dsver commit -m damaged docs <bad.dsr && unnoticed
echo "exit status $?"
echo '$ head -c 100000 v2.dsr | dsver commit -m "cut off" docs'
head -c 100000 v2.dsr | dsver commit -m 'cut off' docs && unnoticed
[ "$before" = "$(dsver log docs)" ]
echo "The log is as it was."
rm -f bad.dsr

# ---- training ------------------------------------------------------------------------------------

steps=${DS_DEMO_STEPS:-60}
say "A small language model, trained on version 1 and checked against what its lineage says"
show 'dstrain init --arch llama --preset tiny --tokenizer tok.json -o base'
show "dstrain finetune --model base --data docs~1 --method full --steps $steps --seq-len 128 --lr 2e-3 -o runs/base"
model=runs/base/$(basename runs/base/step-*)
show "dsver audit $model"

say "A LoRA adapter on the reviewed pages alone"
mkdir reviewed
tr '\n' '\0' <edited | xargs -0 cp --parents -t reviewed
show 'dsprep text reviewed | dsprep tokenize -q -t tok.json | dsver commit -m "reviewed pages" reviewed'
show "dstrain finetune --model $model --data reviewed --method lora --rank 8 --steps $steps --checkpoint-every $((steps / 2)) --seq-len 128 --lr 1e-3 -o runs/lora"
adapter=$(printf 'runs/lora/step-%06d' "$steps")
show "dstrain eval --model $model --data reviewed --seq-len 128"
show "dstrain eval --model $model --adapter $adapter --data reviewed --seq-len 128"

say "What was in that step? Which checkpoints saw its first page? The same bits again?"
show 'dsver batch runs/lora 1 | cut -c 1-100 | head -n 4'
page=$(dsver batch runs/lora 1 | sed -n 's/^ *reviewed record [0-9]* key \(.*\) tokens [0-9]*\.\.[0-9]*: .*/\1/p' | head -n 1) || true
show "dsver seen reviewed '$page' | cut -c 1-100 | sed -n 1,3p"
show "dsver audit $adapter"
show "dstrain replay $adapter --from $((steps / 2))"
rm -f edited

say "Done"
echo "Everything is in $WORK: look around, then remove it:"
echo "  export PATH=$(dirname "$(command -v dsver)"):\$PATH DSVER_STORE=$WORK/store"
echo "  dsver cat docs | dsprep head -n 1 | cut -c 1-300"
echo "  rm -r $WORK"
