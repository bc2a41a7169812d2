// SPDX-License-Identifier: Apache-2.0

package service

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func conflictOf(address string, seen time.Duration, change ...func(*v1beta1.AddressConflictStatus)) v1beta1.AddressConflict {
	o := v1beta1.AddressConflict{
		ObjectMeta: metav1.ObjectMeta{Name: "c-" + address, UID: types.UID(address)},
		Status: v1beta1.AddressConflictStatus{
			Address: address, Node: "n1", Reason: "AddressConflict", Interface: "eth0", HardwareAddress: "02:00:00:00:00:01",
			FirstSeen: metav1.NewTime(noon.Add(-time.Hour)), LastSeen: metav1.NewTime(noon.Add(seen)),
		},
	}
	for _, f := range change {
		f(&o.Status)
	}
	return o
}

func onNode(name string) func(*v1beta1.AddressConflictStatus) {
	return func(s *v1beta1.AddressConflictStatus) { s.Node = name }
}

func saying(why reason.Reason) func(*v1beta1.AddressConflictStatus) {
	return func(s *v1beta1.AddressConflictStatus) { s.Reason = string(why) }
}

func withdrawn(s *v1beta1.AddressConflictStatus) { s.Withdrawn = true }

func since(d time.Duration) func(*v1beta1.AddressConflictStatus) {
	return func(s *v1beta1.AddressConflictStatus) { s.FirstSeen = metav1.NewTime(noon.Add(d)) }
}

// TestConflictLife follows one conflict: each row says what is heard at a time, whether it counts, and when that ends.
func TestConflictLife(t *testing.T) {
	type row struct {
		at, seen time.Duration
		live     bool
		end      time.Duration
	}
	const longAgo = -24 * time.Hour
	tests := []struct {
		name string
		made time.Duration
		rows []row
	}{
		{"ten minutes from when it was seen", longAgo, []row{{0, -time.Minute, true, 9 * time.Minute}, {9*time.Minute - 1, -time.Minute, true, 9 * time.Minute}, {9 * time.Minute, -time.Minute, false, 0}}},
		{"too old when it comes", longAgo, []row{{0, -10 * time.Minute, false, 0}}},
		{"seen again", longAgo, []row{{0, 0, true, 10 * time.Minute}, {5 * time.Minute, 4 * time.Minute, true, 15 * time.Minute}, {6 * time.Minute, 4 * time.Minute, true, 15 * time.Minute}}},
		{"seen again after the end", longAgo, []row{{0, -time.Hour, false, 0}, {time.Minute, 0, true, 11 * time.Minute}}},
		{"a clock ahead", longAgo, []row{
			{0, 24 * time.Hour, true, 10 * time.Minute}, {9 * time.Minute, 24 * time.Hour, true, 10 * time.Minute}, {10 * time.Minute, 24 * time.Hour, false, 0},
			{11 * time.Minute, 24*time.Hour + time.Minute, true, 21 * time.Minute},
		}},
		{"a clock behind", -time.Second, []row{
			{0, -time.Hour, true, 10*time.Minute - time.Second}, {time.Minute, time.Minute - time.Hour, true, 11 * time.Minute},
			{11*time.Minute - 1, time.Minute - time.Hour, true, 11 * time.Minute}, {11 * time.Minute, time.Minute - time.Hour, false, 0},
			{12 * time.Minute, 12*time.Minute - time.Hour, true, 22 * time.Minute},
		}},
		{"a clock ahead that is put right", -time.Second, []row{{0, time.Hour, true, 10 * time.Minute}, {5 * time.Minute, 5 * time.Minute, true, 15 * time.Minute}}},
		{"the clock of the API server ahead", time.Hour, []row{{0, 0, true, 10 * time.Minute}, {10 * time.Minute, 0, false, 0}}},
		{"our clock is set back", longAgo, []row{{0, 0, true, 10 * time.Minute}, {-time.Hour, 0, true, -50 * time.Minute}, {-50 * time.Minute, 0, false, 0}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var c conflicts
			for i, r := range tt.rows {
				o := conflictOf("192.0.2.1", r.seen)
				o.CreationTimestamp = metav1.NewTime(noon.Add(tt.made))
				c.adopt([]v1beta1.AddressConflict{o}, noon.Add(r.at), logr.Discard())
				if live := len(c.live) > 0; live != r.live {
					t.Errorf("row %d: live is %v", i, live)
				}
				if r.live && !c.wake.Equal(noon.Add(r.end)) || !r.live && !c.wake.IsZero() {
					t.Errorf("row %d: ends at %s", i, c.wake)
				}
			}
		})
	}
}

