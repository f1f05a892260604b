#!/usr/bin/env bats
# dsprep export, import: round trips, losses, threads, and what is left behind when it fails. The formats themselves are
# read and written by others in tests/compat/formats.test.

load dsprep_common

root() { dsprep check "$@" | sed 's/.*root //'; }

@test "formats: what is not lost comes back with the same root" {
    local s f
    for s in blocks explicit pieces empty lineage; do
        for f in jsonl csv mds tfrecord webdataset npz; do
            dsprep export -q --format $f -o $s.$f "$GOLDEN/$s.dsr"
            dsprep import -q --format $f $s.$f >back.dsr
            case $s.$f in
            explicit.jsonl) [ "$(root back.dsr)" != "$(root "$GOLDEN/$s.dsr")" ] ;; # it says so: JSON's null
            *) [ "$(root back.dsr)" = "$(root "$GOLDEN/$s.dsr")" ] || { echo "$s as $f"; return 1; } ;;
            esac
        done
    done
}

@test "import: documents of JSON that hold an array of records" {
    printf '[{"text":"a ]","n":1},\n {"text":"b","n":12345678901234567890}\n]\n' >a.json
    dsprep import -q a.json | dsprep cat --data >got
    printf '{"text":"a ]","n":1}\n{"text":"b","n":12345678901234567890}\n' | dsprep import -q -f jsonl - | dsprep cat --data >want
    cmp want got
    printf '{"took":1,"hits":{"total":2,"hits":[{"text":"a ]","n":1},{"text":"b","n":12345678901234567890}]},"x":[]}' |
        dsprep import -q -f jsonl --records-at .hits.hits - | dsprep cat --data | cmp want -
    printf '[{"text":"a"},7,{"text":"b"}' >b.json
    exits 3 dsprep import --on-error skip -o o b.json
    has 'b.json: offset 14: it is no object' 'b.json: offset 28: the document ends within its array' '4 input = 2 output + 1 held + 1 failed'
    exits 2 dsprep import --records-at x -f csv a.json
}

@test "npz: every type comes back; the same bytes from anywhere; deflated and from a pipe" {
    local z
    for z in 0 1 9; do
        dsprep export -q --strict -j 1 -f npz -z $z -o t$z.npz "$GOLDEN/types.dsr"
        TZ=Asia/Tokyo LC_ALL=C.UTF-8 dsprep export -q -j 7 -f npz -z $z <"$GOLDEN/types.dsr" | cmp - t$z.npz
        [ "$(dsprep import -q t$z.npz | root)" = "$(root "$GOLDEN/types.dsr")" ]
        [ "$(dsprep import -q -f npz --schema t$z.npz.dsr-schema.json - <t$z.npz | root)" = "$(root "$GOLDEN/types.dsr")" ]
    done
    [ "$(stat -c %s t9.npz)" -lt "$(stat -c %s t0.npz)" ]
    # Without the schema columns are what the arrays say.
    dsprep import -q --infer t0.npz | dsprep info >out
    grep -q 'tokens16  *tokens16' out
    grep -q 'list f64  *list' out
    exits 1 dsprep import -f npz "$GOLDEN/types.dsr"
    has 'it is no zip'
    exits 2 dsprep export -f npz --shard-size 1M -o x "$GOLDEN/types.dsr"
    # Two columns that would be one array.
    printf '{"text":"a","text.offsets":1}\n' >c.jsonl
    dsprep import -q c.jsonl >c.dsr
    exits 1 dsprep export -f npz -o c.npz c.dsr
    has "column 'text.offsets' has the name of an array of 'text'"
    [ ! -e c.npz ]
}

@test "formats: the steps that made the records travel with them" {
    dsprep export -q --format jsonl -o l.jsonl "$GOLDEN/lineage.dsr"
    dsprep import -q l.jsonl | dsprep info >out
    grep -q 'dsprep tokenize' out
    grep -q 'dsprep import' out
}

