// SPDX-License-Identifier: Apache-2.0

package crd

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/api/v1beta2"
	"metalsuite.io/internal/allocation"
	"metalsuite.io/internal/policy"
)

// longestDetail bounds what is said of one object: it is repeated in conditions, events and the ConfigurationStates of all nodes.
const longestDetail = 4 << 10

const (
	oneSelector = "{matchLabels: {a: b}, matchExpressions: [{key: a, operator: In, values: [b]}]}"
	selector    = "[" + oneSelector + "]"
)

// policyKind is a kind that the policy is compiled from: valid specs that together use every field, and how one becomes an object.
type policyKind struct {
	definition, version, kind string
	bases                     []string
	add                       func(o *policy.Objects, f *fields, spec map[string]any)
}

func addTo[T any](list func(*policy.Objects) *[]T, parts func(*T) (*metav1.ObjectMeta, any)) func(*policy.Objects, *fields, map[string]any) {
	return func(o *policy.Objects, f *fields, spec map[string]any) {
		var object T
		meta, into := parts(&object)
		*meta = metav1.ObjectMeta{Name: "bad", CreationTimestamp: metav1.Unix(2000, 0), Labels: map[string]string{"a": "b"}}
		f.decode(spec, into)
		all := list(o)
		*all = append(slices.Clip(*all), object)
	}
}

var policyKinds = []policyKind{
	{"ipaddresspools.metallb.io", "v1beta1", policy.KindIPAddressPool, []string{`
addresses: [198.51.100.0/24]
exclude: [198.51.100.9]
autoAssign: true
avoidBuggyIPs: true
serviceAllocation: {priority: 1, namespaces: [shop], namespaceSelectors: ` + selector + `, serviceSelectors: ` + selector + `}`},
		addTo(func(o *policy.Objects) *[]v1beta1.IPAddressPool { return &o.Pools },
			func(x *v1beta1.IPAddressPool) (*metav1.ObjectMeta, any) { return &x.ObjectMeta, &x.Spec })},
	{"ipreservations.metallb.io", "v1beta1", policy.KindIPReservation, []string{`
addresses: [192.0.2.200]
service: {namespace: shop, name: web}
expiresAt: "2100-01-01T00:00:00Z"
keepFor: 168h`},
		addTo(func(o *policy.Objects) *[]v1beta1.IPReservation { return &o.Reservations },
			func(x *v1beta1.IPReservation) (*metav1.ObjectMeta, any) {
				x.Status.UnusedSince = &metav1.Time{Time: time.Unix(3000, 0)}
				return &x.ObjectMeta, &x.Spec
			})},
	{"l2advertisements.metallb.io", "v1beta1", policy.KindL2Advertisement, []string{`
ipAddressPools: [good]
ipAddressPoolSelectors: ` + selector + `
nodeSelectors: ` + selector + `
serviceSelectors: ` + selector + `
preferredNodeSelectors: [{weight: 1, preference: ` + oneSelector + `}]
interfaces: [eth0]`},
		addTo(func(o *policy.Objects) *[]v1beta1.L2Advertisement { return &o.L2Advertisements },
			func(x *v1beta1.L2Advertisement) (*metav1.ObjectMeta, any) { return &x.ObjectMeta, &x.Spec })},
	{"bgpadvertisements.metallb.io", "v1beta1", policy.KindBGPAdvertisement, []string{`
ipAddressPools: [good]
ipAddressPoolSelectors: ` + selector + `
nodeSelectors: ` + selector + `
peers: [good]
communities: ["65000:1"]
aggregationLength: 32
aggregationLengthV6: 128
localPref: 100
med: 1
asPathPrepend: 1`, `
ipAddressPools: [good]
serviceSelectors: ` + selector},
		addTo(func(o *policy.Objects) *[]v1beta1.BGPAdvertisement { return &o.BGPAdvertisements },
			func(x *v1beta1.BGPAdvertisement) (*metav1.ObjectMeta, any) { return &x.ObjectMeta, &x.Spec })},
	{"bgppeers.metallb.io", "v1beta2", policy.KindBGPPeer, []string{`
myASN: 64512
peerASN: 64513
localASN: 64514
peerAddress: 192.0.2.253
sourceAddress: 192.0.2.1
routerID: 192.0.2.1
peerPort: 1179
holdTime: 90s
keepaliveTime: 30s
connectTime: 10s
nodeSelectors: ` + selector + `
password: secret
bfdProfile: good
enableGracefulRestart: true
ebgpMultiHop: true
vrf: red
disableMP: false
dualStackAddressFamily: true`, `
myASN: 64512
dynamicASN: external
interface: eth0
passwordSecret: {name: secret, namespace: shop}`},
		addTo(func(o *policy.Objects) *[]v1beta2.BGPPeer { return &o.BGPPeers },
			func(x *v1beta2.BGPPeer) (*metav1.ObjectMeta, any) { return &x.ObjectMeta, &x.Spec })},
	{"bgppeers.metallb.io", "v1beta1", policy.KindBGPPeer, []string{`
myASN: 64512
peerASN: 64513
peerAddress: 192.0.2.253
sourceAddress: 192.0.2.1
routerID: 192.0.2.1
peerPort: 1179
holdTime: 90s
keepaliveTime: 30s
nodeSelectors: ` + selector + `
password: secret
bfdProfile: good
ebgpMultiHop: true`},
		addTo(func(o *policy.Objects) *[]v1beta2.BGPPeer { return &o.BGPPeers },
			func(x *v1beta2.BGPPeer) (*metav1.ObjectMeta, any) { return &x.ObjectMeta, &x.Spec })},
	{"bfdprofiles.metallb.io", "v1beta1", policy.KindBFDProfile, []string{`
receiveInterval: 300
transmitInterval: 300
echoInterval: 50
detectMultiplier: 3
echoMode: true
passiveMode: true
minimumTtl: 254`},
		addTo(func(o *policy.Objects) *[]v1beta1.BFDProfile { return &o.BFDProfiles },
			func(x *v1beta1.BFDProfile) (*metav1.ObjectMeta, any) { return &x.ObjectMeta, &x.Spec })},
	{"communities.metallb.io", "v1beta1", policy.KindCommunity, []string{`
communities: [{name: other, value: "65000:2"}]`},
		addTo(func(o *policy.Objects) *[]v1beta1.Community { return &o.Communities },
			func(x *v1beta1.Community) (*metav1.ObjectMeta, any) { return &x.ObjectMeta, &x.Spec })},
}

