// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	api "github.com/osrg/gobgp/v3/api"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/bgp"
	"metalsuite.io/api/reason"
)

// remote is the router at the other end: another GoBGP, in a process of its own, which waits for us.
type remote struct {
	*server
	t     testing.TB
	addr  netip.AddrPort
	asn   uint32
	clues *clues
}

type remoteOptions struct {
	asn, ourASN uint32
	addr, our   string
	password    string
	restart     bool
	both        bool
	hold        uint64
}

// newRemote starts a router that has us as its neighbour.
func newRemote(t testing.TB, o remoteOptions) *remote {
	t.Helper()
	if o.addr == "" {
		o.addr, o.our = "127.0.0.1", "127.0.0.1"
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	e := startEngine(t, 1)
	var r *run
	NewWithT(t).Eventually(func() *run { r, _ = e.state(); return r }, patience).ShouldNot(BeNil())
	c, err := r.reserve()
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.server(ctx)
	if err != nil {
		t.Fatal(err)
	}
	out := &remote{server: s, t: t, asn: o.asn, clues: newClues(bgp.Settings{Name: "remote"})}
	c.listen(0, out.clues)
	out.listen(ctx, o)
	if _, err := s.api.AddPeer(ctx, &api.AddPeerRequest{Peer: o.peer()}); err != nil {
		t.Fatal(err)
	}
	return out
}

func (r *remote) listen(ctx context.Context, o remoteOptions) {
	r.addr = reserve(r.t, netip.MustParseAddr(o.addr))
	_, err := r.api.StartBgp(ctx, &api.StartBgpRequest{Global: &api.Global{
		Asn: o.asn, RouterId: "192.0.2.9", ListenPort: int32(r.addr.Port()), ListenAddresses: []string{o.addr},
	}})
	if err != nil {
		r.t.Fatal(err)
	}
}

// reserve returns a port that GoBGP can listen on and that nobody else gets before the test ends: a socket that only has the address lets
// others have it too that say so, as listeners of Go do (SO_REUSEADDR), and the kernel gives the port to nobody by itself.
func reserve(t testing.TB, a netip.Addr) netip.AddrPort {
	t.Helper()
	var domain int
	var address unix.Sockaddr
	if a.Is4() {
		domain, address = unix.AF_INET, &unix.SockaddrInet4{Addr: a.As4()}
	} else {
		domain, address = unix.AF_INET6, &unix.SockaddrInet6{Addr: a.As16()}
	}
	fd, err := unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1), unix.Bind(fd, address)); err != nil {
		t.Fatal(err)
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	switch at := bound.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(a, uint16(at.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(a, uint16(at.Port))
	}
	t.Fatalf("bound to %v", bound)
	return netip.AddrPort{}
}

func (o remoteOptions) peer() *api.Peer {
	s := bgp.Settings{IPv4: true, IPv6: o.both}
	if netip.MustParseAddr(o.addr).Is6() {
		s = bgp.Settings{IPv6: true, IPv4: o.both}
	}
	s.LocalASN, s.RemoteASN, s.Remote, s.Password = o.asn, o.ourASN, netip.MustParseAddr(o.our), announcers.Secret(o.password)
	s.GracefulRestart = o.restart
	if o.hold != 0 {
		s.Timers, s.HoldTime, s.KeepaliveTime = true, time.Duration(o.hold)*time.Second, time.Second
	}
	p := peerOf(s, false, 0)
	p.Conf.NeighborAddress, p.Conf.AuthPassword, p.Transport.PassiveMode = o.our, o.password, true
	if !o.restart {
		p.GracefulRestart = nil
	}
	return p
}

// why returns why the remote's session has ended.
func (r *remote) why() *reason.Problem {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return r.clues.why(ctx)
}

// settings are ours for a session with r.
func (r *remote) settings(ourASN uint32) bgp.Settings {
	return bgp.Settings{
		PeerSettings: announcers.PeerSettings{
			LocalASN: ourASN, RemoteASN: r.asn, Address: r.addr.Addr(), Port: r.addr.Port(), RouterID: netip.MustParseAddr("192.0.2.1"),
			ConnectTime: time.Second,
		},
		Name: r.t.Name(), Remote: r.addr.Addr(), IPv4: r.addr.Addr().Is4(), IPv6: r.addr.Addr().Is6(),
	}
}

// seen is a route as the remote has it.
type seen struct {
	next             string
	path             []uint32
	med, pref        int64
	communities      []uint32
	largeCommunities [][3]uint32
	stale            bool
}

// routes returns what the remote was told.
func (r *remote) routes(family *api.Family) map[string]seen {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	stream, err := r.api.ListPath(ctx, &api.ListPathRequest{TableType: api.TableType_GLOBAL, Family: family})
	if err != nil {
		r.t.Fatal(err)
	}
	out := map[string]seen{}
	for {
		answer, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			r.t.Fatal(err)
		}
		for _, p := range answer.GetDestination().GetPaths() {
			out[answer.GetDestination().GetPrefix()] = seenOf(r.t, p)
		}
	}
}

// received returns how many routes of a family a router keeps of what its peer sent, used or not.
func (r *remote) received(family *api.Family) uint64 {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	table, err := r.api.GetTable(ctx, &api.GetTableRequest{TableType: api.TableType_ADJ_IN, Family: family, Name: neighbour})
	if err != nil {
		r.t.Fatal(err)
	}
	return table.GetNumPath()
}

func seenOf(t testing.TB, p *api.Path) seen {
	t.Helper()
	out := seen{med: -1, pref: -1, stale: p.GetStale()}
	for _, packed := range p.GetPattrs() {
		a, err := packed.UnmarshalNew()
		if err != nil {
			t.Fatal(err)
		}
		out.add(a)
	}
	return out
}

func (s *seen) add(attribute proto.Message) {
	switch a := attribute.(type) {
	case *api.NextHopAttribute:
		s.next = a.GetNextHop()
	case *api.MpReachNLRIAttribute:
		s.next = a.GetNextHops()[0]
	case *api.AsPathAttribute:
		for _, segment := range a.GetSegments() {
			s.path = append(s.path, segment.GetNumbers()...)
		}
	case *api.MultiExitDiscAttribute:
		s.med = int64(a.GetMed())
	case *api.LocalPrefAttribute:
		s.pref = int64(a.GetLocalPref())
	case *api.CommunitiesAttribute:
		s.communities = a.GetCommunities()
	case *api.LargeCommunitiesAttribute:
		for _, c := range a.GetCommunities() {
			s.largeCommunities = append(s.largeCommunities, [3]uint32{c.GetGlobalAdmin(), c.GetLocalData1(), c.GetLocalData2()})
		}
	}
}

// route announces prefix with nothing special.
func route(prefix string) bgp.Announcement {
	return bgp.Announcement{Route: announcers.Route{Prefix: netip.MustParsePrefix(prefix)}}
}
