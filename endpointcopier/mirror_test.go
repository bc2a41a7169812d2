// SPDX-License-Identifier: Apache-2.0

package endpointcopier

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

func target(families ...corev1.IPFamily) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kubernetes-vip", UID: "target-uid"},
		Spec: corev1.ServiceSpec{
			IPFamilies: families,
			Ports:      []corev1.ServicePort{{Name: "k8s-api", Port: 443, TargetPort: intstr.FromInt32(6443), Protocol: corev1.ProtocolTCP}},
		},
	}
}

func slice(name string, family discoveryv1.AddressType, addresses ...string) discoveryv1.EndpointSlice {
	s := discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: name, UID: types.UID(name + "-uid"),
			Labels: map[string]string{discoveryv1.LabelServiceName: "kubernetes"},
		},
		AddressType: family,
		Ports:       []discoveryv1.EndpointPort{{Name: ptr.To("https"), Port: ptr.To[int32](6443), Protocol: ptr.To(corev1.ProtocolTCP)}},
	}
	for _, a := range addresses {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{a}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)},
		})
	}
	return s
}

func foreign(name string) discoveryv1.EndpointSlice {
	s := slice(name, discoveryv1.AddressTypeIPv4, "192.0.2.200")
	s.Labels = map[string]string{discoveryv1.LabelServiceName: "kubernetes-vip", discoveryv1.LabelManagedBy: "someone-else"}
	return s
}

// applied is what the API server holds once a plan is carried out.
func applied(existing []discoveryv1.EndpointSlice, plan Plan) []discoveryv1.EndpointSlice {
	byName := map[string]discoveryv1.EndpointSlice{}
	for _, s := range existing {
		byName[s.Name] = s
	}
	for _, s := range slices.Concat(plan.Create, plan.Update) {
		byName[s.Name] = s
	}
	for _, s := range plan.Delete {
		delete(byName, s.Name)
	}
	return slices.Collect(maps.Values(byName))
}

func TestMirrorOneSlice(t *testing.T) {
	source := slice("kubernetes", discoveryv1.AddressTypeIPv4, "192.0.2.2", "192.0.2.1")
	source.Endpoints[0].TargetRef = &corev1.ObjectReference{Kind: "Pod", Name: "secret"}
	source.Endpoints[0].Hints = &discoveryv1.EndpointHints{ForZones: []discoveryv1.ForZone{{Name: "a"}}}
	nodes := Nodes{netip.MustParseAddr("192.0.2.2"): {Name: "n2", Zone: "z"}}
	plan := Mirror(Observed{Target: target(corev1.IPv4Protocol), Sources: []discoveryv1.EndpointSlice{source}, Nodes: nodes})
	want := Plan{Endpoints: 2, Create: []discoveryv1.EndpointSlice{{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:   "default",
			Name:        SliceName(target(), &source),
			Labels:      map[string]string{"kubernetes.io/service-name": "kubernetes-vip", "endpointslice.kubernetes.io/managed-by": "endpoint-copier.metallb.io"},
			Annotations: map[string]string{"endpoint-copier.metallb.io/source": "default/kubernetes", "endpoint-copier.metallb.io/source-uid": "kubernetes-uid"},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "v1", Kind: "Service", Name: "kubernetes-vip", UID: "target-uid", Controller: ptr.To(true),
			}},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints: []discoveryv1.Endpoint{
			{Addresses: []string{"192.0.2.1"}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)}},
			{Addresses: []string{"192.0.2.2"}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)}, NodeName: ptr.To("n2"), Zone: ptr.To("z")},
		},
		Ports: []discoveryv1.EndpointPort{{Name: ptr.To("k8s-api"), Protocol: ptr.To(corev1.ProtocolTCP), Port: ptr.To[int32](6443)}},
	}}}
	if diff := cmp.Diff(want, plan); diff != "" {
		t.Fatal(diff)
	}
}

func TestMirrorFollowsATargetAndASourceThatWereRecreatedUnderTheirNames(t *testing.T) {
	source, vip := slice("kubernetes", discoveryv1.AddressTypeIPv4, "192.0.2.1"), target(corev1.IPv4Protocol)
	former := Mirror(Observed{Target: vip, Sources: []discoveryv1.EndpointSlice{source}}).Create
	vip.UID, source.UID = "second-target", "second-source"
	plan := Mirror(Observed{Target: vip, Sources: []discoveryv1.EndpointSlice{source}, Existing: former})
	if len(plan.Create)+len(plan.Delete) > 0 || len(plan.Update) != 1 {
		t.Fatalf("got %d created, %d updated, %d deleted, want an update", len(plan.Create), len(plan.Update), len(plan.Delete))
	}
	written := plan.Update[0]
	if written.OwnerReferences[0].UID != vip.UID || written.Annotations[AnnotationSliceUID] != string(source.UID) {
		t.Errorf("owned by %v, copied from %s", written.OwnerReferences, written.Annotations[AnnotationSliceUID])
	}
}

