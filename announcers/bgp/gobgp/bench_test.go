// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"bufio"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/bgp"
)

// BenchmarkTenThousandRoutes has one session with 10,000 routes. With BGP_CHILD=path/to/metalsuite the processes are those of the product.
func BenchmarkTenThousandRoutes(b *testing.B) {
	const n = 10000
	routes := make([]bgp.Announcement, n)
	for i := range routes {
		routes[i] = bgp.Announcement{Route: announcers.Route{
			Prefix:     netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 32),
			Attributes: announcers.Attributes{Communities: []uint32{64512<<16 | 7}},
		}}
	}
	r := newRemote(b, remoteOptions{asn: 64999, ourASN: 64512})
	e := startEngine(b, 2)
	var opening, connecting, updating, settling, idle, shared, full time.Duration
	for b.Loop() {
		began := time.Now()
		s := e.open(b, r.settings(64512))
		opening += time.Since(began)
		pid := s.Session.(*session).child.command.Process.Pid
		private, common := memory(b, pid)
		idle, shared = idle+private, shared+common

		began = time.Now()
		s.establish()
		connecting += time.Since(began)

		began = time.Now()
		s.announce(routes...)
		updating += time.Since(began)
		s.Eventually(func() int { return len(r.routes(familyIPv4)) }, patience, time.Millisecond).Should(Equal(n))
		settling += time.Since(began)
		private, _ = memory(b, pid)
		full += private
		s.Close()
		s.Eventually(func() int { return len(r.routes(familyIPv4)) }, patience, time.Millisecond).Should(BeZero())
	}
	for unit, total := range map[string]time.Duration{
		"open-ms": opening, "establish-ms": connecting, "update-ms": updating, "converge-ms": settling,
		"idle-private-MiB": idle, "shared-MiB": shared, "full-private-MiB": full,
	} {
		b.ReportMetric(total.Seconds()*1000/float64(b.N), unit)
	}
}

// memory returns the private and the shared memory of a process; a millisecond stands for a MiB.
func memory(t testing.TB, pid int) (private, shared time.Duration) {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var name string
		var kib int64
		if _, err := fmt.Sscan(strings.ReplaceAll(lines.Text(), ":", " "), &name, &kib); err != nil {
			continue
		}
		switch name {
		case "Private_Clean", "Private_Dirty":
			private += time.Duration(kib) * time.Millisecond / 1024
		case "Shared_Clean", "Shared_Dirty":
			shared += time.Duration(kib) * time.Millisecond / 1024
		}
	}
	return private, shared
}
