// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/l2/link"
)

// interfaces reads a host from "name address address, name address": eth0 is an Ethernet, all others are dummies. An address with a length
// has a subnet.
func interfaces(t *testing.T, text string) []port {
	var links []link.Link
	for i, nic := range strings.Split(text, ", ") {
		words := strings.Fields(nic)
		l := ethernet(words[0], i+2)
		if words[0] != "eth0" {
			dummy(&l)
		}
		for _, a := range words[1:] {
			if strings.Contains(a, "/") {
				on(a)(&l)
			} else {
				has(netip.MustParseAddr(a))(&l)
			}
		}
		links = append(links, l)
	}
	return inspectAll(t, links)
}

// watched is an announcer whose notifications are taken as they come.
func watched(t *testing.T) (a *Announcer, notified func() bool) {
	a, err := New(Options{Links: newSimulated(), Clock: newFakeClock()})
	if err != nil {
		t.Fatal(err)
	}
	return a, func() bool {
		select {
		case <-a.Changed():
			return true
		default:
			return false
		}
	}
}

// desiring is a desired address, the pool that it comes from, and cluster IPs.
func desiring(prefix string, proxied ...string) announcers.Desired {
	d := announcers.Desired{Addresses: []announcers.Address{{Addr: first}}}
	if prefix != "" {
		d.Prefixes = []netip.Prefix{netip.MustParsePrefix(prefix)}
	}
	for _, text := range proxied {
		d.Proxied = append(d.Proxied, netip.MustParseAddr(text))
	}
	return d
}

func TestAServiceProxyThatFollowsServicesCausesNoPass(t *testing.T) {
	const pool = "192.0.2.0/24"
	for _, row := range []struct {
		name, prefix, before, after string
		told, decided               bool
	}{
		{"nothing changes", pool, "eth0, ipvs 10.96.0.1", "eth0, ipvs 10.96.0.1", false, false},
		{"a Service comes", pool, "eth0, ipvs 10.96.0.1", "eth0, ipvs 10.96.0.1 10.96.0.10", false, false},
		{"a Service goes", pool, "eth0, ipvs 10.96.0.1 10.96.0.10", "eth0, ipvs 10.96.0.10", false, false},
		{"a Service comes that the speaker does not know yet", pool, "eth0, ipvs 10.96.0.1", "eth0, ipvs 10.96.0.1 10.96.0.99", false, false},
		{"an address beside the pools", pool, "eth0, lo9", "eth0, lo9 198.51.100.7 2001:db8::7", false, false},
		{"the proxy begins", pool, "eth0, ipvs", "eth0, ipvs 10.96.0.1", true, false},
		{"the proxy ends", pool, "eth0, ipvs 10.96.0.1", "eth0, ipvs", true, false},
		{"another interface becomes a proxy's", pool, "eth0, ipvs 10.96.0.1, lo9", "eth0, ipvs 10.96.0.1, lo9 10.96.0.10", true, false},
		{"a cluster IP is configured on a segment", pool, "eth0, ipvs 10.96.0.1", "eth0 10.96.0.1, ipvs 10.96.0.1", true, false},
		{"an address of a pool comes", pool, "eth0, ipvs 10.96.0.1", "eth0, ipvs 10.96.0.1 192.0.2.2", true, false},
		{"an address of a pool goes", pool, "eth0, ipvs 192.0.2.2", "eth0, ipvs", true, false},
		{"an address of a pool comes on a second interface", pool, "eth0, ipvs 192.0.2.2, lo9", "eth0, ipvs 192.0.2.2, lo9 192.0.2.2", true, false},
		{"the desired address comes", pool, "eth0, ipvs", "eth0, ipvs 192.0.2.1", true, true},
		{"a pool is not known yet", "", "eth0, lo9", "eth0, lo9 198.51.100.7", true, false},
		{"a segment has an address beside the pools", pool, "eth0", "eth0 198.51.100.7", true, false},
		{"a segment has the desired address", pool, "eth0", "eth0 192.0.2.1", true, true},
		{"a segment has another subnet", pool, "eth0", "eth0 198.51.100.7/24", true, true},
		{"an interface comes", pool, "eth0", "eth0, lo9", false, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			a, notified := watched(t)
			a.Apply(t.Context(), desiring(row.prefix, "10.96.0.1", "10.96.0.10"))
			a.observe(observation{ports: interfaces(t, row.before)})
			notified()
			generation := a.generation
			a.observe(observation{ports: interfaces(t, row.after)})
			if got := notified(); got != row.told {
				t.Errorf("told: %t", got)
			}
			if got := a.generation != generation; got != row.decided {
				t.Errorf("decided anew: %t", got)
			}
			// However little was done, the state is that of an announcer which has seen nothing before.
			fresh, _ := watched(t)
			fresh.Apply(t.Context(), desiring(row.prefix, "10.96.0.1", "10.96.0.10"))
			fresh.observe(observation{ports: interfaces(t, row.after)})
			if got, want := fmt.Sprint(a.decided.claims, a.decided.states[first]), fmt.Sprint(fresh.decided.claims, fresh.decided.states[first]); got != want {
				t.Errorf("decided is %s, want %s", got, want)
			}
			if !a.outlook().equal(fresh.outlook()) {
				t.Errorf("told are %+v, want %+v", a.outlook(), fresh.outlook())
			}
		})
	}
}

func TestAnAddressThatMattersOnlyNowIsTold(t *testing.T) {
	a, notified := watched(t)
	a.Apply(t.Context(), desiring("192.0.2.0/24", "10.96.0.1"))
	a.observe(observation{ports: interfaces(t, "eth0, ipvs 198.51.100.7 10.96.0.10")})
	notified()
	for _, step := range []struct {
		name string
		d    announcers.Desired
		told bool
	}{
		{"nothing new", desiring("192.0.2.0/24", "10.96.0.1"), false},
		{"another cluster IP that nobody has", desiring("192.0.2.0/24", "10.96.0.1", "10.96.0.99"), false},
		{"the cluster IP of the interface", desiring("192.0.2.0/24", "10.96.0.1", "10.96.0.10"), true},
		{"again", desiring("192.0.2.0/24", "10.96.0.1", "10.96.0.10"), false},
		{"a pool with the address", desiring("198.51.100.0/24", "10.96.0.1", "10.96.0.10"), true},
		{"a smaller pool with the address", desiring("198.51.100.0/28", "10.96.0.1", "10.96.0.10"), false},
	} {
		if a.Apply(t.Context(), step.d); notified() != step.told {
			t.Errorf("%s: told is %t", step.name, !step.told)
		}
	}
}
