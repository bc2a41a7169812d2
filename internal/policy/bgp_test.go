// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/api/v1beta2"
)

func bgp(name string, spec v1beta1.BGPAdvertisementSpec) v1beta1.BGPAdvertisement {
	return v1beta1.BGPAdvertisement{ObjectMeta: born(name, 0), Spec: spec}
}

func community(name string, age int, aliases ...string) v1beta1.Community {
	c := v1beta1.Community{ObjectMeta: born(name, age)}
	for i := 0; i < len(aliases); i += 2 {
		c.Spec.Communities = append(c.Spec.Communities, v1beta1.CommunityAlias{Name: aliases[i], Value: aliases[i+1]})
	}
	return c
}

func peer(name string, change func(*v1beta2.BGPPeerSpec)) v1beta2.BGPPeer {
	p := v1beta2.BGPPeer{ObjectMeta: born(name, 0), Spec: v1beta2.BGPPeerSpec{MyASN: 64512, PeerASN: 64999, PeerAddress: "192.0.2.1"}}
	if change != nil {
		change(&p.Spec)
	}
	return p
}

// at gives a peer an address.
func at(address string) func(*v1beta2.BGPPeerSpec) {
	return func(s *v1beta2.BGPPeerSpec) { s.PeerAddress = address }
}

func number[T any](n T) *T { return &n }

