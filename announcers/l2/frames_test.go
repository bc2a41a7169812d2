// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/arp"
	"github.com/mdlayher/ndp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"metalsuite.io/announcers/l2/link"
)

var (
	six        = netip.MustParseAddr("2001:db8::1")
	six2       = netip.MustParseAddr("2001:db8::2")
	third6     = netip.MustParseAddr("2001:db8::9")
	globalPeer = netip.MustParseAddr("2001:db8::99")
	group6     = netip.MustParseAddr("ff02::1:ff00:1")
)

// What Linux 6.18 sends, captured on a veth pair.
var (
	// linuxRequest looks for 192.0.2.1.
	linuxRequest = []byte{
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0x00, 0x00, 0x00, 0x00, 0x99, 0x08, 0x06,
		0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x01,
		0x02, 0x00, 0x00, 0x00, 0x00, 0x99, 192, 0, 2, 254,
		0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 192, 0, 2, 1,
	}
	// linuxSolicitation looks for 2001:db8::1.
	linuxSolicitation = unhex("3333ff00000102000000009986dd6000000000203aff20010db8000000000000000000000099ff0200000000000000000001ff00000187001af90000000020010db80000000000000000000000010101020000000099")
	// linuxReachability makes sure that 2001:db8::1 is still there: neighbour unreachability detection.
	linuxReachability = unhex("02000000000102000000009986dd6000000000203afffe80000000000000000000fffe00009920010db800000000000000000000000187001b7d0000000020010db80000000000000000000000010101020000000099")
	// linuxDuplicate asks whether 2001:db8::1 is free, with a nonce: duplicate address detection.
	linuxDuplicate = unhex("3333ff00000102000000009986dd6000000000203aff00000000000000000000000000000000ff0200000000000000000001ff00000187005ee60000000020010db80000000000000000000000010e013c82d90dca6d")
	// linuxAdvertisement answers for a link-local address.
	linuxAdvertisement = unhex("02000000000102000000009986dd6000000000203afffe80000000000000000000fffe000099fe80000000000000000000fffe0000018800195560000000fe80000000000000000000fffe0000990201020000000099")
)

// resum corrects the checksum of a message.
func resum(frame []byte) []byte {
	clear(frame[56:58])
	binary.BigEndian.PutUint16(frame[56:58], checksum(frame[22:54], frame[icmpStart:]))
	return frame
}

func value(c prometheus.Counter) float64 { return testutil.ToFloat64(c) }

// arpReply is the answer of this node for first.
func arpReply(to netip.Addr) seen {
	return seen{to: peerMAC, from: nodeMAC, arp: arpPacket(arp.OperationReply, first, peerMAC, to)}
}

// solicited is the answer of this node for six to one asker, toEverybody that to an asker without address.
func solicited(to netip.Addr) seen { return advertisementTo(peerMAC, to, true) }
func toEverybody() seen {
	return advertisementTo(link.MAC{0x33, 0x33, 0, 0, 0, 1}, netip.MustParseAddr("ff02::1"), false)
}

func advertisementTo(to link.MAC, destination netip.Addr, asked bool) seen {
	return seen{to: to, from: nodeMAC, source: nodeIP6, destination: destination, ndp: &ndp.NeighborAdvertisement{
		Solicited: asked, Override: true, TargetAddress: six,
		Options: []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Target, Addr: net.HardwareAddr(nodeMAC[:])}},
	}}
}

func arpPacket(op arp.Operation, sender netip.Addr, target link.MAC, targetIP netip.Addr) *arp.Packet {
	p, err := arp.NewPacket(op, nodeMAC[:], sender, target[:], targetIP)
	if err != nil {
		panic(err)
	}
	return p
}

