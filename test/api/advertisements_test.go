// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = DescribeTable("L2Advertisement", admits("L2Advertisement"),
	Entry("no spec", `{}`, accepted),
	Entry("empty spec", `spec: {}`, accepted),
	Entry("everything set", `
spec:
  ipAddressPools: [blue, green]
  ipAddressPoolSelectors: [{matchLabels: {zone: a}}]
  nodeSelectors: [{matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [n1, n2]}]}]
  interfaces: [eth0, eth1]
  serviceSelectors: [{matchLabels: {app: web}}]
  preferredNodeSelectors:
  - {weight: 1, preference: {matchLabels: {rack: r1}}}
  - {weight: 100, preference: {}}`, accepted),
	Entry("no weight", `spec: {preferredNodeSelectors: [{preference: {}}]}`, "weight: Required value"),
	Entry("no preference", `spec: {preferredNodeSelectors: [{weight: 1}]}`, "preference: Required value"),
	Entry("weight 0", `spec: {preferredNodeSelectors: [{weight: 0, preference: {}}]}`, "greater than or equal to 1"),
	Entry("weight 101", `spec: {preferredNodeSelectors: [{weight: 101, preference: {}}]}`, "less than or equal to 100"),
	Entry("interfaces no list", `spec: {interfaces: eth0}`, "spec.interfaces"),
	Entry("unknown field", `spec: {ipAddressPool: [blue]}`, "unknown field"),
)

const exclusive = "serviceSelectors and aggregationLength are mutually exclusive"

var _ = DescribeTable("BGPAdvertisement", admits("BGPAdvertisement"),
	Entry("no spec", `{}`, accepted),
	Entry("everything set", `
spec:
  aggregationLength: 24
  aggregationLengthV6: 64
  localPref: 100
  med: 4294967295
  asPathPrepend: 10
  communities: ["65000:100", "large:65000:1:2", my-alias, no-export]
  ipAddressPools: [blue]
  ipAddressPoolSelectors: [{matchLabels: {zone: a}}]
  nodeSelectors: [{matchLabels: {rack: r1}}]
  peers: [tor-a, tor-b]`, accepted),
	Entry("service selectors with host routes", `
spec: {serviceSelectors: [{matchLabels: {app: web}}], aggregationLength: 32, aggregationLengthV6: 128}`, accepted),
	Entry("service selectors alone", `spec: {serviceSelectors: [{matchLabels: {app: web}}]}`, accepted),
	Entry("empty service selectors with aggregation", `spec: {serviceSelectors: [], aggregationLength: 24}`, accepted),
	Entry("shortest lengths", `spec: {aggregationLength: 1, aggregationLengthV6: 0}`, accepted),
	Entry("service selectors with IPv4 aggregation", `
spec: {serviceSelectors: [{matchLabels: {app: web}}], aggregationLength: 24}`, exclusive),
	Entry("service selectors with IPv6 aggregation", `
spec: {serviceSelectors: [{matchLabels: {app: web}}], aggregationLengthV6: 64}`, exclusive),
	Entry("largest localPref", `spec: {localPref: 4294967295}`, accepted),
	Entry("localPref too large", `spec: {localPref: 4294967296}`, "spec.localPref"),
	Entry("aggregationLength 0", `spec: {aggregationLength: 0}`, "greater than or equal to 1"),
	Entry("aggregationLength 33", `spec: {aggregationLength: 33}`, "less than or equal to 32"),
	Entry("aggregationLengthV6 129", `spec: {aggregationLengthV6: 129}`, "less than or equal to 128"),
	Entry("MED 0", `spec: {med: 0, asPathPrepend: 0}`, accepted),
	Entry("MED too large", `spec: {med: 4294967296}`, "spec.med"),
	Entry("MED below 0", `spec: {med: -1}`, "greater than or equal to 0"),
	Entry("too long a path", `spec: {asPathPrepend: 11}`, "less than or equal to 10"),
	Entry("localPref no number", `spec: {localPref: high}`, "spec.localPref"),
)

var _ = Describe("BGPAdvertisement as stored", func() {
	It("announces host routes by default", func(ctx context.Context) {
		ad := create(ctx, "BGPAdvertisement", `spec: {}`)
		Expect(at(ad, "spec", "aggregationLength")).To(BeEquivalentTo(32))
		Expect(at(ad, "spec", "aggregationLengthV6")).To(BeEquivalentTo(128))
	})
})

var _ = DescribeTable("Community", admits("Community"),
	Entry("no spec", `{}`, accepted),
	Entry("standard and large", `
spec: {communities: [{name: a, value: "65000:100"}, {name: b, value: "large:65000:1:2"}]}`, accepted),
	Entry("value no string", `spec: {communities: [{name: a, value: 100}]}`, "must be of type string"),
)

var _ = DescribeTable("BFDProfile", admits("BFDProfile"),
	Entry("no spec", `{}`, accepted),
	Entry("lowest values", `
spec: {receiveInterval: 10, transmitInterval: 10, detectMultiplier: 2, echoInterval: 10, minimumTtl: 1}`, accepted),
	Entry("highest values", `
spec: {receiveInterval: 60000, transmitInterval: 60000, detectMultiplier: 255, echoInterval: 60000, minimumTtl: 254, echoMode: true, passiveMode: true}`, accepted),
	Entry("receiveInterval 9", `spec: {receiveInterval: 9}`, "greater than or equal to 10"),
	Entry("receiveInterval 60001", `spec: {receiveInterval: 60001}`, "less than or equal to 60000"),
	Entry("transmitInterval 9", `spec: {transmitInterval: 9}`, "greater than or equal to 10"),
	Entry("transmitInterval 60001", `spec: {transmitInterval: 60001}`, "less than or equal to 60000"),
	Entry("detectMultiplier 1", `spec: {detectMultiplier: 1}`, "greater than or equal to 2"),
	Entry("detectMultiplier 256", `spec: {detectMultiplier: 256}`, "less than or equal to 255"),
	Entry("echoInterval 9", `spec: {echoInterval: 9}`, "greater than or equal to 10"),
	Entry("echoInterval 60001", `spec: {echoInterval: 60001}`, "less than or equal to 60000"),
	Entry("minimumTtl 0", `spec: {minimumTtl: 0}`, "greater than or equal to 1"),
	Entry("minimumTtl 255", `spec: {minimumTtl: 255}`, "less than or equal to 254"),
)
