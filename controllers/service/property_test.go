// SPDX-License-Identifier: Apache-2.0

package service

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/v1beta1"
)

// stepsPerSeed is how far one random history goes. All of them take usualSteps steps, unless SOAK_STEPS has another number.
const stepsPerSeed = 1000

// regressions are seeds beyond the usual ones whose histories once failed. At rest a Service reported why it waited before others took an
// address that it asks for (620, 1887), or did not have an address that a reservation had ceased to keep (3847); a pool counted an address
// that had moved to another pool (2690); an address was granted that a reservation was to keep since before there were pools (3260).
var regressions = []uint64{620, 1887, 2690, 3260, 3847}

// TestRandomHistories drives random histories of a cluster: users change pools, Services, namespaces, nodes and reservations; speakers
// report conflicts; changes reach the controller late and one kind before the other; decisions are written late, in any order and one at a
// time; and the controller dies between any two of these. An oracle watches every decision and every write, and whenever the cluster comes
// to rest two restarts in a row must change nothing.
func TestRandomHistories(t *testing.T) {
	steps := usualSteps
	if text := os.Getenv("SOAK_STEPS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		steps = n
	}
	seeds := slices.Clone(regressions)
	for seed := range uint64(steps / stepsPerSeed) {
		seeds = append(seeds, seed)
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			h := newHistory(seed)
			if fault := h.drive(); fault != "" {
				t.Fatalf("step %d: %s\n%s", len(h.log), fault, h.ending())
			}
		})
	}
}

type history struct {
	*rand.Rand
	world  *world
	oracle *oracle
	log    []string
	rests  int
}

const here = "metallb-system"

