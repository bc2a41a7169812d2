// SPDX-License-Identifier: Apache-2.0

package service

import (
	"maps"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/internal/allocation"
)

func with(texts ...string) *corev1.Service {
	s := &corev1.Service{}
	for _, t := range texts {
		s.Status.LoadBalancer.Ingress = append(s.Status.LoadBalancer.Ingress, ingress([]netip.Addr{netip.MustParseAddr(t)})...)
	}
	return s
}

func decided(problem, cause *reason.Problem, texts ...string) desired {
	d := desired{decision: allocation.Decision{Problem: problem, Cause: cause}}
	for _, t := range texts {
		d.decision.Addresses, d.decision.Pool = append(d.decision.Addresses, netip.MustParseAddr(t)), "blue"
	}
	return d
}

func TestEvents(t *testing.T) {
	full := reason.New(reason.PoolExhausted, "pool blue is full")
	moved := reason.New(reason.RequestChanged, "asks for another")
	tests := []struct {
		name   string
		before *corev1.Service
		want   desired
		events []string
	}{
		{"granted", with(), decided(nil, nil, "192.0.2.1"), []string{"Normal IPAllocated"}},
		{"kept", with("192.0.2.1"), decided(nil, nil, "192.0.2.1"), nil},
		{"second family added", with("192.0.2.1"), decided(nil, nil, "192.0.2.1", "2001:db8::1"), []string{"Normal IPAllocated"}},
		{"moved", with("192.0.2.1"), decided(nil, moved, "192.0.2.2"), []string{"Normal ClearAssignment", "Normal IPAllocated"}},
		{"lost", with("192.0.2.1"), decided(full, moved), []string{"Normal ClearAssignment", "Warning PoolExhausted"}},
		{"refused", with(), decided(full, nil), []string{"Warning PoolExhausted"}},
		{"kept with a concern", with("192.0.2.1"), decided(reason.New(reason.PoolFrozen, ""), nil, "192.0.2.1"), []string{"Warning PoolFrozen"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			after := tt.want.apply(tt.before)
			var got []string
			for _, e := range tt.want.events(tt.before, after, tt.want.decision.Problem) {
				got = append(got, e.kind+" "+e.reason)
			}
			if diff := cmp.Diff(tt.events, got); diff != "" {
				t.Error(diff)
			}
			if again := tt.want.apply(after); !equality.Semantic.DeepEqual(after, again) {
				t.Error("applying again changed something")
			}
			if told := tt.want.events(after, after, tt.want.decision.Problem); len(told) > 0 {
				t.Errorf("told again: %v", told)
			}
		})
	}
}

// TestAConflictIsAConditionAndNoEvent follows one Service through a conflict; the events on it are the speakers'.
func TestAConflictIsAConditionAndNoEvent(t *testing.T) {
	s := decided(nil, nil, "192.0.2.1").apply(with("192.0.2.1"))
	foreign := metav1.Condition{Type: "example.com/AddressConflict", Status: metav1.ConditionTrue, Reason: "Other"}
	s.Status.Conditions = append(s.Status.Conditions, foreign)
	for i, conflict := range []verdictOnConflict{
		{reason.AddressConflict, "one"}, {reason.AddressConflict, "one"}, {reason.AddressConflict, "two"}, {reason.LocalAddress, "two"}, {},
	} {
		d := decided(nil, nil, "192.0.2.1")
		d.conflict, d.generation = conflict, int64(i)
		next := d.apply(s)
		if told := d.events(s, next, nil); len(told) != 0 {
			t.Errorf("step %d: told %+v", i, told)
		}
		c := meta.FindStatusCondition(next.Status.Conditions, v1beta1.ConditionAddressConflict)
		if (c != nil) != (conflict.message != "") || c != nil && (c.Message != conflict.message || c.ObservedGeneration != int64(i)) {
			t.Errorf("step %d: condition %+v", i, c)
		}
		if !meta.IsStatusConditionTrue(next.Status.Conditions, foreign.Type) || verdict(next) != "True/Allocated" {
			t.Errorf("step %d: other conditions %+v", i, next.Status.Conditions)
		}
		s = next
	}
}

