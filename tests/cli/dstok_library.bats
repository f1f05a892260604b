#!/usr/bin/env bats
# The library as its users have it: the example in examples/link is compiled against the installed files.

setup() {
    ROOT=${DS_ROOT:-$(cd "$BATS_TEST_DIRNAME/../.." && pwd)}
    B=$(cd "${DS_BIN_DIR:-$ROOT/build/release/bin}/.." && pwd)
    I=$BATS_TEST_TMPDIR/usr
    mkdir -p "$I/include" "$I/lib/pkgconfig"
    cp "$ROOT"/tokenizer/tok.h "$ROOT"/common/{buf,error,hash}.h "$I/include"
}

@test "dstok library: the example counts as many tokens as dstok encode writes" {
    command -v gcc >/dev/null || skip "no gcc"
    command -v pkg-config >/dev/null || skip "no pkg-config"
    nm "$B/lib/libdstok.a" 2>/dev/null | grep -Eq '__(asan|tsan)' && skip "libraries built with a sanitizer"
    sed -e "s|@PREFIX@|$I|; s|@VERSION@|1|; s|^libdir=.*|libdir=$B/lib|; s|/include/ds|/include|" \
        "$ROOT/docs/dstok.pc.in" >"$I/lib/pkgconfig/dstok.pc"
    flags=$(PKG_CONFIG_PATH=$I/lib/pkgconfig pkg-config --cflags --libs dstok libpcre2-8 jansson libcrypto libxxhash libzstd)
    gcc -Wall -Werror -std=c11 "$ROOT/examples/link/count.c" -Wl,--start-group $flags -Wl,--end-group -pthread -lm -o "$BATS_TEST_TMPDIR/count"
    t=$ROOT/tests/golden/tok/qwen2.json text=$ROOT/tests/golden/tok/mixed.txt
    run "$BATS_TEST_TMPDIR/count" "$t" <"$text"
    [ "$status" -eq 0 ]
    [ "$output" = "$("$B/bin/dstok" encode -t "$t" "$text" | wc -w)" ]
    printf 'a\377' >"$BATS_TEST_TMPDIR/bad"
    run "$BATS_TEST_TMPDIR/count" "$t" <"$BATS_TEST_TMPDIR/bad"
    [ "$status" -eq 1 ]
    [[ "$output" == *"byte 1"* ]]
}
