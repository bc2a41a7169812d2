// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"context"
	"net"
	"net/netip"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/test/lab"
	"metalsuite.io/test/suite"
)

// listening is how long a client waits for answers when it asks who has an address.
const listening = 100 * time.Millisecond

// nth returns address number n of a pool.
func nth(pool netip.Prefix, n int) netip.Addr {
	a := pool.Masked().Addr()
	for range n {
		a = a.Next()
	}
	return a
}

// six returns address number n of the lab's IPv6 pool.
func six(n int) netip.Addr { return nth(cluster.Lab.Pool6(), n) }

// answering returns who answers for an address on a link of the client: nodes by name, anybody else by hardware address.
func answering(ctx context.Context, link string, address netip.Addr) ([]string, error) {
	macs, err := cluster.Lab.Client().WhoHas(ctx, link, address, listening)
	if err != nil {
		return nil, err
	}
	return named(macs)
}

// named replaces the hardware addresses of nodes by their names.
func named(macs []string) ([]string, error) {
	var all []string
	for _, mac := range macs {
		hardware, err := net.ParseMAC(mac)
		if err != nil {
			return nil, err
		}
		node, ok, err := cluster.Lab.NodeOfMAC(hardware)
		switch {
		case err != nil:
			return nil, err
		case ok:
			all = append(all, node)
		default:
			all = append(all, mac)
		}
	}
	return all, nil
}

// expectOwner expects that soon these nodes and nobody else answer on a link, and returns the first.
func expectOwner(ctx context.Context, link string, address netip.Addr, matcher OmegaMatcher) string {
	GinkgoHelper()
	var owner []string
	Eventually(func(g Gomega, ctx context.Context) {
		var err error
		owner, err = answering(ctx, link, address)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(owner).To(HaveLen(1))
		g.Expect(owner).To(matcher)
	}).WithContext(ctx).Should(Succeed())
	return owner[0]
}

// expectNobody expects that soon nobody answers on a link.
func expectNobody(ctx context.Context, link string, address netip.Addr) {
	GinkgoHelper()
	Eventually(answering).WithArguments(link, address).WithContext(ctx).Should(BeEmpty())
}

// nodeName returns the name of the node with this number, from 0.
func nodeName(n int) string { return cluster.Lab.Nodes()[n].Name }

// otherNodes are the nodes but one.
func otherNodes(name string) []string {
	var others []string
	for _, n := range cluster.Lab.Nodes() {
		if n.Name != name {
			others = append(others, n.Name)
		}
	}
	return others
}

// scaled returns test servers of their own, all on one node unless that is empty.
func scaled(name, node string, replicas int32) *appsv1.Deployment {
	d := suite.HelloDeployment(namespace, name, replicas)
	d.Spec.Template.Spec.TopologySpreadConstraints = nil
	if node != "" {
		d.Spec.Template.Spec.NodeSelector = map[string]string{corev1.LabelHostname: node}
	}
	d.Spec.Strategy.Type = appsv1.RecreateDeploymentStrategyType
	return d
}

// eventsOf returns the events about a Service, each as its reason and its message.
func eventsOf(ctx context.Context, service string) ([]string, error) {
	var list corev1.EventList
	err := cluster.Client.List(ctx, &list, client.InNamespace(namespace), client.MatchingFields{"involvedObject.kind": "Service", "involvedObject.name": service})
	var all []string
	for _, e := range list.Items {
		all = append(all, e.Reason+": "+e.Message)
	}
	return all, err
}

// conflicting returns the condition of a Service that says that something else uses its address.
func conflicting(ctx context.Context, service string) *metav1.Condition {
	GinkgoHelper()
	return meta.FindStatusCondition(serviceOf(ctx, service).Status.Conditions, v1beta1.ConditionAddressConflict)
}

// conflicts returns what speakers have seen on an address.
func conflicts(ctx context.Context, address netip.Addr) ([]v1beta1.AddressConflictStatus, error) {
	var list v1beta1.AddressConflictList
	err := cluster.Client.List(ctx, &list, client.InNamespace(suite.Namespace))
	var all []v1beta1.AddressConflictStatus
	for _, c := range list.Items {
		if c.Status.Address == address.String() {
			all = append(all, c.Status)
		}
	}
	return all, err
}

// dualStack makes a Service ask for both families, IPv4 first.
func dualStack(s *corev1.Service) *corev1.Service {
	s.Spec.IPFamilyPolicy = ptr.To(corev1.IPFamilyPolicyRequireDualStack)
	s.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}
	return s
}

// uses lets a host use an address for the length of a story.
func uses(ctx context.Context, host lab.Host, link string, address netip.Addr) {
	GinkgoHelper()
	Expect(host.Use(ctx, link, address)).To(Succeed())
	DeferCleanup(func(ctx SpecContext) { Expect(cluster.Lab.Pacify(ctx)).To(Succeed()) })
}

// terminating says whether every endpoint of a Service is about to end and serves still.
func terminating(ctx context.Context, service string) (bool, error) {
	var list discoveryv1.EndpointSliceList
	err := cluster.Client.List(ctx, &list, client.InNamespace(namespace), client.MatchingLabels{discoveryv1.LabelServiceName: service})
	found := false
	for _, s := range list.Items {
		for _, e := range s.Endpoints {
			if !ptr.Deref(e.Conditions.Terminating, false) || !ptr.Deref(e.Conditions.Serving, false) {
				return false, err
			}
			found = true
		}
	}
	return found, err
}