func TestBGPAdvertisements(t *testing.T) {
	nodes := map[string]int{"n1": 0, "n2": 0, "n3": 0}
	for _, row := range []struct {
		name    string
		spec    v1beta1.BGPAdvertisementSpec
		want    *BGP
		reason  reason.Reason
		message string
	}{
		{name: "host routes to everybody", want: &BGP{Length4: 32, Length6: 128, Nodes: nodes}},
		{name: "everything", spec: v1beta1.BGPAdvertisementSpec{
			AggregationLength: number[int32](28), AggregationLengthV6: number[int32](64), LocalPref: 100, MED: number[uint32](0), ASPathPrepend: 10,
			Communities: []string{"large:1:2:3", "tenant", "65000:1"}, Peers: []string{"z", "a"},
			NodeSelectors: []metav1.LabelSelector{label("rack", "r1")},
		}, want: &BGP{Length4: 28, Length6: 64, LocalPref: 100, HasMED: true, Prepend: 10, Peers: []string{"a", "z"}, Nodes: map[string]int{"n1": 0},
			Communities: []Community{{Parts: [3]uint32{65000, 1}}, {Parts: [3]uint32{65000, 7}}, {Large: true, Parts: [3]uint32{1, 2, 3}}}}},
		{name: "a metric", spec: v1beta1.BGPAdvertisementSpec{MED: number[uint32](4294967295)},
			want: &BGP{Length4: 32, Length6: 128, MED: 4294967295, HasMED: true, Nodes: nodes}},
		{name: "too long a path", spec: v1beta1.BGPAdvertisementSpec{ASPathPrepend: 11}, reason: reason.InvalidMetric, message: "invalid asPathPrepend 11"},
		{name: "a path of less than nothing", spec: v1beta1.BGPAdvertisementSpec{ASPathPrepend: -1}, reason: reason.InvalidMetric},
		{name: "well-known communities", spec: v1beta1.BGPAdvertisementSpec{Communities: []string{"No-Export", "65535:65281", "graceful-shutdown"}},
			want: &BGP{Length4: 32, Length6: 128, Nodes: nodes, Communities: []Community{{Parts: [3]uint32{65535, 0}}, {Parts: [3]uint32{65535, 65281}}}}},
		{name: "a name of our own before a well-known one", spec: v1beta1.BGPAdvertisementSpec{Communities: []string{"blackhole", "kept-in"}},
			want: &BGP{Length4: 32, Length6: 128, Nodes: nodes, Communities: []Community{{Parts: [3]uint32{65000, 8}}, {Parts: [3]uint32{65535, 65281}}}}},
		{name: "too coarse for the pool", spec: v1beta1.BGPAdvertisementSpec{AggregationLength: number[int32](26)}, reason: reason.InvalidAggregation,
			message: "invalid aggregation length 26: prefix 28 in this pool is more specific than the aggregation length for addresses 1.1.1.0/28"},
		{name: "too coarse for the pool's IPv6", spec: v1beta1.BGPAdvertisementSpec{AggregationLengthV6: number[int32](48)}, reason: reason.InvalidAggregation,
			message: "invalid aggregation length 48: prefix 64"},
		{name: "length of nothing", spec: v1beta1.BGPAdvertisementSpec{AggregationLength: number[int32](33)}, reason: reason.InvalidAggregation},
		{name: "length and services", spec: v1beta1.BGPAdvertisementSpec{
			AggregationLength: number[int32](30), ServiceSelectors: []metav1.LabelSelector{label("a", "b")}}, reason: reason.InvalidAggregation,
			message: "serviceSelectors and aggregationLength are mutually exclusive"},
		{name: "unknown alias", spec: v1beta1.BGPAdvertisementSpec{Communities: []string{"nobody"}}, reason: reason.UnknownCommunity},
		{name: "unknown alias and a mistake after it", spec: v1beta1.BGPAdvertisementSpec{Communities: []string{"nobody", "1:x"}},
			reason: reason.InvalidCommunity, message: `"1:x"; no Community resource defines "nobody"`},
		{name: "unknown alias and too coarse", spec: v1beta1.BGPAdvertisementSpec{AggregationLength: number[int32](26), Communities: []string{"nobody"}},
			reason: reason.InvalidAggregation, message: `; no Community resource defines "nobody"`},
		{name: "unknown alias twice", spec: v1beta1.BGPAdvertisementSpec{Communities: []string{"nobody", "nobody"}}, reason: reason.DuplicateEntry},
		{name: "three parts are an alias", spec: v1beta1.BGPAdvertisementSpec{Communities: []string{"1:2:3"}}, reason: reason.UnknownCommunity},
		{name: "section too large", spec: v1beta1.BGPAdvertisementSpec{Communities: []string{"65536:1"}}, reason: reason.InvalidCommunity,
			message: "invalid community value: invalid section"},
		{name: "four parts that are not large", spec: v1beta1.BGPAdvertisementSpec{Communities: []string{"big:1:2:3"}}, reason: reason.InvalidCommunity,
			message: "expected community to be of format large"},
		{name: "community twice", spec: v1beta1.BGPAdvertisementSpec{Communities: []string{"1:2", "1:2"}}, reason: reason.DuplicateEntry},
		{name: "peer twice", spec: v1beta1.BGPAdvertisementSpec{Peers: []string{"a", "a"}}, reason: reason.DuplicateEntry},
		{name: "bad node selector", spec: v1beta1.BGPAdvertisementSpec{NodeSelectors: []metav1.LabelSelector{expression("a", "Near")}}, reason: reason.InvalidSelector},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := Compile(Objects{
				Pools: []v1beta1.IPAddressPool{pool("blue", 0, "1.1.1.0/28", "1.1.2.0/24", "2001:db8::/64")}, Nodes: threeNodes(),
				BGPAdvertisements: []v1beta1.BGPAdvertisement{bgp("ad", row.spec)},
				Communities:       []v1beta1.Community{community("c", 0, "tenant", "65000:7", "blackhole", "65000:8", "kept-in", "no-export")},
			})
			if problem, _ := p.ProblemOf(ObjectRef{KindBGPAdvertisement, "ad"}); problem.Reason != row.reason || !strings.Contains(problem.Detail, row.message) {
				t.Errorf("problem %+v, want %s: %s", problem, row.reason, row.message)
			}
			var want []BGP
			if row.want != nil {
				row.want.Name = "ad"
				want = []BGP{*row.want}
			}
			if diff := cmp.Diff(want, p.BGP("blue", nil)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAggregationCountsTheWidestPrefixOfARange(t *testing.T) {
	p := Compile(Objects{
		Pools: []v1beta1.IPAddressPool{pool("wide", 0, "10.0.0.1-10.0.0.254"), pool("narrow", 0, "10.0.1.1-10.0.1.2")},
		BGPAdvertisements: []v1beta1.BGPAdvertisement{
			bgp("ad", v1beta1.BGPAdvertisementSpec{AggregationLength: number[int32](26)})},
	})
	if len(p.BGP("wide", nil)) != 1 || len(p.BGP("narrow", nil)) != 0 || len(p.Problems) != 1 {
		t.Errorf("wide %v, narrow %v, problems %v", p.BGP("wide", nil), p.BGP("narrow", nil), p.Problems)
	}
}

func TestCommunities(t *testing.T) {
	found := findings{}
	aliases := compileAliases(Objects{Communities: []v1beta1.Community{
		community("young", 1, "a", "65000:9", "c", "65000:3"), community("old", 0, "a", "65000:1", "b", "large:1:2:3"),
		community("bad", 2, "d", "no", "e", "1:x", "", "1:1"),
	}}, found)
	want := map[string]Community{"a": {Parts: [3]uint32{65000, 1}}, "b": {Large: true, Parts: [3]uint32{1, 2, 3}}, "c": {Parts: [3]uint32{65000, 3}}}
	if diff := cmp.Diff(want, aliases); diff != "" {
		t.Error(diff)
	}
	problems := found.problems()
	if len(problems) != 2 || problems[0].Reason != reason.InvalidCommunity || !strings.Contains(problems[1].Detail, `duplicate definition of community "a"`) {
		t.Errorf("problems %v", problems)
	}
}

// FuzzParseCommunity checks that what is read is written again.
func FuzzParseCommunity(f *testing.F) {
	for _, seed := range []string{"1:2", "large:1:2:3", "alias", "::", "65536:0", "large:4294967296:0:0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, literal, err := parseCommunity(text)
		if err != nil || !literal {
			return
		}
		if again, _, err := parseCommunity(c.String()); err != nil || again != c {
			t.Fatalf("%q gives %s, read again %s, %v", text, c, again, err)
		}
	})
}

func TestPeers(t *testing.T) {
	duration := func(d time.Duration) *metav1.Duration { return &metav1.Duration{Duration: d} }
	for _, row := range []struct {
		name   string
		change func(*v1beta2.BGPPeerSpec)
		reason reason.Reason
		hold   time.Duration // -1: absent
		keep   time.Duration
	}{
		{name: "smallest", hold: -1},
		{name: "hold time alone", change: func(s *v1beta2.BGPPeerSpec) { s.HoldTime = duration(10 * time.Second) }, hold: 10 * time.Second, keep: 3 * time.Second},
		{name: "keepalive alone", change: func(s *v1beta2.BGPPeerSpec) { s.KeepaliveTime = duration(4 * time.Second) }, hold: 12 * time.Second, keep: 4 * time.Second},
		{name: "no timers at all", change: func(s *v1beta2.BGPPeerSpec) { s.HoldTime = duration(0) }},
		{name: "fraction", change: func(s *v1beta2.BGPPeerSpec) { s.HoldTime = duration(500 * time.Millisecond) }},
		{name: "keepalive alone, in too little time", change: func(s *v1beta2.BGPPeerSpec) { s.KeepaliveTime = duration(500 * time.Millisecond) },
			reason: reason.InvalidBGPPeer},
		{name: "keepalive alone, none", change: func(s *v1beta2.BGPPeerSpec) { s.KeepaliveTime = duration(0) }, reason: reason.InvalidBGPPeer},
		{name: "no keepalives and no hold time", change: func(s *v1beta2.BGPPeerSpec) { s.HoldTime, s.KeepaliveTime = duration(0), duration(0) }},
		{name: "the longest password", change: func(s *v1beta2.BGPPeerSpec) { s.Password = strings.Repeat("x", 80) }, hold: -1},
		{name: "too long a password", change: func(s *v1beta2.BGPPeerSpec) { s.Password = strings.Repeat("x", 81) }, reason: reason.InvalidBGPPeer},
		{name: "unnumbered", change: func(s *v1beta2.BGPPeerSpec) {
			s.PeerAddress, s.Interface, s.PeerASN, s.DynamicASN = "", "eth0", 0, v1beta2.DynamicASNExternal
		}, hold: -1},
		{name: "with a profile", change: func(s *v1beta2.BGPPeerSpec) { s.BFDProfile = "fast" }, hold: -1},
		{name: "hold time too short", change: func(s *v1beta2.BGPPeerSpec) { s.HoldTime = duration(2 * time.Second) }, reason: reason.InvalidBGPPeer},
		{name: "keepalive too long", change: func(s *v1beta2.BGPPeerSpec) {
			s.HoldTime, s.KeepaliveTime = duration(3*time.Second), duration(4*time.Second)
		}, reason: reason.InvalidBGPPeer},
		{name: "connect time", change: func(s *v1beta2.BGPPeerSpec) { s.ConnectTime = duration(time.Millisecond) }, reason: reason.InvalidBGPPeer},
		{name: "no myASN", change: func(s *v1beta2.BGPPeerSpec) { s.MyASN = 0 }, reason: reason.InvalidBGPPeer},
		{name: "both ASNs", change: func(s *v1beta2.BGPPeerSpec) { s.DynamicASN = v1beta2.DynamicASNInternal }, reason: reason.InvalidBGPPeer},
		{name: "no address", change: func(s *v1beta2.BGPPeerSpec) { s.PeerAddress = "" }, reason: reason.InvalidBGPPeer},
		{name: "bad address", change: func(s *v1beta2.BGPPeerSpec) { s.PeerAddress = "tor" }, reason: reason.InvalidBGPPeer},
		{name: "bad source", change: func(s *v1beta2.BGPPeerSpec) { s.SourceAddress = "eth0" }, reason: reason.InvalidBGPPeer},
		{name: "bad router ID", change: func(s *v1beta2.BGPPeerSpec) { s.RouterID = "2001:db8::1" }, reason: reason.InvalidBGPPeer},
		{name: "multihop within", change: func(s *v1beta2.BGPPeerSpec) { s.EBGPMultiHop, s.PeerASN = true, s.MyASN }, reason: reason.InvalidBGPPeer},
		{name: "two passwords", change: func(s *v1beta2.BGPPeerSpec) { s.Password, s.PasswordSecret.Name = "a", "b" }, reason: reason.InvalidBGPPeer},
		{name: "unknown profile", change: func(s *v1beta2.BGPPeerSpec) { s.BFDProfile = "slow" }, reason: reason.UnknownBFDProfile},
		{name: "unknown profile and a mistake", change: func(s *v1beta2.BGPPeerSpec) { s.BFDProfile, s.MyASN = "slow", 0 }, reason: reason.InvalidBGPPeer},
		{name: "invalid profile", change: func(s *v1beta2.BGPPeerSpec) { s.BFDProfile = "bad" }, reason: reason.UnknownBFDProfile},
		{name: "address with a zone", change: at("fe80::1%eth0"), reason: reason.InvalidBGPPeer},
		{name: "link-local address", change: at("fe80::1"), reason: reason.InvalidBGPPeer},
		{name: "link-local IPv4 address", change: at("169.254.1.1"), hold: -1},
		{name: "no address at all", change: at("0.0.0.0"), reason: reason.InvalidBGPPeer},
		{name: "mapped nothing", change: at("::ffff:0.0.0.0"), reason: reason.InvalidBGPPeer},
		{name: "multicast", change: at("ff02::1"), reason: reason.InvalidBGPPeer},
		{name: "source of the other family", change: func(s *v1beta2.BGPPeerSpec) { s.SourceAddress = "2001:db8::1" }, reason: reason.InvalidBGPPeer},
		{name: "source of the same family", change: func(s *v1beta2.BGPPeerSpec) { s.SourceAddress = "192.0.2.7" }, hold: -1},
		{name: "source of an unnumbered session", change: func(s *v1beta2.BGPPeerSpec) {
			s.PeerAddress, s.Interface, s.SourceAddress = "", "eth0", "192.0.2.7"
		}, reason: reason.InvalidBGPPeer},
		{name: "link-local source of an unnumbered session", change: func(s *v1beta2.BGPPeerSpec) {
			s.PeerAddress, s.Interface, s.SourceAddress = "", "eth0", "fe80::7"
		}, hold: -1},
		{name: "no router ID", change: func(s *v1beta2.BGPPeerSpec) { s.RouterID = "0.0.0.0" }, reason: reason.InvalidBGPPeer},
		{name: "a path as device", change: func(s *v1beta2.BGPPeerSpec) { s.VRF = "../red" }, reason: reason.InvalidBGPPeer},
		{name: "too long a device", change: func(s *v1beta2.BGPPeerSpec) { s.PeerAddress, s.Interface = "", "a234567890123456" }, reason: reason.InvalidBGPPeer},
		{name: "bad node selector", change: func(s *v1beta2.BGPPeerSpec) { s.NodeSelectors = []metav1.LabelSelector{expression("a", "Near")} }, reason: reason.InvalidSelector},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := Compile(Objects{BGPPeers: []v1beta2.BGPPeer{peer("tor", row.change), peer("other", at("192.0.2.9"))}, Nodes: threeNodes(), BFDProfiles: profiles()})
			problem, _ := p.ProblemOf(ObjectRef{KindBGPPeer, "tor"})
			if problem.Reason != row.reason {
				t.Fatalf("problem %+v, want %s", problem, row.reason)
			}
			if row.reason != "" {
				if len(p.Peers) != 1 || p.Peers[0].Name != "other" {
					t.Errorf("peers %v", p.Peers)
				}
				return
			}
			got := p.Peers[1]
			if got.Port != 179 || len(got.Nodes) != 3 || timer(got.HoldTime) != row.hold || row.hold >= 0 && timer(got.KeepaliveTime) != row.keep {
				t.Errorf("port %d, nodes %v, hold %s, keepalive %s", got.Port, got.Nodes, timer(got.HoldTime), timer(got.KeepaliveTime))
			}
		})
	}
}

