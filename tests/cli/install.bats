#!/usr/bin/env bats
# What `make install` leaves behind, as its users find it. The real target runs over the programs and libraries that
# are built, in a build folder of its own: nothing is compiled and the source is not written to.

setup_file() {
    ROOT=${DS_ROOT:-$(cd "$BATS_TEST_DIRNAME/../.." && pwd)}
    BUILT=$(cd "${DS_BIN_DIR:-$ROOT/build/release/bin}/.." && pwd)
    if nm "$BUILT/lib/libdstok.a" 2>/dev/null | grep -Eq '__(asan|tsan)'; then return 0; fi
    export ROOT BUILT B=$BATS_FILE_TMPDIR/build D=$BATS_FILE_TMPDIR/root P=$BATS_FILE_TMPDIR/root/usr/local
    mkdir -p "$B/bin" "$B/lib"
    old=() plugins=
    for f in "$BUILT"/bin/* "$BUILT"/lib/lib*; do
        to=$B/${f#"$BUILT"/}
        ln -s "$f" "$to"
        old+=(-o "$to")
        [[ $f != */libds-@(cuda|mpi|cld2).so ]] || plugins+=" $to"
    done
    make_here "${old[@]}" PLUGINS="$plugins" install >"$BATS_FILE_TMPDIR/log" 2>&1 || {
        cat "$BATS_FILE_TMPDIR/log"
        return 1
    }
}

setup() {
    [ -e "$BATS_FILE_TMPDIR/log" ] || skip "built with a sanitizer"
}

# Variables and flags of a make that runs the tests are not for this one.
make_here() {
    env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u MAKEOVERRIDES make -C "$ROOT" B="$B" DESTDIR="$D" PREFIX=/usr/local "$@"
}

