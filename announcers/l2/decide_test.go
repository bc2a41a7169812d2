// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/l2/link"
	"metalsuite.io/api/reason"
)

// ethernet returns a healthy interface, changed as a row needs it.
func ethernet(name string, index int, changes ...func(*link.Link)) link.Link {
	l := link.Link{Index: index, Name: name, MAC: link.MAC{2, 0, 0, 0, 0, byte(index)}, Up: true, Carrier: true, Broadcast: true, LinkLocal: nodeIP6}
	for _, change := range changes {
		change(&l)
	}
	return l
}

func down(l *link.Link)        { l.Up, l.Carrier = false, false }
func noCarrier(l *link.Link)   { l.Carrier = false }
func slave(l *link.Link)       { l.Master = 9 }
func noARP(l *link.Link)       { l.NoARP = true }
func noBroadcast(l *link.Link) { l.Broadcast = false }
func noMAC(l *link.Link)       { l.MAC = link.MAC{} }
func noLinkLocal(l *link.Link) { l.LinkLocal = netip.Addr{} }
func loopback(l *link.Link)    { l.Loopback = true }
func dummy(l *link.Link)       { l.Dummy, l.NoARP = true, true }

func has(addr netip.Addr) func(*link.Link) {
	return func(l *link.Link) { l.Addresses = append(l.Addresses, addr) }
}

// on gives an interface an address with its subnet.
func on(text string) func(*link.Link) {
	p := netip.MustParsePrefix(text)
	return func(l *link.Link) {
		l.Addresses, l.Wider, l.Prefixes = append(l.Addresses, p.Addr()), append(l.Wider, p.Addr()), append(l.Prefixes, p.Masked())
	}
}

