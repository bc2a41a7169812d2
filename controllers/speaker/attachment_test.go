// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/announcertest"
	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/internal/kube"
	"metalsuite.io/internal/membership"
)

// preferring returns what an advertisement says that prefers one node.
func preferring(node string, weight int32) v1beta1.PreferredNodeSelector {
	return v1beta1.PreferredNodeSelector{Weight: weight, Preference: metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/hostname": node}}}
}

func TestTheOwnerIsOnTheSubnetOfTheAddress(t *testing.T) {
	const four, six = "192.0.2.10", "2001:db8::10"
	const here, here6, elsewhere = "192.0.2.0/24", "2001:db8::/64", "198.51.100.0/24"
	prefersN1 := v1beta1.L2AdvertisementSpec{PreferredNodeSelectors: []v1beta1.PreferredNodeSelector{preferring("n1", 100)}}
	for _, row := range []struct {
		name string
		// subnets are what each node is on, n1 first; a dash is a speaker that does not tell.
		subnets   [3]string
		addresses string
		ad        v1beta1.L2AdvertisementSpec
		mend      func(*World)
		owner     string
	}{
		{name: "only the node on the subnet may own it", subnets: [3]string{elsewhere, elsewhere, here}, owner: "n3"},
		{name: "it comes before preference", subnets: [3]string{elsewhere, elsewhere, here}, ad: prefersN1, owner: "n3"},
		{name: "among those on the subnet preference decides", subnets: [3]string{here, elsewhere, here}, ad: prefersN1, owner: "n1"},
		{name: "nobody is on the subnet, so preference decides", subnets: [3]string{elsewhere, elsewhere, elsewhere}, ad: prefersN1, owner: "n1"},
		{name: "a speaker that does not tell may not know the rule, so it is off", subnets: [3]string{elsewhere, "-", here}, ad: prefersN1, owner: "n1"},
		{name: "one that is no candidate may well be silent", subnets: [3]string{elsewhere, "-", here}, ad: v1beta1.L2AdvertisementSpec{
			NodeSelectors: onNode("n1", "n3"), PreferredNodeSelectors: prefersN1.PreferredNodeSelectors,
		}, owner: "n3"},
		{name: "a node without any subnet is on none", subnets: [3]string{"", elsewhere, here}, ad: prefersN1, owner: "n3"},
		{name: "a silent one for which interfaces are named", subnets: [3]string{elsewhere, "-", here}, mend: func(w *World) {
			both := []v1beta1.L2Advertisement{advertisement("all", prefersN1), advertisement("eth1", v1beta1.L2AdvertisementSpec{
				Interfaces: []string{"eth1"}, NodeSelectors: onNode("n2"),
			})}
			w.Policy = compile([]v1beta1.IPAddressPool{pool("blue", here, here6)}, both)
		}, owner: "n1"},
		{name: "fitness comes first", subnets: [3]string{elsewhere, elsewhere, here}, mend: func(w *World) {
			w.Members[1].State.Fit, w.Members[2].State.Fit = false, false
		}, owner: "n1"},
		{name: "a node without endpoint is no candidate, wherever it is", subnets: [3]string{here, elsewhere, elsewhere}, mend: func(w *World) {
			w.Services[0].Local = true
		}, owner: "n2"},
		{name: "named interfaces: only their presence counts", subnets: [3]string{here, here, elsewhere}, mend: func(w *World) {
			w.Members[2].State.Links = map[string]string{"eth1": "02:00:00:00:00:03"}
			w.Members[0].State.Links = map[string]string{"eth0": "02:00:00:00:00:01"}
			w.Members[1].State.Links = w.Members[0].State.Links
		}, ad: v1beta1.L2AdvertisementSpec{Interfaces: []string{"eth1"}}, owner: "n3"},
		{name: "both families of a Service narrow", subnets: [3]string{here, here6, here + " " + here6}, addresses: four + " " + six, owner: "n3"},
		{name: "the lower address is more important", subnets: [3]string{here6, here6, here}, addresses: six + " " + four, owner: "n3"},
		{name: "Services that share an address are decided together", subnets: [3]string{here, here6, here6}, addresses: six, mend: func(w *World) {
			w.Services[0] = sharing("k", 80, w.Services[0])
			w.Services = append(w.Services, sharing("k", 443, service("api", six, four)))
		}, owner: "n1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := base()
			if row.addresses == "" {
				row.addresses = four
			}
			w.Services = []Service{service("web", strings.Fields(row.addresses)...)}
			w.Policy = compile([]v1beta1.IPAddressPool{pool("blue", here, here6)}, []v1beta1.L2Advertisement{advertisement("ad", row.ad)})
			for i := range w.Members {
				w.Members[i].State.SubnetsTold = row.subnets[i] != "-"
				for _, p := range strings.Fields(strings.Trim(row.subnets[i], "-")) {
					w.Members[i].State.Subnets = append(w.Members[i].State.Subnets, netip.MustParsePrefix(p))
				}
			}
			if row.mend != nil {
				row.mend(&w)
			}
			for _, self := range []string{"n1", "n2", "n3"} {
				w.Self = self
				if got := Decide(w).Verdicts["default/web"]; got.Owner != row.owner {
					t.Fatalf("node %s says that %q is the owner, want %q (problem %v)", self, got.Owner, row.owner, got.Problem)
				}
			}
		})
	}
}

