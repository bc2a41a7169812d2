// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/api/v1beta2"
)

const (
	oneASN     = "exactly one of peerASN and dynamicASN must be set"
	oneAddress = "exactly one of peerAddress and interface must be set"
	badHold    = "invalid hold time: must be 0 or from 3s to 65535s"
)

var _ = DescribeTable("BGPPeer v1beta2", admits("v1beta2/BGPPeer"),
	Entry("smallest", `spec: {myASN: 64512, peerASN: 64999, peerAddress: 192.0.2.1}`, accepted),
	Entry("IPv6", `spec: {myASN: 64512, peerASN: 64999, peerAddress: "2001:db8::1"}`, accepted),
	Entry("unnumbered with a dynamic ASN", `spec: {myASN: 64512, dynamicASN: external, interface: eth0}`, accepted),
	Entry("largest ASNs", `spec: {myASN: 4294967295, peerASN: 4294967294, localASN: 4294967295, peerAddress: 192.0.2.1}`, accepted),
	Entry("everything set", `
spec:
  myASN: 64512
  peerASN: 64999
  localASN: 64513
  peerAddress: 192.0.2.1
  sourceAddress: 192.0.2.7
  peerPort: 1179
  holdTime: 90s
  keepaliveTime: 30s
  connectTime: 10s
  routerID: 10.10.10.10
  nodeSelectors: [{matchExpressions: [{key: rack, operator: Exists}]}]
  passwordSecret: {name: tor, namespace: elsewhere}
  bfdProfile: fast
  enableGracefulRestart: true
  ebgpMultiHop: true
  vrf: red
  disableMP: true
  dualStackAddressFamily: true`, accepted),
	Entry("password", `spec: {myASN: 1, peerASN: 2, peerAddress: 192.0.2.1, password: secret}`, accepted),
	Entry("hold time 0", `spec: {myASN: 1, peerASN: 2, peerAddress: 192.0.2.1, holdTime: 0s, keepaliveTime: 0s}`, accepted),
	Entry("hold time below a second counts as 0", `spec: {myASN: 1, peerASN: 2, peerAddress: 192.0.2.1, holdTime: 500ms}`, accepted),
	Entry("hold time 3 s", `spec: {myASN: 1, peerASN: 2, peerAddress: 192.0.2.1, holdTime: 3s}`, accepted),
	Entry("keepalive equal to the hold time", `spec: {myASN: 1, peerASN: 2, peerAddress: 192.0.2.1, holdTime: 3s, keepaliveTime: 3s}`, accepted),
	Entry("keepalive alone", `spec: {myASN: 1, peerASN: 2, peerAddress: 192.0.2.1, keepaliveTime: 5s}`, accepted),
	Entry("longest connect time", `spec: {myASN: 1, peerASN: 2, peerAddress: 192.0.2.1, connectTime: 65535s}`, accepted),
	Entry("highest port", `spec: {myASN: 1, peerASN: 2, peerAddress: 192.0.2.1, peerPort: 16384}`, accepted),

	// As the schema always was; the policy leaves such a peer out.
	Entry("no spec", `{}`, accepted),
	Entry("no myASN", `spec: {peerASN: 2, peerAddress: 192.0.2.1}`, "spec.myASN: Required value"),
	Entry("myASN 0", `spec: {myASN: 0, peerASN: 2, peerAddress: 192.0.2.1}`, "myASN must not be 0"),
	Entry("myASN too large", `spec: {myASN: 4294967296, peerASN: 2, peerAddress: 192.0.2.1}`, "spec.myASN"),
	Entry("neither ASN", `spec: {myASN: 1, peerAddress: 192.0.2.1}`, oneASN),
	Entry("peerASN 0", `spec: {myASN: 1, peerASN: 0, peerAddress: 192.0.2.1}`, oneASN),
	Entry("both ASNs", `spec: {myASN: 1, peerASN: 2, dynamicASN: external, peerAddress: 192.0.2.1}`, oneASN),
	Entry("unknown dynamicASN", `spec: {myASN: 1, dynamicASN: any, peerAddress: 192.0.2.1}`, `supported values: "internal", "external"`),
	Entry("localASN 0", `spec: {myASN: 1, peerASN: 2, localASN: 0, peerAddress: 192.0.2.1}`, "greater than or equal to 1"),
	Entry("no address", `spec: {myASN: 1, peerASN: 2}`, oneAddress),
	Entry("address and interface", `spec: {myASN: 1, peerASN: 2, peerAddress: 192.0.2.1, interface: eth0}`, oneAddress),
	Entry("address that is none", `spec: {myASN: 1, peerASN: 2, peerAddress: tor.example.com}`, "invalid BGPPeer address"),
	Entry("address with a length", `spec: {myASN: 1, peerASN: 2, peerAddress: 192.0.2.1/24}`, "invalid BGPPeer address"),
	Entry("source address that is none", `spec: {myASN: 1, peerASN: 2, peerAddress: 192.0.2.1, sourceAddress: eth0}`, "invalid BGPPeer source address"),
	Entry("router ID that is none", `spec: {myASN: 1, peerASN: 2, peerAddress: 192.0.2.1, routerID: tor}`, "invalid router ID"),
	Entry("port 0", `spec: {myASN: 1, peerASN: 2, peerAddress: 192.0.2.1, peerPort: 0}`, "greater than or equal to 1"),
	Entry("port 16385", `spec: {myASN: 1, peerASN: 2, peerAddress: 192.0.2.1, peerPort: 16385}`, "less than or equal to 16384"),
	Entry("hold time 1 s", `spec: {myASN: 1, peerASN: 2, peerAddress: 192.0.2.1, holdTime: 1s}`, badHold),
	Entry("hold time 2.9 s", `spec: {myASN: 1, peerASN: 2, peerAddress: 192.0.2.1, holdTime: 2900ms}`, badHold),
	Entry("hold time negative", `spec: {myASN: 1, peerASN: 2, peerAddress: 192.0.2.1, holdTime: -5s}`, badHold),
	Entry("hold time no duration", `spec: {myASN: 1, peerASN: 2, peerAddress: 192.0.2.1, holdTime: long}`, "spec.holdTime"),
	Entry("keepalive above the hold time", `spec: {myASN: 1, peerASN: 2, peerAddress: 192.0.2.1, holdTime: 30s, keepaliveTime: 31s}`, "must not be longer than holdTime"),
	Entry("connect time 0", `spec: {myASN: 1, peerASN: 2, peerAddress: 192.0.2.1, connectTime: 0s}`, "connectTime must be from 1s to 65535s"),
	Entry("connect time too long", `spec: {myASN: 1, peerASN: 2, peerAddress: 192.0.2.1, connectTime: 65536s}`, "connectTime must be from 1s to 65535s"),
	Entry("connect time with a fraction", `spec: {myASN: 1, peerASN: 2, peerAddress: 192.0.2.1, connectTime: 1500ms}`, "connectTime must be in whole seconds"),
	Entry("two passwords", `spec: {myASN: 1, peerASN: 2, peerAddress: 192.0.2.1, password: x, passwordSecret: {name: tor}}`, "at most one of password and passwordSecret"),
	Entry("multihop within one ASN", `spec: {myASN: 1, peerASN: 1, peerAddress: 192.0.2.1, ebgpMultiHop: true}`, "ebgpMultiHop is for a peer with another ASN"),
)

