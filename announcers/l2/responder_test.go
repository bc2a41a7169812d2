// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/arp"
	"github.com/mdlayher/ndp"

	"metalsuite.io/announcers/l2/link"
)

// unhex decodes a captured frame.
func unhex(text string) []byte {
	b, err := hex.DecodeString(text)
	if err != nil {
		panic(err)
	}
	return b
}

// with returns a frame with bytes replaced from an offset on.
func with(frame []byte, offset int, replacement ...byte) []byte {
	f := bytes.Clone(frame)
	copy(f[offset:], replacement)
	return f
}

// heard is what a responder made of a frame.
type heard struct {
	replies   []seen
	sightings []sighting
}

var (
	allyMAC = link.MAC{0x02, 0, 0, 0, 0, 0x55}
	// twinMAC is the hardware address of another interface of this node.
	twinMAC = link.MAC{0x02, 0, 0, 0, 0, 0x02}
)

// ourView answers for first and six; second and six2 were left to a stranger.
func ourView(m *metrics) *view {
	v := &view{station: station{nodeMAC, nodeIP6}, addresses: map[netip.Addr]entry{}}
	for a, answers := range map[netip.Addr]bool{first: true, six: true, second: false, six2: false} {
		v.addresses[a] = entry{counters: m.of(a), answers: answers}
	}
	v.stations = stations{own: set([]link.MAC{nodeMAC, twinMAC}), allies: set([]link.MAC{allyMAC})}
	return v
}

// listener returns a responder that serves no socket.
func listener(p protocol) (*responder, *mailbox) {
	sightings := newMailbox()
	m, err := newMetrics(nil)
	if err != nil {
		panic(err)
	}
	r := newResponder(p, 2, nil, sightings, logr.Discard())
	r.view.Store(ourView(m))
	return r, sightings
}

func listen(p protocol, frame []byte) heard {
	r, sightings := listener(p)
	var h heard
	r.handle(frame, func(reply []byte) error {
		s, ok := read(bytes.Clone(reply))
		if !ok {
			panic("an answer that is no frame of ours")
		}
		h.replies = append(h.replies, s)
		return nil
	})
	h.sightings = sightings.take()
	return h
}

