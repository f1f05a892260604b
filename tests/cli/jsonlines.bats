#!/usr/bin/env bats
# Every command that has --json prints what docs/json-output.md says.
load lineage_common

# json PROGRAM COMMAND ARGS [#]: runs it with --json, which fails where # says so, and keeps what it printed.
json() {
    local program=$1 command=$2 fails=${*: -1}
    shift 2
    [ "$fails" = '#' ] && set -- "${@:1:$#-1}" || fails=
    echo "$program $command" >>said.commands
    "$program" "$command" --json "$@" >said.out 2>said.err || true
    printf '@%s %s %s %s\n' "$program" "$command" "$*" "$fails" >>said
    # words on standard error are for people
    cat said.out >>said
    grep '^{' said.err >>said || true
}

# held PROGRAM COMMAND...: all that was kept follows the document, and no other command of PROGRAM has the option.
held() {
    local program=$1
    shift
    python3 - <<'EOF'
import json, re, sys
DATA = {"dsver sql", "dsprep show", "dstok encode"}
FREE = {"record", "base", "ours", "theirs", "held", "failed", "null", "options", "digests", "found", "left", "bytes",
        "special_tokens", "schema", "provenance", "values", "parts"}     # names that users or columns give
TEXTS = {"message", "value", "text", "said", "detail", "values", "error", "words"}
OIDS = {"commit", "parent", "merged", "before", "after"}
bad, at = [], "?"
def no(line, why): bad.append("%s\n  %s: %s" % (at, why, line[:300]))
def look(line, name, v, free):
    if isinstance(v, dict):
        for k, x in v.items():
            if not free and not re.fullmatch("[a-z][a-z0-9_]*", k): no(line, "name " + k)
            look(line, k, x, free or k in FREE)
    elif isinstance(v, list):
        for x in v: look(line, name, x, free)
    elif isinstance(v, str) and not free:
        if not v and name not in TEXTS: no(line, "%s is empty" % name)
        if re.fullmatch("[0-9a-f]{64}", v): no(line, "%s is a digest without its algorithm" % name)
        if v.startswith("sha256:") and name != "detail" and not re.fullmatch("sha256:[0-9a-f]{64}", v): no(line, name)
        if name in OIDS and not re.fullmatch("[0-9a-f]{40}", v): no(line, "%s is no commit" % name)
        if name in ("date", "time", "since") and not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", v): no(line, name)
ended, n = False, 0
for line in open("said", encoding="utf-8"):
    if line.startswith("@"):
        if at != "?" and not n and not at.startswith("dsver pin"): no("", "nothing was printed")
        at, ended, n = line[1:].strip(), False, 0
        continue
    n += 1
    try: o = json.loads(line)
    except ValueError: no(line, "no JSON"); continue
    if ended: no(line, "a line behind the last one")
    data = " ".join(at.split()[:2]) in DATA and "type" not in o
    if not data and list(o)[:1] != ["type"]: no(line, "type does not come first")
    ended = o.get("type") == "exit"
    if ended and not at.endswith("#"): no(line, "failed")
    if not data: look(line, "", o, False)
print("\n".join(bad))
sys.exit(bool(bad))
EOF
    local all got
    all=$(for c in $("$program" --list-commands); do
        "$program" "$c" -h | grep -q '^ *--json ' && echo "$program $c"
    done)
    got=$(
        cat said.commands
        printf "$program %s\n" "$@"
    )
    [ -z "$(comm -23 <(sort -u <<<"$all") <(sort -u <<<"$got"))" ] || {
        echo "not run: $(comm -23 <(sort -u <<<"$all") <(sort -u <<<"$got"))"
        return 1
    }
}

@test "dsver: every command's --json" {
    need_python
    cd "$BATS_TEST_TMPDIR" || return 1
    a_store
    key=$(dsver cat docs | records - | sed -n '5s/.*"key":"\([^"]*\)".*/\1/p')
    ds() { json dsver "$@"; }
    ds init new
    ds log docs
    ds ls
    ds show docs
    ds branch docs fix
    ds branch docs
    ds tag docs v1
    ds tag -m annotated docs v2
    ds tag docs
    ds tag -d docs v1
    ds pin --reason why docs@v2
    ds pin
    ds unpin docs@v2
    ds commit -b fix docs old.dsr
    ds commit -b fix docs old.dsr
    ds diff docs docs@fix
    ds diff --stats docs docs@fix
    ds merge docs fix
    ds revert docs main
    ds reset docs main~1
    ds rebuild docs --source . '#'
    ds status docs . '#'
    ds stats docs
    ds blame docs "$key"
    ds seen docs "$key"
    ds batch run 1
    ds audit run/step-000006
    ds stamp docs stamp
    ds du
    ds fsck
    ds fsck --oplog 00 '#'
    ds oplog
    ds oplog -q
    ds verify docs '#'
    ds sql docs "select * from records limit 2"
    ds config user.name Ada
    ds config
    ds remote add far "$PWD/far"
    ds remote
    ds push far
    ds clone far copy
    ds fetch far
    ds pull far
    ds prefetch docs
    ds checkout docs out
    ds gc
    ds gc --remote far
    ds reindex
    ds repair --from copy
    ds forget --reason x "$key"
    ds verify --erasures '#'
    ds remote remove far
    held dsver
}

@test "dsprep and dstok: every command's --json" {
    need_python
    cd "$BATS_TEST_TMPDIR" || return 1
    printf '{"id":"%s","text":"%s","lab":"%s"}\n' a 'see 555-1234 and a@b.example' x b 'two words' y c 'three more words' x >t.jsonl
    echo '{"id":"d","text":{}}' >>t.jsonl
    printf '2026-01-01T00:00:0%s host a[1]: one %s\n' 0Z 1 1Z 2 >l.log
    cp "$TOKENIZER" tok.json
    dp() { json dsprep "$@"; }
    dp text --field text --key-field id --on-error skip -o x.dsr t.jsonl
    dp logs -o l.dsr l.log
    dp templates -o o1 l.dsr
    dp files -o o2 t.jsonl l.log
    dp filter --where 'len(text) > 10' -o o3 x.dsr
    dp map --set 'n:i64=len(text)' -o o4 x.dsr
    dp dedup -o o5 x.dsr
    dp redact -o o6 x.dsr
    dp split --by lab --parts train=0.5,test=0.5 --dir o7 x.dsr
    dp sample -n 1 -o o8 x.dsr
    dp mix -o o9 x.dsr o8 '#'
    dp sort --by text -o o10 x.dsr
    dp shuffle --seed 1 -o o11 x.dsr
    dp decontaminate --against o8 -o o12 x.dsr
    dp export -f jsonl -o o13.jsonl x.dsr
    dp import -o o14 o13.jsonl
    dp tokenize -t tok.json -o tk.dsr x.dsr
    dp show -t tok.json tk.dsr
    dp check x.dsr
    dp check nothing '#'
    dp info x.dsr
    held dsprep dicom lang # which other tests run
    rm said said.commands
    json dstok encode -t tok.json t.jsonl
    json dstok info tok.json
    json dstok stats -t tok.json t.jsonl
    sed 's/"a"/"A"/' tok.json >other.json
    json dstok diff tok.json tok.json t.jsonl
    json dstok train --vocab-size 260 -o new.json t.jsonl
    held dstok
}
