#!/usr/bin/env bats
# The example of examples/pacs with real servers, where they are installed.

load dsprep_common

@test "pacs: what Orthanc sends and what it packs give the same records, and a version without the patient" {
    PATH=$PATH:/usr/sbin
    for tool in Orthanc storescp storescu echoscu curl python3; do
        command -v $tool >/dev/null || skip "$tool"
    done
    export DS_BIN_DIR=${DS_BIN_DIR:-$DS_ROOT/build/release/bin}
    make --no-print-directory -f "$DS_ROOT/examples/pacs/Makefile" WORK=work >out 2>&1 </dev/null || { cat out && false; }
    grep -q '^received: 7 objects of 1 studies$' out
    [ "$(grep -c '7 input = 7 output + 0 held + 0 failed; 4 records' out)" = 2 ]
    export DSVER_STORE=$PWD/work/store
    dsver cat -q pacs >v.dsr 2>/dev/null || dsver cat pacs >v.dsr
    dsprep head -n 10 v.dsr >records
    [ "$(grep -c '^{"key":"[^"]*","kind":"volume"' records)" = 1 ]
    ! grep -aiE 'jane|5530917|1\.3\.6\.1\.55' v.dsr work/inbox.json || return 1
    # nothing is left running
    ! pgrep -f "$PWD/work/orthanc.json" || return 1
}
