# What the tests of dsprep dicom share: made objects, and a key that is the same in every run.

load dsprep_common

DICOM=$DS_ROOT/tests/fuzz/corpus/dicom
MAKE=$DS_ROOT/tests/bench/makedicom.py

dicom_setup() {
    command -v python3 >/dev/null || skip "python3 is missing"
    cd "$BATS_TEST_TMPDIR" || return 1
    export LC_ALL=C
    unset NO_COLOR DS_FAKE_TTY
    printf '%064d\n' 7 >key
    chmod 600 key
}

setup() {
    dicom_setup
}

# make KIND DIR...: the objects of dicom_make.py.
make() {
    python3 "$DS_ROOT/tests/cli/dicom_make.py" "$@"
}
