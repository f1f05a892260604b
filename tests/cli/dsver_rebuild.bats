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
    dsprep text -q --key-field id in/t.jsonl |
        dsprep filter -q --min-chars 5 -w 'meta.n != 7 and text != "it'"'"'s"' |
        dsprep redact -q --mark | dsprep dedup -q --near --seed 3 |
        dsprep split -q --by key --parts a=0.7,b=0.3 --salt "s 1" |
        dsprep sample -q --rate 0.9 --seed x | dsprep shuffle -q --seed 2 |
        dsprep sort -q --by 'meta.n % 7 desc' --by text |
        dsprep map -q --set 'n:f64=meta.n * 0.5' --text 'title={meta.n}: it'"'"'s' --drop meta.n |
        dsprep tokenize -q -t in/tok.json | dsver commit many >/dev/null
    rebuilt many --source in
    rebuilt many --source in/t.jsonl --file in/tok.json
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
    dsprep dedup -q --against t.dsr t.dsr | dsver commit none >/dev/null
    exits 1 dsver rebuild none --source t.jsonl
    has "dsprep dedup" "--against"
    dsprep split -q --by key -d parts t.dsr
    dsver commit part parts/train.dsr >/dev/null
    exits 1 dsver rebuild part --source t.jsonl
    has "dsprep split" "--dir"
    dsprep files -q corpus | dsver commit raw >/dev/null
    exits 1 dsver rebuild raw --source corpus
    has "dsprep files" "cannot be rebuilt"
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
