// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"

	"metalsuite.io/announcers"
	"metalsuite.io/api/reason"
)

// Every combination of three interfaces, of those whose subnet has the address and of those on which a station answers for it. The rule is
// written down a second time here, in sets: C are the interfaces that count, all of them when none has the address on-link.
func TestAnAnswerCountsOnTheInterfaceWhereTheAddressBelongs(t *testing.T) {
	names := []string{"eth0", "eth1", "eth2"}
	for _, a := range []netip.Addr{first, six} {
		for set := range 64 {
			var onLink, answered, counts, want []string
			var ports []port
			for i, name := range names {
				l := ethernet(name, i+2)
				if set&(1<<i) != 0 {
					onLink = append(onLink, name)
					subnet, _ := a.Prefix(a.BitLen() / 2)
					l.Prefixes = []netip.Prefix{subnet}
				}
				if set&(8<<i) != 0 {
					answered = append(answered, name)
				}
				ports = append(ports, inspect(l, nil))
			}
			if counts = onLink; len(onLink) == 0 {
				counts = names
			}
			obeyed := func(name string) bool { return slices.Contains(counts, name) && slices.Contains(answered, name) }
			if slices.ContainsFunc(counts, func(name string) bool { return !obeyed(name) }) {
				want = slices.DeleteFunc(slices.Clone(names), obeyed)
			}
			t.Run(fmt.Sprintf("%s on-link %v, answered on %v", a, onLink, answered), func(t *testing.T) {
				checkAnswers(t, ports, a, answered, counts, want)
			})
		}
	}
}

// checkAnswers lets a fresh address be answered for on some interfaces, and expects it to be announced on those wanted.
func checkAnswers(t *testing.T, ports []port, a netip.Addr, answered, counts, want []string) {
	n, err := New(Options{Links: newSimulated(), Clock: newFakeClock()})
	if err != nil {
		t.Fatal(err)
	}
	n.observe(observation{ports: ports})
	apply := func() announcers.State {
		return n.Apply(context.Background(), announcers.Desired{Addresses: []announcers.Address{{Addr: a, Fresh: true}}}).States[a]
	}
	apply()
	if _, probes := n.due(); len(probes) != len(ports) {
		t.Fatalf("%d probes, want one on each interface", len(probes))
	}
	for _, p := range ports {
		if slices.Contains(answered, p.Name) {
			n.hear([]sighting{{addr: a, mac: strangerMAC, index: p.Index}})
		}
	}
	state := apply()
	if !slices.Equal(state.Interfaces, want) || (state.Phase == announcers.Effective) != (len(want) > 0) {
		t.Errorf("state = %+v, want it on %v", state, want)
	}
	if len(want) == 0 && (state.Problem == nil || state.Problem.Reason != reason.AddressConflict) {
		t.Errorf("the problem is %v", state.Problem)
	}
	var told []string
	for _, c := range n.Conflicts() {
		told = append(told, c.Interface)
		var on []string
		if !c.Elsewhere {
			on = want
		}
		if c.Elsewhere != !slices.Contains(counts, c.Interface) || c.Withdrawn == c.Elsewhere || !slices.Equal(c.AnnouncedOn, on) {
			t.Errorf("the conflict on %s is told as withdrawn: %t, announced on %v, elsewhere: %t", c.Interface, c.Withdrawn, c.AnnouncedOn, c.Elsewhere)
		}
	}
	if !slices.Equal(told, answered) {
		t.Errorf("conflicts are told on %v, want %v", told, answered)
	}
	for range 8 { // more than a round takes
		_, probes := n.due()
		for _, p := range probes {
			n.probed(p, true, n.clock.Now())
		}
		n.clock.(*fakeClock).step(answerWithin)
	}
	var claimed []string
	for _, p := range ports {
		if stands, ok := n.decided.claims[p.claim(a)]; ok && stands == settled {
			claimed = append(claimed, p.Name)
		}
	}
	if !slices.Equal(claimed, want) {
		t.Errorf("the address is claimed on %v, want %v", claimed, want)
	}
}

// Routers with proxy ARP other than Linux answer probes of addresses behind them, so the peer answers here by hand.
var _ = Describe("On two veth pairs", func() {
	for _, f := range families {
		It("keeps an "+f.name+" address of the second segment though a router on the first one answers for it", func() {
			segment := newVeth(GinkgoTB())
			segment.second("lan1", f.third, f.first)
			n := newNode(segment)
			n.start()
			state := func() announcers.State {
				d := announcers.Desired{Addresses: []announcers.Address{{Addr: f.first, Fresh: true}}}
				return n.Apply(context.Background(), d).States[f.first]
			}
			on := func(names ...string) OmegaMatcher {
				return And(HaveField("Phase", announcers.Effective), HaveField("Interfaces", names))
			}
			Eventually(state).Should(on(lan, "lan1"))
			Eventually(n.probesOf(f.first)).Should(HaveLen(1))
			n.send(claimBy(strangerMAC, f.first))
			Eventually(n.Conflicts).Should(ConsistOf(And(HaveField("Interface", lan), HaveField("Elsewhere", true), HaveField("Withdrawn", false))))
			Expect(state()).To(on(lan, "lan1"))
			for i, pause := range probesAfter[1:] {
				n.clock.step(pause)
				Eventually(n.probesOf(f.first)).Should(HaveLen(i + 2))
			}
			n.clock.step(answerWithin)
			Eventually(n.claimsOf(f.first, nodeMAC)).ShouldNot(BeEmpty())
			Expect(state()).To(on(lan, "lan1"))
		})
	}
})

// second adds another segment to the node. Its subnet has the address belonging; lan0 gets the subnet of the address on.
func (v *veth) second(name string, on, belonging netip.Addr) {
	attributes := netlink.NewLinkAttrs()
	attributes.Name = name
	v.must(v.inNode.LinkAdd(&netlink.Veth{LinkAttrs: attributes, PeerName: "peer1", PeerNamespace: netlink.NsFd(v.peer)}))
	v.must(v.inNode.LinkSetUp(v.find(v.inNode, name)))
	v.must(v.inPeer.LinkSetUp(v.find(v.inPeer, "peer1")))
	for _, has := range []struct {
		nic  string
		near netip.Addr
	}{{lan, on}, {name, belonging}} {
		bits := 28
		if has.near.Is6() {
			bits = 126
		}
		own, err := netlink.ParseAddr(fmt.Sprintf("%s/%d", beside(has.near), bits))
		v.must(err)
		v.must(v.inNode.AddrAdd(v.find(v.inNode, has.nic), own))
	}
}

// beside is another address of the same small subnet.
func beside(a netip.Addr) netip.Addr {
	if a == first || a == six {
		return a.Next().Next()
	}
	return a.Next()
}
