#!/usr/bin/env bats
# Every command that has --json prints what docs/json-output.md says.
load lineage_common
load json_common

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
    all_said dsver
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
    all_said dsprep dicom lang # which other tests run
    rm said said.commands
    json dstok encode -t tok.json t.jsonl
    json dstok info tok.json
    json dstok stats -t tok.json t.jsonl
    sed 's/"a"/"A"/' tok.json >other.json
    json dstok diff tok.json tok.json t.jsonl
    json dstok train --vocab-size 260 -o new.json t.jsonl
    all_said dstok
}
