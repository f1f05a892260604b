# What the tests of dstrain share: one store for all tests of a file, with a small model and datasets.
load dsprep_common

# sentences N SEED: N lines of few words.
sentences() {
    awk -v n="$1" -v s="$2" 'BEGIN {
        k = split("the a red blue small old cat dog house tree runs sleeps sees likes under over near", w, " ")
        for (i = 0; i < n; i++) {
            line = ""
            s = (s * 16807) % 2147483647
            len = 4 + s % 14
            for (j = 0; j < len; j++) {
                s = (s * 16807) % 2147483647
                line = line (j ? " " : "") w[1 + s % k]
            }
            print line "."
        }
    }'
}

setup_file() {
    export F=$BATS_FILE_TMPDIR LC_ALL=C HOME=$BATS_FILE_TMPDIR
    unset NO_COLOR DS_FAKE_TTY DSVER_STORE GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL
    cd "$F" || return 1
    sentences 80 7 >text.txt
    sentences 12 11 >test.txt
    dstok train -q --vocab-size 300 -o tok.json text.txt 2>/dev/null ||
        dstok train --vocab-size 300 -o tok.json text.txt 2>/dev/null
    for n in text test; do
        dsprep text -q --split line $n.txt | dsprep tokenize -q -t tok.json -o $n.dsr
    done
    dsver init >/dev/null
    dsver commit -q -m first docs text.dsr 2>/dev/null || dsver commit -m first docs text.dsr >/dev/null
    dstrain init --tokenizer tok.json -o base >/dev/null
}

# train RUN OPTION...: a short run in the current folder; what it printed is in RUN.out.
train() {
    local run=$1
    shift
    dstrain finetune --model "$F/base" --store "$F" --data docs --seq-len 32 --batch 4 --steps 6 --lr 1e-3 \
        --rank 4 -j 2 -q "$@" -o "$run" >"$run.out"
}

# sum_of RUN: the digest of the newest checkpoint's files.
sum_of() {
    sed -n 's/.*sha256:\([0-9a-f]\{64\}\).*/\1/p' "$1.out" | tail -n 1
}

# weights CHECKPOINT: digests of weights and optimizer state.
weights() {
    (cd "$1" && sha256sum ./*.safetensors)
}

# loss_at RUN STEP
loss_at() {
    sed -n "s/.*\"step\":$2,\"loss\":\([0-9.e-]*\),.*/\1/p" "$1/metrics.jsonl" | tail -n 1
}

# below A B: A < B
below() {
    awk -v a="$1" -v b="$2" 'BEGIN { if (!(a != "" && b != "" && a + 0 < b + 0)) { print a " is not below " b; exit 1 } }'
}

# held WHAT COMMAND...: runs the shell line WHAT after the command's first step, while the command
# stands still; PID is the command's. The exit status is the command's. Its output goes through a
# pipe of one page, so that it cannot run far ahead.
held() {
    python3 -c '
import fcntl, os, subprocess, sys
r, w = os.pipe()
fcntl.fcntl(w, 1031, 4096)
p = subprocess.Popen(sys.argv[2:], stdout=w)
os.close(w)
os.read(r, 1)  # the page stays full until all of it is read
subprocess.run(["bash", "-ec", sys.argv[1]], env=dict(os.environ, PID=str(p.pid)), stdout=2, check=True)
while os.read(r, 65536):
    pass
sys.exit(p.wait())' "$@"
}

# interrupt SIGNAL COMMAND...: sends it after the first step.
interrupt() {
    local signal=$1
    shift
    # shellcheck disable=SC2016
    held "kill -${signal#SIG} "'"$PID"' "$@"
}

need_jq() {
    command -v jq >/dev/null || skip "jq is not installed"
}

# but_long: for the setup of files that are slow with a sanitizer, under which unit tests run the same code.
but_long() {
    cd "$BATS_TEST_TMPDIR" || return 1
    [ "${DS_LONG:-0}" = 1 ] || ! grep -aq __asan_init "$(command -v dstrain)" || skip "DS_LONG=1 runs it with a sanitizer"
}

# The emulated device, unless DS_TEST_DEVICE=cuda says that there is a real one.
setup_device() {
    [ -n "${DS_TEST_DEVICE:-}" ] && return
    export DS_EMU_STRICT=1 DS_CUDA_PLUGIN=${DS_BUILD:-${DS_BIN_DIR:-build/release/bin}/..}/lib/libds-cuda-emu.so
    [ -e "$DS_CUDA_PLUGIN" ] || skip "no emulated device in this build"
}