func TestAGrantThatIsHeldBackIsTold(t *testing.T) {
	before := with("192.0.2.1")
	granted := decided(nil, reason.New(reason.RequestChanged, "asks for another"), "192.0.2.2")
	now := decided(reason.New(reason.AddressInUse, "192.0.2.2 is still in the status of Service n/other"), nil)
	after := now.apply(before)
	var got []string
	for _, e := range granted.events(before, after, now.decision.Problem) {
		got = append(got, e.kind+" "+e.reason+": "+e.message)
	}
	want := []string{
		"Normal ClearAssignment: Lost 192.0.2.1: " + granted.decision.Cause.Message(),
		"Warning AddressInUse: " + now.decision.Problem.Message(),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := granted.events(after, granted.apply(after), nil); len(got) != 1 || got[0].reason != string(reason.IPAllocated) {
		t.Errorf("once it is written: %v", got)
	}
}

func TestTakeBackLeavesWhatOthersWrote(t *testing.T) {
	had := decided(nil, nil, "192.0.2.1")
	had.conflict = verdictOnConflict{reason.AddressConflict, "another machine"}
	s := had.apply(with("192.0.2.1"))
	s.Status.LoadBalancer.Ingress = append(s.Status.LoadBalancer.Ingress, with("203.0.113.9").Status.LoadBalancer.Ingress...)
	s.Annotations["other"] = "stays"
	leaving := decided(nil, nil, "192.0.2.1")
	leaving.leaves = true
	got := leaving.apply(s)
	if ips := addressesOf(got); len(ips) != 1 || ips[0].String() != "203.0.113.9" {
		t.Errorf("ingress %v", ips)
	}
	if isMarked(got) || len(got.Status.Conditions) > 0 || got.Annotations["other"] != "stays" {
		t.Errorf("annotations %v, conditions %v", got.Annotations, got.Status.Conditions)
	}
}

// TestTheAnnotationOfFormerMetalLBReleasesIsReplaced: MetalLB up to 0.14 named the pool under the deprecated prefix.
func TestTheAnnotationOfFormerMetalLBReleasesIsReplaced(t *testing.T) {
	s := with("192.0.2.1")
	s.Annotations = map[string]string{"metallb.universe.tf/ip-allocated-from-pool": "blue"}
	if seen := observe(s); seen.CurrentPool != "blue" || seen.CurrentForeign || !isMarked(s) {
		t.Errorf("pool %q, foreign %v, marked %v", seen.CurrentPool, seen.CurrentForeign, isMarked(s))
	}
	d := decided(nil, nil, "192.0.2.1")
	for _, step := range []struct {
		name string
		d    desired
		want map[string]string
	}{
		{"served", d, map[string]string{v1beta1.AnnotationAllocatedFromPool: d.decision.Pool}},
		{"refused", decided(reason.New(reason.NoMatchingPool, ""), nil), map[string]string{}},
		{"released", desired{leaves: true, decision: d.decision}, map[string]string{}},
	} {
		if got := step.d.apply(s).Annotations; !maps.Equal(got, step.want) {
			t.Errorf("%s: annotations %v, want %v", step.name, got, step.want)
		}
	}
}

// TestTheInstallationThatServesIsRecordedOnce: two installations that agree on a Service must not overwrite each other.
func TestTheInstallationThatServesIsRecordedOnce(t *testing.T) {
	by := func(namespace string, problem *reason.Problem, texts ...string) desired {
		d := decided(problem, nil, texts...)
		d.by = namespace
		return d
	}
	recorded := func(s *corev1.Service) string { return s.Annotations[v1beta1.AnnotationControllerNamespace] }
	s := by("one", nil, "192.0.2.1").apply(with())
	if recorded(s) != "one" {
		t.Errorf("recorded is %q", recorded(s))
	}
	if same := by("two", nil, "192.0.2.1").apply(s); !equality.Semantic.DeepEqual(same, s) {
		t.Errorf("an installation that agrees writes %v", same.Annotations)
	}
	if other := by("two", nil, "192.0.2.2").apply(s); recorded(other) != "two" {
		t.Errorf("after another one has written, recorded is %q", recorded(other))
	}
	refused := by("one", reason.New(reason.PoolExhausted, "")).apply(with())
	if recorded(refused) != "one" {
		t.Errorf("of a refusal recorded is %q", recorded(refused))
	}
	delete(s.Annotations, v1beta1.AnnotationControllerNamespace)
	if again := by("two", nil, "192.0.2.1").apply(s); recorded(again) != "two" {
		t.Errorf("a missing record becomes %q", recorded(again))
	}
}

func TestObserve(t *testing.T) {
	prefer := corev1.IPFamilyPolicyPreferDualStack
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "s", Annotations: map[string]string{
			v1beta1.AnnotationAddressPool:         "",
			"metallb.universe.tf/address-pool":    "old",
			"metallb.universe.tf/allow-shared-ip": "key",
			v1beta1.AnnotationAllocatedFromPool:   "blue",
		}},
		Spec: corev1.ServiceSpec{
			ClusterIPs: []string{"fd00::1", "10.0.0.1"}, IPFamilyPolicy: &prefer,
			ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyLocal, Selector: map[string]string{"b": "2", "a": "1"},
			Ports: []corev1.ServicePort{{Port: 53, Protocol: corev1.ProtocolUDP}, {Port: 53}},
		},
		Status: with("192.0.2.1", "::ffff:192.0.2.2").Status,
	}
	want := allocation.Service{
		Key: allocation.Key{Namespace: "n", Name: "s"}, Families: []allocation.Family{allocation.IPv6, allocation.IPv4}, Policy: allocation.PreferDualStack,
		SharingKey: "key", BackendKey: "a=1,b=2", Ports: []allocation.Port{{Protocol: "UDP", Number: 53}, {Protocol: "TCP", Number: 53}},
		Current: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")}, CurrentPool: "blue",
	}
	if diff := cmp.Diff(want, observe(s), cmp.Comparer(func(x, y netip.Addr) bool { return x == y })); diff != "" {
		t.Error(diff)
	}
	s.Spec.ClusterIPs = []string{corev1.ClusterIPNone}
	if got := observe(s).Families; len(got) != 0 {
		t.Errorf("a headless Service has families %v", got)
	}
}
