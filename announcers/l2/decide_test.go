// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"net/netip"
	"regexp"
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

func has(addr netip.Addr) func(*link.Link) {
	return func(l *link.Link) { l.Addresses = append(l.Addresses, addr) }
}

func TestDecide(t *testing.T) {
	hop, hop6, taken := netip.MustParseAddr("192.0.2.77"), netip.MustParseAddr("2001:db8::77"), netip.MustParseAddr("192.0.2.88")
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
		{"switched off", []link.Link{ethernet("eth0", 2, down)}, first, nil, announcers.Waiting, nil, reason.NoCarrier},
		{"no interface at all", nil, first, nil, announcers.Waiting, nil, reason.NoUsableInterface},
		{"only the loopback", []link.Link{ethernet("lo0", 1, loopback)}, first, nil, announcers.Waiting, nil, reason.NoUsableInterface},
		{"only an excluded one", []link.Link{ethernet("veth3f", 2)}, first, nil, announcers.Waiting, nil, reason.NoUsableInterface},
		{"an excluded one by name", []link.Link{ethernet("veth3f", 2)}, first, []string{"veth3f"}, announcers.Waiting, nil, reason.NoUsableInterface},
		{"a port of a bridge", []link.Link{ethernet("eth0", 2, slave), ethernet("br0", 9)}, first, nil, announcers.Effective, []string{"br0"}, ""},
		{"without ARP", []link.Link{ethernet("wg0", 2, noARP)}, first, nil, announcers.Waiting, nil, reason.NoUsableInterface},
		{"without broadcast", []link.Link{ethernet("ppp0", 2, noBroadcast)}, first, nil, announcers.Waiting, nil, reason.NoUsableInterface},
		{"without hardware address", []link.Link{ethernet("tun0", 2, noMAC)}, first, nil, announcers.Waiting, nil, reason.NoUsableInterface},
		{"a fault outweighs an interface that never works", []link.Link{ethernet("a0", 2, slave), ethernet("eth0", 3, noCarrier)}, first, []string{"a0", "eth0"}, announcers.Waiting, nil, reason.NoCarrier},
		{"an address of the node", []link.Link{ethernet("eth0", 2, has(first))}, first, nil, announcers.Refused, nil, reason.LocalAddress},
		{"an address of the loopback", []link.Link{eth0, ethernet("lo", 1, loopback, has(first))}, first, nil, announcers.Refused, nil, reason.LocalAddress},
		{"an address that kube-proxy keeps for itself", []link.Link{eth0, ethernet("kube-ipvs0", 4, noARP, down, has(first))}, first, nil, announcers.Effective, []string{"eth0"}, ""},
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
		{"IPv4 in IPv6 form", []link.Link{eth0}, mapped, nil, announcers.Refused, nil, reason.FamilyNotServed},
	} {
		t.Run(row.name, func(t *testing.T) {
			ports := inspectAll(t, row.links)
			d := decide(surroundings{
				ports: ports, local: localAddresses(ports), nextHops: set([]netip.Addr{hop, hop6}),
				stance: func(a netip.Addr) stance {
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

func TestNewRefusesABadPattern(t *testing.T) {
	if _, err := New(Options{ExcludeInterfaces: []string{"^ok$", "("}}); err == nil {
		t.Error("New() accepted a pattern that is no regular expression")
	}
}

func TestDefaultExclusionsMatchWhatTheyMean(t *testing.T) {
	patterns, err := compile(DefaultExcludedInterfaces)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{
		"lo": true, "cali12ab": true, "veth0": true, "kube-ipvs0": true, "lxc_health": true,
		"eth0": false, "enp3s0": false, "lo1": false, "bond0": false, "br-lan": false,
	} {
		got := slices.ContainsFunc(patterns, func(p *regexp.Regexp) bool { return p.MatchString(name) })
		if got != want {
			t.Errorf("%s excluded: %t, want %t", name, got, want)
		}
	}
}
