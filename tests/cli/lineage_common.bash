# What the tests of runs share: a store with a tokenized dataset, and checkpoints by tests/compat/mkrun.py, which is written from the
# format's document alone.
load dsver_common

# What a_store takes, and is not installed.
lacking() {
    local p
    for p in python3 git zstd; do
        command -v "$p" >/dev/null || echo "$p"
    done
}

# For setup_file, which cannot skip; tests do so, by need_python.
can_make() {
    [ -z "$(lacking)" ]
}

need_python() {
    can_make || skip "$(lacking) is not installed"
}

# short N: lines of 0 to 16 words.
short() {
    awk -v n="$1" 'BEGIN {
        s = 7
        for (i = 0; i < n; i++) {
            line = "line " i
            for (k = 0; k < i % 17; k++) { s = (s * 16807) % 2147483647; line = line " w" (s % 5000) }
            print line
        }
    }'
}

# tokens FILE: standard input's lines as a tokenized stream.
tokens() {
    dsprep text -q --split line - | dsprep tokenize -q -t "$TOKENIZER" - >"$1"
}

mkrun() {
    python3 "$DS_ROOT/tests/compat/mkrun.py" "$@"
}

# a_store: docs (two versions, the run consumes the second), and run/, registered, with checkpoints 3 and 6.
a_store() {
    export HOME=$PWD LC_ALL=C
    unset DSVER_STORE
    dsver init >/dev/null
    short 80 | tokens old.dsr
    short 81 | sed '20d' | tokens t.dsr
    dsver commit -m old docs old.dsr >/dev/null
    dsver commit -m new docs t.dsr >/dev/null
    mkrun .dsver docs run "tokenizer=$TOKENIZER" register=1 >digest
}

# fresh: a copy of it in the test's own folder.
fresh() {
    need_python
    cd "$BATS_TEST_TMPDIR" || return 1
    cp -R "$BATS_FILE_TMPDIR/." .
    export HOME=$BATS_TEST_TMPDIR LC_ALL=C
    unset DSVER_STORE
}
