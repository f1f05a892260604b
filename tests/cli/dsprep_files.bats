#!/usr/bin/env bats
# dsprep files and dsprep restore: any files into records and back.
load dsprep_common

setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
    export LC_ALL=C
    unset DSVER_STORE
}

# A folder with everything that a folder can hold.
make_tree() {
    mkdir -p a/b/empty a/c
    printf 'one\n' >a/b/x
    ln a/b/x a/c/y
    ln -s ../nowhere a/link
    printf 'bin\0\377' >$'a/n\377ame'
    printf u >$'a/\357\277\275z'
    : >a/zero
    head -c 6000000 /dev/zero | tr '\0' 'q' >a/big
    chmod 4755 a/b/x
    chmod 0500 a/c
    touch -d '2001-02-03 04:05:06.789' a/b
}

listing() {
    (cd "$1" && find . -mindepth 1 -printf "%P %M %n %l $2\n" | sort)
}

@test "a folder comes back as it was: links, empty folders, permissions, names of any bytes" {
    make_tree
    dsprep files a >a.dsr 2>said
    grep -q '10 input = 10 output + 0 held + 0 failed; 6000010 bytes$' said
    dsprep check a.dsr
    dsprep restore --setuid --sync -q out a.dsr
    listing a >want
    listing out | diff want -
    diff -r --no-dereference a out
    # set-user-id only when it is asked for
    dsprep restore -q plain a.dsr
    [ "$(stat -c %a plain/b/x)" = 755 ]
    # times where they are kept
    dsprep files -q --mtime a | dsprep restore -q --setuid timed
    listing a %T@ >want
    listing timed %T@ | diff want -
}

@test "the root is that of names, permissions and bytes: the same for a copy, and from a tar or zip" {
    make_tree
    root() { dsprep files -q "$1" | dsprep check | sed 's/.*root //'; }
    cp -a a copy
    [ "$(root a)" = "$(root copy)" ]
    tar cf a.tar --sort=name -C a .
    gzip -k a.tar
    for f in a.tar a.tar.gz; do
        dsprep files -q $f | dsprep restore -q --setuid from
        diff <(listing a) <(listing from)
        diff -r --no-dereference a from
        chmod -R u+rwx from && rm -r from
    done
    command -v zip >/dev/null || skip "no zip"
    (cd a && zip -qry ../a.zip .)
    dsprep files -q a.zip | dsprep restore -q from
    diff -r --no-dereference a from
}

@test "versions of a folder: stored once, restored each" {
    make_tree
    dsver init >/dev/null
    dsprep files -q a | dsver commit -m one raw
    printf 'two\n' >a/new
    dsprep files -q a | dsver commit -m two raw >said
    grep -q '11 records' said
    dsver cat raw~1 | dsprep restore -q --setuid old
    dsver cat raw | dsprep restore -q --setuid new
    diff -r --no-dereference a new
    [ ! -e old/new ]
    [ -e old/b/empty ]
}

@test "a hard link is to a file or a symbolic link that came before it, or is none" {
    mkdir a && echo x >a/f && ln -s f a/l
    ln -P a/l a/m # GNU tar stores it as a hard link
    tar cf a.tar --sort=name -C a .
    dsprep files -q a.tar | dsprep cat -c kind,target >got
    grep -q '"key":"m","kind":"hardlink","target":"l"' got
    dsprep files -q a.tar | dsprep restore -q out
    [ "$(readlink out/m)" = f ]
    [ "$(stat -c %i out/l)" = "$(stat -c %i out/m)" ]
    python3 - <<'P'
import tarfile
with tarfile.open('bad.tar', 'w') as t:
    for name, kind, to in ('p', tarfile.FIFOTYPE, ''), ('q', tarfile.LNKTYPE, 'p'), ('r', tarfile.LNKTYPE, 's'), ('s', tarfile.REGTYPE, ''):
        i = tarfile.TarInfo(name)
        i.type, i.linkname = kind, to
        t.addfile(i)
P
    exits 1 dsprep files bad.tar -o none
    has "files: q: a hard link to 'p', which no file before it is"
    exits 3 bash -c 'dsprep files --on-error=skip bad.tar >bad.dsr'
    has "3 input = 1 output + 2 held + 0 failed" "1 devices, pipes and sockets left out"
    dsprep restore -q good bad.dsr
    [ "$(ls good)" = s ]
    # A link to another name of a file is one to the file.
    python3 - <<'P'
import tarfile
with tarfile.open('chain.tar', 'w') as t:
    for name, to in ('a', ''), ('b', 'a'), ('c', 'b'):
        i = tarfile.TarInfo(name)
        i.type, i.linkname = tarfile.LNKTYPE if to else tarfile.REGTYPE, to
        t.addfile(i)
P
    dsprep files -q chain.tar | dsprep restore -q chain
    [ "$(stat -c %h chain/c)" = 3 ]
}

