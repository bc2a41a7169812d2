// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"context"
	"net/netip"
	"os"
	"testing"

	"github.com/go-logr/logr"
	. "github.com/onsi/gomega"
	api "github.com/osrg/gobgp/v3/api"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/announcertest"
	"metalsuite.io/announcers/bgp"
	"metalsuite.io/announcers/bgp/bfd"
)

// The whole announcer keeps the contract on real sessions, with a router at the other end.
func TestContractOnTheWire(t *testing.T) {
	for _, spec := range announcertest.Wire() {
		t.Run(spec.Name, func(t *testing.T) { spec.Check(t, subject(t)) })
	}
}

// toRemote makes a route for every address that a conformance test wants.
type toRemote struct {
	*bgp.Announcer
	settings announcers.PeerSettings
}

func (a toRemote) Apply(ctx context.Context, d announcers.Desired) announcers.Report {
	p := announcers.Peer{Name: "remote", PeerSettings: a.settings}
	for _, wanted := range d.Addresses { // they come in the order of prefixes
		p.Routes = append(p.Routes, announcers.Route{Prefix: netip.PrefixFrom(wanted.Addr, 32)})
	}
	d.Peers = []announcers.Peer{p}
	return a.Announcer.Apply(ctx, d)
}

func subject(t *testing.T) announcertest.Subject {
	r := newRemote(t, remoteOptions{asn: 64999, ourASN: 65000})
	a, err := bgp.New(bgp.Options{
		Node: "n1", Address: netip.MustParseAddr("127.0.0.1"), Network: bgp.HostNetwork(logr.Discard()), Detector: bfd.New(bfd.Options{}),
		Engine: New(Options{Args: []string{childArgument}, Folder: shortFolder(t)}),
	})
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	return announcertest.Subject{
		Announcer: toRemote{a, r.settings(65000).PeerSettings},
		Addresses: []netip.Addr{netip.MustParseAddr("198.18.64.1"), netip.MustParseAddr("198.18.64.2")},
		Announced: func() []netip.Addr {
			var out []netip.Addr
			for prefix := range r.routes(familyIPv4) {
				out = append(out, netip.MustParsePrefix(prefix).Addr())
			}
			return out
		},
		Frames: func() int { return int(r.updates(t)) },
		Settle: func() {},
		Disturb: func() {
			if calls++; calls%2 == 1 {
				r.reset(t)
			}
		},
	}
}

// shortFolder is a folder whose path leaves room for that of a socket.
func shortFolder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "bgp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	return folder
}

// updates counts the UPDATE messages that the remote got.
func (r *remote) updates(t *testing.T) uint64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	p, err := r.peer(ctx)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return countsOf(p).UpdatesReceived
}

// reset makes the remote end the session and wait for the next one.
func (r *remote) reset(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := r.api.ResetPeer(ctx, &api.ResetPeerRequest{Address: "127.0.0.1"})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
}
