#!/usr/bin/env bats
# The demonstration that `make demo` runs, on the sources of this tree: small, and there on every machine.

load dsprep_common

@test "demo: two versions, read back byte for byte, and damage is refused" {
    export DS_DEMO_FROM="$DS_ROOT/common $DS_ROOT/docs $DS_ROOT/tests/cli" DS_DEMO_BYTES=2000000 DS_DEMO_STEPS=2
    exits 0 bash "$DS_ROOT/examples/demo/demo.sh" work
    has "docs~1: " "docs: " "as JSON lines: identical" "unchanged: " ": 0 problems" \
        "checksum does not match" "without its end frame" "exit status 12" "The log is as it was." "ok order: " "the same bits: " "13. Done"
    [ "$(echo "$output" | grep -c ': identical$')" -eq 2 ]
    [ -e work/v2.dsr ]
}
