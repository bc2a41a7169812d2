// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/api/v1beta2"
	"metalsuite.io/internal/policy"
)

// aged returns pools of which each is a second younger than the one before.
func aged(pools ...*v1beta1.IPAddressPool) (list []v1beta1.IPAddressPool) {
	for i, p := range pools {
		p.CreationTimestamp = metav1.Unix(int64(i), 0)
		list = append(list, *p)
	}
	return list
}

// named returns an advertisement that names peers.
func named(peers ...string) *v1beta1.BGPAdvertisement {
	return bgp("ad", func(s *v1beta1.BGPAdvertisementSpec) { s.Peers = peers })
}

func TestJudge(t *testing.T) {
	ad := *bgp("ad", func(s *v1beta1.BGPAdvertisementSpec) {
		s.Communities, s.AggregationLength = []string{"later"}, ptr.To[int32](24)
	})
	coarse := ad.DeepCopy()
	coarse.Spec.Communities = nil
	alias := *community("c", v1beta1.CommunityAlias{Name: "later", Value: "64512:1"})
	fine := aged(pool("fine", "198.18.0.0/28"))
	for name, c := range map[string]struct {
		changed            policy.ObjectRef
		before, after      policy.Objects
		refusals, warnings string
	}{
		"what was wrong beside a missing name blocks nobody": {
			changed:  policy.ObjectRef{Kind: policy.KindCommunity, Name: "c"},
			before:   policy.Objects{Pools: fine, BGPAdvertisements: []v1beta1.BGPAdvertisement{ad}},
			after:    policy.Objects{Pools: fine, BGPAdvertisements: []v1beta1.BGPAdvertisement{ad}, Communities: []v1beta1.Community{alias}},
			refusals: "", warnings: "",
		},
		"an overlap that now names another pool is not new": {
			changed: policy.ObjectRef{Kind: policy.KindIPAddressPool, Name: "a"},
			before:  policy.Objects{Pools: aged(pool("a", "198.18.0.0/24"), pool("b", "198.18.1.0/24"), pool("c", "198.18.0.0/23"))},
			after:   policy.Objects{Pools: aged(pool("a", "198.18.9.0/24"), pool("b", "198.18.1.0/24"), pool("c", "198.18.0.0/23"))},
		},
		"only the new one of two problems is told": {
			changed:  policy.ObjectRef{Kind: policy.KindIPAddressPool, Name: "b"},
			before:   policy.Objects{Pools: aged(pool("a", "198.18.0.0/24"), pool("b", "x"))},
			after:    policy.Objects{Pools: aged(pool("a", "198.18.0.0/24"), pool("b", "x", "198.18.0.0/25"))},
			refusals: "overlaps with already defined CIDR",
		},
		"one problem less is no reason": {
			changed: policy.ObjectRef{Kind: policy.KindIPAddressPool, Name: "b"},
			before:  policy.Objects{Pools: aged(pool("a", "198.18.0.0/24"), pool("b", "x", "198.18.0.0/25"))},
			after:   policy.Objects{Pools: aged(pool("a", "198.18.0.0/24"), pool("b", "198.18.0.0/25"))},
		},
		"a name that is missing hides no mistake": {
			changed:  policy.ObjectRef{Kind: policy.KindBGPAdvertisement, Name: "ad"},
			after:    policy.Objects{Pools: fine, BGPAdvertisements: []v1beta1.BGPAdvertisement{ad}},
			refusals: `BGPAdvertisement "ad": pool "fine": invalid aggregation length 24`,
			warnings: `BGPAdvertisement "ad": no Community resource defines "later"`,
		},
		"a profile that is missing hides no mistake": {
			changed: policy.ObjectRef{Kind: policy.KindBGPPeer, Name: "tor"},
			after: policy.Objects{BGPPeers: []v1beta2.BGPPeer{*peer("tor", func(s *v1beta2.BGPPeerSpec) {
				s.BFDProfile, s.PeerAddress = "later", "nowhere"
			})}},
			refusals: `invalid BGPPeer address "nowhere"`, warnings: `no valid BFDProfile "later"`,
		},
		"a peer that is unknown stops nothing": {
			changed:  policy.ObjectRef{Kind: policy.KindBGPAdvertisement, Name: "ad"},
			after:    policy.Objects{Pools: fine, BGPAdvertisements: []v1beta1.BGPAdvertisement{*named("tor")}},
			warnings: `BGPAdvertisement "ad": no valid BGPPeer "tor"`,
		},
		"nor does one that goes": {
			changed: policy.ObjectRef{Kind: policy.KindBGPPeer, Name: "tor"},
			before: policy.Objects{
				Pools: fine, BGPAdvertisements: []v1beta1.BGPAdvertisement{*named("tor")}, BGPPeers: []v1beta2.BGPPeer{*peer("tor")},
			},
			after:    policy.Objects{Pools: fine, BGPAdvertisements: []v1beta1.BGPAdvertisement{*named("tor")}},
			warnings: `BGPAdvertisement "ad": no valid BGPPeer "tor"`,
		},
		"what was known already is not told again": {
			changed: policy.ObjectRef{Kind: policy.KindBGPAdvertisement, Name: "ad"},
			before:  policy.Objects{Pools: fine, BGPAdvertisements: []v1beta1.BGPAdvertisement{*named("tor")}},
			after:   policy.Objects{Pools: fine, BGPAdvertisements: []v1beta1.BGPAdvertisement{*named("tor")}},
		},
		"a name that goes is a warning, also for what is wrong besides": {
			changed:  policy.ObjectRef{Kind: policy.KindBGPAdvertisement, Name: "ad"},
			before:   policy.Objects{Pools: fine, BGPAdvertisements: []v1beta1.BGPAdvertisement{*coarse}},
			after:    policy.Objects{Pools: fine, BGPAdvertisements: []v1beta1.BGPAdvertisement{ad}},
			warnings: `BGPAdvertisement "ad": no Community resource defines "later"`,
		},
		"an object that waits for a name is kept valid besides": {
			changed:  policy.ObjectRef{Kind: policy.KindIPAddressPool, Name: "fine"},
			before:   policy.Objects{BGPAdvertisements: []v1beta1.BGPAdvertisement{ad}},
			after:    policy.Objects{Pools: fine, BGPAdvertisements: []v1beta1.BGPAdvertisement{ad}},
			refusals: `BGPAdvertisement "ad" would become invalid: pool "fine": invalid aggregation length 24`,
		},
		"a name that is missing is a warning": {
			changed:  policy.ObjectRef{Kind: policy.KindBGPAdvertisement, Name: "ad"},
			after:    policy.Objects{BGPAdvertisements: []v1beta1.BGPAdvertisement{ad}},
			warnings: `BGPAdvertisement "ad": no Community resource defines "later"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := judge(c.changed, policy.Compile(c.before), policy.Compile(c.after))
			for what, pair := range map[string][2]string{
				"refusals": {strings.Join(v.refusals, "\n"), c.refusals}, "warnings": {strings.Join(v.warnings, "\n"), c.warnings},
			} {
				if got, want := pair[0], pair[1]; !strings.Contains(got, want) || (got == "") != (want == "") {
					t.Errorf("%s: got %q, want %q", what, got, want)
				}
			}
			if strings.Contains(strings.Join(v.refusals, ""), `"x"`) {
				t.Errorf("told what was wrong before: %q", v.refusals)
			}
		})
	}
}

func TestTheNewestObjectIsTheYoungest(t *testing.T) {
	k := kinds()[0]
	o := policy.Objects{Pools: aged(pool("a"), pool("b"), pool("c"))}
	if got := k.born(&o); !got.After(time.Unix(2, 0)) {
		t.Errorf("got %v", got)
	}
}

func TestLoss(t *testing.T) {
	many := func(n, length int) (names []string) {
		for i := range n {
			names = append(names, fmt.Sprintf("%0*d", length, i))
		}
		return names
	}
	for name, c := range map[string]struct {
		losers []string
		want   string
	}{
		"one":             {[]string{"a/b (198.18.0.1)"}, "1 Service loses its address: a/b (198.18.0.1)"},
		"two":             {many(2, 1), "2 Services lose their address: 0, 1"},
		"five":            {many(5, 1), "5 Services lose their address: 0, 1, 2, 3, 4"},
		"six":             {many(6, 1), "6 Services lose their address: 0, 1, 2, 3, 4, and 1 more"},
		"many":            {many(2000, 1), "2000 Services lose their address: 0, 1, 2, 3, 4, and 1995 more"},
		"long names":      {many(4, 90), "4 Services lose their address: " + strings.Join(many(2, 90), ", ") + ", and 2 more"},
		"a very long one": {many(2, 200), "2 Services lose their address: " + many(1, 200)[0] + ", and 1 more"},
	} {
		t.Run(name, func(t *testing.T) {
			got := loss(c.losers)
			if got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
			if len(got) > maxWarning {
				t.Errorf("%d bytes", len(got))
			}
		})
	}
}
