// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/v1beta1"
)

const needsNoExecute = "tolerationSeconds needs the effect NoExecute"

var _ = DescribeTable("MetalLB", admits("MetalLB"),
	Entry("no spec", `{}`, accepted),
	Entry("empty spec", `spec: {}`, accepted),
	Entry("every field that metallb-operator has", `
spec:
  image: quay.io/metallb/speaker:v0.1
  nodeSelector: {node-role.kubernetes.io/worker: ""}
  speakerTolerations:
  - {key: a, operator: Exists, effect: NoExecute, tolerationSeconds: 30}
  - {operator: Exists}
  controllerNodeSelector: {disk: ssd}
  controllerTolerations: [{key: b, operator: Equal, value: x, effect: NoSchedule}]
  logLevel: debug
  loadBalancerClass: example.com/metal
  controllerConfig:
    priorityClassName: high
    runtimeClassName: gvisor
    annotations: {a: b}
    resources: {limits: {cpu: 100m}, requests: {memory: 64Mi}}
    affinity:
      podAffinity:
        requiredDuringSchedulingIgnoredDuringExecution:
        - {topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: x}}}
  speakerConfig: {priorityClassName: system-node-critical}
  bgpBackend: frr-k8s
  frrk8sConfig: {alwaysBlock: [192.0.2.0/24, "2001:db8::/32"], namespace: frr, secretPassthrough: true}`, accepted),
	Entry("our own fields", `
spec:
  announcers:
  - {name: l2, l2: {excludeInterfaces: ["^docker.*"]}}
  - {name: bgp, bgp: {}}
  - {name: third-one}
  endpointCopier: {enabled: false}`, accepted),
	Entry("claims repeated every two minutes, the shortest and the longest interval, never", `
spec:
  ignoreExcludeLB: true
  announcers:
  - {name: l2, l2: {refreshInterval: 2m}}
  - {name: a, l2: {refreshInterval: 1s}}
  - {name: b, l2: {refreshInterval: 24h}}
  - {name: c, l2: {refreshInterval: 0s}}
  - {name: d, l2: {refreshInterval: "0"}}`, accepted),
	Entry("one controller", `spec: {controllerReplicas: 1}`, accepted),
	Entry("five controllers", `spec: {controllerReplicas: 5}`, accepted),
	Entry("no announcers at all", `spec: {announcers: []}`, accepted),
	Entry("bgpBackend empty", `spec: {bgpBackend: ""}`, accepted),
	Entry("bgpBackend native", `spec: {bgpBackend: native}`, accepted),
	Entry("bgpBackend frr", `spec: {bgpBackend: frr}`, accepted),
	Entry("bgpBackend frr-k8s-external", `spec: {bgpBackend: frr-k8s-external}`, accepted),
	Entry("class without prefix", `spec: {loadBalancerClass: metal}`, accepted),
	Entry("toleration for ever", `spec: {speakerTolerations: [{key: a, operator: Exists, tolerationSeconds: 0}]}`, accepted),

	Entry("unknown log level", `spec: {logLevel: verbose}`, "spec.logLevel: Unsupported value"),
	Entry("no controller", `spec: {controllerReplicas: 0}`, "spec.controllerReplicas: Invalid value"),
	Entry("six controllers", `spec: {controllerReplicas: 6}`, "spec.controllerReplicas: Invalid value"),
	Entry("unknown backend", `spec: {bgpBackend: bird}`, "spec.bgpBackend: Unsupported value"),
	Entry("class with two slashes", `spec: {loadBalancerClass: a/b/c}`, "spec.loadBalancerClass"),
	Entry("class with a space", `spec: {loadBalancerClass: "a b"}`, "spec.loadBalancerClass"),
	Entry("seconds without NoExecute", `
spec: {speakerTolerations: [{key: a, operator: Exists, effect: NoSchedule, tolerationSeconds: 30}]}`, needsNoExecute),
	Entry("seconds without effect", `spec: {controllerTolerations: [{key: a, operator: Exists, tolerationSeconds: 30}]}`, needsNoExecute),
	Entry("blocked prefix that is none", `spec: {frrk8sConfig: {alwaysBlock: [192.0.2.1]}}`, "spec.frrk8sConfig.alwaysBlock[0]"),
	Entry("announcer without name", `spec: {announcers: [{l2: {}}]}`, "name: Required value"),
	Entry("announcer with a name that is none", `spec: {announcers: [{name: L2_x}]}`, "spec.announcers[0].name"),
	Entry("claims repeated too often", `spec: {announcers: [{name: l2, l2: {refreshInterval: 999ms}}]}`, "refreshInterval must be 0 or from 1s to 24h"),
	Entry("claims repeated too seldom", `spec: {announcers: [{name: l2, l2: {refreshInterval: 25h}}]}`, "refreshInterval must be 0 or from 1s to 24h"),
	Entry("claims repeated before now", `spec: {announcers: [{name: l2, l2: {refreshInterval: -1m}}]}`, "refreshInterval must be 0 or from 1s to 24h"),
	Entry("an interval that is none", `spec: {announcers: [{name: l2, l2: {refreshInterval: often}}]}`, "refreshInterval"),
	Entry("excluded interfaces", `spec: {announcers: [{name: l2, l2: {excludeInterfaces: ["^docker.*", "^eth[01]$", "lo"]}}]}`, accepted),
	Entry("no excluded interface", `spec: {announcers: [{name: l2, l2: {excludeInterfaces: []}}]}`, accepted),
	Entry("an expression that is none", `spec: {announcers: [{name: l2, l2: {excludeInterfaces: ["^lo$", "("]}}]}`,
		"spec.announcers[0].l2.excludeInterfaces[1]: Invalid value"),
	Entry("the fix beside an expression that is none", `spec: {announcers: [{name: l2, l2: {excludeInterfaces: ["a{2,1}"]}}]}`, "must be a regular expression (RE2)"),
	Entry("an empty expression", `spec: {announcers: [{name: l2, l2: {excludeInterfaces: [""]}}]}`, "spec.announcers[0].l2.excludeInterfaces[0]: Invalid value"),
	Entry("an expression for every interface", `spec: {announcers: [{name: l2, l2: {excludeInterfaces: [".*"]}}]}`, "not every one"),
	Entry("a quantity that Go cannot decode", `spec: {speakerConfig: {resources: {limits: {memory: "1e1.5"}}}}`, "spec.speakerConfig.resources.limits.memory"),
	Entry("announcer twice", `spec: {announcers: [{name: l2}, {name: l2}]}`, "Duplicate value"),
	Entry("unknown field", `spec: {extraContainers: []}`, "unknown field"),
)