@test "a store that lies in the folder is left out, and told of; it can be named itself" {
    mkdir a && echo x >a/f && dsver init a >/dev/null
    (cd a && dsprep files . 2>../said | dsver commit raw >/dev/null)
    grep -q '1 input = 1 output .*; 1 store (.dsver) left out$' said
    dsver checkout --store a raw out >/dev/null
    [ "$(ls -A out)" = f ]
    dsprep files --json a 2>said >/dev/null
    [ "$(jq -c .left_out said)" = '{"special":0,"stores":1}' ]
    dsprep files -q a/.dsver | dsprep cat -c kind | grep -q '"key":"config"'
    dsprep text a 2>said | dsprep cat | grep -c . | grep -qx 1
    grep -q '1 store (.dsver) left out$' said
}

@test "times: before 1970, with nanoseconds, and those that cannot be kept" {
    python3 - <<'P'
import tarfile, io
with tarfile.open('t.tar', 'w', format=tarfile.PAX_FORMAT) as t:
    for name, when in ('old', -5000000), ('far', 1e11), ('new', 2208988800.25):
        i = tarfile.TarInfo(name)
        i.mtime = when
        t.addfile(i, io.BytesIO())
P
    dsprep files -q t.tar | dsprep check
    exits 1 dsprep files --mtime t.tar -o none
    has "files: far: its time is before 1677 or after 2262"
    exits 3 bash -c 'dsprep files --mtime --on-error=skip t.tar >t.dsr'
    dsprep restore -q out t.dsr
    [ "$(stat -c %Y out/old)" = -5000000 ]
    [ "$(stat -c %.9Y out/new)" = 2208988800.250000000 ]
    [ ! -e out/far ]
    mkdir d && echo x >d/f && touch -d 2400-01-01 d/f 2>/dev/null
    [ "$(stat -c %Y d/f)" = 13569465600 ] || return 0 # the file system has no such time
    exits 1 dsprep files --mtime d -o none
    has "files: f: its time is"
}

@test "an archive that is to be one file is one file" {
    mkdir d && echo x >d/f
    tar cf d.tar d
    dsprep files -q --as-is d.tar | dsprep cat -c kind >got
    [ "$(cat got)" = '{"key":"d.tar","kind":"file"}' ]
    gzip -kc d/f >f.gz
    dsprep files -q f.gz | dsprep restore -q o
    cmp f.gz o/f.gz
}

@test "what cannot be read is an error with its name, or left out and counted" {
    mkdir d && echo x >d/f && mkfifo d/pipe
    printf 'not a tar\n' >t
    tar cf good.tar d/f
    head -c 1024 good.tar >between.tar # and not one byte of a member is missing
    for packed in between.tar between.tar.gz; do
        [ -e $packed ] || gzip -k between.tar
        exits 12 dsprep files $packed -o shards
        has "$packed: damaged archive near byte 1024: it ends without its end mark"
        exits 12 dsprep text $packed -o shards
        exits 3 dsprep files --on-error=skip $packed -o "some-$packed"
        has "2 input = 1 output + 0 held + 1 failed"
    done
    head -c 700 good.tar >cut.tar
    exits 12 dsprep files cut.tar -o shards
    has "cut.tar"
    [ ! -e shards ] || [ -z "$(ls -A shards)" ]
    exits 3 dsprep files --on-error skip cut.tar d -o some
    has "1 devices, pipes and sockets left out"
    exits 13 dsprep files nowhere -o other
    has "nowhere"
    [ "$(id -u)" != 0 ] || return 0 # root reads everything
    chmod 0 d/f
    exits 13 dsprep files d -o none
    has "d: " || has "f: cannot open"
}

@test "hostile records make nothing outside, and nothing when they fail" {
    python3 - <<'P'
import tarfile, io
def tar(name, *members):
    with tarfile.open(name, 'w') as t:
        for n, kind, extra in members:
            i = tarfile.TarInfo(n)
            if kind == 'link':
                i.type, i.linkname = tarfile.SYMTYPE, extra
                t.addfile(i)
            elif kind == 'hard':
                i.type, i.linkname = tarfile.LNKTYPE, extra
                t.addfile(i)
            else:
                i.size = len(extra)
                t.addfile(i, io.BytesIO(extra))
tar('through.tar', ('l', 'link', '..'), ('l/out.txt', 'file', b'bad'))
tar('twice.tar', ('a', 'file', b'1'), ('a', 'file', b'2'))
tar('up.tar', ('../up.txt', 'file', b'bad'))
tar('hardlinks.tar', ('a', 'file', b'1'), ('h', 'hard', 'a'))
P
    dsprep files -q hardlinks.tar | dsprep filter -q --where 'key != "a"' >hard.dsr
    for t in through twice hard; do
        [ $t = hard ] ||
        dsprep files -q $t.tar >$t.dsr
        run dsprep restore "$t" $t.dsr
        [ "$status" -ne 0 ]
        [ ! -e "$t" ]
        [ -z "$(ls -d ./*.dsver-* 2>/dev/null)" ]
    done
    [ ! -e out.txt ]
    run dsprep files up.tar -o up
    [ "$status" -eq 1 ]
    [[ "$output" == *"climbs out"* ]]
    # what is there is not written over
    mkdir full && echo mine >full/mine
    exits 1 dsprep restore full through.dsr
    has "nothing is written over"
    [ "$(cat full/mine)" = mine ]
    # records that are no files
    echo text >t.txt
    dsprep text -q t.txt >t.dsr
    exits 1 dsprep restore o t.dsr
    has "no files"
    [ ! -e o ]
}