func TestOnlyWhatIsNewCountsAsAChange(t *testing.T) {
	var c conflicts
	for i, step := range []struct {
		o    v1beta1.AddressConflict
		want bool
	}{
		{conflictOf("192.0.2.1", 0), true},
		{conflictOf("192.0.2.1", time.Minute), false},
		{conflictOf("192.0.2.1", time.Minute, withdrawn), true},
		{conflictOf("::ffff:192.0.2.1", time.Minute, withdrawn), true}, // its name
		{conflictOf("192.0.2.1/32", 0), true},                          // gone
		{conflictOf("fe80::1%eth0", 0), false},
	} {
		if got := c.adopt([]v1beta1.AddressConflict{step.o}, noon, logr.Discard()); got != step.want {
			t.Errorf("step %d: changed is %v", i, got)
		}
	}
}

// TestOneAddressOnSeveralNodes: what is worst is told, in whatever order it comes.
func TestOneAddressOnSeveralNodes(t *testing.T) {
	tests := []struct {
		name    string
		objects []v1beta1.AddressConflict
		says    string
		hearsay bool
	}{
		{"the oldest", []v1beta1.AddressConflict{conflictOf("192.0.2.1", 0, onNode("b")), conflictOf("192.0.2.1", 0, onNode("c"), since(-2*time.Hour))}, "node c ", true},
		{"by name", []v1beta1.AddressConflict{conflictOf("192.0.2.1", 0, onNode("b")), conflictOf("192.0.2.1", 0, onNode("a"))}, "node a ", true},
		{"withdrawn first", []v1beta1.AddressConflict{conflictOf("192.0.2.1", 0, onNode("a")), conflictOf("192.0.2.1", 0, onNode("b"), withdrawn, since(0))}, "node b ", true},
		{"what a node says of itself", []v1beta1.AddressConflict{conflictOf("192.0.2.1", 0, onNode("a")), conflictOf("192.0.2.1", 0, onNode("b"), saying(reason.LocalAddress))}, "node b ", false},
		{"withdrawn until another node says otherwise", []v1beta1.AddressConflict{conflictOf("192.0.2.1", 0, onNode("a"), withdrawn), conflictOf("192.0.2.1", time.Second, onNode("b"), since(0))}, "stays announced", true},
		{"by that node", []v1beta1.AddressConflict{conflictOf("192.0.2.1", 0, onNode("a"), withdrawn), conflictOf("192.0.2.1", time.Second, onNode("b"), since(0))}, "node b ", true},
		{"announced until another node says otherwise", []v1beta1.AddressConflict{conflictOf("192.0.2.1", time.Second, onNode("b"), withdrawn, since(0)), conflictOf("192.0.2.1", 0, onNode("a"))}, "address is withdrawn", true},
		{"what a node says of itself stays", []v1beta1.AddressConflict{conflictOf("192.0.2.1", 0, onNode("b"), saying(reason.LocalAddress), withdrawn), conflictOf("192.0.2.1", time.Second, onNode("a"))}, "node b ", false},
		{"also when it is not told", []v1beta1.AddressConflict{conflictOf("192.0.2.1", 0, onNode("a"), withdrawn), conflictOf("192.0.2.1", 0, onNode("b"), saying(reason.LocalAddress))}, "node a ", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for range 2 {
				tt.objects[0], tt.objects[1] = tt.objects[1], tt.objects[0]
				var c conflicts
				c.adopt(tt.objects, noon, logr.Discard())
				if got := c.verdict([]netip.Addr{netip.MustParseAddr("192.0.2.1")}).message; !strings.Contains(got, tt.says) {
					t.Errorf("says %q", got)
				}
				if all := c.forAllocator(); len(all) != 1 || all[0].Hearsay != tt.hearsay {
					t.Errorf("counts as %+v", all)
				}
			}
		})
	}
}

