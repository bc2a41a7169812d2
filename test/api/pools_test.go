// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

const malformed = "must be a CIDR (192.0.2.0/24) or a range of addresses (192.0.2.1-192.0.2.9)"

var _ = DescribeTable("IPAddressPool", admits("IPAddressPool"),
	Entry("IPv4 CIDR", `spec: {addresses: [192.0.2.0/24]}`, accepted),
	Entry("CIDR with host bits", `spec: {addresses: [192.0.2.7/24]}`, accepted),
	Entry("IPv6 CIDR", `spec: {addresses: ["2001:db8::/64"]}`, accepted),
	Entry("range", `spec: {addresses: [192.0.2.1-192.0.2.9]}`, accepted),
	Entry("range with spaces", `spec: {addresses: ["192.0.2.1 - 192.0.2.9"]}`, accepted),
	Entry("IPv6 range", `spec: {addresses: ["2001:db8::1-2001:db8::ffff"]}`, accepted),
	Entry("several entries of both families", `spec: {addresses: [192.0.2.0/25, 198.51.100.3-198.51.100.9, "2001:db8::/120"]}`, accepted),
	Entry("everything set", `
spec:
  addresses: [192.0.2.0/24]
  autoAssign: false
  avoidBuggyIPs: true
  serviceAllocation:
    priority: 50
    namespaces: [team-a, team-b]
    namespaceSelectors: [{matchLabels: {team: c}}]
    serviceSelectors: [{matchExpressions: [{key: app, operator: In, values: [web, shop]}]}]`, accepted),
	Entry("empty serviceAllocation", `spec: {addresses: [192.0.2.0/24], serviceAllocation: {}}`, accepted),
	Entry("negative priority", `spec: {addresses: [192.0.2.0/24], serviceAllocation: {priority: -1}}`, accepted),
	Entry("a thousand entries", manyAddresses(1000), accepted),
	// Left to the policy, which reports it on the object.
	Entry("start above end", `spec: {addresses: [192.0.2.9-192.0.2.1]}`, accepted),

	Entry("no spec", `{}`, "spec"),
	Entry("no addresses", `spec: {}`, "spec.addresses"),
	Entry("empty addresses", `spec: {addresses: []}`, "should have at least 1 items"),
	Entry("more than a thousand entries", manyAddresses(1001), "must have at most 1000 items"),
	Entry("bare address", `spec: {addresses: [192.0.2.1]}`, malformed),
	Entry("prefix too long", `spec: {addresses: [192.0.2.0/33]}`, malformed),
	Entry("no number", `spec: {addresses: [192.0.2.300/24]}`, malformed),
	Entry("words", `spec: {addresses: [fred]}`, malformed),
	Entry("empty entry", `spec: {addresses: [""]}`, malformed),
	Entry("range without end", `spec: {addresses: ["192.0.2.1-"]}`, malformed),
	Entry("range of three", `spec: {addresses: [192.0.2.1-192.0.2.3-192.0.2.9]}`, malformed),
	Entry("range of CIDRs", `spec: {addresses: [192.0.2.0/28-192.0.2.64/28]}`, malformed),
	Entry("one bad entry among good ones", `spec: {addresses: [192.0.2.0/24, nonsense]}`, "spec.addresses[1]"),
	Entry("very long entry", fmt.Sprintf(`spec: {addresses: ["192.0.2.1-%s192.0.2.9"]}`, strings.Repeat(" ", 90)), "may not be more than 90"),
	Entry("unknown field", `spec: {addresses: [192.0.2.0/24], addreses: []}`, "unknown field"),
	Entry("autoAssign no boolean", `spec: {addresses: [192.0.2.0/24], autoAssign: "yes"}`, "spec.autoAssign"),
)

func manyAddresses(n int) string {
	var b strings.Builder
	b.WriteString("spec:\n  addresses:\n")
	for i := range n {
		fmt.Fprintf(&b, "  - 10.%d.%d.0/24\n", i/256, i%256)
	}
	return b.String()
}

var _ = Describe("IPAddressPool as stored", func() {
	It("has autoAssign true and avoidBuggyIPs false by default", func(ctx context.Context) {
		pool := create(ctx, "IPAddressPool", `spec: {addresses: [192.0.2.0/24]}`)
		Expect(at(pool, "spec", "autoAssign")).To(BeTrue())
		Expect(at(pool, "spec", "avoidBuggyIPs")).To(BeFalse())
	})

	It("keeps a status only through its subresource, with all four counts", func(ctx context.Context) {
		pool := create(ctx, "IPAddressPool", "spec: {addresses: [192.0.2.0/24]}\n"+
			"status: {assignedIPv4: 1, assignedIPv6: 2, availableIPv4: 3, availableIPv6: 4}")
		Expect(at(pool, "status")).To(BeNil())

		pool.Object["status"] = map[string]any{"assignedIPv4": int64(1)}
		Expect(api.Status().Update(ctx, pool)).To(MatchError(ContainSubstring("status.availableIPv6: Required value")))
		pool.Object["status"] = map[string]any{"assignedIPv4": int64(1), "assignedIPv6": int64(0), "availableIPv4": int64(255), "availableIPv6": int64(0)}
		Expect(api.Status().Update(ctx, pool)).To(Succeed())
	})
})
