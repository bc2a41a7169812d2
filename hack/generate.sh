#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Generates what follows from the packages under api/: deep copies, config/crd/bases and docs/reasons.md. Run from anywhere.
set -eu
cd "$(dirname "$0")/.."

rm -f config/crd/bases/*.yaml
go tool -modfile=hack/tools/go.mod controller-gen \
	object:headerFile=hack/boilerplate.go.txt \
	crd:crdVersions=v1 \
	output:crd:artifacts:config=config/crd/bases \
	"paths=./api/..."

go run ./hack/reasons