var _ = DescribeTable("BGPPeer v1beta1", admits("v1beta1/BGPPeer"),
	Entry("smallest", `spec: {myASN: 64512, peerASN: 64999, peerAddress: 192.0.2.1}`, accepted),
	Entry("everything set", `
spec:
  myASN: 64512
  peerASN: 64999
  peerAddress: 192.0.2.1
  sourceAddress: 192.0.2.7
  peerPort: 0
  holdTime: 90s
  keepaliveTime: 30s
  routerID: 10.10.10.10
  nodeSelectors: [{matchLabels: {rack: r1}, matchExpressions: [{key: zone, operator: In, values: [a]}]}]
  password: secret
  bfdProfile: fast
  ebgpMultiHop: true`, accepted),
	Entry("no peerASN", `spec: {myASN: 1, peerAddress: 192.0.2.1}`, "spec.peerASN: Required value"),
	Entry("no address", `spec: {myASN: 1, peerASN: 2}`, "spec.peerAddress: Required value"),
	Entry("peerASN 0", `spec: {myASN: 1, peerASN: 0, peerAddress: 192.0.2.1}`, "peerASN must not be 0"),
	Entry("address that is none", `spec: {myASN: 1, peerASN: 2, peerAddress: tor}`, "invalid BGPPeer address"),
	Entry("hold time 2 s", `spec: {myASN: 1, peerASN: 2, peerAddress: 192.0.2.1, holdTime: 2s}`, badHold),
	Entry("expression without values", `
spec: {myASN: 1, peerASN: 2, peerAddress: 192.0.2.1, nodeSelectors: [{matchExpressions: [{key: rack, operator: Exists}]}]}`, "values: Required value"),
	Entry("expression with empty values", `
spec: {myASN: 1, peerASN: 2, peerAddress: 192.0.2.1, nodeSelectors: [{matchExpressions: [{key: rack, operator: In, values: []}]}]}`, "at least 1 items"),
	Entry("field of v1beta2", `spec: {myASN: 1, peerASN: 2, peerAddress: 192.0.2.1, vrf: red}`, "unknown field"),
)

