#!/usr/bin/env bats
# dsver rebuild: a version made again from its sources, or a named reason why it is another.
load dsver_common

# corpus: a folder of texts and a table of records beside it.
corpus() {
    mkdir -p corpus/sub
    lines 40 >corpus/a.txt
    echo "mail jane.doe@example.org or call 1.2.3.4" >corpus/b.txt
    lines 3 >corpus/sub/c.txt
    cp corpus/b.txt corpus/sub/copy.txt
    awk 'BEGIN { for (i = 0; i < 400; i++)
        printf "{\"id\":\"r%03d\",\"text\":\"record %d says: it'"'"'s %d\",\"n\":%d}\n", i, i % 300, i % 300, i }' >t.jsonl
}

rebuilt() {
    exits 0 dsver rebuild "$@"
    has "rebuilt: root sha256:"
}

@test "rebuild: a folder of text, and text with tokens" {
    corpus
    dsprep text -q corpus | dsver commit plain >/dev/null
    rebuilt plain --source corpus
    has "4 records from 4 sources"
    dsprep text -q --split line corpus | dsprep tokenize -q -t "$TOKENIZER" --no-special |
        dsver commit toks >/dev/null
    rebuilt toks --source corpus --file "$TOKENIZER"
    exits 1 dsver rebuild toks --source corpus
    has "dsprep tokenize" "tokenizer" "sha256:" "--file"
    cp -r corpus again && touch again/sub/c.txt # times are no part of it
    rebuilt toks --source again --file "$TOKENIZER"
}

@test "rebuild: files as inputs, redact, filter, dedup, split, sample, shuffle, sort and map" {
    corpus
    mkdir in && mv t.jsonl in && cp "$TOKENIZER" in/tok.json
    printf '11\n13\n' | gzip >in/no
    dsprep text -q --key-field id in/t.jsonl |
        dsprep filter -q --list no=in/no -w 'not (meta.n in no)' |
        dsprep filter -q --min-chars 5 -w 'meta.n != 7 and text != "it'"'"'s"' |
        dsprep redact -q --mark | dsprep dedup -q --near --seed 3 --rows 9 --words 4 --count copies |
        dsprep dedup -q --parts line --min-chars 3 |
        dsprep split -q --by key --near --words 3 --parts a=0.7,b=0.3 --salt "s 1" |
        dsprep sample -q --rate 0.9 --seed x | dsprep shuffle -q --seed 2 |
        dsprep sort -q --by 'meta.n % 7 desc' --by text |
        dsprep map -q --set 'n:f64=meta.n * 0.5' --text 'title={meta.n}: it'"'"'s' --drop meta.n |
        dsprep tokenize -q -t in/tok.json | dsver commit many >/dev/null
    rebuilt many --source in
    rebuilt many --source in/t.jsonl --file in/tok.json --file in/no
    exits 0 dsver rebuild --dry-run many --source in
    has "--salt=s 1'" "shuffle"
    # What it prints is what a shell runs.
    bash -c "$output" | dsver commit many2 >/dev/null
    [ "$(dsver show many --json | grep -o '"root":"[^"]*"')" = "$(dsver show many2 --json | grep -o '"root":"[^"]*"')" ]
    exits 0 dsver rebuild many --source in --json
    has '"same":true' '"differs":null'
}