func newHistory(seed uint64) *history {
	h := &history{Rand: rand.New(rand.NewPCG(seed, 7))}
	h.world = newWorld(h.Rand)
	for _, name := range namespaceNames {
		h.world.apply(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	h.start()
	return h
}

func (h *history) start() {
	if h.oracle != nil {
		h.oracle.end()
	}
	p := newProcess(h.world, Options{Namespace: here}, silence{})
	p.writers.rivals = newRivals(rivalTimes{}) // nobody else writes here
	h.oracle = watchOver(p)
}

func (h *history) note(format string, args ...any) {
	h.log = append(h.log, fmt.Sprintf(format, args...))
}

// ending is the last part of the log.
func (h *history) ending() string {
	return strings.Join(h.log[max(0, len(h.log)-60):], "\n") + "\n" + h.statuses()
}

// drive returns what went wrong; empty when nothing did.
func (h *history) drive() string {
	defer func() { h.oracle.end() }()
	for len(h.log) < stepsPerSeed {
		if err := h.step(); err != nil {
			return err.Error()
		}
		if h.oracle.fault != "" {
			return h.oracle.fault
		}
	}
	return ""
}

// step does one thing; where there is nothing to hear, to decide or to write, a user acts.
func (h *history) step() error {
	p := h.oracle.process
	p.ring(h.world.now)
	switch n := h.IntN(100); {
	case n < 28 && h.hearsSome():
	case n >= 28 && n < 50 && len(p.requests) > 0:
		return h.decideSome()
	case n >= 50 && n < 78 && len(p.services) > 0:
		i := h.IntN(len(p.services))
		h.note("write %s", p.services[i])
		return p.write(i)
	case n == 98:
		h.note("restart")
		h.start()
	case n == 99:
		h.note("rest")
		return h.rest()
	default:
		h.userActs()
	}
	return nil
}

// decideSome lets the process decide on something that it was asked for; at times it cannot read the cluster.
func (h *history) decideSome() error {
	p := h.oracle.process
	i := h.IntN(len(p.requests))
	h.note("decide %v", p.requests[i])
	if h.IntN(30) == 0 {
		p.fault = errNoAnswer
	}
	err := p.reconcile(i)
	p.fault = nil
	if errors.Is(err, errNoAnswer) {
		return nil
	}
	return err
}

var errNoAnswer = errors.New("no answer")

// hearsSome lets the process hear the next news of some kind; false when there are none.
func (h *history) hearsSome() bool {
	var waiting []string
	for _, kind := range slices.Sorted(maps.Keys(h.world.news)) {
		if len(h.world.news[kind]) > 0 {
			waiting = append(waiting, kind)
		}
	}
	if len(waiting) == 0 {
		return false
	}
	kind := waiting[h.IntN(len(waiting))]
	h.note("hear %s", kind)
	return h.oracle.hear(kind)
}

// rest lets everything come to rest, then lets time go by, then restarts twice.
func (h *history) rest() error {
	if err := h.oracle.settle(); err != nil {
		return err
	}
	h.oracle.atRest()
	if h.oracle.fault != "" {
		return nil
	}
	h.world.now = h.world.now.Add(oneOf(h.Rand, 0, 30*time.Second, conflictLife))
	if err := h.oracle.settle(); err != nil {
		return fmt.Errorf("later: %w", err)
	}
	h.oracle.atRest()
	if h.oracle.fault != "" {
		return nil
	}
	before, hinges := h.statuses(), h.oracle.remembers()
	for i := range 2 {
		h.start()
		if err := h.oracle.settle(); err != nil {
			return fmt.Errorf("after a restart: %w", err)
		}
		after := h.statuses()
		if after != before && (i > 0 || !hinges) {
			return fmt.Errorf("a restart changed the Services from\n%sto\n%s", before, after)
		}
		before = after
	}
	h.rests++
	return nil
}

func (h *history) statuses() string {
	var b strings.Builder
	for _, o := range h.world.served.of("Service") {
		s := o.(*corev1.Service)
		fmt.Fprintf(&b, "%s %v %s %v %s\n", keyOf(s), addressesOf(s), verdict(s), s.Annotations, toldOfConflict(s))
	}
	return b.String()
}

var (
	namespaceNames = []string{here, "one", "two"}
	poolNames      = []string{"p0", "p1", "p2", "p3"}
	// cuts are ranges that do not overlap; some cross addresses that avoidBuggyIPs leaves out.
	cuts = []string{
		"198.18.0.252-198.18.0.254", "198.18.0.255-198.18.1.1", "198.18.1.2-198.18.1.3", "198.18.1.4/32",
		"2001:db8::1-2001:db8::2", "2001:db8::3-2001:db8::5", "2001:db8::6/128",
	}
	someAddresses = []string{
		"198.18.0.252", "198.18.0.253", "198.18.0.255", "198.18.1.0", "198.18.1.2", "198.18.1.4",
		"2001:db8::1", "2001:db8::3", "2001:db8::6", "203.0.113.1",
	}
)

func oneOf[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

// userActs lets a user, or the cluster, do one thing.
func (h *history) userActs() {
	switch n := h.IntN(100); {
	case n < 16:
		h.put(h.somePool())
	case n < 18:
		h.rename()
	case n < 21:
		h.take(&v1beta1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: oneOf(h.Rand, poolNames...), Namespace: here}})
	case n < 25:
		h.put(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: oneOf(h.Rand, "one", "two"), Labels: h.someLabels("tier")}})
	case n < 28:
		h.put(h.someNode())
	case n < 29:
		h.put(&networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: "kubernetes"}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: oneOf(h.Rand, someRanges...)}})
	case n < 30:
		h.take(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node"}})
	case n < 32:
		h.put(h.someReservation())
	case n < 35:
		h.take(&v1beta1.IPReservation{ObjectMeta: metav1.ObjectMeta{Name: oneOf(h.Rand, "r0", "r1"), Namespace: here}})
	case n < 38:
		h.put(h.someConflict())
	case n < 39:
		h.take(&v1beta1.AddressConflict{ObjectMeta: metav1.ObjectMeta{Name: oneOf(h.Rand, conflictNames...), Namespace: here}})
	case n < 48:
		name := h.someName()
		h.take(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name}})
	case n < 65:
		h.put(h.someService())
	default:
		h.change()
	}
}

// someRanges are Service and Pod CIDRs with a few addresses of the pools.
var someRanges = [][]string{nil, {"10.96.0.0/16"}, {"198.18.0.252/31"}, {"198.18.0.254/31", "2001:db8::4/127"}}

func (h *history) someNode() *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "node"}, Spec: corev1.NodeSpec{PodCIDRs: oneOf(h.Rand, someRanges...)},
		Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: oneOf(h.Rand, someAddresses...)}}},
	}
}

func (h *history) put(o client.Object) {
	h.note("put %s %s %s", kindOf(o), nameOf(o), describe(o))
	h.world.apply(o)
}

func (h *history) take(o client.Object) {
	h.note("delete %s %s", kindOf(o), nameOf(o))
	h.world.remove(o)
}

