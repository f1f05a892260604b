#!/usr/bin/env bats
# dsprep dicom --device: the same records wherever values are made. The plugin is the emulated device's, unless
# DS_TEST_DEVICE=cuda says that there is a real one.

load dicom_common

setup() {
    dicom_setup
    for kind in one enhanced study; do make "$kind" "$kind"; done
}

setup_device() {
    [ -n "${DS_TEST_DEVICE:-}" ] && return
    export DS_CUDA_PLUGIN=${DS_BUILD:-${DS_BIN_DIR:-build/release/bin}/..}/lib/libds-cuda-emu.so
    [ -e "$DS_CUDA_PLUGIN" ] || skip "no emulated device in this build"
}

both() { # KIND OPTION...: with a device and without, the same stream
    local kind=$1
    shift
    dsprep dicom -q -j 1 --key-file key --burned-in pass "$@" "$kind" >host.dsr
    dsprep dicom -q -j 2 --key-file key --burned-in pass "$@" --device cuda "$kind" >device.dsr
    dsprep check device.dsr
    cmp host.dsr device.dsr || { echo "$kind $*" && return 1; }
}

@test "dicom device: the same records, windowed, resized and in patches" {
    setup_device
    both one --resize 11x3
    both one --values window --window 620,40 --resize 7x9 --patches 4
    both one --values window --window auto --dtype u8 --patches 5
    both one --values modality --dtype f64 --resize 3x3
    both one --patches 4
    both enhanced --record frame --values window --window 620,40 --dtype i16 --patches 3
    both enhanced --values window --resize 4x4 --patches 2
}

@test "dicom device: the same volumes, studies and contact sheets" {
    setup_device
    both study --record volume --values window --window 620,40 --resize 4x4 --patches 2
    both study --record study --values modality --resize 8x8
    both one --values window --patches 4 --preview sheets
}

@test "dicom device: values come from it, and an object that it has no room for fails by name" {
    setup_device
    [ -z "${DS_TEST_DEVICE:-}" ] || skip "of the emulated device"
    DS_EMU_MEMORY=$(((64 << 20) + (36 << 20))) exits 3 dsprep dicom --json --key-file key --values window --device cuda -o out one
    [[ "$output" == *'"device":1'* ]] || { echo "$output" && return 1; }
    DS_EMU_MEMORY=1000 exits 1 dsprep dicom --key-file key --values window --device cuda -o out one
    [[ "$output" == *"MB are not there"* ]]
}

@test "dicom device: one that is not there ends the command before anything is read" {
    DS_CUDA_PLUGIN=/nonexistent.so exits 1 dsprep dicom --key-file key --device cuda -o out one
    [[ "$output" == *"no CUDA here: /nonexistent.so"*"--device cpu"* ]]
    [ ! -e out ]
    exits 2 dsprep dicom --key-file key --device gpu -o out one
    exits 2 dsprep dicom --key-file key --device cuda --memory 1G -o out one
    dsprep dicom -q --key-file key --device cpu --memory 2G one | dsprep check
}