@test "export: the same bytes for any number of threads, and from a pipe" {
    stream 9000
    local f
    for f in jsonl csv tfrecord webdataset; do
        dsprep export -q -j 1 --format $f s.dsr >one
        dsprep export -q -j 7 --format $f <s.dsr >seven
        cmp one seven
        dsprep export -q -j 3 --format $f --shard-size 100K -o $f.d s.dsr
        [ "$(ls $f.d | grep -c shard)" -gt 3 ]
        dsprep import -q --format $f $f.d >back.dsr
        [ "$(root back.dsr)" = "$(root s.dsr)" ]
    done
    dsprep export -q -j 1 --format mds --shard-size 100K -m 1M -o m1 s.dsr
    dsprep export -q -j 7 --format mds --shard-size 100K -o m7 s.dsr
    diff -r m1 m7
}

@test "export: losses are said, counted and refused" {
    exits 0 dsprep export --format tfrecord -o t.tfrecord "$GOLDEN/types.dsr"
    has 'lost in tfrecord: f64: numbers are rounded to 32 bits: 13 records'
    dsprep export --format tfrecord -o s.tfrecord --json "$GOLDEN/types.dsr" 2>said
    [ "$(jq -c '[.command,.format,.input,.output,.held,.failed,.files]' said)" = '["dsprep export","tfrecord",20,20,{},{},1]' ]
    jq -e '.lost[] | select(.column == "f64").records == 13' said >/dev/null
    [ "$(jq .bytes said)" = "$(stat -c %s s.tfrecord)" ]
    dsprep export --format jsonl --json "$GOLDEN/types.dsr" 2>said | wc -l | grep -qx 20 # beside the records
    [ "$(jq .output said)" = 20 ]
    exits 1 dsprep export --format tfrecord --strict --json -o u.tfrecord "$GOLDEN/types.dsr"
    [ "$(jq -r .type <<<"$output")" = exit ]
    exits 1 dsprep export --format tfrecord --strict -o u.tfrecord "$GOLDEN/types.dsr"
    has 'f64: numbers are rounded'
    exits 1 dsprep export --format llmc --strict -o u.bin "$GOLDEN/lineage.dsr"
    has 'text: is not written'
    [ -z "$(ls -A | grep '^u')" ]
    exits 0 dsprep export --format mds --strict -o m "$GOLDEN/explicit.dsr"
    [ "$(echo "$output" | grep -c lost)" -eq 0 ]
}

@test "export: a folder that holds something, a stream cut short: nothing is left behind" {
    mkdir d && touch d/x
    exits 1 dsprep export --format mds -o d "$GOLDEN/blocks.dsr"
    has 'd: the folder is not empty'
    head -c -60 "$GOLDEN/blocks.dsr" >cut.dsr
    exits 12 dsprep export --format mds -o m cut.dsr
    exits 12 dsprep export --format webdataset --shard-size 10K -o w cut.dsr
    exits 1 dsprep export --format megatron -o g cut.dsr
    [ "$(ls -A | sort | tr '\n' ' ')" = 'cut.dsr d ' ]
}

@test "import: a file whose name tells nothing is known by how it begins" {
    printf '{"id":"a","n":1}\n{"id":"b","n":2}\n' >j.jsonl
    dsprep import -q --key-field id j.jsonl >j.dsr
    local f
    for f in parquet tfrecord jsonl webdataset; do
        dsprep export -q --format $f --bare -o out.$f j.dsr
        exits 0 dsprep import -o known-$f out.$f
        mv out.$f blob-$f
        exits 0 dsprep import -o like-$f blob-$f
        has "blob-$f: read as $f, by how it begins"
        diff <(dsprep cat known-$f) <(dsprep cat like-$f)
    done
    gzip blob-jsonl && mv blob-jsonl.gz blob
    exits 0 bash -c 'dsprep import - <blob | dsprep check'
    has 'standard input: read as jsonl' '2 records'
    printf 'a,b\n1,2\n' >table
    exits 2 dsprep import table
    has '--format is needed'
    exits 2 dsprep import nosuch
}