func describe(o client.Object) string {
	switch o := o.(type) {
	case *corev1.Service:
		policy := corev1.IPFamilyPolicySingleStack
		if o.Spec.IPFamilyPolicy != nil {
			policy = *o.Spec.IPFamilyPolicy
		}
		return fmt.Sprintf("%s %s %v ports %d-%d annotations %v labels %v", o.Spec.Type, policy, o.Spec.IPFamilies, o.Spec.Ports[0].Port, len(o.Spec.Ports), o.Annotations, o.Labels)
	case *v1beta1.IPAddressPool:
		return fmt.Sprintf("%+v %+v", o.Spec, o.Spec.ServiceAllocation)
	case *v1beta1.IPReservation:
		return fmt.Sprintf("%+v %v", o.Spec, o.Spec.Service)
	case *v1beta1.AddressConflict:
		return fmt.Sprintf("%s %s %t %s %s", o.Status.Address, o.Status.Reason, o.Status.Withdrawn, o.Status.FirstSeen, o.Status.LastSeen)
	case *corev1.Node:
		return fmt.Sprint(o.Status.Addresses, o.Spec.PodCIDRs)
	case *networkingv1.ServiceCIDR:
		return fmt.Sprint(o.Spec.CIDRs)
	}
	return fmt.Sprint(o.GetLabels())
}

func (h *history) someLabels(key string) map[string]string {
	return oneOf(h.Rand, nil, map[string]string{key: "gold"}, map[string]string{key: "iron"})
}

func (h *history) somePool() *v1beta1.IPAddressPool {
	p := &v1beta1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: oneOf(h.Rand, poolNames...), Namespace: here}}
	if old, ok := h.world.served.find(p).(*v1beta1.IPAddressPool); ok && h.IntN(2) == 0 {
		p.Spec = *old.Spec.DeepCopy()
	}
	if len(p.Spec.Addresses) == 0 || h.IntN(2) == 0 {
		p.Spec.Addresses = h.someRanges()
	}
	if h.IntN(3) == 0 {
		p.Spec.AutoAssign, p.Spec.AvoidBuggyIPs = oneOf(h.Rand, nil, new(bool)), h.IntN(3) == 0
	}
	if h.IntN(3) == 0 {
		p.Spec.ServiceAllocation = h.somePin()
	}
	if h.IntN(6) == 0 {
		p.Spec.Exclude = []string{oneOf(h.Rand, someAddresses...)}
	}
	return p
}

func (h *history) someRanges() []string {
	list := slices.Clone(cuts)
	h.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	list = list[:1+h.IntN(4)]
	if h.IntN(12) == 0 {
		list = append(list, "198.18.1.9-198.18.1.1") // no range
	}
	return list
}

func (h *history) somePin() *v1beta1.ServiceAllocation {
	if h.IntN(3) == 0 {
		return nil
	}
	pin := &v1beta1.ServiceAllocation{Priority: h.IntN(3)}
	gold := func(key string) []metav1.LabelSelector {
		return []metav1.LabelSelector{{MatchLabels: map[string]string{key: "gold"}}}
	}
	switch h.IntN(4) {
	case 0:
		pin.Namespaces = []string{"one"}
	case 1:
		pin.NamespaceSelectors = gold("tier")
	case 2:
		pin.ServiceSelectors = gold("app")
	}
	return pin
}

func (h *history) rename() {
	old := &v1beta1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: oneOf(h.Rand, poolNames...), Namespace: here}}
	found, ok := h.world.served.find(old).(*v1beta1.IPAddressPool)
	if !ok {
		return
	}
	h.take(old)
	h.put(&v1beta1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: oneOf(h.Rand, poolNames...), Namespace: here}, Spec: *found.Spec.DeepCopy()})
}

func (h *history) someReservation() *v1beta1.IPReservation {
	r := &v1beta1.IPReservation{ObjectMeta: metav1.ObjectMeta{Name: oneOf(h.Rand, "r0", "r1"), Namespace: here}}
	n := h.IntN(3)
	if n > 0 {
		name := h.someName()
		r.Spec.Service = &v1beta1.ServiceReference{Namespace: name.Namespace, Name: name.Name}
		if h.IntN(3) == 0 {
			r.Spec.KeepFor = &metav1.Duration{Duration: time.Duration(1+h.IntN(20)) * time.Second}
		}
	}
	if n != 1 {
		r.Spec.Addresses = []string{oneOf(h.Rand, someAddresses...)}
	}
	if h.IntN(4) == 0 {
		end := metav1.NewTime(h.world.now.Add(time.Duration(h.IntN(40)) * time.Second))
		r.Spec.ExpiresAt = &end
	}
	return r
}

var conflictNames = []string{"c0", "c1", "c2", "c3"}