func TestMirrorChoosesSlices(t *testing.T) {
	v4 := slice("kubernetes", discoveryv1.AddressTypeIPv4, "192.0.2.1")
	v6 := slice("kubernetes-v6", discoveryv1.AddressTypeIPv6, "2001:db8::1")
	names := slice("names", discoveryv1.AddressTypeFQDN, "example.org")
	copied := slice("copied", discoveryv1.AddressTypeIPv4, "192.0.2.9")
	copied.Labels[discoveryv1.LabelManagedBy] = ManagedBy
	all := []discoveryv1.EndpointSlice{v4, v6, names, copied}
	for _, row := range []struct {
		name     string
		families []corev1.IPFamily
		want     []string
	}{
		{"IPv4 only", []corev1.IPFamily{corev1.IPv4Protocol}, []string{SliceName(target(), &v4)}},
		{"IPv6 only", []corev1.IPFamily{corev1.IPv6Protocol}, []string{SliceName(target(), &v6)}},
		{"dual stack", []corev1.IPFamily{corev1.IPv6Protocol, corev1.IPv4Protocol}, []string{SliceName(target(), &v4), SliceName(target(), &v6)}},
		{"no families: both", nil, []string{SliceName(target(), &v4), SliceName(target(), &v6)}},
	} {
		t.Run(row.name, func(t *testing.T) {
			var got []string
			for _, s := range Mirror(Observed{Target: target(row.families...), Sources: all}).Create {
				got = append(got, s.Name)
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}

func TestMirrorNamesFamiliesWithoutEndpoints(t *testing.T) {
	v4, v6 := slice("a", discoveryv1.AddressTypeIPv4, "192.0.2.1"), slice("b", discoveryv1.AddressTypeIPv6, "2001:db8::1")
	emptyV6 := slice("c", discoveryv1.AddressTypeIPv6)
	for _, row := range []struct {
		name     string
		families []corev1.IPFamily
		sources  []discoveryv1.EndpointSlice
		want     []corev1.IPFamily
	}{
		{"both served", []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}, []discoveryv1.EndpointSlice{v4, v6}, nil},
		{"no slice of the family", []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}, []discoveryv1.EndpointSlice{v4}, []corev1.IPFamily{corev1.IPv6Protocol}},
		{"an empty slice of the family", []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}, []discoveryv1.EndpointSlice{v4, emptyV6}, []corev1.IPFamily{corev1.IPv6Protocol}},
		{"one full, one empty", []corev1.IPFamily{corev1.IPv6Protocol}, []discoveryv1.EndpointSlice{emptyV6, v6}, nil},
		{"only another family", []corev1.IPFamily{corev1.IPv4Protocol}, []discoveryv1.EndpointSlice{v6}, []corev1.IPFamily{corev1.IPv4Protocol}},
		{"the target names none", nil, []discoveryv1.EndpointSlice{v6}, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			plan := Mirror(Observed{Target: target(row.families...), Sources: row.sources})
			if diff := cmp.Diff(row.want, plan.Unserved); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}

func TestSliceNameDependsOnFamily(t *testing.T) {
	v4, v6 := slice("kubernetes", discoveryv1.AddressTypeIPv4), slice("kubernetes", discoveryv1.AddressTypeIPv6)
	if SliceName(target(), &v4) == SliceName(target(), &v6) {
		t.Fatal("a slice cannot change its address type, so the name must change with it")
	}
}

func TestMirrorRepairsAndPrunes(t *testing.T) {
	source := slice("kubernetes", discoveryv1.AddressTypeIPv4, "192.0.2.1")
	state := Observed{Target: target(corev1.IPv4Protocol), Sources: []discoveryv1.EndpointSlice{source}}
	good := Mirror(state).Create[0]
	good.ResourceVersion = "7"
	change := func(f func(*discoveryv1.EndpointSlice)) discoveryv1.EndpointSlice {
		c := good.DeepCopy()
		f(c)
		return *c
	}
	for _, row := range []struct {
		name                    string
		existing                discoveryv1.EndpointSlice
		create, update, removed int
	}{
		{"as desired", good, 0, 0, 0},
		{"foreign annotation stays", change(func(s *discoveryv1.EndpointSlice) { s.Annotations["x"] = "y" }), 0, 0, 0},
		{"endpoint missing", change(func(s *discoveryv1.EndpointSlice) { s.Endpoints = nil }), 0, 1, 0},
		{"port changed", change(func(s *discoveryv1.EndpointSlice) { s.Ports[0].Port = ptr.To[int32](1) }), 0, 1, 0},
		{"service name changed", change(func(s *discoveryv1.EndpointSlice) { s.Labels[discoveryv1.LabelServiceName] = "other" }), 0, 1, 0},
		{"owner gone", change(func(s *discoveryv1.EndpointSlice) { s.OwnerReferences = nil }), 0, 1, 0},
		{"annotations gone", change(func(s *discoveryv1.EndpointSlice) { s.Annotations = nil }), 0, 1, 0},
		{"leftover of another source", change(func(s *discoveryv1.EndpointSlice) { s.Name = "kubernetes-vip-old" }), 1, 0, 1},
		{"foreign slice", foreign("kubernetes-vip-abc"), 1, 0, 0},
		{"foreign slice of our name", foreign(good.Name), 1, 0, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			state.Existing = []discoveryv1.EndpointSlice{row.existing}
			plan := Mirror(state)
			if len(plan.Create) != row.create || len(plan.Update) != row.update || len(plan.Delete) != row.removed {
				t.Fatalf("create %d, update %d, delete %d", len(plan.Create), len(plan.Update), len(plan.Delete))
			}
			if row.update > 0 && plan.Update[0].ResourceVersion != "7" {
				t.Fatal("an update must carry the version it was decided on")
			}
		})
	}
}

func TestClearSparesOthers(t *testing.T) {
	source := slice("kubernetes", discoveryv1.AddressTypeIPv4, "192.0.2.1")
	own := Mirror(Observed{Target: target(), Sources: []discoveryv1.EndpointSlice{source}}).Create[0]
	plan := Clear([]discoveryv1.EndpointSlice{foreign("f"), own})
	if len(plan.Delete) != 1 || plan.Delete[0].Name != own.Name {
		t.Fatalf("got %v", plan.Delete)
	}
}

// Whatever is there: a plan that is carried out leaves nothing to do, foreign slices are untouched, the order of the inputs changes
// nothing, and the target has exactly the addresses of the sources of its families.
func TestMirrorConverges(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 1))
		state := randomState(random)
		before := slices.Clone(state.Existing)
		plan := Mirror(state)
		after := applied(state.Existing, plan)
		random.Shuffle(len(after), func(i, j int) { after[i], after[j] = after[j], after[i] })
		random.Shuffle(len(state.Sources), func(i, j int) { state.Sources[i], state.Sources[j] = state.Sources[j], state.Sources[i] })
		state.Existing = after
		if again := Mirror(state); !again.Empty() {
			t.Fatalf("seed %d: second plan is not empty: %+v", seed, again)
		}
		if diff := cmp.Diff(wantedAddresses(state), mirroredAddresses(after)); diff != "" {
			t.Fatalf("seed %d: %s", seed, diff)
		}
		for _, s := range before {
			if s.Labels[discoveryv1.LabelManagedBy] != ManagedBy && !slices.ContainsFunc(after, func(a discoveryv1.EndpointSlice) bool { return cmp.Equal(a, s) }) {
				t.Fatalf("seed %d: foreign slice %s changed", seed, s.Name)
			}
		}
	}
}

