// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"net"
	"net/netip"
	"testing"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ndp"
)

var (
	ownMAC    = net.HardwareAddr{2, 0, 0, 0, 0, 1}
	otherMAC  = net.HardwareAddr{2, 0, 0, 0, 0, 2}
	watched4  = netip.MustParseAddr("192.0.2.7")
	watched6  = netip.MustParseAddr("2001:db8::7")
	own4      = netip.MustParseAddr("192.0.2.1")
	own6      = netip.MustParseAddr("2001:db8::1")
	speaking4 = arpNeighbour{mac: ownMAC, own: own4, address: watched4}
	speaking6 = ndpNeighbour{mac: ownMAC, own: own6, address: watched6}
)

func TestHearTellsAnswersFromClaims(t *testing.T) {
	made := func(frame []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return frame
	}
	advertise := func(solicited bool, options ...ndp.Option) []byte {
		return made(speaking6.frame(ownMAC, otherMAC, watched6, own6, &ndp.NeighborAdvertisement{Solicited: solicited, TargetAddress: watched6, Options: options}))
	}
	target := &ndp.LinkLayerAddress{Direction: ndp.Target, Addr: otherMAC}
	answer4 := arpNeighbour{mac: otherMAC, own: watched4, address: own4}
	stranger4 := arpNeighbour{mac: otherMAC, own: watched4, address: watched4}
	for name, row := range map[string]struct {
		neighbour neighbour
		frame     []byte
		heard     bool
		asked     bool
	}{
		"ARP claim":                       {speaking4, made(speaking4.claim(otherMAC)), true, false},
		"gratuitous ARP request":          {speaking4, made(stranger4.question(Question{})), true, false},
		"ARP reply":                       {speaking4, made(answer4.frame(arp.OperationReply, ownMAC, otherMAC, watched4, ownMAC)), true, true},
		"ARP request of its owner":        {speaking4, made(answer4.question(Question{})), false, false},
		"our ARP question":                {speaking4, made(speaking4.question(Question{})), false, false},
		"our ARP probe":                   {speaking4, made(speaking4.question(Question{Probe: true})), false, false},
		"cut ARP":                         {speaking4, made(speaking4.claim(otherMAC))[:20], false, false},
		"nothing for ARP":                 {speaking4, nil, false, false},
		"unsolicited advertisement":       {speaking6, made(speaking6.claim(otherMAC)), true, false},
		"made ARP answer":                 {speaking4, made(speaking4.answer(otherMAC)), true, true},
		"made NDP answer":                 {speaking6, made(speaking6.answer(otherMAC)), true, true},
		"solicited advertisement":         {speaking6, advertise(true, target), true, true},
		"advertisement without an option": {speaking6, advertise(true), true, true},
		"our solicitation":                {speaking6, made(speaking6.question(Question{})), false, false},
		"our probe":                       {speaking6, made(speaking6.question(Question{Probe: true})), false, false},
		"cut advertisement":               {speaking6, advertise(true, target)[:60], false, false},
		"nothing for NDP":                 {speaking6, nil, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := row.neighbour.hear(row.frame)
			if ok != row.heard || got.asked != row.asked {
				t.Errorf("heard %t, asked %t; want %t, %t", ok, got.asked, row.heard, row.asked)
			}
			if ok && got.mac != otherMAC.String() {
				t.Errorf("heard %s, want %s", got.mac, otherMAC)
			}
		})
	}
}

func TestQuestionsGoWhereHostsSendThem(t *testing.T) {
	for name, row := range map[string]struct {
		neighbour neighbour
		question  Question
		want      string
	}{
		"ARP":           {speaking4, Question{}, "ff:ff:ff:ff:ff:ff"},
		"ARP to one":    {speaking4, Question{To: otherMAC}, otherMAC.String()},
		"NDP":           {speaking6, Question{}, "33:33:ff:00:00:07"},
		"NDP to one":    {speaking6, Question{To: otherMAC}, otherMAC.String()},
		"NDP, probing":  {speaking6, Question{Probe: true}, "33:33:ff:00:00:07"},
		"ARP, probing":  {speaking4, Question{Probe: true}, "ff:ff:ff:ff:ff:ff"},
		"NDP claim":     {claiming{speaking6}, Question{}, "33:33:00:00:00:01"},
		"ARP claim":     {claiming{speaking4}, Question{}, "ff:ff:ff:ff:ff:ff"},
		"NDP both ways": {speaking6, Question{To: otherMAC, Probe: true}, "33:33:ff:00:00:07"},
	} {
		t.Run(name, func(t *testing.T) {
			frame, err := row.neighbour.question(row.question)
			if err != nil {
				t.Fatal(err)
			}
			if got := net.HardwareAddr(frame[:6]).String(); got != row.want {
				t.Errorf("goes to %s, want %s", got, row.want)
			}
		})
	}
}

// claiming asks nothing and claims.
type claiming struct{ neighbour }

func (c claiming) question(Question) ([]byte, error) { return c.claim(otherMAC) }