// someConflict ends soon, or later, or has ended already.
func (h *history) someConflict() *v1beta1.AddressConflict {
	seen := metav1.NewTime(h.world.now.Add(-oneOf(h.Rand, 0, 20*time.Second, conflictLife-20*time.Second, conflictLife)))
	return &v1beta1.AddressConflict{
		ObjectMeta: metav1.ObjectMeta{Name: oneOf(h.Rand, conflictNames...), Namespace: here, CreationTimestamp: seen},
		Status: v1beta1.AddressConflictStatus{
			Address: oneOf(h.Rand, append(someAddresses, "nonsense")...), Node: oneOf(h.Rand, "n1", "n2"), Withdrawn: h.IntN(2) == 0,
			Reason:    oneOf(h.Rand, "AddressConflict", "AddressConflict", "LocalAddress", "NextHopAddress", "Else"),
			FirstSeen: metav1.NewTime(h.world.now.Add(-time.Duration(h.IntN(100)) * time.Second)), LastSeen: seen,
		},
	}
}

func (h *history) someName() client.ObjectKey {
	return client.ObjectKey{Namespace: oneOf(h.Rand, "one", "two"), Name: fmt.Sprint("s", h.IntN(5))}
}

// someService is a whole new idea of a Service.
func (h *history) someService() *corev1.Service {
	name := h.someName()
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name, Annotations: map[string]string{}, Labels: h.someLabels("app")}}
	if old := h.world.served.find(s); old != nil {
		s.Spec.LoadBalancerClass = old.(*corev1.Service).Spec.LoadBalancerClass
	} else if h.IntN(12) == 0 {
		s.Spec.LoadBalancerClass = new("example.com/other")
		s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: oneOf(h.Rand, someAddresses...)}}
	}
	s.Spec.Type = corev1.ServiceTypeLoadBalancer
	h.changeFamilies(s)
	h.changeRequest(s)
	h.changeSharing(s)
	return s
}

// change alters one thing of a Service.
func (h *history) change() {
	name := h.someName()
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name}}
	old, ok := h.world.served.find(s).(*corev1.Service)
	if !ok {
		h.put(h.someService())
		return
	}
	s = old.DeepCopy()
	s.Status = corev1.ServiceStatus{}
	s.Spec.ClusterIPs, s.Spec.ClusterIP = nil, ""
	if s.Annotations == nil {
		s.Annotations = map[string]string{}
	}
	delete(s.Annotations, v1beta1.AnnotationAllocatedFromPool)
	delete(s.Annotations, v1beta1.AnnotationControllerNamespace)
	switch h.IntN(6) {
	case 0:
		h.changeFamilies(s)
	case 1:
		h.changeRequest(s)
	case 2:
		s.Labels = h.someLabels("app")
	case 3:
		s.Spec.LoadBalancerClass = nil // goes with the type
		s.Spec.Type = corev1.ServiceTypeClusterIP
		if old.Spec.Type == s.Spec.Type {
			s.Spec.Type = corev1.ServiceTypeLoadBalancer
		}
	default:
		h.changeSharing(s)
	}
	h.put(s)
}

func (h *history) changeFamilies(s *corev1.Service) {
	s.Spec.IPFamilyPolicy = oneOf(h.Rand, nil, new(corev1.IPFamilyPolicyPreferDualStack), new(corev1.IPFamilyPolicyRequireDualStack))
	s.Spec.IPFamilies = []corev1.IPFamily{oneOf(h.Rand, corev1.IPv4Protocol, corev1.IPv6Protocol)}
}

func (h *history) changeRequest(s *corev1.Service) {
	delete(s.Annotations, v1beta1.AnnotationLoadBalancerIPs)
	delete(s.Annotations, v1beta1.AnnotationAddressPool)
	switch h.IntN(7) {
	case 0, 1:
		s.Annotations[v1beta1.AnnotationLoadBalancerIPs] = oneOf(h.Rand, someAddresses...)
	case 2:
		s.Annotations[v1beta1.AnnotationLoadBalancerIPs] = oneOf(h.Rand, someAddresses...) + "," + oneOf(h.Rand, someAddresses...)
	case 3:
		s.Annotations[v1beta1.AnnotationAddressPool] = oneOf(h.Rand, poolNames...)
	}
}

func (h *history) changeSharing(s *corev1.Service) {
	delete(s.Annotations, v1beta1.AnnotationAllowSharedIP)
	if key := oneOf(h.Rand, "", "k", "k", "j"); key != "" {
		s.Annotations[v1beta1.AnnotationAllowSharedIP] = key
	}
	s.Spec.Ports = []corev1.ServicePort{{Port: int32(1 + h.IntN(4))}}
	s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyCluster
	s.Spec.Selector = map[string]string{"app": oneOf(h.Rand, "a", "b")}
	if h.IntN(5) == 0 {
		s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	}
}
