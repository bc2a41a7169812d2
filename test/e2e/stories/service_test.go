// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/test/suite"
)

const (
	namespace = "stories"
	app       = "hello"
)

// addressOf returns address number n of the lab's pool.
func addressOf(n int) netip.Addr {
	a := cluster.Lab.Pool4().Masked().Addr()
	for range n {
		a = a.Next()
	}
	return a
}

// rangeOf returns a pool entry of the addresses first to last.
func rangeOf(first, last int) string { return fmt.Sprintf("%s-%s", addressOf(first), addressOf(last)) }

func serviceOf(ctx context.Context, name string) *corev1.Service {
	GinkgoHelper()
	var s corev1.Service
	Expect(cluster.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &s)).To(Succeed())
	return &s
}

// allocated returns the condition that says whether a Service has its addresses.
func allocated(ctx context.Context, name string) *metav1.Condition {
	GinkgoHelper()
	return meta.FindStatusCondition(serviceOf(ctx, name).Status.Conditions, v1beta1.ConditionAddressAllocated)
}

func refusedFor(why reason.Reason) OmegaMatcher {
	return And(Not(BeNil()), HaveField("Status", metav1.ConditionFalse), HaveField("Reason", string(why)))
}

var _ = Describe("A LoadBalancer Service", Ordered, func() {
	var (
		address netip.Addr
		owner   string
	)

	BeforeAll(func(ctx SpecContext) {
		apply(ctx, suite.Pool("stories", rangeOf(1, 9)))
		apply(ctx, suite.L2Advertisement("stories", "stories"))
		apply(ctx, suite.HelloService(namespace, "web", app))
	})

	It("gets the first address of the pool and says so", func(ctx SpecContext) {
		addresses, err := cluster.AwaitAddresses(ctx, namespace, "web", patience)
		Expect(err).NotTo(HaveOccurred())
		Expect(addresses).To(ConsistOf(addressOf(1)))
		address = addresses[0]
		web := serviceOf(ctx, "web")
		Expect(web.Status.LoadBalancer.Ingress[0].IPMode).To(HaveValue(Equal(corev1.LoadBalancerIPModeVIP)))
		Expect(web.Annotations).To(HaveKeyWithValue(v1beta1.AnnotationAllocatedFromPool, "stories"))
		Expect(allocated(ctx, "web")).To(HaveField("Reason", string(reason.Allocated)))
	})

	It("is answered for by exactly one node, which its status names", func(ctx SpecContext) {
		var err error
		owner, _, err = cluster.OneAnswer(ctx, address, patience, time.Second)
		Expect(err).NotTo(HaveOccurred())
		Eventually(statusNodes).WithArguments("web").WithContext(ctx).Should(ConsistOf(owner))
	})

	It("is reachable from the segment and from behind the router", func(ctx SpecContext) {
		for _, host := range []string{"LAB_CLIENT", "LAB_CLIENT_ROUTED"} {
			line, err := cluster.Get(ctx, cluster.Lab.Node(cluster.Lab.Variable(host)), address, 80, patience)
			Expect(err).NotTo(HaveOccurred())
			Expect(line).To(ContainSubstring("Hello"))
		}
	})

	It("moves to another node when its owner is cut off, and works there", func(ctx SpecContext) {
		move, err := cluster.Watch(ctx, address, patience, func(ctx context.Context) error { return cluster.Lab.Cut(ctx, owner) })
		Expect(err).NotTo(HaveOccurred())
		Expect(move.From).To(Equal(owner))
		Expect(move.To).NotTo(Equal(owner))
		AddReportEntry("silence", move.Silence.String())
		GinkgoWriter.Printf("%s moved from %s to %s after a silence of %s\n", address, move.From, move.To, move.Silence)
		_, err = cluster.Get(ctx, cluster.Lab.Client(), address, 80, patience)
		Expect(err).NotTo(HaveOccurred())
		Eventually(statusNodes).WithArguments("web").WithContext(ctx).Should(ConsistOf(move.To))
	})

	It("goes home when the link is back, and has one owner again", func(ctx SpecContext) {
		Expect(cluster.Lab.Heal(ctx, owner)).To(Succeed())
		Eventually(func(g Gomega, ctx context.Context) {
			node, _, err := cluster.OneAnswer(ctx, address, time.Second, 200*time.Millisecond)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(node).To(Equal(owner))
		}).WithContext(ctx).Should(Succeed())
		Eventually(statusNodes).WithArguments("web").WithContext(ctx).Should(ConsistOf(owner))
		Expect(cluster.AwaitNodesReady(ctx, 2*time.Minute)).To(Succeed())
	})

	It("is silent after it was deleted", func(ctx SpecContext) {
		Expect(cluster.Gone(ctx, suite.HelloService(namespace, "web", app), patience)).To(Succeed())
		Eventually(func(ctx context.Context) ([]string, error) {
			return cluster.Lab.Client().WhoHas(ctx, "eth0", address, 200*time.Millisecond)
		}).WithContext(ctx).Should(BeEmpty())
		Eventually(statusNodes).WithArguments("web").WithContext(ctx).Should(BeEmpty())
	})
})