func TestDecide(t *testing.T) {
	hop, hop6, taken := netip.MustParseAddr("192.0.2.77"), netip.MustParseAddr("2001:db8::77"), netip.MustParseAddr("192.0.2.88")
	anycast := netip.MustParseAddr("2001:db8::")
	eth0, eth1 := ethernet("eth0", 2), ethernet("eth1", 3)
	mapped := netip.MustParseAddr("::ffff:192.0.2.1")
	for _, row := range []struct {
		name       string
		links      []link.Link
		addr       netip.Addr
		interfaces []string
		phase      announcers.Phase
		on         []string
		why        reason.Reason
	}{
		{"every interface", []link.Link{eth0, eth1}, first, nil, announcers.Effective, []string{"eth0", "eth1"}, ""},
		{"a named interface", []link.Link{eth0, eth1}, first, []string{"eth1"}, announcers.Effective, []string{"eth1"}, ""},
		{"one of two names exists", []link.Link{eth0}, first, []string{"eth0", "eth7"}, announcers.Effective, []string{"eth0"}, ""},
		{"no named interface exists", []link.Link{eth0}, first, []string{"eth7", "eth8"}, announcers.Waiting, nil, reason.InterfaceMissing},
		{"one of two has carrier", []link.Link{ethernet("eth0", 2, noCarrier), eth1}, first, nil, announcers.Effective, []string{"eth1"}, ""},
		{"the named one has no carrier", []link.Link{ethernet("eth0", 2, noCarrier), eth1}, first, []string{"eth0"}, announcers.Waiting, nil, reason.NoCarrier},
		{"none has carrier", []link.Link{ethernet("eth0", 2, noCarrier)}, first, nil, announcers.Waiting, nil, reason.NoCarrier},
		{"is down", []link.Link{ethernet("eth0", 2, down)}, first, nil, announcers.Waiting, nil, reason.NoCarrier},
		{"no interface at all", nil, first, nil, announcers.Waiting, nil, reason.NoUsableInterface},
		{"only the loopback", []link.Link{ethernet("lo0", 1, loopback)}, first, nil, announcers.Waiting, nil, reason.NoUsableInterface},
		{"only an excluded one", []link.Link{ethernet("veth3f", 2)}, first, nil, announcers.Waiting, nil, reason.NoUsableInterface},
		{"an excluded one by name", []link.Link{ethernet("veth3f", 2)}, first, []string{"veth3f"}, announcers.Waiting, nil, reason.NoUsableInterface},
		{"a port of a bridge", []link.Link{ethernet("eth0", 2, slave), ethernet("br0", 9)}, first, nil, announcers.Effective, []string{"br0"}, ""},
		{"without ARP", []link.Link{ethernet("wg0", 2, noARP)}, first, nil, announcers.Waiting, nil, reason.NoUsableInterface},
		{"a dummy with ARP switched on", []link.Link{ethernet("lan9", 2, func(l *link.Link) { l.Dummy = true })}, first, nil, announcers.Waiting, nil, reason.NoUsableInterface},
		{"without broadcast", []link.Link{ethernet("ppp0", 2, noBroadcast)}, first, nil, announcers.Waiting, nil, reason.NoUsableInterface},
		{"without hardware address", []link.Link{ethernet("tun0", 2, noMAC)}, first, nil, announcers.Waiting, nil, reason.NoUsableInterface},
		{"a fault outweighs an interface that never works", []link.Link{ethernet("a0", 2, slave), ethernet("eth0", 3, noCarrier)}, first, []string{"a0", "eth0"}, announcers.Waiting, nil, reason.NoCarrier},
		{"an address of the node", []link.Link{ethernet("eth0", 2, has(first))}, first, nil, announcers.Refused, nil, reason.LocalAddress},
		{"an address on an internal interface", []link.Link{eth0, ethernet("lo", 1, loopback, has(first))}, first, nil, announcers.Effective, []string{"eth0"}, ""},
		{"an internal address that routes lead through", []link.Link{eth0, ethernet("lo", 1, loopback, has(hop))}, hop, nil, announcers.Refused, nil, reason.NextHopAddress},
		{"another address of the node", []link.Link{ethernet("eth0", 2, has(second))}, first, nil, announcers.Effective, []string{"eth0"}, ""},
		{"IPv6", []link.Link{eth0}, six, nil, announcers.Effective, []string{"eth0"}, ""},
		{"IPv6 without a link-local address", []link.Link{ethernet("eth0", 2, noLinkLocal)}, six, nil, announcers.Waiting, nil, reason.NoLinkLocalAddress},
		{"IPv4 without a link-local address", []link.Link{ethernet("eth0", 2, noLinkLocal)}, first, nil, announcers.Effective, []string{"eth0"}, ""},
		{"IPv6 where one of two has a link-local address", []link.Link{ethernet("eth0", 2, noLinkLocal), eth1}, six, nil, announcers.Effective, []string{"eth1"}, ""},
		{"IPv6 without carrier", []link.Link{ethernet("eth0", 2, noCarrier)}, six, nil, announcers.Waiting, nil, reason.NoCarrier},
		{"an IPv6 address of the node", []link.Link{ethernet("eth0", 2, has(six))}, six, nil, announcers.Refused, nil, reason.LocalAddress},
		{"an address that routes lead through", []link.Link{eth0}, hop, nil, announcers.Refused, nil, reason.NextHopAddress},
		{"an IPv6 address that routes lead through", []link.Link{eth0}, hop6, nil, announcers.Refused, nil, reason.NextHopAddress},
		{"an address that a stranger uses", []link.Link{eth0}, taken, nil, announcers.Refused, nil, reason.AddressConflict},
		{"the subnet-router anycast address of a subnet of the node", []link.Link{ethernet("eth0", 2, on("2001:db8::5/64"))}, anycast, nil, announcers.Refused, nil, reason.SubnetRouterAnycast},
		{"that of another interface", []link.Link{eth0, ethernet("eth1", 3, on("2001:db8::5/64"))}, anycast, []string{"eth0"}, announcers.Refused, nil, reason.SubnetRouterAnycast},
		{"the same address outside of the node's subnets", []link.Link{eth0}, anycast, nil, announcers.Effective, []string{"eth0"}, ""},
		{"the network address of a subnet", []link.Link{ethernet("eth0", 2, on("192.0.2.1/31"), on("192.0.2.9/30"))}, netip.MustParseAddr("192.0.2.8"), nil, announcers.Effective, []string{"eth0"}, ""},
		{"the broadcast address of a subnet", []link.Link{ethernet("eth0", 2, on("192.0.2.9/30"))}, netip.MustParseAddr("192.0.2.11"), nil, announcers.Effective, []string{"eth0"}, ""},
		{"IPv4 in IPv6 form", []link.Link{eth0}, mapped, nil, announcers.Refused, nil, reason.FamilyNotServed},
	} {
		t.Run(row.name, func(t *testing.T) {
			ports := inspectAll(t, row.links)
			d := decide(surroundings{
				ports: ports, local: localAddresses(ports), nextHops: set([]netip.Addr{hop, hop6}), edges: subnetEdges(ports),
				stance: func(a netip.Addr, _ string) stance {
					if a == taken {
						return withdrawn
					}
					return settled
				},
				conflict: func(netip.Addr) *reason.Problem { return reason.New(reason.AddressConflict, "") },
			}, []announcers.Address{{Addr: row.addr, Interfaces: row.interfaces}})
			got := d.states[row.addr]
			var why reason.Reason
			if got.Problem != nil {
				why = got.Problem.Reason
			}
			if got.Phase != row.phase || !slices.Equal(got.Interfaces, row.on) || why != row.why {
				t.Errorf("state = %s on %v because %q, want %s on %v because %q", got.Phase, got.Interfaces, why, row.phase, row.on, row.why)
			}
			if row.addr != taken && len(d.claims) != len(row.on) {
				t.Errorf("%d claims, want %d", len(d.claims), len(row.on))
			}
		})
	}
}

