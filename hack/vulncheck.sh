#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Scans the program for known vulnerabilities, with the database as a Go module: no network but the module proxy. Newer database: raise
# version and sum (go mod download -json golang.org/x/vulndb@master prints both). Run from anywhere.
set -eu
cd "$(dirname "$0")/.."

version=v0.0.0-20261105234957-e22db6528018
sum=h1:mfngRv0Yoh0VApsXKEN82CjD99kl7mtparN3bs3JnqI=

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

go mod download -json "golang.org/x/vulndb@$version" >"$scratch/database"
field() { sed -n "s/^.*\"$1\": \"\(.*\)\".*$/\1/p" "$scratch/database"; }
if [ "$(field Sum)" != "$sum" ]; then
	echo "the database $version has the checksum $(field Sum), want $sum" >&2
	exit 1
fi

# The symbols of the linked program are scanned: functions that the linker dropped cannot be called.
go build -o "$scratch/metalsuite" .
go tool -modfile=hack/tools/go.mod govulncheck -db "file://$(field Dir)/data/osv" -mode binary -format json "$scratch/metalsuite" >"$scratch/findings"
go run ./hack/vulncheck -accepted hack/vulncheck/accepted.txt <"$scratch/findings"