var _ = Describe("MetalLB as stored", func() {
	It("tells an empty list of announcers from an absent one", func(ctx context.Context) {
		for _, announcers := range [][]v1beta1.Announcer{nil, {}, {{Name: "l2"}}} {
			m := &v1beta1.MetalLB{
				ObjectMeta: metav1.ObjectMeta{Namespace: "default", GenerateName: "metallb-"},
				Spec:       v1beta1.MetalLBSpec{Announcers: announcers},
			}
			Expect(api.Create(ctx, m)).To(Succeed())
			read := &v1beta1.MetalLB{}
			Expect(api.Get(ctx, client.ObjectKeyFromObject(m), read)).To(Succeed())
			Expect(read.Spec.Announcers).To(Equal(announcers))
		}
	})

	It("adds nothing to an empty spec", func(ctx context.Context) {
		Expect(create(ctx, "MetalLB", `spec: {}`).Object["spec"]).To(BeEmpty())
	})

	It("has one condition of a type", func(ctx context.Context) {
		m := create(ctx, "MetalLB", `spec: {}`)
		condition := map[string]any{"type": "Available", "status": "True", "reason": "AsExpected", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}
		m.Object["status"] = map[string]any{"conditions": []any{condition, condition}}
		Expect(api.Status().Update(ctx, m)).To(MatchError(ContainSubstring("Duplicate value")))
		m.Object["status"] = map[string]any{"conditions": []any{condition}, "observedGeneration": int64(1)}
		Expect(api.Status().Update(ctx, m)).To(Succeed())
	})
})