@test "export, import: wrong command lines say what is right" {
    exits 2 dsprep export "$GOLDEN/blocks.dsr"
    has '--format is needed' 'webdataset'
    exits 2 dsprep export --format feather "$GOLDEN/blocks.dsr"
    has 'feather: it is one of'
    exits 2 dsprep export --format arrow "$GOLDEN/blocks.dsr"
    has 'arrow: it can be read only'
    exits 2 dsprep export --format mds "$GOLDEN/blocks.dsr"
    has 'needs -o OUT'
    exits 2 dsprep export --format megatron --shard-size 1M -o x "$GOLDEN/lineage.dsr"
    exits 2 dsprep export --format jsonl --column text "$GOLDEN/lineage.dsr"
    exits 2 dsprep export --format mds --hash md5 -o x "$GOLDEN/lineage.dsr"
    has '--hash md5'
    exits 2 dsprep export --format jsonl -z 3 "$GOLDEN/lineage.dsr"
    has 'takes no --level'
    # What stands beside an export cannot be written: there is none.
    mkdir o.jsonl.dsr-schema.json
    fails dsprep export --format jsonl -o o.jsonl "$GOLDEN/lineage.dsr"
    [ ! -e o.jsonl ]
    rmdir o.jsonl.dsr-schema.json
    exits 1 dsprep export --format npy -o x "$GOLDEN/blocks.dsr"
    has 'not one column of tokens'
    exits 2 dsprep import nothing.xyz
    [ "$(ls -A)" = '' ]
}

@test "import: JSON lines without a schema: types by what is there, the rest kept" {
    {
        echo '{"id":"a","n":1,"x":0.5,"ok":true,"l":[1,{}],"text":"é"}'
        echo '{"id":"b","n":2,"x":3,"ok":false,"l":{},"text":null,"\u006e2":7}'
    } >a.jsonl
    for i in $(seq 1200); do echo "{\"id\":\"k$i\",\"n\":$i}"; done >>a.jsonl
    echo '{"id":"late","new":"member","n":-9223372036854775808}' >>a.jsonl
    exits 0 dsprep import --key-field id a.jsonl -o s
    has '1203 input = 1203 output + 0 held + 0 failed'
    dsprep info s | grep -E '^ +(n|x|ok|l|text|rest) ' | awk '{ print $1, $2 }' | tr '\n' ' ' >cols
    [ "$(cat cols)" = 'n i64 x f64 ok bool l json text utf8 rest json ' ]
    dsprep cat s | tail -n 1 >last
    [ "$(jq -c '[.key,.n,.rest]' last)" = '["late",-9223372036854775808,{"new":"member"}]' ] || cat last
    [ "$(dsprep cat s | sed -n 2p | jq -c .rest)" = 'null' ]
    [ "$(dsprep cat s | sed -n 2p | jq -c .n2)" = '7' ]
}

@test "import: bad records are told of, kept aside and counted" {
    dsprep export -q --format jsonl -o s.jsonl "$GOLDEN/explicit.dsr"
    {
        sed -n 1,2p s.jsonl
        echo '{"key":"x"'
        printf '{"key":"y","text":"\xff"}\n'
        echo '{"key":"z","text":"t","nobody":1}'
        echo '[1]'
        echo '{"text":"no key"}'
        sed -n 3p s.jsonl
    } >b.jsonl
    cp s.jsonl.dsr-schema.json b.jsonl.dsr-schema.json
    exits 1 dsprep import b.jsonl -o o1
    has 'b.jsonl: offset'
    exits 3 dsprep import --on-error quarantine --quarantine q.jsonl -o o2 b.jsonl
    has '8 input = 3 output + 5 held + 0 failed'
    [ "$(jq -r .reason q.jsonl | sort | tr '\n' ' ')" = 'json member no_object utf8 value ' ]
    dsprep check o2
    exits 3 dsprep import --on-error skip --json -o o3 b.jsonl
    [ "$(jq -cS . <<<"$output")" = '{"command":"dsprep import","failed":{},"format":"jsonl","held":{"json":1,"member":1,"no_object":1,"utf8":1,"value":1},"input":8,"left_out":{"of_another_kind":0},"output":3,"type":"summary"}' ]
    exits 1 dsprep import --json -o o4 b.jsonl
    [ "$(jq -r .type <<<"$output")" = exit ]
}