func randomState(random *rand.Rand) Observed {
	families := [][]corev1.IPFamily{{corev1.IPv4Protocol}, {corev1.IPv6Protocol}, {corev1.IPv4Protocol, corev1.IPv6Protocol}, nil}
	state := Observed{Target: target(families[random.IntN(len(families))]...)}
	for i := range random.IntN(5) {
		state.Sources = append(state.Sources, randomSlice(random, fmt.Sprintf("source-%d", i)))
	}
	for i := range random.IntN(4) {
		state.Existing = append(state.Existing, foreign(fmt.Sprintf("foreign-%d", i)))
	}
	for i := range random.IntN(5) {
		old := randomSlice(random, fmt.Sprintf("source-%d", i))
		state.Existing = append(state.Existing, Mirror(Observed{Target: state.Target, Sources: []discoveryv1.EndpointSlice{old}}).Create...)
	}
	return state
}

func randomSlice(random *rand.Rand, name string) discoveryv1.EndpointSlice {
	var addresses []string
	for range random.IntN(4) {
		addresses = append(addresses, fmt.Sprintf("192.0.2.%d", random.IntN(250)))
	}
	if random.IntN(2) == 0 {
		return slice(name, discoveryv1.AddressTypeIPv4, addresses...)
	}
	for i := range addresses {
		addresses[i] = "2001:db8::" + addresses[i]
	}
	return slice(name, discoveryv1.AddressTypeIPv6, addresses...)
}

func wantedAddresses(o Observed) []string {
	var all []string
	for _, s := range o.Sources {
		if len(o.Target.Spec.IPFamilies) == 0 || slices.Contains(o.Target.Spec.IPFamilies, corev1.IPFamily(s.AddressType)) {
			all = append(all, addressesOf(s)...)
		}
	}
	slices.Sort(all)
	return all
}

func mirroredAddresses(existing []discoveryv1.EndpointSlice) []string {
	var all []string
	for _, s := range existing {
		if s.Labels[discoveryv1.LabelManagedBy] == ManagedBy {
			all = append(all, addressesOf(s)...)
		}
	}
	slices.Sort(all)
	return all
}

func addressesOf(s discoveryv1.EndpointSlice) []string {
	var all []string
	for _, e := range s.Endpoints {
		all = append(all, e.Addresses...)
	}
	return all
}