@test "files --json: the accounts as an object, an error too" {
    mkdir a
    printf one >a/x
    mkfifo a/pipe
    dsprep files --json a 2>said | dsprep check
    [ "$(jq -c . said)" = '{"type":"summary","command":"dsprep files","input":1,"output":1,"held":{},"failed":{},"bytes":3,"left_out":{"special":1,"stores":0}}' ]
    exits 13 bash -c 'dsprep files --json nowhere >/dev/null'
    [ "$(jq -r .type <<<"$output")" = exit ]
}

@test "restore --only restores what dsver checkout --only does, from files and pipes" {
    mkdir -p raw/a/deep raw/b raw/c raw/empty
    echo first >raw/a/first
    for name in b/second b/third c/fourth; do ln raw/a/first "raw/$name"; done
    ln -s nowhere raw/a/sym && ln raw/a/sym raw/b/sym
    echo 2 >raw/a/deep/2.txt && echo n >raw/notes.txt && echo o >'raw/odd[1].txt'
    printf bin >$'raw/c/n\377ame'
    head -c 600000 /dev/urandom >raw/c/large
    chmod 0750 raw/a && chmod 0700 raw/a/deep
    touch -d 2001-02-03 raw/a raw/a/deep
    dsprep files -q --mtime raw >raw.dsr
    dsprep files -q --mtime -o shards --shard-size 1M raw
    dsver init >/dev/null && dsver commit raw <raw.dsr >/dev/null
    listing() { (cd "$1" && find . -mindepth 1 -printf '%P %y %M %n %s %T@ %l\n' | sort); }
    for only in a a/first b b/third 'c/*' '*.txt' ./notes.txt empty/ 'odd[1].txt' '*' \
        'a/deep b/second' 'b c' 'a c/fourth' '*/deep/*'; do
        local args=() one
        set -f && for one in $only; do args+=(--only "$one"); done && set +f
        dsver checkout raw want "${args[@]}" >/dev/null
        dsprep restore -q "${args[@]}" got raw.dsr
        diff <(listing want) <(listing got)
        diff -r --no-dereference want got
        rm -rf got && dsprep restore -q -j 7 "${args[@]}" got <raw.dsr
        diff <(listing want) <(listing got)
        rm -rf got && dsprep restore -q "${args[@]}" got shards
        diff <(listing want) <(listing got)
        rm -rf want got
    done
    for none in a/fir /notes.txt nosuch ''; do
        exits 1 dsprep restore --only a --only "$none" none raw.dsr
        has "--only '$none': the stream has no such file or folder"
        [ ! -e none ]
        [ -z "$(ls -d ./none.* 2>/dev/null)" ]
    done
    exits 1 dsprep restore --only a raw raw.dsr
    has 'is no empty folder'
    # A link whose file is in no record, and one whose file was erased.
    dsprep filter -q --where "key != 'a/first'" raw.dsr >lost.dsr
    exits 1 dsprep restore --only b none lost.dsr
    has 'the file that it is another name of is not there'
    exits 1 dsprep restore --only b/second none lost.dsr
    has "'b/second': the file that it is another name of is not there"
    [ ! -e none ]
    dsver forget --reason test --dataset raw a/first >/dev/null
    dsver cat raw | dsprep restore -q --only b --only a/deep got
    [ "$(cd got && find . -type f | sort | tr '\n' ' ')" = "./a/deep/2.txt " ]
    # What folders say may come behind what lies in them; a chain of links.
    for kind in file folder; do dsprep filter -q --where "kind == '$kind'" raw.dsr >$kind.dsr; done
    dsprep mix -q --when-dry rest file.dsr=1000 folder.dsr -o late.dsr
    rm -rf got && dsprep restore -q --only a/deep/2.txt got late.dsr
    [ "$(stat -c %a got/a got/a/deep | tr '\n' ' ')" = "750 700 " ]
    chain_tar
    dsprep files -q chain.tar >chain.dsr
    for names in b d "b d" "d e" "a d" "c d"; do
        args=() && for one in $names; do args+=(--only "$one"); done
        rm -rf got && dsprep restore -q "${args[@]}" got chain.dsr
        [ "$(cd got && echo *)" = "$names" ]
        for one in $names; do [ "$(stat -c '%h %s' got/$one)" = "$(wc -w <<<"$names") 4" ]; done
    done
}