@test "import: a key is what dsprep text takes for one" {
    {
        echo '{"id":"a","text":"1"}'
        echo '{"id":"","text":"2"}'
        echo '{"id":"x\u0000y","text":"3"}'
        jq -nc '{id:("k"*4097),text:"4"}'
        echo '{"id":null,"text":"5"}'
        jq -nc '{id:("k"*4096),text:"6"}'
    } >k.jsonl
    for what in "import --key-field id" "text --field text --key-field id"; do
        exits 1 dsprep $what k.jsonl -o none
        exits 3 dsprep $what --on-error skip k.jsonl -o "s-${what%% *}"
        has '6 input = 2 output + 4 held + 0 failed'
        [ "$(dsprep cat "s-${what%% *}" | jq -r '.key | length' | tr '\n' ' ')" = '1 4096 ' ]
    done
    printf 'id,text\n,2\nb,3\n' >k.csv
    exits 1 dsprep import --key-field id k.csv -o none
    has 'the key is empty'
}

@test "import: MDS whose bytes are not those of the index" {
    dsprep export -q --format mds -o m "$GOLDEN/blocks.dsr"
    cp -r m n
    flip n/shard.00000.mds.zstd 3000
    exits 1 dsprep import --format mds n -o o || exits 12 dsprep import --format mds n -o o
    sed 's/"xxh64":"./"xxh64":"g/g' m/index.json >n/index.json
    cp m/shard* n/
    exits 12 dsprep import --format mds n -o p
    has 'its xxh64 is not what the index says'
    sed 's|"basename":"shard|"basename":"../m/shard|g' m/index.json >n/index.json
    exits 1 dsprep import --format mds n -o p
    has 'no sound name'
}

@test "export, import: a long value, a longer one refused by name" {
    seq 1700000 >big.txt
    dsprep text big.txt -q >b.dsr
    local f
    for f in jsonl tfrecord webdataset mds npz; do
        dsprep export -q --format $f -o big.$f b.dsr
        [ "$(dsprep import -q --format $f big.$f | root)" = "$(root b.dsr)" ]
        exits 3 dsprep import --format $f --max-record 1M --on-error skip big.$f -o out.$f
        has 'longer than --max-record'
    done
}

