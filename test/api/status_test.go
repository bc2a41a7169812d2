// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"encoding/json"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

var _ = DescribeTable("a status that speakers write keeps its subject",
	func(ctx context.Context, kind, changing string) {
		o := create(ctx, kind, `spec: {}`)
		o.Object["status"] = map[string]any{"node": "n1", "serviceName": "web", "serviceNamespace": "shop"}
		Expect(api.Status().Update(ctx, o)).To(Succeed())
		o.Object["status"].(map[string]any)[changing] = "other"
		Expect(api.Status().Update(ctx, o)).To(MatchError(ContainSubstring("Value is immutable")))
	},
	Entry("L2, node", "ServiceL2Status", "node"),
	Entry("L2, name", "ServiceL2Status", "serviceName"),
	Entry("L2, namespace", "ServiceL2Status", "serviceNamespace"),
	Entry("BGP, node", "ServiceBGPStatus", "node"),
	Entry("BGP, name", "ServiceBGPStatus", "serviceName"),
	Entry("BGP, namespace", "ServiceBGPStatus", "serviceNamespace"),
)

var _ = Describe("what speakers report", func() {
	It("may change interfaces and peers", func(ctx context.Context) {
		l2 := create(ctx, "ServiceL2Status", `spec: {}`)
		l2.Object["status"] = map[string]any{"node": "n1", "interfaces": []any{map[string]any{"name": "eth0"}}}
		Expect(api.Status().Update(ctx, l2)).To(Succeed())
		l2.Object["status"] = map[string]any{"node": "n1"}
		Expect(api.Status().Update(ctx, l2)).To(Succeed())

		bgp := create(ctx, "ServiceBGPStatus", `spec: {}`)
		bgp.Object["status"] = map[string]any{"node": "n1", "peers": []any{"tor-a", "tor-b"}}
		Expect(api.Status().Update(ctx, bgp)).To(Succeed())
	})

	It("says how a session is, and keeps whose it is", func(ctx context.Context) {
		session := create(ctx, "BGPSessionStatus", `
status:
  node: n1
  peer: tor
  state: Established
  since: "2026-01-01T00:00:00Z"
  reason: SessionEstablished
  message: the session is established
  lastError: "the peer refuses the connection"
  lastErrorTime: "2026-01-01T00:00:00Z"
  localAddress: 192.0.2.7
  remoteAddress: "192.0.2.1:179"
  localASN: 4294967295
  remoteASN: 64999
  remoteRouterID: 192.0.2.1
  holdTime: 90s
  keepaliveTime: 30s
  families: [ipv4-unicast, ipv6-unicast]
  gracefulRestart: true
  prefixesDesired: 2
  prefixesSent: 2
  establishedCount: 2
  droppedCount: 1
  bfd: {state: Up, remoteState: Up, since: "2026-01-01T00:00:00Z", diagnostic: "", transmitInterval: 300ms, detectionTime: 900ms}`)
		with := func(field string, value any) client.Object {
			changed := session.DeepCopy()
			changed.Object["status"].(map[string]any)[field] = value
			return changed
		}
		Expect(api.Update(ctx, with("state", "Up"))).To(MatchError(ContainSubstring(`status.state: Unsupported value: "Up"`)))
		Expect(api.Update(ctx, with("node", "other"))).To(MatchError(ContainSubstring("Value is immutable")))
		Expect(api.Update(ctx, with("peer", "other"))).To(MatchError(ContainSubstring("Value is immutable")))
		Expect(api.Update(ctx, with("bfd", map[string]any{"state": "Down"}))).To(Succeed())
	})

	It("has a result of three", func(ctx context.Context) {
		state := create(ctx, "ConfigurationState", `{}`)
		for _, result := range []string{"Valid", "Invalid", "Unknown"} {
			state.Object["status"] = map[string]any{"result": result, "errorSummary": "a\nb"}
			Expect(api.Status().Update(ctx, state)).To(Succeed())
		}
		state.Object["status"] = map[string]any{"result": "Fine"}
		Expect(api.Status().Update(ctx, state)).To(MatchError(ContainSubstring(`supported values: "Valid", "Invalid", "Unknown"`)))
	})

	It("has no spec in ConfigurationState", func(ctx context.Context) {
		Expect(api.Create(ctx, object("ConfigurationState", `spec: {}`), client.FieldValidation("Strict"))).
			To(MatchError(ContainSubstring("unknown field")))
	})
})

var _ = DescribeTable("kubectl get shows",
	func(ctx context.Context, version, resource string, columns ...string) {
		Expect(columnsOf(ctx, version, resource)).To(Equal(append([]string{"Name"}, columns...)))
	},
	Entry("MetalLB", "v1beta1", "metallbs", "Available", "Degraded", "Progressing", "Age"),
	Entry("IPAddressPool", "v1beta1", "ipaddresspools", "Auto Assign", "Avoid Buggy IPs", "Addresses"),
	Entry("L2Advertisement", "v1beta1", "l2advertisements", "IPAddressPools", "IPAddressPool Selectors", "Interfaces", "Node Selectors"),
	Entry("BGPAdvertisement", "v1beta1", "bgpadvertisements", "IPAddressPools", "IPAddressPool Selectors", "Peers", "Node Selectors"),
	Entry("BGPPeer", "v1beta2", "bgppeers", "Address", "ASN", "BFD Profile", "Multi Hops"),
	Entry("BGPPeer v1beta1", "v1beta1", "bgppeers", "Address", "ASN", "BFD Profile", "Multi Hops"),
	Entry("BFDProfile", "v1beta1", "bfdprofiles", "Passive Mode", "Transmit Interval", "Receive Interval", "Multiplier"),
	Entry("ServiceL2Status", "v1beta1", "servicel2statuses", "Allocated Node", "Service Name", "Service Namespace"),
	Entry("ServiceBGPStatus", "v1beta1", "servicebgpstatuses", "Node", "Service Name", "Service Namespace"),
	Entry("BGPSessionStatus", "v1beta1", "bgpsessionstatuses", "Node", "Peer", "State", "BFD", "Prefixes", "Since", "Reason", "Last Error"),
	Entry("ConfigurationState", "v1beta1", "configurationstates", "Result", "ErrorSummary", "Age"),
)

// columnsOf asks for the table that kubectl prints.
func columnsOf(ctx context.Context, version, resource string) []string {
	GinkgoHelper()
	c := rest.CopyConfig(config)
	c.GroupVersion = &schema.GroupVersion{Group: "metallb.io", Version: version}
	c.APIPath = "/apis"
	c.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	raw, err := restClient(c).Get().Namespace("default").Resource(resource).
		SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").DoRaw(ctx)
	Expect(err).NotTo(HaveOccurred())
	var table metav1.Table
	Expect(json.Unmarshal(raw, &table)).To(Succeed())
	var names []string
	for _, column := range table.ColumnDefinitions {
		names = append(names, column.Name)
	}
	return names
}

func restClient(c *rest.Config) *rest.RESTClient {
	GinkgoHelper()
	r, err := rest.RESTClientFor(c)
	Expect(err).NotTo(HaveOccurred())
	return r
}