// statusNodes returns the nodes that ServiceL2Status objects name for a Service.
func statusNodes(ctx context.Context, service string) ([]string, error) {
	var list v1beta1.ServiceL2StatusList
	err := cluster.Client.List(ctx, &list, client.InNamespace(suite.Namespace), client.MatchingLabels{
		v1beta1.LabelServiceNamespace: namespace, v1beta1.LabelServiceName: service,
	})
	var nodes []string
	for _, s := range list.Items {
		nodes = append(nodes, s.Status.Node)
	}
	return nodes, err
}

var _ = Describe("A controller that restarts", func() {
	const services, addresses, restarts = 7, 4, 5

	It("moves no address, and serves who waits as soon as one is free", func(ctx SpecContext) {
		apply(ctx, suite.Pool("few", rangeOf(20, 20+addresses-1)))
		for i := range services {
			apply(ctx, suite.HelloService(namespace, fmt.Sprintf("s%d", i), app))
		}
		granted := func() map[string]string {
			all := map[string]string{}
			for i := range services {
				s := serviceOf(ctx, fmt.Sprintf("s%d", i))
				for _, ingress := range s.Status.LoadBalancer.Ingress {
					all[s.Name] = ingress.IP
				}
			}
			return all
		}
		waiting := func() (n int) {
			for i := range services {
				if c := allocated(ctx, fmt.Sprintf("s%d", i)); c != nil && c.Reason == string(reason.PoolExhausted) {
					n++
				}
			}
			return n
		}
		Eventually(granted).Should(HaveLen(addresses))
		Eventually(waiting).Should(Equal(services - addresses))
		before := granted()
		stop := followAddresses(ctx)
		for range restarts {
			restartController(ctx)
			Expect(granted()).To(Equal(before))
		}
		Expect(stop()).To(Equal(before), "nor does any Service have another address for a moment")
		for name := range before {
			Expect(cluster.Gone(ctx, suite.HelloService(namespace, name, app), patience)).To(Succeed())
			apply(ctx, suite.HelloService(namespace, name, app))
			break
		}
		Eventually(waiting).Should(Equal(services - addresses))
		Eventually(granted).Should(HaveLen(addresses))
	})
})

// followAddresses watches the Services until stop is called, which returns all that each has had: several addresses one after the other if
// it moved.
func followAddresses(ctx context.Context) (stop func() map[string]string) {
	GinkgoHelper()
	services, err := cluster.Client.Watch(ctx, &corev1.ServiceList{}, client.InNamespace(namespace))
	Expect(err).NotTo(HaveOccurred())
	had := map[string]string{}
	var reading errgroup.Group
	reading.Go(func() error {
		for event := range services.ResultChan() {
			s, ok := event.Object.(*corev1.Service)
			if !ok || len(s.Status.LoadBalancer.Ingress) == 0 {
				continue
			}
			if ip := s.Status.LoadBalancer.Ingress[0].IP; had[s.Name] != ip {
				had[s.Name] = strings.TrimSpace(had[s.Name] + " " + ip)
			}
		}
		return nil
	})
	return func() map[string]string {
		services.Stop()
		_ = reading.Wait()
		return had
	}
}

// restartController deletes the controller's pod and waits until another one has decided on a Service: that one has read everything.
func restartController(ctx context.Context) {
	GinkgoHelper()
	before := controllerPods(ctx)
	Expect(before).NotTo(BeEmpty())
	Expect(cluster.Client.DeleteAllOf(ctx, &corev1.Pod{}, client.InNamespace(suite.Namespace), ofController)).To(Succeed())
	Eventually(controllerPods).WithArguments(ctx).WithTimeout(time.Minute).Should(And(
		Not(BeEmpty()), HaveEach(BeTrue()), Not(HaveKey(BeElementOf(slices.Collect(maps.Keys(before)))))))
	probe := suite.HelloService(namespace, "probe", app)
	probe.Annotations = map[string]string{v1beta1.AnnotationAddressPool: "no-such-pool"}
	Expect(cluster.Apply(ctx, probe)).To(Succeed())
	Eventually(allocated).WithArguments(ctx, "probe").Should(refusedFor(reason.PoolNotFound))
	Expect(cluster.Gone(ctx, probe, patience)).To(Succeed())
}

var ofController = client.MatchingLabels{"app.kubernetes.io/component": "controller"}

// controllerPods returns the UIDs of the controller's pods, and whether each is ready.
func controllerPods(ctx context.Context) map[types.UID]bool {
	GinkgoHelper()
	var pods corev1.PodList
	Expect(cluster.Client.List(ctx, &pods, client.InNamespace(suite.Namespace), ofController)).To(Succeed())
	ready := map[types.UID]bool{}
	for _, p := range pods.Items {
		ready[p.UID] = slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
		})
	}
	return ready
}
