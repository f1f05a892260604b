#!/usr/bin/env bats
# dsver merge and revert: three versions into one, by record.
load dsver_common

ids() { # FIRST LAST
    for i in $(seq "$1" "$2"); do
        echo "{\"id\":\"k$i\",\"text\":\"line $i of a log\"}"
    done
}

put() { # FILE [OPTIONS]
    dsprep text -q --key-field id "$1" | dsver commit d "${@:2}" >/dev/null
}

keys() {
    dsver cat "$1" | dsprep cat -c text | cut -d'"' -f4 | xargs
}

texts() {
    dsver cat "$1" | dsprep cat -c text | cut -d'"' -f8
}

# A base, a branch that the tests edit, and a main line that went on.
fork() {
    ids 1 9 >base.jsonl
    put base.jsonl
    dsver branch d side >/dev/null
}

@test "merge: what the other branch did is done to this one" {
    fork
    sed -e 's/line 2 /LINE 2 /' -e '/k8/d' -e '1i {"id":"m0","text":"first"}' base.jsonl >ours.jsonl
    sed -e 's/line 4 /LINE 4 /' -e '/k6/d' -e '/k5/a {"id":"s1","text":"new"}' \
        -e '/k5/a {"id":"s2","text":"new too"}' -e '/k8/a {"id":"s3","text":"behind one that is lost"}' -e '1i {"id":"s0","text":"begins"}' base.jsonl >theirs.jsonl
    put ours.jsonl
    put theirs.jsonl -b side
    dsver merge d side >out
    grep -q '^1 removed, 1 changed, 4 added, 0 conflicts decided: 12 records$' out
    [ "$(keys d)" = "s0 m0 k1 k2 k3 k4 k5 s1 s2 k7 s3 k9" ]
    texts d | grep -q '^LINE 2 '
    texts d | grep -q '^LINE 4 '
    git -C .dsver/catalog.git rev-parse refs/heads/d/main^2 >second
    dsver log d | grep -qx "merged  $(cat second)"
    [ "$(cat second)" = "$(git -C .dsver/catalog.git rev-parse refs/heads/d/side)" ]
    [ "$(dsver diff d~1 d | grep -c '^[-~+] "')" = 6 ]
    dsver fsck --read-data
    dsver cat d | dsprep check
    run dsver blame d s1
    [ "$status" = 0 ]
    # The other way round: the same records.
    dsver merge d@side "$(git -C .dsver/catalog.git rev-parse refs/heads/d/main^1)" >/dev/null
    [ "$(keys d@side | tr ' ' '\n' | sort)" = "$(keys d | tr ' ' '\n' | sort)" ]
    dsver merge d@side main | grep -q 'records$'
    dsver merge d@main side | grep -q 'moved forward$'
    dsver merge d@main side | grep -q 'has it already$'
    dsver merge --json d@main side | grep -q '"type":"merge",.*"forward":false,"unchanged":true}'
}

@test "merge: branches that were merged from others, with one beginning" {
    fork
    for i in 1 3 5 7; do
        dsver branch d "s$i"
        sed "${i}s/log/book/" base.jsonl >e.jsonl
        put e.jsonl -b "s$i"
    done
    sed '9s/log/book/' base.jsonl >e.jsonl
    put e.jsonl
    dsver merge d@s1 s3
    dsver merge d@s5 s7
    dsver merge d@s1 s5
    exits 0 dsver merge d s1
    [ "$(texts d | grep -c book)" -eq 5 ]
    exits 0 dsver merge d@s7 main
    dsver fsck --read-data
}

@test "merge: conflicts are listed and change nothing, and are decided by option" {
    fork
    sed -e 's/line 2 /OURS 2 /' -e '/k3/d' -e 's/line 5 /both 5 /' -e '/k7/d' base.jsonl >ours.jsonl
    sed -e 's/line 2 /THEIRS 2 /' -e 's/line 3 /THEIRS 3 /' -e 's/line 5 /both 5 /' -e '/k7/d' base.jsonl >theirs.jsonl
    put ours.jsonl
    put theirs.jsonl -b side
    before=$(git -C .dsver/catalog.git for-each-ref)
    exits 1 dsver merge d side
    has "2 conflicts: nothing was changed"
    [ "$before" = "$(git -C .dsver/catalog.git for-each-ref)" ]
    run dsver merge --json d side
    echo "$output" | grep -qx '{"type":"conflict","key":"k2","ours":"changed","theirs":"changed","fields":{"text":{"base":"line 2 of a log","ours":"OURS 2 of a log","theirs":"THEIRS 2 of a log"}}}'
    echo "$output" | grep -qx '{"type":"conflict","key":"k3","ours":"removed","theirs":"changed","fields":{"text":{"base":"line 3 of a log","theirs":"THEIRS 3 of a log"}}}'
    exits 1 dsver merge --take-ours k2 d side
    has "1 conflict: "
    exits 2 dsver merge --ours --theirs d side
    exits 2 dsver merge --take-ours k2 --take-theirs k2 d side
    has "'k2' stands in --take-ours and in --take-theirs"
    exits 1 dsver merge --take-ours k2 --take-theirs k3 --take-ours k6 d side
    has "--take-ours 'k6': there is no conflict over this key; nothing was changed"
    [ "$before" = "$(git -C .dsver/catalog.git for-each-ref)" ]
    dsver merge --take-ours k2 --theirs d side >out
    grep -q '2 conflicts decided: 8 records$' out
    texts d | grep -q '^OURS 2 '
    texts d | grep -q '^THEIRS 3 '
    [ "$(keys d)" = "k1 k2 k3 k4 k5 k6 k8 k9" ]
    dsver reset d main~1 >/dev/null
    dsver merge --ours d side >/dev/null
    [ "$(keys d)" = "k1 k2 k4 k5 k6 k8 k9" ]
}

@test "merge: conflicts are told with the columns that differ, in the order of the other branch" {
    rows() { # FIRST LAST
        for i in $(seq "$1" "$2"); do
            echo "{\"id\":\"k$i\",\"text\":\"line $i\",\"n\":$i,\"same\":0}"
        done
    }
    rows 1 3000 >base.jsonl
    put base.jsonl
    dsver branch d side >/dev/null
    sed -e '1,2900s/line/OURS/' -e '2950s/"n":2950/"n":1/' -e '2960s/line/both/' -e '2970d' -e '2980s/line/OURS/' \
        -e '$a {"id":"new","text":"same","n":1}' base.jsonl >ours.jsonl
    sed -e '1,2900s/line/THEIRS/' -e '2950s/line/THEIRS/' -e '2960s/line/both/' -e '2970s/:2970,/:0,/' -e '2980d' \
        -e '$a {"id":"new","text":"same","n":null}' base.jsonl >theirs.jsonl
    put ours.jsonl
    put theirs.jsonl -b side
    dsver merge d side >out 2>err || [ $? = 1 ]
    grep -q '^dsver: merge: 2904 conflicts: ' err
    {
        echo '! k2980: ours changed, theirs removed: text'
        seq 1 2900 | sed 's/.*/! k&: ours changed, theirs changed: text/'
        echo '! k2950: ours changed, theirs changed: text, meta'
        echo '! k2970: ours removed, theirs changed: meta'
        echo '! new: ours added, theirs added: meta'
    } | cmp - out
    dsver merge --json d side >json 2>/dev/null || [ $? = 1 ]
    [ "$(grep -c '^{"type":"conflict"' json)" -eq 2904 ]
    sed -n -e 1p -e 2902,2904p json | cmp - <<'END'
{"type":"conflict","key":"k2980","ours":"changed","theirs":"removed","fields":{"text":{"base":"line 2980","ours":"OURS 2980"}}}
{"type":"conflict","key":"k2950","ours":"changed","theirs":"changed","fields":{"text":{"base":"line 2950","ours":"line 2950","theirs":"THEIRS 2950"},"meta":{"base":{"n":2950,"same":0},"ours":{"n":1,"same":0},"theirs":{"n":2950,"same":0}}}}
{"type":"conflict","key":"k2970","ours":"removed","theirs":"changed","fields":{"meta":{"base":{"n":2970,"same":0},"theirs":{"n":0,"same":0}}}}
{"type":"conflict","key":"new","ours":"added","theirs":"added","fields":{"meta":{"ours":{"n":1},"theirs":{"n":null}}}}
END
}

@test "merge: origins and sources of both stay true" {
    fork
    sed -e 's/line 2 /LINE 2 /' base.jsonl >ours.jsonl
    sed -e '/k5/a {"id":"s1","text":"new"}' base.jsonl >theirs.jsonl
    put ours.jsonl
    put theirs.jsonl -b side
    dsver merge d side >/dev/null
    dsver cat d | dsprep info --sources --json >info
    grep -q 'ours.jsonl' info
    grep -q 'theirs.jsonl' info
    grep -q '"dsver merge"' info
    line=$(dsver cat d | dsprep cat --origin | grep '"s1"')
    [[ "$line" =~ \"origin\":\[\[([0-9]+),([0-9]+),([0-9]+)\]\] ]]
    [ "${BASH_REMATCH[1]}" = 1 ]
    tail -c +$((BASH_REMATCH[2] + 1)) theirs.jsonl | head -c "${BASH_REMATCH[3]}" | grep -q '"id":"s1"'
}

@test "revert: what a version did is undone, and what came after stays" {
    ids 1 9 >1.jsonl
    sed -e 's/line 2 /WRONG 2 /' -e '/k5/d' -e '$a {"id":"bad","text":"x"}' 1.jsonl >2.jsonl
    sed -e 's/line 8 /LINE 8 /' 2.jsonl >3.jsonl
    for i in 1 2 3; do put "$i.jsonl"; done
    dsver revert --json d main~1 | grep -q '"type":"revert",.*"branch":"main","forward":false,"unchanged":false,'
    [ "$(keys d)" = "k1 k2 k3 k4 k5 k6 k7 k8 k9" ]
    texts d | grep -q '^line 2 '
    texts d | grep -q '^LINE 8 '
    dsver log --oneline d | head -n 1 | grep -q 'revert '
    [ "$(git -C .dsver/catalog.git log --format=%P -1 refs/heads/d/main | wc -w)" = 1 ]
    exits 1 dsver revert d main~3
    has "is the first"
    dsver revert d main >/dev/null
    [ "$(keys d)" = "k1 k2 k3 k4 k6 k7 k8 k9 bad" ]
}

@test "merge: other columns, no common version and unknown names are refused" {
    fork
    put base.jsonl
    dstok train --vocab-size 300 -o tok.json base.jsonl 2>/dev/null
    sed 's/line 1 /LINE 1 /' base.jsonl >o.jsonl
    put o.jsonl
    dsprep text -q --key-field id base.jsonl | dsprep tokenize -q -t tok.json | dsver commit d -b side >/dev/null
    exits 1 dsver merge d side
    has "do not have the same columns"
    exits 1 dsver merge d nowhere
    exits 2 dsver merge d@side~1 main
    has "is no branch"
}

@test "merge: random edits of both sides, against a model" {
    command -v python3 >/dev/null || skip "python3 is not installed"
    for seed in 1 2 3 4; do
        python3 - "$seed" <<'PY'
import json, random, sys
r = random.Random(int(sys.argv[1]))
base = [("k%d" % i, "text %d %s" % (i, "x" * r.randrange(200))) for i in range(4000)]
def edit(name, rows, mine):
    out = []
    for k, t in rows:
        i = int(k[1:])
        if i % 2 == mine and r.random() < 0.05:
            if r.random() < 0.5:
                continue
            t += " edited by " + name
        out.append((k, t))
        if r.random() < 0.02:
            out.append(("%s%d" % (name, len(out)), "added"))
    return out
ours, theirs = edit("o", base, 0), edit("t", base, 1)
b, o, t = dict(base), dict(ours), dict(theirs)
merged, after, last = [], {}, None
for k, v in theirs:
    if k in b:
        last = k if k in o else last
    else:
        after.setdefault(last, []).append((k, v))
merged += after.get(None, [])
for k, v in ours:
    if not (k in b and k not in t):
        merged.append((k, t[k] if k in b and t[k] != b[k] else v))
    merged += after.get(k, [])
for name, rows in (("base", base), ("ours", ours), ("theirs", theirs), ("want", merged)):
    with open(name + ".jsonl", "w") as f:
        for k, v in rows:
            f.write(json.dumps({"id": k, "text": v}) + "\n")
PY
        for f in base ours theirs want; do
            dsprep text -q --key-field id "$f.jsonl" >"$f.dsr"
        done
        dsver commit "r$seed" base.dsr >/dev/null
        dsver branch "r$seed" side >/dev/null
        dsver commit "r$seed" ours.dsr >/dev/null
        dsver commit "r$seed" -b side theirs.dsr >/dev/null
        dsver merge "r$seed" side >/dev/null
        records want.dsr >want.txt
        dsver cat "r$seed" | dsprep cat >got.txt
        cmp want.txt got.txt
        [ "$(dsver cat "r$seed" | dsprep check | grep -o 'root.*')" = "$(dsprep check want.dsr | grep -o 'root.*')" ]
    done
    dsver fsck --read-data
}

@test "log --graph: branches and merges are drawn, refs named" {
    some() { printf '%s\n' "$@" | dsprep text -q --split line -; }
    some a b c d | dsver commit -m first --date @1000 docs >/dev/null
    some a b c d e | dsver commit -m second --date @2000 docs >/dev/null
    some a b x c d e | dsver commit -b trial -m "a trial" --date @3000 docs >/dev/null
    some a b c d e f | dsver commit -m third --date @4000 docs >/dev/null
    dsver tag docs@main~1 v2 >/dev/null
    dsver log --graph docs | sed 's/[0-9a-f]\{10\}/ID/' >graph
    cmp graph - <<'END'
* ID  (main) third
| * ID  (trial) a trial
|/
* ID  (v2) second
* ID  first
END
    dsver merge -m joined docs@main trial >/dev/null
    dsver log --graph docs@main | sed 's/[0-9a-f]\{10\}/ID/' >graph
    cmp graph - <<'END'
* ID  (main) joined
|\
* | ID  third
| * ID  (trial) a trial
|/
* ID  (v2) second
* ID  first
END
    [ "$(dsver log --graph -n 2 docs@trial | wc -l)" -eq 2 ]
    exits 2 dsver log --graph --json docs
}

@test "additions stand behind the nearest record before them that stays, in every block" {
    command -v python3 >/dev/null || skip "python3 is not installed"
    python3 - <<'PY'
base = ["k%05d" % i for i in range(9000)]
theirs = ["first"]
for i, k in enumerate(base):
    theirs += [k] if i % 50 else []
    theirs += ["s%d" % i] if i % 9 == 4 else []
    theirs += ["t%d" % i] if i % 27 == 4 else []
    theirs += ["run%d.%d" % (i, n) for n in range(1500)] if i in (1000, 4000) else []
ours = [x for i, k in enumerate(base) for x in ([] if 500 <= i < 4200 and i % 3900 else [k]) + (["o%d" % i] if i % 1300 == 7 else [])]
here, there, known = set(ours), set(theirs), set(base)
behind, last = {}, None
for k in theirs:
    if k not in known:
        behind.setdefault(last, []).append(k)
    elif k in here:
        last = k
want = list(behind.get(None, []))
for k in ours:
    if k not in known or k in there:
        want.append(k)
    want += behind.get(k, [])
for name, keys in ("base", base), ("theirs", theirs), ("ours", ours):
    with open(name + ".jsonl", "w") as f:
        f.writelines('{"id":"%s","text":"%s has words enough to fill more than one block %s"}\n' % (k, k, k * 9) for k in keys)
open("want", "w").writelines(k + "\n" for k in want)
PY
    dsver init m
    for v in base theirs ours; do
        on=main
        [ $v != theirs ] || { on=side && dsver branch --store m docs side; }
        dsprep text -q --key-field id $v.jsonl | dsver commit --store m -m $v -b $on docs
    done
    dsver cat --store m docs@side >side.dsr
    [ "$(dsprep info --json side.dsr | sed -n 's/.*"blocks":\([0-9]*\).*/\1/p')" -ge 3 ]
    exits 0 dsver merge --store m docs side
    dsver cat --store m docs | dsprep cat --data -c key | sed 's/.*"key":"\([^"]*\)".*/\1/' | cmp - want
}

files() { # [COMMIT OPTIONS]: of the folder w
    dsprep files -q w | dsver commit raw "$@" >/dev/null
}

@test "merge of files: one that would lie in what is no folder is refused, in either order, and by revert" {
    mkdir w && echo 1 >w/a && echo x >w/z
    files
    dsver branch raw side
    rm w/a && mkdir w/a && echo 2 >w/a/in
    files
    rm -r w/a && echo 3 >w/a
    files -b side
    before=$(state)
    exits 1 dsver merge raw side
    has "! \"a\"" || has "! a"
    exits 1 dsver merge raw --theirs side
    has "'a/in' of one version would lie in 'a', which is no folder in the other" "nothing was changed"
    exits 1 dsver merge raw@side --ours main
    has "'a/in' of one version would lie in 'a'"
    [ "$(state)" = "$before" ]
    exits 0 dsver merge raw@side --theirs main
    dsver checkout raw@side out >/dev/null
    [ "$(cat out/a/in)" = 2 ]
    rm -r w/a && mkdir w/a && echo 2 >w/a/in && echo 4 >w/a/more
    files
    exits 1 dsver revert raw main~1 # the file again, and what came into the folder since
    has "would lie in 'a'" || has "! "
    exits 1 dsver revert raw main~1 --theirs
    has "'a/more' of one version would lie in 'a'"
    # Names that only begin alike, and a file that became a folder on both sides, are no matter.
    echo 5 >w/z.txt && echo 6 >w/zz
    files -b side
    exits 0 dsver merge raw --ours side
    dsver fsck
}

@test "merge of files: a hard link to what the other one removed is refused" {
    mkdir w && echo 1 >w/a && echo 2 >w/b
    files
    dsver branch raw side >/dev/null
    ln w/a w/c
    files
    rm w/a w/c
    files -b side
    exits 1 dsver merge raw side
    has "'c' of one version is another name of 'a' (a hard link), which is no file any more"
    exits 1 dsver merge raw@side main
    has "is another name of 'a'"
    # A link to a file that the other one changed is to that.
    dsver branch raw~1 other >/dev/null
    echo 1 >w/a && echo 3 >>w/b
    files -b other
    exits 0 dsver merge raw other
    dsver checkout raw out >/dev/null
    [ "$(stat -c %i out/a)" = "$(stat -c %i out/c)" ]
    [ "$(tail -1 out/b)" = 3 ]
}

@test "revert of what is undone already makes no version, also where records were erased" {
    fork
    sed 's/line 2 /LINE 2 /' base.jsonl >e.jsonl
    put e.jsonl
    dsver forget --reason test k5 >/dev/null
    exits 0 dsver revert d main
    has "0 removed, 1 changed, 0 added"
    before=$(state)
    exits 0 dsver revert d main~1
    has " unchanged" "0 removed, 0 changed, 0 added"
    [ "$(state)" = "$before" ]
    # Its tombstones are records now: that is no other order.
    exits 0 dsver diff d~2 d
    [ "$output" = "0 removed, 0 changed, 0 added: 9 records before, 9 after" ]
}

@test "merge: theirs are in another order, and all changed" {
    # Several blocks: the first read of theirs is in theirs' order, and not one for each record.
    lines_of() { # WORD: 20,000 records with members of several kinds
        seq 20000 | awk -v w="$1" '{ print "{\"id\":\"k" $1 "\",\"text\":\"" w " " $1 " " $1 * 7919 % 100003 "\",\"n\":" $1 ",\"l\":[" $1 ",null]}" }'
    }
    lines_of base >base.jsonl
    put base.jsonl
    dsver branch d side >/dev/null
    sed -e '5s/base/ours/' -e '7d' base.jsonl >ours.jsonl
    put ours.jsonl
    lines_of theirs | sed '9s/.*/{"id":"k9","text":""}/' >theirs.jsonl
    { sed -n '10001,$p' theirs.jsonl; sed -n '1,10000p' theirs.jsonl | sort -t '"' -k 8; echo '{"id":"new","text":"n"}'; } >shuffled.jsonl
    put shuffled.jsonl -b side
    exits 1 dsver merge d side
    exits 0 dsver merge --ours d side
    has "0 removed, 19998 changed, 1 added, 2 conflicts decided: 20000 records"
    dsver cat d | dsprep cat | grep -v '"key":"new"' >got
    { sed -n '1,4p' theirs.jsonl; sed -n 5p ours.jsonl; sed -n '6p; 8,$p' theirs.jsonl; } >want.jsonl
    dsprep text -q --key-field id want.jsonl | dsprep cat >model
    cmp got model
    dsver rebuild d | grep -q '^rebuilt: '
    dsver cat d | dsprep check
}
