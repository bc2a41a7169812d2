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

# The API server accepts dates and quantities that Go cannot decode, and one object that cannot be decoded hides all others of its kind
# from every client. So dates get the pattern of RFC 3339 as Go reads it, and exponents of quantities are integers.
for crd in config/crd/bases/*.yaml; do
	sed -E -i \
		-e "s/^( *)format: date-time\$/&\n\1pattern: ^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\\\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})\$/" \
		-e '/^ *pattern: .*numkMGTPE/s/\(\[eE\].*$/([eE](\\+|-)?[0-9]{1,9}))?$/' \
		"$crd"
done

# An installation of other manifests of this API converts BGPPeers by a webhook, which ends only when this is applied.
sed -i 's/^spec:$/&\n  conversion:\n    strategy: None/' config/crd/bases/metallb.io_bgppeers.yaml

go run ./hack/reasons