func inspectAll(t *testing.T, links []link.Link) []port {
	t.Helper()
	patterns, err := compile(DefaultExcludedInterfaces)
	if err != nil {
		t.Fatal(err)
	}
	var ports []port
	for _, l := range links {
		ports = append(ports, inspect(l, patterns))
	}
	return ports
}

func TestFitness(t *testing.T) {
	for _, row := range []struct {
		name  string
		links []link.Link
		why   reason.Reason
		macs  int
		// usable counts the hardware addresses that may be used as soon as their interfaces work.
		usable int
	}{
		{"a healthy interface", []link.Link{ethernet("eth0", 2)}, "", 1, 1},
		{"one of two is healthy", []link.Link{ethernet("eth0", 2, noCarrier), ethernet("eth1", 3)}, "", 1, 2},
		{"no carrier", []link.Link{ethernet("eth0", 2, noCarrier), ethernet("veth0", 3)}, reason.NoCarrier, 0, 1},
		{"nothing to use", []link.Link{ethernet("veth0", 3)}, reason.NoUsableInterface, 0, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			ports := inspectAll(t, row.links)
			var why reason.Reason
			if p := fitness(ports); p != nil {
				why = p.Reason
			}
			if why != row.why {
				t.Errorf("fitness() = %q, want %q", why, row.why)
			}
			if macs := hardware(ports); len(macs) != row.macs {
				t.Errorf("hardware() = %v, want %d", macs, row.macs)
			}
			if macs := usable(ports); len(macs) != row.usable {
				t.Errorf("usable() = %v, want %d", macs, row.usable)
			}
		})
	}
}

