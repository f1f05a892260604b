# What the tests of --json share: what a command prints is held against docs/json-output.md.

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

# all_said PROGRAM COMMAND...: all that was kept follows the document, and no other command of PROGRAM has the option.
all_said() {
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
        if re.fullmatch("[0-9a-f]{64}", v) and name != "sha256": no(line, "%s is a digest without its algorithm" % name)
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