@test "rebuild: logs of one file and of a folder, with templates; compressed and in an archive" {
    mkdir logs
    awk 'BEGIN { for (i = 0; i < 300; i++)
        printf "Jan %2d 10:%02d:00 host app[%d]: user %d logged in\n", 1 + i / 60, i % 60, i, i * 7 }' >logs/messages-20240105
    dsprep logs -q logs/messages-20240105 | dsprep templates -q | dsver commit one >/dev/null
    rebuilt one --source logs
    dsprep logs -q logs | dsver commit folder >/dev/null
    rebuilt folder --source logs
    gzip -k logs/messages-20240105 && mkdir gz && mv logs/*.gz gz
    dsprep logs -q --year 2024 gz/messages-20240105.gz | dsver commit gz >/dev/null
    rebuilt gz --source gz
    tar -cf x.tar logs
    dsprep logs -q x.tar | dsver commit tar >/dev/null
    rebuilt tar --source x.tar
    sed 's/user 14 /user 15 /' logs/messages-20240105 | gzip >gz/messages-20240105.gz
    exits 1 dsver rebuild gz --source gz
    has "source 'messages-20240105.gz' differs"
}

@test "rebuild: a source that changed, is missing, or is one more" {
    corpus
    dsprep text -q corpus | dsver commit docs >/dev/null
    cp -r corpus c2 && echo more >>c2/b.txt
    exits 1 dsver rebuild docs --source c2
    has "source 'b.txt' differs" "c2/b.txt"
    cp -r corpus c3 && rm c3/sub/c.txt
    exits 1 dsver rebuild docs --source c3
    has "source 'sub/c.txt' is not found"
    cp -r corpus c4 && echo x >c4/sub/d.txt
    exits 1 dsver rebuild docs --source c4
    has "c4/sub/d.txt" "was no source"
    exits 2 dsver rebuild docs
    fails dsver rebuild docs --source nowhere
    rebuilt docs --source corpus
    # Files that were named each are found beside others, and the first of two folders counts.
    mkdir top twin
    for f in b a.txt a aa c.tar.x; do echo "text of $f" >top/$f; done
    tar -cf top/m.tar -C corpus a.txt sub
    dsprep text -q top/b top/m.tar top/a top/c.tar.x | dsver commit top >/dev/null
    rebuilt top --source top
    echo other >twin/a
    rebuilt top --source top --source twin
    exits 1 dsver rebuild top --source twin --source top
    has "source 'a' differs" "twin/a"
    rm top/a
    exits 1 dsver rebuild top --source top
    has "source 'a' is not found"
    # Files that an import leaves out may lie between those that it reads.
    mkdir -p imp/x
    for f in b x/d x/y; do echo "{\"id\":\"$f\",\"text\":\"of $f\"}" >imp/$f.jsonl; done
    touch imp/a.md imp/c.md imp/x/a.md imp/x/e.md imp/z.md
    dsprep import -q --format jsonl --key-field id imp | dsver commit imp >/dev/null
    rebuilt imp --source imp
    rm imp/x/d.jsonl
    exits 1 dsver rebuild imp --source imp
    has "source 'x/d.jsonl' is not found"
}

@test "rebuild: a secret that is another gives another record, and is named when it is not given" {
    corpus
    printf 'a secret of many bytes' >key && printf 'another of as many bytes' >key2
    chmod 600 key key2
    dsprep text -q corpus | dsprep redact -q --key-file key | dsver commit r >/dev/null
    exits 1 dsver rebuild r --source corpus
    has "dsprep redact" "--key-file"
    rebuilt r --source corpus --key-file key
    exits 1 dsver rebuild r --source corpus --key-file key2 --json
    has "record 2, key 'b.txt': its column 'text'" '"same":false'
}

@test "rebuild: what cannot be rebuilt is refused by name" {
    corpus
    dsprep text -q --key-field id t.jsonl >t.dsr
    dsprep mix -q t.dsr=1 | dsver commit none >/dev/null
    exits 1 dsver rebuild none --source t.jsonl
    has "dsprep mix" "cannot be rebuilt"
    dsprep split -q --by key -d parts t.dsr
    dsver commit part parts/train.dsr >/dev/null
    exits 1 dsver rebuild part --source t.jsonl
    has "dsprep split" "--dir"
    dsprep text -q - <corpus/a.txt | dsver commit piped >/dev/null
    exits 1 dsver rebuild piped --source corpus
    has "source 'stdin' is not found"
}

@test "rebuild: a step of another version, and a graph of steps, are refused" {
    command -v python3 >/dev/null || skip "python3 is not installed"
    PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$DS_ROOT/tests/compat python3 -c 'import sys, dsr, dsrcol
schema = dsrcol.Schema([dsrcol.Column("text", "utf8")], ["text"], ["text"])
sys.stdout.buffer.write(dsr.write(schema, [[b"one"]], provenance=[dsr.step("dsprep text", "0.0.9")]))' >old.dsr
    dsver commit old old.dsr >/dev/null
    exits 1 dsver rebuild old --source .
    has "dsprep text" "0.0.9"
    dsver commit graph "$GOLDEN/lineage.dsr" >/dev/null
    exits 1 dsver rebuild graph --source .
    has "joins several streams"
}

@test "rebuild: files as they are, those of an archive, and what a store told of unchanged ones" {
    corpus
    ln -s a.txt corpus/link && mkdir corpus/empty && chmod 600 corpus/b.txt
    dsprep files -q corpus | dsver commit raw >/dev/null
    rebuilt raw --source corpus
    touch -d '1 hour ago' corpus/*.txt corpus/sub/*
    dsprep files -q --store . corpus >/dev/null
    dsprep files -q --store . corpus | dsver commit raw >/dev/null
    rebuilt raw --source corpus
    tar -cf c.tar corpus
    dsprep files -q --mtime c.tar | dsver commit tarred >/dev/null
    rebuilt tarred --source c.tar
    dsprep files -q --as-is c.tar | dsver commit one >/dev/null
    rebuilt one --source c.tar
    cp -a corpus other && echo more >>other/b.txt
    exits 1 dsver rebuild raw --source other
    has "source 'b.txt' differs" "recorded sha256:"
    cp -a corpus less && rm less/sub/c.txt
    exits 1 dsver rebuild raw --source less
    has "'sub/copy.txt' was read where 'sub/c.txt' is recorded"
    chmod 640 corpus/b.txt # is no part of a source, and one of the record
    exits 1 dsver rebuild raw --source corpus
    has "key 'b.txt': its column 'mode'"
}

@test "rebuild: tables of other tools, with and without their schema" {
    corpus
    printf 'id,text\n1,one\n2,two\n' >t.csv
    dsprep import -q --key-field id t.csv | dsver commit table >/dev/null
    rebuilt table --source t.csv
    mkdir in && mv t.csv in/
    rebuilt table --source in
    printf '{"x":[{"text":"a"},{"text":"b"}]}' >x.json
    for c in import logs; do
        dsprep $c -q --records-at x x.json | dsver commit doc$c >/dev/null
        rebuilt doc$c --source x.json
    done
    dsprep text -q --key-field id t.jsonl >t.dsr
    dsprep export -q --format mds -o mds t.dsr
    dsprep import -q --format mds mds | dsprep filter -q -w 'meta.n > 7' | dsver commit theirs >/dev/null
    rebuilt theirs --source mds # the schema and the steps before lie beside it
    mv mds/dsr-schema.json schema.json
    exits 1 dsver rebuild theirs --source mds
    has "'dsprep text' is recorded, 'dsprep import' was run"
    rebuilt theirs --source mds --file schema=schema.json
    exits 1 dsver rebuild theirs --source mds --file schema=schema.json --file words=t.csv
    has "words=t.csv" "no step reads such a file"
    cp in/t.csv t.csv && echo 3,three >>t.csv
    exits 1 dsver rebuild table --source t.csv
    has "source 't.csv' differs" "sha256:"
}

@test "rebuild: records that were taken as read, named by the user" {
    corpus
    dsprep text -q --key-field id t.jsonl >t.dsr
    dsprep sample -q --count 100 --seed 1 t.dsr >before.dsr
    dsprep dedup -q --against before.dsr t.dsr | dsver commit fresh >/dev/null
    exits 1 dsver rebuild fresh --source t.jsonl
    has "dsprep dedup" "--file against=FILE"
    rebuilt fresh --source t.jsonl --file against=before.dsr
    exits 1 dsver rebuild fresh --source t.jsonl --file against=t.dsr
    has "not the same"
}

@test "rebuild: conversations by a template of the user's" {
    corpus
    mkdir tok && cp "$TOKENIZER" tok/tokenizer.json
    printf '{{ bos_token }}{%% for m in messages %%}{{ m.role }}:{{ m.content }}{%% endfor %%}' >t.jinja
    printf '{"bos_token":"<|bos|>","eos_token":"<|end|>"}' >tok/tokenizer_config.json
    printf '{"m":[{"role":"user","content":"the cat"},{"role":"assistant","content":"and %d"}]}\n' 1 2 3 >c.jsonl
    dsprep text -q --field m --json-text c.jsonl |
        dsprep tokenize -q -t tok/tokenizer.json --chat-template t.jinja --train-on last | dsver commit chats >/dev/null
    rebuilt chats --source c.jsonl --file tok/tokenizer.json --file t.jinja
    mkdir alone && mv tok/tokenizer.json alone/
    rebuilt chats --source c.jsonl --file alone/tokenizer.json --file t.jinja --file tokenizer-config=tok/tokenizer_config.json
    sed -i 's/{{ m.role }}/{{ m.role[0] }}/' t.jinja
    fails dsver rebuild chats --source c.jsonl --file alone/tokenizer.json --file t.jinja
}

@test "rebuild: DICOM under a key, which nothing records" {
    dicom=$DS_ROOT/tests/fuzz/corpus/dicom
    mkdir ct && cp "$dicom/ct" "$dicom/implicit" ct/
    printf '%064d\n' 7 >key && printf '%064d\n' 8 >key2 && chmod 600 key key2
    dsprep dicom -q --key-file key --burned-in pass --values modality ct >ct.dsr
    dsver commit ct ct.dsr >/dev/null
    exits 1 dsver rebuild ct --source ct
    has "dsprep dicom" "--key-file must name"
    rebuilt ct --source ct --key-file key
    ! grep -rl "$(cat key)" .dsver || return 1
    exits 1 dsver rebuild ct --source ct --key-file key2
    has "dsprep dicom" "digest 'key' is not as recorded"
    mkdir tmp && cp -r ct other && cp "$dicom/explicit" other/implicit
    TMPDIR=$PWD/tmp exits 1 dsver rebuild ct --source other --key-file key
    has "(implicit)" "differs from the one recorded" # its name, for who has the key
    [ -z "$(ls tmp)" ]
    exits 0 dsver rebuild --dry-run ct --source ct --key-file key
    has "dicom" "--values=modality" "--burned-in=pass"
    echo Okonkwo >names
    dsprep dicom -q --key-file key --burned-in pass --scrub names ct | dsver commit scrubbed >/dev/null
    exits 1 dsver rebuild scrubbed --source ct --key-file key
    has "--scrub" "--file scrub=FILE"
    rebuilt scrubbed --source ct --key-file key --file scrub=names
}

@test "rebuild: what was erased is counted; the rest is the same, with and without it in the sources" {
    corpus
    dsprep text -q --key-field id t.jsonl | dsprep tokenize -q -t "$TOKENIZER" | dsver commit docs >/dev/null
    dsprep text -q corpus | dsver commit folder >/dev/null
    dsver forget --reason x --dataset docs r007 r008 r399 >/dev/null
    rebuilt docs --source t.jsonl --file "$TOKENIZER"
    has "400 records" "3 erased"
    sed -i '8d;400d' t.jsonl # r008 is still there
    exits 0 dsver rebuild docs --source t.jsonl --file "$TOKENIZER"
    has "rebuilt, but for what was erased: root sha256:" "398 records" "3 erased" "1 source changed since"
    exits 0 dsver rebuild docs --source t.jsonl --file "$TOKENIZER" --json
    has '"result":"same_but_erased","same":false' '"erased":3' '"differs":null'
    sed 's/record 20 says/record 20 said/' t.jsonl >other && mv other t.jsonl
    exits 1 dsver rebuild docs --source t.jsonl --file "$TOKENIZER"
    has "record 21, key 'r020': its column 'text'"
    sed -i '21d; s/record 20 said/record 20 says/' t.jsonl
    fails dsver rebuild docs --source t.jsonl --file "$TOKENIZER"
    # a file that is gone, name and all
    dsver forget --reason x --dataset folder sub/c.txt >/dev/null
    rebuilt folder --source corpus
    rm corpus/sub/c.txt
    exits 0 dsver rebuild folder --source corpus
    has "but for what was erased" "3 records from 3 sources" "1 erased"
    rm corpus/b.txt
    exits 1 dsver rebuild folder --source corpus
    has "b.txt"
}

# branched: dataset m, of which branch fix changed, removed and added records, and main others.
branched() {
    corpus
    text() { dsprep text -q --format jsonl --key-field id "$1"; }
    text t.jsonl | dsver commit -m first m >/dev/null
    dsver branch m fix >/dev/null
    sed 's/"record 7 says/"RECORD 7 says/; s/"record 9 says/"RECORD 9 says/; /"r050"/d' t.jsonl >fix.jsonl
    echo '{"id":"more","text":"another"}' >>fix.jsonl
    text fix.jsonl | dsver commit -b fix -m fix m >/dev/null
    sed 's/"record 9 says/"Record 9 says/; s/"record 11 says/"Record 11 says/' t.jsonl >main.jsonl
    text main.jsonl | dsver commit -m main m >/dev/null
}

@test "rebuild: merges and reverts, from the versions that they were made of" {
    need_jq
    branched
    dsver merge m fix --ours >/dev/null
    dsver show m | tail -n 1 | grep -q 'dsver merge .*"ours":2,"theirs":0'
    rebuilt m
    has "of $(dsver log --json m~1 | jq -r .commit | head -n 1 | cut -c-10) and what"
    exits 0 dsver rebuild --json m
    [ "$(jq -c '[.same, .records, .sources, .differs]' <<<"$output")" = '[true,400,2,null]' ]
    [ "$(jq -r .theirs <<<"$output")" = "$(dsver log --json m@fix | jq -r .commit | head -n 1)" ]
    exits 0 dsver rebuild --dry-run m
    has "merge $(dsver log --json m~1 | jq -r .commit | head -n 1) and what"
    rebuilt m~1 --source main.jsonl
    dsver revert m fix --theirs >/dev/null
    rebuilt m
    dsver reset m main~2 >/dev/null
    dsver merge m fix --take-ours r009 --take-theirs r309 >/dev/null
    dsver show m | tail -n 1 | grep -q '"ours":1,"theirs":1'
    rebuilt m
    dsver forget --reason test r009 more >/dev/null
    exits 0 dsver rebuild m
    has "rebuilt, but for what was erased" "2 erased"
}

@test "rebuild: a merge that is none, and one from elsewhere" {
    command -v python3 >/dev/null || skip "python3 is not installed"
    need_jq
    branched
    dsver merge m fix --theirs >/dev/null
    dsver cat m >merged.dsr
    dsver commit copy merged.dsr >/dev/null
    exits 1 dsver rebuild copy
    has "merged elsewhere" "'base'"
    dsver show --json m >shown
    PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$DS_ROOT/tests/compat python3 -c 'import sys, dsr
s = dsr.read(open("merged.dsr", "rb").read())
rows = [list(r) for r in s.rows()]
rows[3][1] = b"not what either had"
sys.stdout.buffer.write(dsr.write(s.schema, rows, origins=[o for b in s.blocks for o in b[3]], sources=s.sources,
                                  provenance=s.provenance))' >other.dsr
    dsver commit m other.dsr >/dev/null
    exits 1 dsver rebuild m
    has "not the same: record 4, key 'r003'" "'text'"
}

@test "status: what the sources are now beside what was committed; nothing is" {
    corpus
    dsprep files -q --store . corpus | dsver commit raw >/dev/null
    dsprep text -q --split line corpus | dsprep tokenize -q -t "$TOKENIZER" --no-special | dsver commit toks >/dev/null
    exits 0 dsver status --exit-code raw corpus
    has "0 removed, 0 changed, 0 added"
    rm corpus/sub/copy.txt
    echo more >>corpus/a.txt
    echo new >corpus/sub/new.txt
    before=$(git --git-dir=.dsver/catalog.git for-each-ref)
    packs=$(ls .dsver/packs)
    exits 1 dsver status --exit-code raw corpus
    has '~ "a.txt": content' '- "sub/copy.txt"' '+ "sub/new.txt"' "1 removed, 1 changed, 1 added"
    dsver config dsver.dataset raw
    [ "$(dsver status --stat ./corpus)" = "$(tail -n 1 <<<"$output")" ] # the default dataset
    exits 0 dsver status --stat toks corpus --file "$TOKENIZER"
    has "1 removed, 0 changed, 2 added"
    exits 0 dsver status --json --stat toks corpus --file "$TOKENIZER"
    has '"after":null' '"added":2'
    exits 1 dsver status toks corpus
    has "--file can name it"
    exits 2 dsver status raw
    has "'raw' is not there"
    [ "$(git --git-dir=.dsver/catalog.git for-each-ref)$(ls .dsver/packs)" = "$before$packs" ]
    dsprep files -q --store . corpus | dsver commit raw >/dev/null
    exits 0 dsver status --exit-code raw corpus
}