var _ = Describe("BGPPeer in two versions", func() {
	It("reads a v1beta1 object as v1beta2, absent timers absent", func(ctx context.Context) {
		old := create(ctx, "v1beta1/BGPPeer", `
spec: {myASN: 64512, peerASN: 64999, peerAddress: 192.0.2.1, password: p, nodeSelectors: [{matchLabels: {rack: r1}}]}`)

		peer := &v1beta2.BGPPeer{}
		Expect(api.Get(ctx, client.ObjectKeyFromObject(old), peer)).To(Succeed())
		Expect(peer.Spec.HoldTime).To(BeNil())
		Expect(peer.Spec.KeepaliveTime).To(BeNil())
		Expect(peer.Spec.PeerPort).To(BeEquivalentTo(179))
		Expect(peer.Spec.PeerASN).To(BeEquivalentTo(64999))
		Expect(peer.Spec.PeerAddress).To(Equal("192.0.2.1"))
		Expect(peer.Spec.Password).To(Equal("p"))
		Expect(peer.Spec.NodeSelectors).To(HaveLen(1))
		Expect(peer.Spec.NodeSelectors[0].MatchLabels).To(HaveKeyWithValue("rack", "r1"))
	})

	It("reads a v1beta2 object as v1beta1", func(ctx context.Context) {
		stored := create(ctx, "v1beta2/BGPPeer", `
spec: {myASN: 64512, peerASN: 64999, peerAddress: 192.0.2.1, holdTime: 9s, nodeSelectors: [{matchExpressions: [{key: zone, operator: In, values: [a]}]}]}`)

		peer := &v1beta1.BGPPeer{}
		Expect(api.Get(ctx, client.ObjectKeyFromObject(stored), peer)).To(Succeed())
		Expect(peer.Spec.PeerASN).To(BeEquivalentTo(64999))
		Expect(peer.Spec.HoldTime.Duration.String()).To(Equal("9s"))
		Expect(peer.Spec.KeepaliveTime).To(BeNil())
		Expect(peer.Spec.NodeSelectors[0].MatchExpressions).To(ConsistOf(
			v1beta1.MatchExpression{Key: "zone", Operator: "In", Values: []string{"a"}}))
	})

	It("is v1beta2 for whoever names no version", func() {
		mapping, err := api.RESTMapper().RESTMapping(v1beta2.GroupVersion.WithKind("BGPPeer").GroupKind())
		Expect(err).NotTo(HaveOccurred())
		Expect(mapping.GroupVersionKind.Version).To(Equal("v1beta2"))
	})

	It("warns readers and writers of v1beta1", func(ctx context.Context) {
		heard := &warnings{}
		listening := rest.CopyConfig(config)
		listening.WarningHandlerWithContext = heard
		c, err := client.New(listening, client.Options{Scheme: api.Scheme()})
		Expect(err).NotTo(HaveOccurred())
		Expect(c.List(ctx, &v1beta1.BGPPeerList{})).To(Succeed())
		Expect(heard.texts()).To(ContainElement("v1beta1 is deprecated, please use v1beta2"))
	})

	It("fixes graceful restart once it is set", func(ctx context.Context) {
		peer := create(ctx, "v1beta2/BGPPeer", `spec: {myASN: 1, peerASN: 2, peerAddress: 192.0.2.1}`)
		Expect(unstructured.SetNestedField(peer.Object, true, "spec", "enableGracefulRestart")).To(Succeed())
		Expect(api.Update(ctx, peer)).To(Succeed())
		Expect(unstructured.SetNestedField(peer.Object, false, "spec", "enableGracefulRestart")).To(Succeed())
		Expect(api.Update(ctx, peer)).To(MatchError(ContainSubstring("enableGracefulRestart cannot be changed")))
	})
})

// warnings remembers the warnings that the API server sends along.
type warnings struct {
	mu    sync.Mutex
	heard []string
}

func (w *warnings) HandleWarningHeaderWithContext(_ context.Context, _ int, _, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heard = append(w.heard, text)
}

func (w *warnings) texts() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.heard...)
}
