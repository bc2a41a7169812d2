// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"context"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"metalsuite.io/announcers"
)

// The first address of a family needs a socket that is not there yet. Whatever wakes the engine then, it opens that before it sends.
func TestTheFirstClaimOfAFamilyFindsItsSocket(t *testing.T) {
	segment := newSimulated()
	a, err := New(Options{Links: segment, Clock: newFakeClock(), Registerer: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	e := newEngine(a)
	defer e.readers.Wait()
	defer e.closeAll()
	defer cancel()
	e.seen = segment.list()
	if err := e.settle(ctx); err != nil {
		t.Fatal(err)
	}
	a.Apply(ctx, announcers.Desired{Addresses: []announcers.Address{{Addr: six}}})
	if err := e.send(ctx); err != nil {
		t.Fatal(err)
	}
	if len(segment.wire) != 1 {
		t.Errorf("sent were %v", segment.wire)
	} else if claimed, mac, ok := segment.wire[0].claims(); !ok || claimed != six || mac != nodeMAC {
		t.Errorf("sent was %v", segment.wire[0])
	}
}