# The programs with a manual page: all but those that another one starts.
programs() {
    for p in "$P"/share/man/man1/*.1; do
        [[ $(basename "$p") == *-* ]] || basename "$p" .1
    done
}

@test "install: every program that is built, and it runs from there" {
    run grep -E '^  (CC|CXX|NVCC|AR|LD) ' "$BATS_FILE_TMPDIR/log"
    [ "$status" -eq 1 ]
    for f in "$BUILT"/bin/*; do
        p=$P/bin/$(basename "$f")
        cmp "$f" "$p"
        [ "$(stat -c %a "$p")" = 755 ]
        [ ! -L "$p" ]
        name=$(basename "$f")
        [[ $("$p" --version) == "${name%%-*} "* ]] # a part says whose it is
    done
    # a program finds the one that it starts beside itself
    err=$(env PATH="$P/bin:/usr/bin:/bin" dsprep dicom --deid none "$BATS_TEST_TMPDIR/none" 2>&1 >/dev/null) || true
    [[ "$err" == *"/none: No such file or directory"* ]]
}

@test "install: a manual page for every command, which man shows" {
    [ "$(programs | tr '\n' ' ')" = "dsprep dstok dstrain dsver " ]
    for p in $(programs); do
        for name in "$p" $("$P/bin/$p" --list-commands | sed "s/^/$p-/"); do
            [ -s "$P/share/man/man1/$name.1" ]
        done
        [ "$(find "$P/share/man/man1" -name "$p-*.1" | wc -l)" -eq "$("$P/bin/$p" --list-commands | wc -l)" ]
    done
    [ -s "$P/share/man/man3/dstok.3" ]
    ! command -v mandoc >/dev/null || mandoc -T lint -W error "$P/share/man/man3/dstok.3"
    man -l "$P/share/man/man3/dstok.3" >/dev/null 2>&1 || skip "no man -l"
    for f in "$P"/share/man/man3/dstok.3 "$P"/share/man/man1/{dsprep,dstok-encode,dsver-commit,dstrain-finetune}.1; do
        MANWIDTH=80 man -P cat -l "$f" >"$BATS_TEST_TMPDIR/page" 2>"$BATS_TEST_TMPDIR/err"
        [ ! -s "$BATS_TEST_TMPDIR/err" ]
        for section in NAME SYNOPSIS DESCRIPTION; do grep -q "$section" "$BATS_TEST_TMPDIR/page"; done
    done
}

@test "install: completions of both shells know every command" {
    for p in $(programs); do
        bash=$P/share/bash-completion/completions/$p zsh=$P/share/zsh/site-functions/_$p
        bash -n "$bash"
        ! command -v zsh >/dev/null || zsh -n "$zsh"
        head -n 1 "$zsh" | grep -qx "#compdef $p"
        for c in $("$P/bin/$p" --list-commands); do
            grep -qw -- "$c" "$bash"
            grep -qw -- "$c" "$zsh"
        done
    done
}

@test "install: the example counts as many tokens as dstok encode writes" {
    command -v gcc >/dev/null || skip "no gcc"
    command -v pkg-config >/dev/null || skip "no pkg-config"
    export PKG_CONFIG_PATH=$P/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$D
    [ "$(pkg-config --modversion dstok)" = "$("$P/bin/dstok" --version | sed -n 's/^dstok //p')" ]
    # as the example says that it is to be compiled
    (cd "$BATS_TEST_TMPDIR" && gcc -Wall -Werror -std=c11 "$ROOT/examples/link/count.c" \
        $(pkg-config --cflags --libs --static dstok) -o count)
    t=$ROOT/tests/golden/tok/qwen2.json text=$ROOT/tests/golden/tok/mixed.txt
    run "$BATS_TEST_TMPDIR/count" "$t" <"$text"
    [ "$status" -eq 0 ]
    [ "$output" = "$("$P/bin/dstok" encode -t "$t" "$text" | wc -w)" ]
    printf 'a\377' >"$BATS_TEST_TMPDIR/bad"
    run "$BATS_TEST_TMPDIR/count" "$t" <"$BATS_TEST_TMPDIR/bad"
    [ "$status" -eq 1 ]
    [[ "$output" == *"byte 1"* ]]
}

@test "install: the headers stand alone" {
    command -v gcc >/dev/null || skip "no gcc"
    for h in "$P"/include/ds/*.h; do
        echo "#include <$(basename "$h")>" >"$BATS_TEST_TMPDIR/h.c"
        gcc -std=c11 -Wall -Wextra -Werror -fsyntax-only -I"$P/include/ds" "$BATS_TEST_TMPDIR/h.c"
    done
}

@test "install: the headers are for C++ too, and the example links as C++" {
    command -v g++ >/dev/null || skip "no g++"
    command -v pkg-config >/dev/null || skip "no pkg-config"
    export PKG_CONFIG_PATH=$P/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$D
    for h in "$P"/include/ds/*.h; do
        echo "#include <$(basename "$h")>" >"$BATS_TEST_TMPDIR/h.cc"
        for std in c++11 c++20; do
            g++ -std=$std -Wall -Wextra -Wpedantic -Werror -fsyntax-only -I"$P/include/ds" "$BATS_TEST_TMPDIR/h.cc"
        done
    done
    (cd "$BATS_TEST_TMPDIR" && g++ -Wall -Werror -x c++ "$ROOT/examples/link/count.c" -x none \
        $(pkg-config --cflags --libs --static dstok) -o count++)
    t=$ROOT/tests/golden/tok/qwen2.json text=$ROOT/tests/golden/tok/mixed.txt
    [ "$("$BATS_TEST_TMPDIR/count++" "$t" <"$text")" = "$("$P/bin/dstok" encode -t "$t" "$text" | wc -w)" ]
}

@test "uninstall: takes away all that install put there" {
    [ -n "$(find "$D" -type f)" ]
    cp -a "$D" "$BATS_TEST_TMPDIR/root"
    D=$BATS_TEST_TMPDIR/root make_here uninstall
    run find "$BATS_TEST_TMPDIR/root" ! -type d
    [ -z "$output" ]
}