// goodObjects returns a valid object of each kind, named good. They are older than the object under test, and so right where two of them
// contradict each other.
func goodObjects() policy.Objects {
	meta := metav1.ObjectMeta{Name: "good", CreationTimestamp: metav1.Unix(1000, 0)}
	return policy.Objects{
		Now:        time.Unix(4000, 0),
		Nodes:      map[string]map[string]string{"n1": {"a": "b"}, "n2": {}},
		Namespaces: map[string]map[string]string{"shop": {"a": "b"}},
		Pools:      []v1beta1.IPAddressPool{{ObjectMeta: meta, Spec: v1beta1.IPAddressPoolSpec{Addresses: []string{"192.0.2.0/24"}}}},
		Reservations: []v1beta1.IPReservation{{ObjectMeta: meta, Spec: v1beta1.IPReservationSpec{
			Addresses: []string{"192.0.2.7"}, Service: &v1beta1.ServiceReference{Namespace: "shop", Name: "good"},
		}}},
		L2Advertisements: []v1beta1.L2Advertisement{{ObjectMeta: meta, Spec: v1beta1.L2AdvertisementSpec{IPAddressPools: []string{"good"}}}},
		BGPAdvertisements: []v1beta1.BGPAdvertisement{{ObjectMeta: meta, Spec: v1beta1.BGPAdvertisementSpec{
			IPAddressPools: []string{"good"}, Communities: []string{"good"}, LocalPref: 100,
		}}},
		BGPPeers: []v1beta2.BGPPeer{{ObjectMeta: meta, Spec: v1beta2.BGPPeerSpec{
			MyASN: 64512, PeerASN: 64513, PeerAddress: "192.0.2.254", BFDProfile: "good",
		}}},
		BFDProfiles: []v1beta1.BFDProfile{{ObjectMeta: meta}},
		Communities: []v1beta1.Community{{ObjectMeta: meta, Spec: v1beta1.CommunitySpec{
			Communities: []v1beta1.CommunityAlias{{Name: "good", Value: "65000:9"}},
		}}},
	}
}