// teller is a speaker of node n1 that publishes when the test says so, with one fake module.
type teller struct {
	*Speaker
	fake  *announcertest.Fake
	clock *clocktesting.FakeClock
	world World
}

// newTeller returns a speaker that has been running for long, beside n2 and n3 which are fit.
func newTeller(links map[string]string, subnets ...netip.Prefix) *teller {
	t := &teller{fake: announcertest.NewFake("fake", announcers.Exclusive), clock: clocktesting.NewFakeClock(time.Unix(1000, 0)), world: base()}
	t.fake.SetLinkAddresses(links)
	t.fake.SetSubnets(subnets...)
	t.Speaker = New(Options{
		Node: "n1", Hold: 3 * time.Second, Members: membership.NewFake("n1"), Modules: []announcers.Announcer{t.fake},
		Trigger: kube.NewTrigger(), Clock: t.clock, Log: logr.Discard(),
	})
	t.pools.update(t.world.Policy)
	t.tell(0)
	t.tell(time.Minute)
	return t
}

// tell returns what the speaker publishes after a while, and when it wants to look again.
func (t *teller) tell(after time.Duration) (membership.State, time.Duration) {
	t.clock.Step(after)
	w := t.world
	again := t.publish(&w)
	return w.Members[0].State, again
}

func TestAnInterfaceThatComesUpIsKnownBeforeItCounts(t *testing.T) {
	const mac0, mac1 = "02:00:00:00:00:01", "02:00:00:00:01:01"
	one, both := map[string]string{"eth0": mac0}, map[string]string{"eth0": mac0, "eth1": mac1}
	n := newTeller(one)
	n.fake.SetHardwareAddresses(mac1)
	expect := func(what string, after time.Duration, links, macs string, again time.Duration) {
		t.Helper()
		state, next := n.tell(after)
		if got := strings.Join(slices.Sorted(maps.Keys(state.Links)), " "); got != links || strings.Join(state.MACs, " ") != macs || next != again {
			t.Errorf("%s: told are links %q and %v, again after %v", what, got, state.MACs, next)
		}
	}
	expect("without carrier", 0, "eth0", mac1, 0)
	n.fake.SetLinkAddresses(both)
	expect("up", 0, "eth0", mac1, 3*time.Second)
	expect("up for a while", 2*time.Second, "eth0", mac1, time.Second)
	n.fake.SetLinkAddresses(one)
	expect("down again", 0, "eth0", mac1, 0)
	n.fake.SetLinkAddresses(both)
	expect("it flaps", time.Second, "eth0", mac1, 3*time.Second)
	expect("up for long", 3*time.Second, "eth0 eth1", "", 0)
	n.fake.SetLinkAddresses(one)
	expect("lost", 0, "eth0", mac1, 0)
	for i := range n.world.Members[1:] {
		n.world.Members[1+i].State.Fit = false
	}
	n.fake.SetLinkAddresses(both)
	expect("nobody else can serve", 0, "eth0 eth1", "", 0)
}

func TestANodeThatComesBackWaitsOnce(t *testing.T) {
	links := map[string]string{"eth0": "02:00:00:00:00:01"}
	n := newTeller(links)
	n.fake.SetFit(reason.New(reason.NoCarrier, ""))
	n.fake.SetLinkAddresses(nil)
	if state, _ := n.tell(0); state.Fit || len(state.Links) > 0 {
		t.Errorf("without carrier it tells %+v", state)
	}
	n.fake.SetFit(nil)
	n.fake.SetLinkAddresses(links)
	if state, again := n.tell(time.Minute); state.Fit || again != 3*time.Second {
		t.Errorf("back it tells %+v, again after %v", state, again)
	}
	if state, again := n.tell(3 * time.Second); !state.Fit || len(state.Links) != 1 || again != 0 {
		t.Errorf("after a while it tells %+v, again after %v", state, again)
	}
}

func TestASubnetThatBlinksMovesNothing(t *testing.T) {
	s1, s2 := netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/64")
	links := map[string]string{"eth0": "02:00:00:00:00:01", "eth1": "02:00:00:00:01:01"}
	n := newTeller(links, s1, s2)
	expect := func(what string, after time.Duration, again time.Duration, want ...netip.Prefix) {
		t.Helper()
		if state, next := n.tell(after); !slices.Equal(state.Subnets, want) || !state.SubnetsTold || next != again {
			t.Errorf("%s: told is %v (%t), again after %v", what, state.Subnets, state.SubnetsTold, next)
		}
	}
	expect("both", 0, 0, s1, s2)
	n.fake.SetSubnets(s2)
	expect("an address is deleted", 0, 3*time.Second, s1, s2)
	n.fake.SetSubnets(s1, s2)
	expect("and added again", 2*time.Second, 0, s1, s2)
	n.fake.SetSubnets(s1)
	expect("another one is deleted", 0, 3*time.Second, s1, s2)
	expect("for good", 3*time.Second, 0, s1)
	n.fake.SetSubnets(s1, s2)
	expect("added later", time.Minute, 3*time.Second, s1)
	expect("and there for a while", 3*time.Second, 0, s1, s2)
	n.fake.SetSubnets(s1)
	n.fake.SetLinkAddresses(map[string]string{"eth0": links["eth0"]})
	expect("its interface goes down", time.Minute, 0, s1)
	n.fake.SetSubnets()
	n.fake.SetLinkAddresses(nil)
	expect("the other one too", 0, 0)
}