// Names mean nothing here: each kind of interface is tried under the name of another kind as well.
func TestAnAddressIsInternalByTheKindOfItsInterface(t *testing.T) {
	vlan, bond, macvlan := func(*link.Link) {}, func(*link.Link) {}, func(*link.Link) {}
	wider := func(addr netip.Addr) func(*link.Link) {
		return func(l *link.Link) { l.Addresses, l.Wider = append(l.Addresses, addr), append(l.Wider, addr) }
	}
	for _, row := range []struct {
		name     string
		kind     func(*link.Link)
		holds    func(netip.Addr) func(*link.Link)
		internal bool
	}{
		{"kube-ipvs0", func(l *link.Link) { dummy(l); down(l) }, has, true},
		{"kube-dummy-if", dummy, has, true},
		{"antrea-ingress0", dummy, has, true},
		{"dummy with ARP switched on", func(l *link.Link) { l.Dummy = true }, has, true},
		{"dummy with a subnet", dummy, wider, false},
		{"lo, host address", func(l *link.Link) { loopback(l); noBroadcast(l); noMAC(l) }, has, true},
		{"lo, subnet", func(l *link.Link) { loopback(l); noBroadcast(l); noMAC(l) }, wider, false},
		{"tunl0", func(l *link.Link) { noARP(l); noBroadcast(l); noMAC(l) }, has, true},
		{"wg0 with a subnet", func(l *link.Link) { noARP(l); noBroadcast(l); noMAC(l) }, wider, false},
		{"vrf", noARP, has, true},
		{"eth0, subnet", func(*link.Link) {}, wider, false},
		{"eth0, host address", func(*link.Link) {}, has, false},
		{"eth0 switched off", down, has, false},
		{"eth0 without carrier", noCarrier, has, false},
		{"eth0.100", vlan, has, false},
		{"bond0", bond, has, false},
		{"macvlan0", macvlan, has, false},
		{"br0 without ports", func(l *link.Link) { l.Bridge = true }, has, true},
		{"br0 without ports, with a subnet", func(l *link.Link) { l.Bridge = true }, wider, false},
		{"veth", func(*link.Link) {}, has, false},
	} {
		for _, name := range []string{row.name, "eth9", "kube-ipvs0", "dummy9"} {
			for _, a := range []netip.Addr{first, six} {
				ports := inspectAll(t, []link.Link{ethernet("eth0", 2), ethernet(name, 4, row.kind, row.holds(a))})
				want := announcers.Use{Reason: reason.LocalAddress, Interfaces: []string{name}, Internal: row.internal}
				if got := use(a, localAddresses(ports), nil); !reflect.DeepEqual(got, want) {
					t.Errorf("%s named %s: use of %s = %+v, want %+v", row.name, name, a, got, want)
				}
			}
		}
	}
}

func TestAnAddressOnSeveralInterfacesIsInternalWhenEachIs(t *testing.T) {
	lo, proxy, eth1 := ethernet("lo", 1, loopback, has(first)), ethernet("kube-dummy-if", 4, dummy, has(first)), ethernet("eth1", 5, has(first))
	for _, row := range []struct {
		links []link.Link
		want  announcers.Use
	}{
		{[]link.Link{proxy, lo}, announcers.Use{Reason: reason.LocalAddress, Interfaces: []string{"kube-dummy-if", "lo"}, Internal: true}},
		{[]link.Link{eth1, proxy}, announcers.Use{Reason: reason.LocalAddress, Interfaces: []string{"eth1", "kube-dummy-if"}}},
		{[]link.Link{ethernet("br0", 9, func(l *link.Link) { l.Bridge = true }, has(first)), ethernet("eth0", 2, slave)}, announcers.Use{Reason: reason.LocalAddress, Interfaces: []string{"br0"}}},
		{[]link.Link{eth1, proxy, lo}, announcers.Use{Reason: reason.LocalAddress, Interfaces: []string{"eth1", "kube-dummy-if", "lo"}}},
	} {
		if got := use(first, localAddresses(inspectAll(t, row.links)), nil); !reflect.DeepEqual(got, row.want) {
			t.Errorf("use = %+v, want %+v", got, row.want)
		}
	}
}