func TestARPAnswerIsPaddedWithZeros(t *testing.T) {
	p, ok := arpProtocol{}.parse(linuxRequest)
	if !ok {
		t.Fatal("the captured request is not understood")
	}
	dirty := bytes.Repeat([]byte{0xee}, maximumFrame)
	got := arpProtocol{}.answer(dirty, station{mac: nodeMAC}, p)
	want := []byte{
		0x02, 0, 0, 0, 0, 0x99, 0x02, 0, 0, 0, 0, 0x01, 0x08, 0x06,
		0, 1, 0x08, 0, 6, 4, 0, 2,
		0x02, 0, 0, 0, 0, 0x01, 192, 0, 2, 1,
		0x02, 0, 0, 0, 0, 0x99, 192, 0, 2, 254,
	}
	want = append(want, make([]byte, minimumFrame-len(want))...)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
}

func TestNDPAnswerIsWhatLinuxWouldSay(t *testing.T) {
	p, ok := ndpProtocol{}.parse(linuxReachability)
	if !ok {
		t.Fatal("the captured question is not understood")
	}
	// Linux answers for its own address in the captured advertisement; for the same address, asker and station ours is the same frame.
	p.target, p.sender = netip.MustParseAddr("fe80::ff:fe00:99"), netip.MustParseAddr("fe80::ff:fe00:1")
	p.hardware = nodeMAC
	got := ndpProtocol{}.answer(bytes.Repeat([]byte{0xee}, maximumFrame), station{peerMAC, p.target}, p)
	if diff := cmp.Diff(linuxAdvertisement, got); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
}

func TestAnnouncementsAndProbes(t *testing.T) {
	us := station{nodeMAC, nodeIP6}
	nothing := netip.IPv4Unspecified()
	for _, row := range []struct {
		name   string
		frames func() ([][]byte, error)
		want   []seen
	}{
		{"ARP announces", func() ([][]byte, error) { return arpProtocol{}.announcements(us, first) }, []seen{
			{to: link.Broadcast, from: nodeMAC, arp: arpPacket(arp.OperationRequest, first, link.MAC{}, first)},
			{to: link.Broadcast, from: nodeMAC, arp: arpPacket(arp.OperationReply, first, nodeMAC, first)},
		}},
		{"NDP announces", func() ([][]byte, error) { return ndpProtocol{}.announcements(us, six) }, []seen{toEverybody()}},
		{"ARP probes", func() ([][]byte, error) { return one(arpProtocol{}.probe(us, first)) }, []seen{
			{to: link.Broadcast, from: nodeMAC, arp: arpPacket(arp.OperationRequest, nothing, link.MAC{}, first)},
		}},
		{"NDP probes", func() ([][]byte, error) { return one(ndpProtocol{}.probe(us, six)) }, []seen{{
			to: link.MAC{0x33, 0x33, 0xff, 0, 0, 1}, from: nodeMAC, source: netip.IPv6Unspecified(), destination: group6,
			ndp: &ndp.NeighborSolicitation{TargetAddress: six},
		}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			frames, err := row.frames()
			if err != nil {
				t.Fatal(err)
			}
			var got []seen
			for _, f := range frames {
				s, ok := read(f)
				if !ok {
					t.Fatalf("frame %x cannot be read", f)
				}
				got = append(got, s)
			}
			addresses := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
			if diff := cmp.Diff(row.want, got, cmp.AllowUnexported(seen{}), addresses); diff != "" {
				t.Errorf("frames (-want +got):\n%s", diff)
			}
		})
	}
}

func one(frame []byte, err error) ([][]byte, error) { return [][]byte{frame}, err }

func TestProtocolsRefuseTheOtherFamily(t *testing.T) {
	if _, err := (arpProtocol{}).announcements(station{mac: nodeMAC}, six); err == nil {
		t.Error("an IPv6 address was put into an ARP frame")
	}
	if _, err := (ndpProtocol{}).probe(station{mac: nodeMAC}, first); err == nil {
		t.Error("an IPv4 address was put into a solicitation")
	}
}

// BenchmarkChecksum measures what it takes to tell whether a message is unharmed.
func BenchmarkChecksum(b *testing.B) {
	for b.Loop() {
		if checksum(linuxSolicitation[22:54], linuxSolicitation[icmpStart:]) != 0 {
			b.Fatal("harmed")
		}
	}
}