// Both families' frames, as Linux sent them on a veth pair, and what becomes of them.
func TestListen(t *testing.T) {
	by := func(a netip.Addr, mac link.MAC) []sighting {
		return []sighting{{addr: a, mac: mac, index: 2, ally: mac == allyMAC}}
	}
	arpTo := func(ip netip.Addr) []seen { return []seen{arpReply(ip)} }
	for _, row := range []struct {
		name  string
		p     protocol
		frame []byte
		want  heard
	}{
		{"ARP: a broadcast request", arpProtocol{}, linuxRequest, heard{replies: arpTo(peerIP)}},
		{"ARP: a request to our own hardware address", arpProtocol{}, with(linuxRequest, 0, nodeMAC[:]...), heard{replies: arpTo(peerIP)}},
		{"ARP: a request with padding", arpProtocol{}, append(bytes.Clone(linuxRequest), make([]byte, 18)...), heard{replies: arpTo(peerIP)}},
		{"ARP: a probe", arpProtocol{}, with(linuxRequest, 28, 0, 0, 0, 0), heard{replies: arpTo(netip.IPv4Unspecified())}},
		{"ARP: a request to another station", arpProtocol{}, with(linuxRequest, 0, strangerMAC[:]...), heard{}},
		{"ARP: a request to a multicast group", arpProtocol{}, with(linuxRequest, 0, 0x01, 0, 0x5e, 0, 0, 1), heard{}},
		{"ARP: a request for another address", arpProtocol{}, with(linuxRequest, 41, 9), heard{}},
		{"ARP: a request for an address that was left to a stranger", arpProtocol{}, with(linuxRequest, 41, 2), heard{}},
		{"ARP: a reverse request", arpProtocol{}, with(linuxRequest, 21, 3), heard{}},
		{"ARP: our own frame", arpProtocol{}, with(linuxRequest, 6, nodeMAC[:]...), heard{}},
		{"ARP: a frame that claims to be ours", arpProtocol{}, with(linuxRequest, 22, nodeMAC[:]...), heard{}},
		{"ARP: a sender that is everybody", arpProtocol{}, with(linuxRequest, 22, link.Broadcast[:]...), heard{}},
		{"ARP: a sender that is nobody", arpProtocol{}, with(linuxRequest, 22, 0, 0, 0, 0, 0, 0), heard{}},
		{"ARP: another protocol", arpProtocol{}, with(linuxRequest, 12, 0x08, 0x00), heard{}},
		{"ARP: a VLAN tag", arpProtocol{}, with(linuxRequest, 12, 0x81, 0x00), heard{}},
		{"ARP: another hardware type", arpProtocol{}, with(linuxRequest, 14, 0, 6), heard{}},
		{"ARP: another protocol type", arpProtocol{}, with(linuxRequest, 16, 0x86, 0xdd), heard{}},
		{"ARP: long hardware addresses", arpProtocol{}, with(linuxRequest, 18, 8), heard{}},
		{"ARP: long protocol addresses", arpProtocol{}, with(linuxRequest, 19, 16), heard{}},
		{"ARP: a truncated frame", arpProtocol{}, linuxRequest[:41], heard{}},
		{"ARP: an empty frame", arpProtocol{}, nil, heard{}},
		{"ARP: a stranger announces our address", arpProtocol{}, claimBy(strangerMAC, first), heard{sightings: by(first, strangerMAC)}},
		{"ARP: a stranger answers for our address", arpProtocol{}, with(claimBy(strangerMAC, first), 0, nodeMAC[:]...), heard{sightings: by(first, strangerMAC)}},
		{"ARP: a stranger uses our address to ask for another", arpProtocol{}, with(linuxRequest, 28, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 192, 0, 2, 9), heard{sightings: by(first, peerMAC)}},
		{"ARP: a stranger claims the address that was left to it", arpProtocol{}, claimBy(strangerMAC, second), heard{sightings: by(second, strangerMAC)}},
		{"ARP: another speaker announces our address", arpProtocol{}, claimBy(allyMAC, first), heard{sightings: by(first, allyMAC)}},
		{"ARP: another interface of ours announces our address", arpProtocol{}, claimBy(twinMAC, first), heard{}},
		{"ARP: a stranger announces another address", arpProtocol{}, claimBy(strangerMAC, third), heard{}},

		{"NDP: a question to the group", ndpProtocol{}, linuxSolicitation, heard{replies: []seen{solicited(globalPeer)}}},
		{"NDP: a question to our own hardware address", ndpProtocol{}, linuxReachability, heard{replies: []seen{solicited(netip.MustParseAddr("fe80::ff:fe00:99"))}}},
		{"NDP: a question without the sender's hardware address", ndpProtocol{}, solicitationFrame(six, nodeMAC, peerIP6, six, false), heard{replies: []seen{solicited(peerIP6)}}},
		{"NDP: a question with padding", ndpProtocol{}, append(bytes.Clone(linuxSolicitation), 0x30), heard{replies: []seen{solicited(globalPeer)}}},
		{"NDP: is the address free", ndpProtocol{}, linuxDuplicate, heard{replies: []seen{toEverybody()}}},
		{"NDP: is the address free, to one station", ndpProtocol{}, solicitationFrame(six, nodeMAC, netip.IPv6Unspecified(), six, false), heard{}},
		{"NDP: is the address free, with a hardware address", ndpProtocol{}, solicitationFrame(six, groupMAC(group6), netip.IPv6Unspecified(), group6, true), heard{}},
		{"NDP: a question to another station", ndpProtocol{}, with(linuxReachability, 0, strangerMAC[:]...), heard{}},
		{"NDP: a question for another address", ndpProtocol{}, who(netip.MustParseAddr("2001:db8::9")), heard{}},
		{"NDP: a question for an address that was left to a stranger", ndpProtocol{}, who(six2), heard{}},
		{"NDP: a question from behind a router", ndpProtocol{}, with(linuxSolicitation, 21, 254), heard{}},
		{"NDP: a wrong checksum", ndpProtocol{}, with(linuxSolicitation, 56, 0xff), heard{}},
		{"NDP: another code", ndpProtocol{}, with(linuxSolicitation, 55, 1), heard{}},
		{"NDP: another message", ndpProtocol{}, with(linuxSolicitation, 54, 128), heard{}},
		{"NDP: a header between", ndpProtocol{}, with(linuxSolicitation, 20, 0), heard{}},
		{"NDP: an option without length", ndpProtocol{}, resum(with(linuxSolicitation, 79, 0)), heard{}},
		{"NDP: an option that is cut off", ndpProtocol{}, resum(with(linuxSolicitation, 79, 2)), heard{}},
		{"NDP: a group as target", ndpProtocol{}, resum(with(linuxSolicitation, 62, 0xff)), heard{}},
		{"NDP: a length beyond the frame", ndpProtocol{}, with(linuxSolicitation, 18, 1), heard{}},
		{"NDP: a truncated frame", ndpProtocol{}, linuxSolicitation[:77], heard{}},
		{"NDP: our own frame", ndpProtocol{}, with(linuxSolicitation, 6, nodeMAC[:]...), heard{}},
		{"NDP: IPv4", ndpProtocol{}, with(linuxSolicitation, 12, 0x08, 0), heard{}},
		{"NDP: a stranger announces our address", ndpProtocol{}, claimBy(strangerMAC, six), heard{sightings: by(six, strangerMAC)}},
		{"NDP: a stranger claims the address that was left to it", ndpProtocol{}, claimBy(strangerMAC, six2), heard{sightings: by(six2, strangerMAC)}},
		{"NDP: another speaker announces our address", ndpProtocol{}, claimBy(allyMAC, six), heard{sightings: by(six, allyMAC)}},
		{"NDP: another interface of ours announces our address", ndpProtocol{}, claimBy(twinMAC, six), heard{}},
		{"NDP: an empty frame", ndpProtocol{}, nil, heard{}},
	} {
		t.Run(row.name, func(t *testing.T) {
			addresses := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
			if diff := cmp.Diff(row.want, listen(row.p, row.frame), cmp.AllowUnexported(heard{}, seen{}, sighting{}), addresses); diff != "" {
				t.Errorf("heard (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCounters(t *testing.T) {
	r, _ := listener(arpProtocol{})
	c := r.view.Load().addresses[first].counters
	r.handle(linuxRequest, func([]byte) error { return nil })
	r.handle(linuxRequest, func([]byte) error { return link.ErrBusy })
	r.handle(claimBy(strangerMAC, first), nil)
	r.handle(claimBy(allyMAC, first), nil)
	for name, row := range map[string]struct{ got, want float64 }{
		"received":  {value(c.received), 2},
		"sent":      {value(c.sent), 1},
		"conflicts": {value(c.conflicts), 1},
	} {
		if row.got != row.want {
			t.Errorf("%s = %v, want %v", name, row.got, row.want)
		}
	}
}

// The hot path allocates nothing, whatever comes in.
func TestHandleAllocatesNothing(t *testing.T) {
	reply := func([]byte) error { return nil }
	for name, row := range map[string]struct {
		p     protocol
		frame []byte
	}{
		"an ARP request for us": {arpProtocol{}, linuxRequest}, "an ARP request for others": {arpProtocol{}, with(linuxRequest, 41, 9)},
		"an ARP claim of a stranger": {arpProtocol{}, claimBy(strangerMAC, first)},
		"a solicitation for us":      {ndpProtocol{}, linuxSolicitation}, "a solicitation for others": {ndpProtocol{}, who(third6)},
	} {
		r, _ := listener(row.p)
		if n := testing.AllocsPerRun(100, func() { r.handle(row.frame, reply) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// FuzzListen feeds arbitrary frames to both protocols. What is answered must be a question for our address, as the packages arp and ndp
// read it, and the answer must be one to it.
func FuzzListen(f *testing.F) {
	for _, frame := range [][]byte{
		linuxRequest, with(linuxRequest, 0, nodeMAC[:]...), with(linuxRequest, 28, 0, 0, 0, 0), with(linuxRequest, 18, 255, 255), {},
		linuxSolicitation, linuxReachability, linuxDuplicate, linuxAdvertisement, claimBy(strangerMAC, six), claimBy(strangerMAC, first),
	} {
		f.Add(frame)
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		for _, p := range protocols {
			h := listen(p, frame)
			if len(h.replies)+len(h.sightings) == 0 {
				continue
			}
			s, ok := read(frame)
			if !ok || s.from == nodeMAC {
				t.Fatalf("heeded %x", frame)
			}
			for _, reply := range h.replies {
				checkReply(t, s, reply)
			}
			for _, saw := range h.sightings {
				if a, mac, claims := s.claims(); claims && (a != saw.addr || mac != saw.mac) {
					t.Fatalf("%x was understood as a claim of %s at %s", frame, saw.addr, saw.mac)
				}
			}
		}
	})
}

func checkReply(t *testing.T, question, reply seen) {
	t.Helper()
	a, mac, _ := reply.claims()
	if mac != nodeMAC || reply.from != nodeMAC || reply.to == link.Broadcast {
		t.Fatalf("answered %+v with %+v", question, reply)
	}
	switch {
	case question.arp != nil:
		if question.arp.Operation != arp.OperationRequest || question.arp.TargetIP != a || a != first {
			t.Fatalf("answered %+v with %+v", question, reply)
		}
	default:
		ns, ok := question.ndp.(*ndp.NeighborSolicitation)
		na, isAnswer := reply.ndp.(*ndp.NeighborAdvertisement)
		if !ok || !isAnswer || ns.TargetAddress != a || a != six || na.Solicited == question.source.IsUnspecified() {
			t.Fatalf("answered %+v with %+v", question, reply)
		}
	}
}

// BenchmarkHandle measures what a frame costs beyond its two system calls.
func BenchmarkHandle(b *testing.B) {
	reply := func([]byte) error { return nil }
	for _, row := range []struct {
		name  string
		p     protocol
		frame []byte
	}{
		{"ARP/ours", arpProtocol{}, linuxRequest}, {"ARP/other", arpProtocol{}, with(linuxRequest, 41, 9)},
		{"NDP/ours", ndpProtocol{}, linuxSolicitation}, {"NDP/other", ndpProtocol{}, who(third6)},
	} {
		b.Run(row.name, func(b *testing.B) {
			r, _ := listener(row.p)
			b.ReportAllocs()
			for b.Loop() {
				r.handle(row.frame, reply)
			}
		})
	}
}
