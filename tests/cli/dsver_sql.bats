#!/usr/bin/env bats
# dsver sql: what it sees is what the other commands say, and nothing can be changed by it.
load lineage_common

setup_file() {
    load lineage_common
    can_make || return 0
    cd "$BATS_FILE_TMPDIR" || return 1
    a_store
}

setup() {
    fresh
}

@test "sql: versions, blocks, columns, sources and records are those of the other commands" {
    dsver sql "SELECT version FROM commits WHERE dataset='docs' ORDER BY records" | sed 1d | sort >a
    dsver log --json docs | sed 's/.*"commit":"\([0-9a-f]*\)".*/\1/' | sort | cmp - a
    [ "$(dsver sql docs "SELECT sum(records) FROM blocks" | tail -1)" = 80 ]
    [ "$(dsver sql docs "SELECT sum(records) FROM shards" | tail -1)" = 80 ]
    [ "$(dsver sql docs~1 docs "SELECT count(DISTINCT version), count(*) FROM records" | tail -1)" = "$(printf '2\t160')" ]
    [ "$(dsver sql docs "SELECT count(*) FROM columns" | tail -1)" = "$(dsver show docs | grep -c '^column')" ]
    [ "$(dsver sql docs "SELECT sum(length) FROM origins" | tail -1)" -gt 0 ]
    [ "$(dsver sql --json docs "SELECT count(*) AS n FROM sources")" = '{"n":1}' ]
    [ "$(dsver sql docs~1 docs "SELECT count(*) FROM records a JOIN records b USING (text) WHERE a.version < b.version" | tail -1)" = 79 ]
    [ "$(dsver sql docs "SELECT count(*) FROM records NATURAL JOIN (SELECT text, key FROM records)" | tail -1)" = 80 ]
    # keys and all kinds of values, as dsprep cat prints them
    dsver sql --json docs "SELECT key, text, json(tokens) AS tokens FROM records ORDER BY record" |
        python3 -c 'import sys, json
for l in sys.stdin:
    r = json.loads(l)
    print(json.dumps([r["key"], r["text"], json.loads(r["tokens"])]))' >got
    dsver cat docs | dsprep cat | python3 -c 'import sys, json
for l in sys.stdin:
    r = json.loads(l)
    print(json.dumps([r["key"], r["text"], r["tokens"]]))' | cmp - got
}

@test "sql: which checkpoints saw records of a source is what seen says" {
    k=$(dsprep cat -c text t.dsr | sed -n 's/^{"key":"\([0-9a-f]*\)","text":"line 17"}$/\1/p')
    dsver sql docs "SELECT DISTINCT printf('step-%06d', l.checkpoint) FROM records r JOIN lineage l
        USING (version, record) WHERE r.key = '$k'" | sed 1d | sort >a
    [ -s a ]
    dsver seen --json docs "$k" | sed 's/.*"checkpoint":"\([^"]*\)".*/\1/' | sort -u | cmp - a
    n=$(dsver sql docs "SELECT count(DISTINCT l.checkpoint) FROM sources s JOIN origins o USING (version, source)
        JOIN lineage l USING (version, record)" | tail -1)
    [ "$n" = "$(dsver sql "SELECT count(*) FROM checkpoints" | tail -1)" ]
    [ "$(dsver sql "SELECT run FROM runs" | tail -1)" = run ]
}

@test "sql: nothing but reading" {
    find .dsver -type f ! -name '*-shm' -exec sha256sum {} + | sort >before
    for q in "DROP TABLE commits" "DELETE FROM records" "INSERT INTO refs VALUES(1,2)" "ATTACH 'x.db' AS x" \
        "PRAGMA user_version=3" "CREATE TABLE t(a)" "CREATE TEMP TABLE t(a)" "VACUUM INTO 'y.db'" "SELECT load_extension('x')" \
        "SELECT 1; DROP TABLE commits" "" "BEGIN" "SELECT * FROM sqlite_master, nothing" "EXPLAIN ANALYZE SELECT"; do
        exits 2 dsver sql docs "$q"
    done
    exits 2 dsver sql docs
    has "the last operand, 'docs', is to be the SQL"
    [ ! -e x.db ]
    [ ! -e y.db ]
    exits 0 dsver sql docs "SELECT count(*) FROM records;"
    find .dsver -type f ! -name '*-shm' -exec sha256sum {} + | sort | cmp - before
    exits 1 dsver sql --timeout 1 "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT count(*) FROM c"
    has "--timeout"
    exits 1 dsver sql --memory 4M "SELECT length(printf('%.*c', 100000000, 'x'))"
    has "--memory"
    exits 1 dsver sql nodata "SELECT 1"
    # a value that does not fit into what SQLite may take is no NULL
    head -c 16000000 /dev/zero | tr '\0' x >long.txt
    dsprep text -q long.txt | dsver commit -q -m long long
    exits 1 dsver sql --memory 8M long "SELECT length(text) FROM records"
    has "--memory"
    [ "$(dsver sql long "SELECT length(text) FROM records" | tail -1)" = 16000000 ]
}

@test "sql: values come out exactly" {
    exits 2 dsver sql --csv --json docs "SELECT 1"
    dsver cat docs | dsver commit more >/dev/null
    for table in records blocks shards columns sources origins; do # of which version?
        exits 2 dsver sql "SELECT count(*) FROM $table"
        has "is a table of versions: name one"
    done
    exits 0 dsver sql "SELECT sum(records) > 0 AS blocks FROM commits"
    has 1
    exits 0 dsver sql --csv docs "SELECT 9223372036854775807 AS i, 0.1 AS f, x'00ff' AS b, 'a,\"b' AS t, NULL AS n"
    [ "$(echo "$output" | tr -d '\r' | tail -1)" = "9223372036854775807,0.1,X'00ff',\"a,\"\"b\"," ]
    exits 0 dsver sql --json docs "SELECT -9223372036854775807-1 AS i, 1e308*10 AS inf, x'00ff' AS b, 'a'||char(0)||'b' AS t, NULL AS n"
    [ "$output" = '{"i":-9223372036854775808,"inf":null,"b":"AP8=","t":"a\u0000b","n":null}' ]
}

@test "sql: columns whose names differ in case only, or are a record's own, are all there" {
    printf 'Name,name,NAME,KEY,Version,column_name\na,b,c,d,e,f\n' >t.csv
    dsprep import -q --infer t.csv | dsver commit twins >/dev/null
    exits 0 dsver sql --csv twins "SELECT * FROM records"
    [[ "${lines[0]}" == "dataset,version,record,key,Name,column_name,column_column_NAME,column_KEY,column_Version,column_column_column_name"* ]]
    exits 0 dsver sql --csv twins "SELECT name, column_name, column_column_name, column_key, column_version FROM records"
    [[ "${lines[1]}" == "a,b,c,d,e"* ]]
}
