// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	. "github.com/onsi/gomega"
	packet "github.com/osrg/gobgp/v3/pkg/packet/bgp"
)

func TestMessagesThatAreNotValidAreAnsweredAsTheRFCSays(t *testing.T) {
	header := func(length uint16, kind byte) []byte {
		return append(bytes.Repeat([]byte{0xff}, 16), byte(length>>8), byte(length), kind)
	}
	for name, row := range map[string]struct {
		in   []byte
		want []byte
	}{
		"marker":                   {make([]byte, 19), []byte{1, 1}},
		"unknown type":             {header(19, 99), []byte{1, 3, 99}},
		"type 0":                   {header(19, 0), []byte{1, 3, 0}},
		"shorter than a header":    {header(18, typeKeepalive), []byte{1, 2, 0, 18}},
		"longer than a message":    {header(4097, typeUpdate), []byte{1, 2, 0x10, 1}},
		"a KEEPALIVE with a body":  {header(20, typeKeepalive), []byte{1, 2, 0, 20}},
		"an OPEN that is short":    {header(28, typeOpen), []byte{1, 2, 0, 28}},
		"an UPDATE that is short":  {header(22, typeUpdate), []byte{1, 2, 0, 22}},
		"a NOTIFICATION too short": {header(20, typeNotification), []byte{1, 2, 0, 20}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			_, err := readMessage(bytes.NewReader(row.in), make([]byte, longestMessage))
			var why *wireError
			g.Expect(errors.As(err, &why)).To(BeTrue(), "%v", err)
			g.Expect([]byte(why.packet())).To(Equal([]byte(newMessage(typeNotification, row.want))))
		})
	}
}

func TestOpenThatIsNotValid(t *testing.T) {
	fixed := []byte{4, 0xfd, 0xe7, 0, 90, 192, 0, 2, 9}
	for name, row := range map[string]struct {
		rest    []byte
		subcode int
	}{
		"parameters shorter than told":           {[]byte{4, 2, 0}, 0},
		"parameters longer than told":            {[]byte{0, 2, 0}, 0},
		"a parameter without a length":           {[]byte{1, 2}, 0},
		"a parameter longer than the message":    {[]byte{2, 2, 9}, 0},
		"a parameter that is none":               {[]byte{2, 1, 0}, 4},
		"a capability without a length":          {[]byte{3, 2, 1, 1}, 0},
		"a capability longer than its parameter": {[]byte{4, 2, 2, 65, 4}, 0},
		"an ASN of two bytes":                    {[]byte{6, 2, 4, 65, 2, 0, 1}, 0},
		"a family of three bytes":                {[]byte{7, 2, 5, 1, 3, 0, 1, 0}, 0},
		"graceful restart of one byte":           {[]byte{5, 2, 3, 64, 1, 0}, 0},
		"half an entry of extended next hop":     {[]byte{7, 2, 5, 5, 3, 0, 1, 0}, 0},
		"extended parameters that are short":     {[]byte{255, 255, 0, 4, 2, 0, 0}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			_, err := readOpen(slices.Concat(fixed, row.rest))
			var why *wireError
			g.Expect(errors.As(err, &why)).To(BeTrue(), "%v", err)
			g.Expect([]int{why.code, why.subcode}).To(Equal([]int{codeOpen, row.subcode}))
		})
	}
}