// served is what the good objects amount to.
type served struct {
	pool        allocation.Pool
	poolOf      string
	reservation allocation.Reservation
	l2          policy.L2
	bgp         policy.BGP
	peer        policy.Peer
	profile     v1beta1.BFDProfileSpec
}

func servedBy(p *policy.Policy) (s served) {
	for _, pool := range p.Pools {
		if pool.Name == "good" {
			s.pool = pool
		}
	}
	for _, r := range p.Reservations {
		if r.Name == "good" {
			s.reservation = r
		}
	}
	for _, peer := range p.Peers {
		if peer.Name == "good" {
			s.peer = peer
		}
	}
	for _, ad := range p.L2("good", map[string]string{"a": "b"}) {
		if ad.Name == "good" {
			s.l2 = ad
		}
	}
	for _, ad := range p.BGP("good", map[string]string{"a": "b"}) {
		if ad.Name == "good" {
			s.bgp = ad
		}
	}
	s.poolOf, _ = p.PoolOf(netip.MustParseAddr("192.0.2.7"))
	s.profile = p.BFDProfiles["good"]
	return s
}

// TestAcceptedValuesCostAtMostTheirObject feeds the policy, for each field of each kind, every value of the table that the schema accepts: the
// policy never panics, gives at most one problem, at the object that has the value, and serves all others as before.
func TestAcceptedValuesCostAtMostTheirObject(t *testing.T) {
	want := servedBy(policy.Compile(goodObjects()))
	if want.bgp.Name == "" || want.l2.Name == "" || want.peer.Name == "" || want.pool.Name == "" || want.reservation.Name == "" || want.poolOf != "good" {
		t.Fatalf("the good objects are not served: %+v", want)
	}
	for _, k := range policyKinds {
		t.Run(k.kind+" "+k.version, func(t *testing.T) {
			f := fieldsOf(t, k.definition, k.version)
			var bases []map[string]any
			for _, text := range k.bases {
				bases = append(bases, document(t, text))
				o := goodObjects()
				k.add(&o, f, bases[len(bases)-1])
				if p := policy.Compile(o); len(p.Problems) > 0 {
					t.Fatalf("the base has problems: %v", p.Problems)
				}
			}
			tried, refused := 0, 0
			paths, rejected := f.vary(bases, func(path string, value any, spec map[string]any) {
				tried++
				o := goodObjects()
				k.add(&o, f, spec)
				if err := costsAtMost(policy.ObjectRef{Kind: k.kind, Name: "bad"}, o, want, &refused); err != nil {
					t.Errorf("%s: %q: %v", path, fmt.Sprint(value), err)
				}
			})
			if len(rejected) > 0 {
				t.Errorf("no value was tried in %v: add one that the schema accepts", rejected)
			}
			t.Logf("%d fields, %d values accepted by the schema, %d of them refused by the policy", len(paths), tried, refused)
		})
	}
}

// costsAtMost compiles the objects and says what of the policy is not as if the object were not there, but for its own problem.
func costsAtMost(object policy.ObjectRef, o policy.Objects, want served, refused *int) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	p := policy.Compile(o)
	if got := servedBy(p); !reflect.DeepEqual(got, want) {
		return fmt.Errorf("the others are served as %+v, want %+v", got, want)
	}
	for _, problem := range slices.Concat(p.Problems, p.Notes) {
		if _, known := reason.All()[problem.Reason]; !known || problem.Object != object || problem.Detail == "" || len(problem.Detail) > longestDetail {
			return fmt.Errorf("reported as %s of %s %s in %d bytes", problem.Reason, problem.Object.Kind, problem.Object.Name, len(problem.Detail))
		}
	}
	*refused += len(p.Problems)
	if len(p.Problems) > 1 {
		return fmt.Errorf("%d problems of one object: %v", len(p.Problems), p.Problems)
	}
	return nil
}
