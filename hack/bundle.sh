#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Generates bundle/ (an OLM bundle of the format registry+v1) from config/default and config/samples. Run from anywhere.
set -eu
cd "$(dirname "$0")/.."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

kustomize() { go tool -modfile=hack/tools/go.mod kustomize "$@"; }

kustomize build config/default >"$scratch/install.yaml"
kustomize build config/samples >"$scratch/samples.yaml"
echo --- >>"$scratch/samples.yaml"
kustomize build config/samples/bgp >>"$scratch/samples.yaml"
echo --- >>"$scratch/samples.yaml"
kustomize build config/samples/reservation >>"$scratch/samples.yaml"
go run ./hack/bundle -install "$scratch/install.yaml" -samples "$scratch/samples.yaml" -out bundle