// GoBGP gets the capabilities that it is to use and no others, in the form that the RFCs have.
func TestOpenIsPassedOnWithTheCapabilitiesThatAreUsed(t *testing.T) {
	g := NewWithT(t)
	kept := slices.Concat([]byte{1, 4, 0, 1, 0, 1, 1, 4, 0, 2, 0, 1, 2, 0, 65, 4, 0, 0, 0xfd, 0xe7}, []byte{5, 6, 0, 1, 0, 1, 0, 2}, []byte{64, 6, 0x80, 120, 0, 1, 1, 0x80})
	others := []byte{69, 4, 0, 1, 1, 3, 73, 3, 2, 'r', '1', 1, 4, 0, 25, 0, 65, 70, 0, 128, 0}
	offered := slices.Concat(kept[:12], others, kept[12:])
	plain := append([]byte{4, 0xfd, 0xe7, 0, 90, 192, 0, 2, 9, byte(len(offered) + 2), 2, byte(len(offered))}, offered...)
	extended := append([]byte{4, 0xfd, 0xe7, 0, 90, 192, 0, 2, 9, 255, 255, 0, byte(len(offered) + 3), 2, 0, byte(len(offered))}, offered...)
	for _, body := range [][]byte{plain, extended} {
		open, err := readOpen(body)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(open.capabilities).To(Equal(kept))
		g.Expect(open.families).To(Equal(map[wireFamily]bool{wireIPv4: true, wireIPv6: true, {25, 65}: true}))
		read, err := packet.ParseBGPMessage(open.packet())
		g.Expect(err).NotTo(HaveOccurred())
		got := read.Body.(*packet.BGPOpen)
		g.Expect([]any{got.MyAS, got.HoldTime, got.ID.String(), len(got.OptParams)}).To(Equal([]any{uint16(64999), uint16(90), "192.0.2.9", 6}))
	}
	many := bytes.Repeat([]byte{65, 4, 0, 0, 0xfd, 0xe7}, 500)
	body := append([]byte{4, 0xfd, 0xe7, 0, 90, 192, 0, 2, 9, 255, 255, byte((len(many) + 3) >> 8), byte(len(many) + 3), 2, byte(len(many) >> 8), byte(len(many))}, many...)
	open, err := readOpen(body)
	g.Expect(err).NotTo(HaveOccurred())
	_, err = packet.ParseBGPMessage(open.packet())
	g.Expect(err).NotTo(HaveOccurred(), "a list that is too long is cut between two capabilities")
	old, err := readOpen([]byte{4, 0xfd, 0xe7, 0, 90, 192, 0, 2, 9, 0})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(old.families).To(Equal(map[wireFamily]bool{wireIPv4: true}))
}

func TestOnlyEndOfRIBIsOne(t *testing.T) {
	for name, row := range map[string]struct {
		body []byte
		want wireFamily
		ok   bool
	}{
		"IPv4":                    {newEndOfRIB(wireIPv4).body(), wireIPv4, true},
		"IPv6":                    {newEndOfRIB(wireIPv6).body(), wireIPv6, true},
		"IPv6, extended length":   {[]byte{0, 0, 0, 7, 0x90, 15, 0, 3, 0, 2, 1}, wireIPv6, true},
		"a withdrawn IPv6 route":  {updateOf(nil, gone6, nil), wireFamily{}, false},
		"a withdrawn IPv4 route":  {updateOf([]byte{24, 198, 51, 100}, nil, nil), wireFamily{}, false},
		"a route":                 {updateOf(nil, slices.Concat(pathAttributes, nextHop4), []byte{24, 198, 51, 100}), wireFamily{}, false},
		"MP_REACH of a family":    {[]byte{0, 0, 0, 6, 0x80, 14, 3, 0, 2, 1}, wireFamily{}, false},
		"attributes that overlap": {[]byte{0, 0, 0, 9, 0x80, 15, 3, 0, 2, 1}, wireFamily{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			f, ok := endOfRIB(row.body)
			NewWithT(t).Expect([]any{f, ok}).To(Equal([]any{row.want, row.ok}))
		})
	}
}

// FuzzOpen sees to it that no OPEN message makes one that GoBGP cannot read.
func FuzzOpen(f *testing.F) {
	f.Add(openOf(bothFamilies...))
	f.Add([]byte{4, 0xfd, 0xe7, 0, 90, 192, 0, 2, 9, 255, 255, 0, 3, 2, 0, 0})
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) < shortestOpen-headerLength || len(body) > longestMessage-headerLength {
			return
		}
		open, err := readOpen(body)
		if err != nil {
			return
		}
		if _, err := packet.ParseBGPMessage(open.packet()); err != nil {
			t.Errorf("%x becomes %x: %v", body, open.packet(), err)
		}
	})
}
