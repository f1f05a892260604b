#!/usr/bin/env bash
# bundle.sh BUILD FILE - check-gpu and bench-gpu for a machine that has a device, its driver and CUDA's libraries, but nothing of
# this project nor the network: programs with the libraries they were linked with, scripts, bats, DCMTK's data dictionary. There:
#
#   tar xzf FILE && gpu-bundle/run check         (or: bench [BASE DATA]; or any program with its arguments)
#
# What they leave lies in gpu-bundle/build. The C library there must be as new as here.
set -eu -o pipefail
B=$(cd "$1" && pwd) file=$2
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
to=$work/gpu-bundle
mkdir -p "$to"/{tree,deps,share} "$to"/build/{bin,lib,tests,bench,real}

cd "$ROOT"
git archive HEAD README.md docs tests/gpu tests/bench tests/cli | tar x -C "$to/tree"
git describe --always --dirty >"$to/tree/COMMIT"
find "$B/lib" -name "*.so" ! -name "*-emu.so" -exec cp {} "$to/build/lib/" \;
for f in "$B"/bin/* "$B"/tests/test_cuda{,_choices,_optim,_net,_graph} "$B/bench/bench_kernels"; do
    name=$(basename "$f") at=$(basename "$(dirname "$f")")
    cp "$f" "$to/build/real/"
    # Each stands where it is looked for, and finds its libraries wherever the folder lies.
    printf '#!/bin/sh\nat=$(dirname "$(readlink -f "$0")")/../..\nLD_LIBRARY_PATH=$at/deps:$LD_LIBRARY_PATH exec "$at/build/real/%s" "$@"\n' \
        "$name" >"$to/build/$at/$name"
    chmod +x "$to/build/$at/$name"
done
strip "$to"/build/real/* "$to"/build/lib/*.so
# The C and C++ libraries are the machine's own, as CUDA's are.
for f in "$to"/build/real/* "$to"/build/lib/*.so; do ldd "$f"; done | awk '$3 ~ /^\// { print $3 }' | sort -u |
    grep -vE '/lib(c|m|dl|pthread|rt|resolv|gcc_s|stdc\+\+|cuda[a-z]*|cublas[a-zA-Z]*|nccl)\.so' | xargs -I{} cp -L {} "$to/deps/"
for d in bin lib libexec; do
    mkdir -p "$to/bats/$d"
    cp -r /usr/$d/bats* "$to/bats/$d/"
done
cp /usr/share/libdcmtk*/dicom.dic "$to/share/"

cat >"$to/run" <<'END'
#!/usr/bin/env bash
# run check | bench [BASE DATA] | PROGRAM [ARGUMENT...]
set -u
at=$(cd "$(dirname "$0")" && pwd)
cuda=$(printf '%s:' /usr/local/cuda*/lib64 /usr/local/cuda*/targets/*/lib)
export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$cuda DCMDICTPATH=$at/share/dicom.dic
export DS_CUDA_PLUGIN=$at/build/lib/libds-cuda.so DS_BIN_DIR=$at/build/bin PATH=$at/build/bin:$at/bats/bin:$PATH
case ${1:-} in
check | bench) what=$1 && shift && exec bash "$at/tree/tests/gpu/$what.sh" "$at/build" "$@" ;;
'') sed -n 2p "$0" >&2 && exit 2 ;;
*) exec "$@" ;;
esac
END
chmod +x "$to/run"
tar czf "$file" -C "$work" gpu-bundle
echo "$file: $(du -h "$file" | cut -f 1), of $(cat "$to/tree/COMMIT")"
