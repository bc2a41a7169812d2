// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/arp"

	"metalsuite.io/announcers/l2/link"
)

// linuxRequest is what Linux sends when it looks for 192.0.2.1, captured on a veth pair.
var linuxRequest = []byte{
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0x00, 0x00, 0x00, 0x00, 0x99, 0x08, 0x06,
	0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x01,
	0x02, 0x00, 0x00, 0x00, 0x00, 0x99, 192, 0, 2, 254,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 192, 0, 2, 1,
}

func ourView() *view {
	return &view{mac: nodeMAC, addresses: map[netip.Addr]*counters{first: {}}}
}

// with returns the captured request with bytes replaced from an offset on.
func with(offset int, replacement ...byte) []byte {
	f := bytes.Clone(linuxRequest)
	copy(f[offset:], replacement)
	return f
}

func TestAsk(t *testing.T) {
	stranger := link.MAC{0x02, 0, 0, 0, 0, 0x55}
	asked := question{target: first, asker: peerMAC, askerIP: peerIP}
	probe := asked
	probe.askerIP = netip.MustParseAddr("0.0.0.0")
	for _, row := range []struct {
		name  string
		frame []byte
		want  question
		ours  bool
	}{
		{"a broadcast request", linuxRequest, asked, true},
		{"a request to our own hardware address", with(0, nodeMAC[:]...), asked, true},
		{"a request with padding", append(bytes.Clone(linuxRequest), make([]byte, 18)...), asked, true},
		{"a probe", with(28, 0, 0, 0, 0), probe, true},
		{"a request to another station", with(0, stranger[:]...), question{}, false},
		{"a request to a multicast group", with(0, 0x01, 0, 0x5e, 0, 0, 1), question{}, false},
		{"a request for another address", with(41, 2), question{}, false},
		{"a reply", with(21, 2), question{}, false},
		{"a reverse request", with(21, 3), question{}, false},
		{"an announcement of our address", with(28, 192, 0, 2, 1), question{}, false},
		{"our own frame", with(6, nodeMAC[:]...), question{}, false},
		{"a frame that claims to be ours", with(22, nodeMAC[:]...), question{}, false},
		{"a sender that is everybody", with(22, link.Broadcast[:]...), question{}, false},
		{"a sender that is nobody", with(22, 0, 0, 0, 0, 0, 0), question{}, false},
		{"another protocol", with(12, 0x08, 0x00), question{}, false},
		{"a VLAN tag", with(12, 0x81, 0x00), question{}, false},
		{"another hardware type", with(14, 0, 6), question{}, false},
		{"another protocol type", with(16, 0x86, 0xdd), question{}, false},
		{"long hardware addresses", with(18, 8), question{}, false},
		{"long protocol addresses", with(19, 16), question{}, false},
		{"a truncated frame", linuxRequest[:41], question{}, false},
		{"an empty frame", nil, question{}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, ours := ourView().ask(row.frame)
			got.counters = nil
			if ours != row.ours || ours && got != row.want {
				t.Errorf("ask() = %+v, %t, want %+v, %t", got, ours, row.want, row.ours)
			}
		})
	}
}

func TestAnswer(t *testing.T) {
	v := ourView()
	q, ok := v.ask(linuxRequest)
	if !ok {
		t.Fatal("the captured request is not understood")
	}
	got, err := v.answer(q)
	if err != nil {
		t.Fatal(err)
	}
	want := []byte{
		0x02, 0, 0, 0, 0, 0x99, 0x02, 0, 0, 0, 0, 0x01, 0x08, 0x06,
		0, 1, 0x08, 0, 6, 4, 0, 2,
		0x02, 0, 0, 0, 0, 0x01, 192, 0, 2, 1,
		0x02, 0, 0, 0, 0, 0x99, 192, 0, 2, 254,
	}
	if diff := cmp.Diff(want, got[:len(want)]); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	if len(got) != minimumFrame || !bytes.Equal(got[len(want):], make([]byte, minimumFrame-len(want))) {
		t.Errorf("answer of %d bytes is not padded with zeros to %d", len(got), minimumFrame)
	}
}

func TestAnnouncements(t *testing.T) {
	frames, err := announcements(nodeMAC, first)
	if err != nil {
		t.Fatal(err)
	}
	want := []seen{
		{link.Broadcast, nodeMAC, arpPacket(arp.OperationRequest, link.MAC{})},
		{link.Broadcast, nodeMAC, arpPacket(arp.OperationReply, nodeMAC)},
	}
	var got []seen
	for _, f := range frames {
		s, ok := read(f)
		if !ok {
			t.Fatalf("frame %x is not ARP", f)
		}
		got = append(got, s)
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(seen{}), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("announcements (-want +got):\n%s", diff)
	}
}

func arpPacket(op arp.Operation, target link.MAC) arp.Packet {
	p, err := arp.NewPacket(op, nodeMAC[:], first, target[:], first)
	if err != nil {
		panic(err)
	}
	return *p
}

func TestAnnouncementsRefuseAnotherFamily(t *testing.T) {
	if _, err := announcements(nodeMAC, netip.MustParseAddr("2001:db8::1")); err == nil {
		t.Error("an IPv6 address was put into an ARP frame")
	}
}

// FuzzAsk feeds arbitrary frames to the handler. It must not panic, and what it answers must be a request for our address to us.
func FuzzAsk(f *testing.F) {
	f.Add(linuxRequest)
	f.Add(with(0, nodeMAC[:]...))
	f.Add(with(28, 0, 0, 0, 0))
	f.Add(with(18, 255, 255))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, frame []byte) {
		v := ourView()
		q, ok := v.ask(frame)
		if !ok {
			return
		}
		s, isARP := read(frame)
		to := s.to == link.Broadcast || s.to == nodeMAC
		if !isARP || !to || s.from == nodeMAC || s.packet.Operation != arp.OperationRequest || s.packet.TargetIP != first {
			t.Fatalf("answered %x", frame)
		}
		reply, err := v.answer(q)
		if err != nil {
			t.Fatalf("answering %x: %v", frame, err)
		}
		r, isARP := read(reply)
		if !isARP || r.from != nodeMAC || r.to != link.MAC(s.packet.SenderHardwareAddr) || r.packet.SenderIP != first || r.to == link.Broadcast {
			t.Fatalf("answered %x with %x", frame, reply)
		}
	})
}

// BenchmarkAskOther measures what a frame costs that is none of our business.
func BenchmarkAskOther(b *testing.B) {
	v, frame := ourView(), with(41, 2)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := v.ask(frame); ok {
			b.Fatal("answered")
		}
	}
}
