#!/usr/bin/env bats
# What a name stands for: a column, else a member of meta; what nobody has is an error that says
# which names there are.

load dsprep_common

# posts N: p.dsr, keys derived, with meta.user, .score and .tags.lang.
posts() {
    awk -v n="$1" 'BEGIN { for (i = 0; i < n; i++)
        printf "{\"text\":\"post %d\",\"user\":\"u%d\",\"score\":%d,\"tags\":{\"lang\":\"%s\"}}\n",
            i, i % 7, i % 50, i % 2 ? "en" : "de" }' >p.jsonl
    dsprep text -q p.jsonl >p.dsr
}

# root COMMAND...: the root of what it writes, whose provenance has the name as it was given.
root() {
    "$@" 2>/dev/null | dsprep check - | grep -o "root sha256.*"
}

@test "names: user is meta.user, for every command with expressions" {
    posts 500
    [ -n "$(root dsprep split --by user p.dsr)" ]
    [ "$(root dsprep split --by user p.dsr)" = "$(root dsprep split --by meta.user p.dsr)" ]
    [ "$(root dsprep sort --by 'score desc' --by user p.dsr)" = \
        "$(root dsprep sort --by 'meta.score desc' --by meta.user p.dsr)" ]
    [ "$(root dsprep filter --where 'score > 40 and tags.lang = "en"' p.dsr)" = \
        "$(root dsprep filter --where 'meta.score > 40 and meta.tags.lang = "en"' p.dsr)" ]
    [ "$(root dsprep sample --rate 0.5 --by user --cap 2 --group score p.dsr)" = \
        "$(root dsprep sample --rate 0.5 --by meta.user --cap 2 --group meta.score p.dsr)" ]
    [ "$(root dsprep map --drop user,score --text 'who={user}' --set 'n:i64=score + 1' p.dsr)" = \
        "$(root dsprep map --drop meta.user,meta.score --text 'who={meta.user}' \
            --set 'n:i64=meta.score + 1' p.dsr)" ]
    [ "$(root dsprep mix --by score --names a,b p.dsr p.dsr)" = \
        "$(root dsprep mix --by meta.score --names a,b p.dsr p.dsr)" ]
    [ "$(dsprep split --by user p.dsr 2>/dev/null | dsprep cat | jq -r '.meta.user + " " + .split' | sort -u | wc -l)" -eq 7 ]
    dsprep split -q --by user - <p.dsr | dsprep check -
}

@test "names: a column wins, and logs have their fields" {
    posts 20
    dsprep map -q --text 'user=column' p.dsr >c.dsr
    exits 0 dsprep filter --where 'user = "column"' c.dsr
    has '20 output'
    printf '%s\n' '{"msg":"a","time":"2026-01-01T00:00:00Z","request":"r1"}' \
        '{"msg":"b","time":"2026-01-01T00:00:01Z","request":"r2"}' >a.log
    exits 0 dsprep logs -q --format json -o l.dsr a.log
    exits 0 dsprep filter --where 'request = "r2"' l.dsr
    has '1 output'
}

@test "names: what is nowhere is refused, and the message lists what there is" {
    posts 300
    exits 2 dsprep split --by usr p.dsr
    has "no column 'usr'" 'columns are: text, meta' 'members of meta in its first' 'score, tags, user'
    exits 2 dsprep sort --by scor p.dsr
    has '--by scor' 'score, tags, user'
    exits 2 dsprep filter --where 'texts is null' p.dsr
    has "no column 'texts'"
    exits 2 dsprep map --drop usr p.dsr
    has '--drop usr' 'score, tags, user'
    exits 2 dsprep dedup -c user p.dsr
    has "dsprep map --set 'user:utf8=meta.user'"
    exits 2 dsprep map --rename user=who p.dsr
    has 'meta.user is a member'
    exits 0 dsprep split --by meta.usr p.dsr # as it is written: nobody has it
    has '300 no_group'
    dsprep map -q --drop meta p.dsr >no.dsr
    exits 2 dsprep split --by user no.dsr
    has 'columns are: text'
}

@test "names: without records there is nothing to look at" {
    posts 5
    dsprep filter -q --where 'text = ""' p.dsr >none.dsr
    exits 0 dsprep split --by user none.dsr
    has '0 input = 0 output'
}