func timer(d *time.Duration) time.Duration {
	if d == nil {
		return -1
	}
	return *d
}

// manyObjects returns objects of each kind, good and bad, some as old as others.
func manyObjects() Objects {
	return Objects{
		Pools: []v1beta1.IPAddressPool{
			pool("a", 1, "10.0.0.0/26"), pool("b", 0, "10.0.0.32-10.0.0.100"), pool("c", 0, "10.0.0.90-10.0.0.120", "x"),
			pool("d", 2, "10.0.0.200/30"), pool("e", 2, "10.0.0.110-10.0.0.210"), pool("f", 0, "10.0.0.95-10.0.0.115"),
		},
		Nodes: threeNodes(),
		L2Advertisements: []v1beta1.L2Advertisement{
			l2("one", v1beta1.L2AdvertisementSpec{IPAddressPools: []string{"a", "e"}}), l2("two", v1beta1.L2AdvertisementSpec{}),
			l2("bad", v1beta1.L2AdvertisementSpec{IPAddressPools: []string{"a", "a"}}),
		},
		BGPAdvertisements: []v1beta1.BGPAdvertisement{
			bgp("x", v1beta1.BGPAdvertisementSpec{Communities: []string{"n", "m"}}), bgp("y", v1beta1.BGPAdvertisementSpec{AggregationLength: number[int32](28)}),
			bgp("z", v1beta1.BGPAdvertisementSpec{Communities: []string{"gone"}}), bgp("w", v1beta1.BGPAdvertisementSpec{LocalPref: 3, Peers: []string{"bad"}}),
			bgp("v", v1beta1.BGPAdvertisementSpec{LocalPref: 7}),
		},
		BGPPeers: []v1beta2.BGPPeer{peer("tor-a", nil), peer("tor-b", nil), peer("bad", func(s *v1beta2.BGPPeerSpec) { s.MyASN = 0 })},
		Communities: []v1beta1.Community{
			community("c1", 0, "n", "1:1"), community("c2", 0, "n", "2:2", "m", "3:3"), community("c0", 1, "m", "4:4", "n", "5:5"),
		},
		BFDProfiles: profiles(),
	}
}