// TestARouterIsSeenBehindOtherSightings: the address is replaced whichever sighting is the worst and comes first.
func TestARouterIsSeenBehindOtherSightings(t *testing.T) {
	router := func(change ...func(*v1beta1.AddressConflictStatus)) v1beta1.AddressConflict {
		return conflictOf("192.0.2.1", 0, append(change, saying(reason.NextHopAddress), onNode("r"))...)
	}
	local := conflictOf("192.0.2.1", 0, saying(reason.LocalAddress), onNode("a"), withdrawn, since(-2*time.Hour))
	tests := []struct {
		name     string
		objects  []v1beta1.AddressConflict
		replaces bool
		says     reason.Reason
	}{
		{"alone", []v1beta1.AddressConflict{router(withdrawn)}, true, reason.NextHopAddress},
		{"announced nevertheless", []v1beta1.AddressConflict{router()}, false, reason.NextHopAddress},
		{"behind an older one of another node", []v1beta1.AddressConflict{local, router(withdrawn)}, true, reason.NextHopAddress},
		{"behind an older one while it is announced", []v1beta1.AddressConflict{local, router()}, false, reason.LocalAddress},
		{"an anycast address of routers", []v1beta1.AddressConflict{local, conflictOf("192.0.2.1", 0, saying(reason.SubnetRouterAnycast), withdrawn)}, true, reason.SubnetRouterAnycast},
		{"beside a host on the network", []v1beta1.AddressConflict{conflictOf("192.0.2.1", 0, withdrawn, since(-3*time.Hour)), router(withdrawn)}, true, reason.NextHopAddress},
		{"no router", []v1beta1.AddressConflict{local, conflictOf("192.0.2.1", 0, withdrawn)}, false, reason.LocalAddress},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for range 2 {
				slices.Reverse(tt.objects)
				var c conflicts
				c.adopt(tt.objects, noon, logr.Discard())
				if all := c.forAllocator(); len(all) != 1 || all[0].Replaces != tt.replaces || all[0].Problem.Reason != tt.says {
					t.Errorf("counts as %+v", all)
				}
			}
		})
	}
}

func TestTheOldestConflictsCountFirst(t *testing.T) {
	var c conflicts
	c.adopt([]v1beta1.AddressConflict{
		conflictOf("192.0.2.9", 0), conflictOf("192.0.2.3", 0, since(-time.Minute)), conflictOf("192.0.2.5", 0), conflictOf("192.0.2.7", 0, since(-2*time.Hour)),
	}, noon, logr.Discard())
	var got []string
	for _, x := range c.forAllocator() {
		got = append(got, x.Address.String())
	}
	if want := "192.0.2.7 192.0.2.5 192.0.2.9 192.0.2.3"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func TestConflictsOfAService(t *testing.T) {
	var c conflicts
	c.adopt([]v1beta1.AddressConflict{
		conflictOf("192.0.2.1", 0, saying(reason.NextHopAddress)), conflictOf("2001:db8::1", 0, withdrawn),
	}, noon, logr.Discard())
	four, six := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	got := c.verdict([]netip.Addr{four, six})
	want := verdictOnConflict{reason.AddressConflict, "2001:db8::1 is used by another host (hardware address 02:00:00:00:00:01) seen by node n1 on interface eth0 since 2026-01-01T11:00:00Z, and the address is withdrawn; " +
		"a route of node n1 leads through 192.0.2.1 since 2026-01-01T11:00:00Z, and the address stays announced. " + reason.AddressConflict.Text().Fix}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if other := c.verdict([]netip.Addr{six, four}); other != got {
		t.Errorf("in another order %+v", other)
	}
	if none := c.verdict([]netip.Addr{netip.MustParseAddr("192.0.2.2")}); none != (verdictOnConflict{}) {
		t.Errorf("of another address %+v", none)
	}
}