@test "import: a folder says its format, by index.json or by the names in it" {
    dsprep export -q --format mds -o mine "$GOLDEN/blocks.dsr"
    [ "$(dsprep import -q mine | root)" = "$(root "$GOLDEN/blocks.dsr")" ]
    dsprep export -q --format tfrecord --shard-size 4K -o many "$GOLDEN/blocks.dsr"
    [ "$(dsprep import -q many | root)" = "$(root "$GOLDEN/blocks.dsr")" ]
    # As the hub has them: what is beside is left out.
    mkdir -p hub/data && echo about >hub/README.md
    dsprep export -q --bare --format parquet -o hub/data/train-00000-of-00001.parquet "$GOLDEN/explicit.dsr"
    exits 0 bash -c "dsprep import hub >hub.dsr"
    has '; 1 file of other names left out'
    [ "$(dsprep cat hub.dsr | sha256sum)" = "$(dsprep cat "$GOLDEN/explicit.dsr" | sha256sum)" ]
    # What Spark leaves beside is no data, and of a Delta Lake the log would have to be read.
    mkdir -p hub/data/_temporary && cp hub/data/*.parquet hub/data/_temporary/ && cp hub/data/train*.parquet hub/data/.hidden.parquet
    [ "$(dsprep import -q hub | dsprep cat | sha256sum)" = "$(dsprep cat hub.dsr | sha256sum)" ]
    mkdir hub/_delta_log && echo '{}' >hub/_delta_log/00000.json
    exits 1 dsprep import hub
    has '_delta_log/00000.json: a table of Delta Lake: which files are of its newest version its log tells'
    mkdir hub/metadata && mv hub/_delta_log/00000.json hub/metadata/v1.metadata.json && rmdir hub/_delta_log
    exits 1 dsprep import hub
    has 'metadata/v1.metadata.json: a table of Iceberg: '
    # Two formats in one folder, and none.
    printf '{"text":"a"}\n' >many/x.jsonl
    exits 2 dsprep import many
    has '--format is needed'
    mkdir none
    exits 2 dsprep import none
}

@test "tables with other delimiters: text, logs and import read them, and say so when one is wanted" {
    printf 'id;text;n\r\n1;"a;b";2\r\n2;"multi\r\nline ""q""";\r\n3;x"y;4\r\n' >semi.csv
    exits 1 dsprep import semi.csv
    has "the header is one field with a ';' in it: --delimiter ';'"
    exits 1 dsprep text semi.csv
    has 'the header has no column "text", but only "id;text;n" (--field; --delimiter, where it is no comma)'
    exits 3 bash -c "dsprep import --on-error skip --delimiter ';' semi.csv >i.dsr"
    has 'offset 49: a quote in a field that is not quoted'
    dsprep cat --no-key i.dsr >got
    printf '%s\n' '{"id":"1","text":"a;b","n":"2"}' '{"id":"2","text":"multi\r\nline \"q\"","n":null}' | diff - got
    exits 3 bash -c "dsprep text --on-error skip --delimiter ';' --key-field id semi.csv >t.dsr"
    dsprep cat t.dsr >got
    printf '%s\n' '{"key":"1","text":"a;b","meta":{"n":"2"}}' '{"key":"2","text":"multi\r\nline \"q\"","meta":{"n":""}}' | diff - got
    dsprep info --json t.dsr | grep -F '"delimiter":";"'
    printf 'time|level|msg|n\n2024-01-02T03:04:05Z|warn|say "x"|1\n' >bar.csv
    dsprep logs -q --delimiter '|' bar.csv | dsprep cat -c text,level,fields --no-key >got
    printf '%s\n' '{"text":"say \"x\"","level":"warn","fields":{"n":"1"}}' | diff - got
    exits 1 dsprep import bar.csv
    has "with a '|' in it"
    printf 'a\tb\n1\t2\n' >tab.csv
    [ "$(dsprep import -q --delimiter tab tab.csv | dsprep cat --no-key)" = '{"a":"1","b":"2"}' ]
    printf 'a;b\n1\n' >name.csv
    [ "$(dsprep import -q --delimiter , name.csv | dsprep cat --no-key)" = '{"a;b":"1"}' ]
    for wrong in '' 'x' ';;' '"' ' ' 7; do
        exits 2 dsprep import --delimiter "$wrong" semi.csv
        has 'tab, or one character'
        exits 2 dsprep text --delimiter "$wrong" semi.csv
    done
    printf '{"a":1}\n' >a.jsonl
    exits 2 dsprep import --delimiter ';' a.jsonl
    has '--delimiter is of csv'
    printf '"a' >open.csv
    exits 1 dsprep import open.csv
    has 'open.csv: offset 0: the header is not one: the quoted field does not end'
    printf ',a\n0,x\n' >index.csv
    exits 1 dsprep import index.csv
    has 'index.csv: header: field 1 has no name: give it one'
    printf 'a\0b,c\n1,2\n' >nul.csv
    exits 1 dsprep import nul.csv
    has 'nul.csv: header: field 1 has a NUL in its name'
    : >empty.csv
    exits 1 dsprep import empty.csv
    has 'empty.csv: it is empty'
}

@test "import jsonl: a beginning without an object is told as it is; marks and long first lines are read" {
    python3 - <<'P'
open('deep.jsonl', 'w').write('{"d":' + '[' * 200 + ']' * 200 + '}\n')
open('long.jsonl', 'w').write('{"text":"' + 'x' * 3000000 + '"}\n{"n":1}\n')
open('bad.jsonl', 'wb').write(b'\n{"text":"\xff"}\n[1]\n')
open('mark.jsonl', 'wb').write(b'\xef\xbb\xbf{"text":"a"}\n')
open('none.jsonl', 'w').write('\n{}\n')
P
    for mode in fail skip; do
        exits 1 dsprep import --on-error $mode deep.jsonl
        has 'deep.jsonl: offset 134: nested deeper than the limit; columns are taken from lines'
        exits 1 dsprep import --on-error $mode bad.jsonl
        has 'bad.jsonl: offset 10: it is not UTF-8; columns are'
        exits 1 dsprep import --on-error $mode none.jsonl
        has 'none.jsonl: it has no records with members'
        exits 1 dsprep import --on-error $mode --max-record 1M long.jsonl
        has 'long.jsonl: its first line is longer than --max-record'
    done
    dsprep import -q long.jsonl | dsprep map -q --set 'len=len(text)' --drop text | dsprep cat --no-key >got
    printf '%s\n' '{"n":null,"rest":null,"len":3000000}' '{"n":1,"rest":null,"len":null}' | diff - got
    [ "$(dsprep import -q mark.jsonl | dsprep cat --no-key --origin)" = '{"text":"a","rest":null,"origin":[[0,3,13]]}' ]
}

@test "import: Arrow as datasets keeps it, in part, from a pipe, cut short and damaged" {
    local of=$DS_ROOT/tests/golden/columnar
    mkdir -p ds/train && cp "$of/stream.arrow" ds/train/data-00000-of-00001.arrow && echo '{}' | tee ds/train/state.json >ds/dataset_dict.json
    exits 0 bash -c "dsprep import ds --key-field id -c text,image | dsprep cat >got"
    has '40 input = 40 output' '2 files of other names left out'
    head -n 1 got | grep -qx '{"key":"rec-00","text":"","image.bytes":null,"image.path":null}'
    dsprep import -q --key-field id -c text,image -f arrow - <"$of/file.arrow" | dsprep cat | cmp - got
    dsprep import -q --key-field id -c text,image "$of/lz4.arrow" | dsprep cat | cmp - got
    # A stream ends where it ends, with a mark or without, but not within a message.
    head -c -8 "$of/stream.arrow" >open.arrow
    dsprep import -q --key-field id -c text,image open.arrow | dsprep cat | cmp - got
    head -c -9 "$of/stream.arrow" >cut.arrow
    exits 1 bash -c "dsprep import -q --key-field id cut.arrow >cut.dsr"
    has 'cut.arrow: offset' 'it ends within a message: the file was cut short; all from row 30 on is lost'
    exits 3 bash -c "dsprep import -q --key-field id -c text,image --on-error=skip cut.arrow | dsprep cat | diff - <(head -n 30 got); exit \${PIPESTATUS[0]}"
    head -c -9 "$of/file.arrow" >cut.arrow
    exits 1 dsprep import -q cut.arrow
    has 'it does not end with ARROW1'
    # A batch that the footer lists in the place of another.
    python3 - "$of/file.arrow" twice.arrow <<'PY'
import struct, sys
b = bytearray(open(sys.argv[1], "rb").read())
foot = len(b) - 10 - struct.unpack_from("<I", b, len(b) - 10)[0]
block = lambda p: struct.unpack_from("<qi4xq", b, p)
p = next(p for p in range(foot, len(b) - 58, 4) if 0 < sum(block(p)) == block(p + 24)[0] and block(p)[2] > 0)
b[p + 24:p + 48] = b[p:p + 24]
open(sys.argv[2], "wb").write(b)
PY
    exits 1 bash -c 'dsprep import -q twice.arrow >twice.dsr'
    has 'batches of the footer lie in one another'
    # A packed buffer that is damaged costs its batch.
    at=$(grep -abo $'\x28\xb5\x2f\xfd' "$of/zstd.arrow" | head -n 1 | cut -d: -f1)
    cp "$of/zstd.arrow" bad.arrow && printf '\377\377' | dd of=bad.arrow bs=1 seek=$((at + 4)) conv=notrunc status=none
    exits 3 bash -c "dsprep import --key-field id --on-error=skip bad.arrow >bad.dsr"
    has 'a packed buffer is damaged; rows that need its dictionary are lost' 'row 18: kind: its dictionary is damaged' '40 held'
    dsprep import -q --key-field id -c text,image bad.arrow | dsprep cat | cmp - got # who does not need it
    at=$(grep -abo $'\x28\xb5\x2f\xfd' "$of/zstd.arrow" | sed -n 3p | cut -d: -f1)
    cp "$of/zstd.arrow" bad.arrow && printf '\377\377' | dd of=bad.arrow bs=1 seek=$((at + 4)) conv=notrunc status=none
    exits 3 bash -c "dsprep import --key-field id --on-error=skip bad.arrow >bad.dsr"
    has 'a packed buffer is damaged; 15 rows from row 0 on are lost'
    [ "$(dsprep cat bad.dsr | wc -l)" = 25 ]
    printf 'FEA1........' >old.arrow
    exits 1 dsprep import -q old.arrow
    has 'Feather file of version 1'
    exits 1 dsprep import -q -f arrow "$of/plain.parquet"
    has 'neither an Arrow file nor a stream'
}

@test "import --hive: folders that name columns" {
    mkdir -p lake/dt=2026-01-01/country=DE lake/dt=2026-01-02/country=__HIVE_DEFAULT_PARTITION__ lake/dt=2026-01-03/country=a%20b lake/plain
    for f in jsonl csv; do
        rm -f lake/*/*/part* lake/plain/part*
        for d in lake/dt=*/* lake/plain; do
            [ $f = csv ] && printf 'key,text\n%s,hello\n' "$d" >"$d/part.csv" || printf '{"key":"%s","text":"hello"}\n' "$d" >"$d/part.jsonl"
        done
        exits 0 bash -c "dsprep import --hive lake | dsprep cat --no-key -c text,dt,country >got"
        printf '%s\n' '{"text":"hello","dt":"2026-01-01","country":"DE"}' '{"text":"hello","dt":"2026-01-02","country":null}' \
            '{"text":"hello","dt":"2026-01-03","country":"a b"}' '{"text":"hello","dt":null,"country":null}' | diff - got
        # What is left out is told of, once.
        exits 0 bash -c "dsprep import lake | dsprep cat --no-key -c text >got"
        has "the folder 'dt=2026-01-01' is named as Hive names a column and its value, which is left out (--hive takes it)"
        [ "$(grep -c 'named as Hive' <<<"$output")" -eq 1 ]
    done
    dsver init >/dev/null
    dsprep import -q --hive lake | dsver commit -m m lake
    exits 0 dsver rebuild lake --source lake
    # A file's own column goes before; a folder whose column the first file had not is refused.
    mkdir -p own/text=x && printf '{"key":"k","text":"mine"}\n' >own/text=x/a.jsonl
    [ "$(dsprep import -q --hive own | dsprep cat --no-key -c text)" = '{"text":"mine"}' ]
    mkdir -p own/z/new=1 && cp own/text=x/a.jsonl own/z/new=1/
    exits 1 dsprep import --hive own
    has "z/new=1/a.jsonl: its folders name 'new', which is in no column of the schema"
    mkdir -p twice/a=1/a=2 && cp own/text=x/a.jsonl twice/a=1/a=2/
    exits 1 dsprep import --hive twice
    has "the folder 'a=2': the column is there twice"
}
