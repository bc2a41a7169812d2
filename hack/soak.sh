#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# What takes longer than a test may: random histories of a million steps, every fuzz target, 1,000 malformed BGP messages, many overlaps of
# two leaders, the stories on a lab whose kube-proxy uses iptables (those of the tests use nftables), and the smallest interval of BFD that
# holds for BFD_SOAK (5m) while all cores are busy. Ends with the first failure. FUZZTIME (60s) is for each target, SOAK_STEPS (1000000) for
# each random test, TRIALS (20) for the overlaps. The envtest binaries are expected in KUBEBUILDER_ASSETS. The lab of this machine, if one
# runs, is replaced, and is gone at the end.
set -eu
cd "$(dirname "$0")/.."
export SOAK_STEPS="${SOAK_STEPS:-1000000}"
fuzztime=${FUZZTIME:-60s}
trials=${TRIALS:-20}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

echo "random histories, $SOAK_STEPS steps each"
go test -count=1 -timeout 60m -run 'TestAgainstModel|TestRandomHistories' ./internal/allocation ./controllers/service

go list ./internal/... ./announcers/... | while read -r package; do
	for target in $(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
		echo "fuzz $package $target for $fuzztime"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$fuzztime" "$package"
	done
done

echo "1000 sessions opened and closed"
SOAK_BGP_SESSIONS=1000 go test -count=1 -timeout 20m -run TestNothingIsLeft ./announcers/bgp/gobgp

echo "1000 malformed BGP messages"
SOAK_BGP_MESSAGES=1000 go test -count=1 -timeout 30m -run TestMalformedMessages ./announcers/bgp/gobgp

echo "$trials overlaps of two leaders"
go test -c -o "$scratch/controller.test" ./cmd/controller
cd cmd/controller
trial=0
while [ "$trial" -lt "$trials" ]; do
	trial=$((trial + 1))
	"$scratch/controller.test" -test.timeout 5m -ginkgo.no-color -ginkgo.focus 'An overlap of two leaders' >"$scratch/log" || { cat "$scratch/log"; exit 1; }
done
cd ../..

echo "stories with kube-proxy in mode iptables"
trap 'rm -rf "$scratch"; make lab-down' EXIT
PROXY_MODE=iptables make lab-up
go test -count=1 -timeout 25m ./test/e2e/stories -ginkgo.fail-on-pending -ginkgo.no-color

echo "BFD while all cores are busy"
go run ./test/bench bfd-soak
echo "soak: ok"
