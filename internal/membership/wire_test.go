// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/memberlist"
)

func TestMetaFitsIntoTheMessagesOfMemberlist(t *testing.T) {
	full := encode(meta{Format: 1 << 31, stamp: stamp{Life: 1<<64 - 1, Seq: 1<<64 - 1}})
	if len(full) > memberlist.MetaMaxSize {
		t.Errorf("%d bytes: %s", len(full), full)
	}
}

func TestDecodeMeta(t *testing.T) {
	tests := []struct {
		name, text string
		want       meta
	}{
		{"empty, as of another program", "", meta{}},
		{"not JSON", "\x01\x02", meta{}},
		{"this format", `{"v":1,"life":7,"seq":2}`, meta{Format: 1, stamp: stamp{Life: 7, Seq: 2}}},
		{"unknown fields", `{"v":1,"life":7,"seq":2,"digest":"x"}`, meta{Format: 1, stamp: stamp{Life: 7, Seq: 2}}},
		{"another format", `{"v":2,"life":7}`, meta{Format: 2}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := decodeMeta([]byte(test.text)); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestDecodeRecords(t *testing.T) {
	want := []record{said("b", 5, 1, fit)}
	known := string(encode(want[0]))
	for name, text := range map[string]string{
		"as encoded":         "[" + known + "]",
		"unknown fields":     "[" + strings.Replace(known, `"fit"`, `"mood":"good","fit"`, 1) + "]",
		"among other format": `[{"v":2,"name":7,"state":"coded otherwise"},` + known + `]`,
		"among garbage":      `[1,"x",{},` + known + `]`,
	} {
		t.Run(name, func(t *testing.T) {
			got, err := decodeRecords([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(record{})); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
		})
	}
	if _, err := decodeRecords([]byte("{}")); err == nil {
		t.Error("no error for something that is no list")
	}
}

func TestAStateTravelsWhole(t *testing.T) {
	want := using("LocalAddress")
	want.Fit, want.Links, want.Subnets = true, fit.Links, []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/64")}
	want.UsesCut, want.SubnetsTold, want.MACs, want.Strangers = true, true, []string{"02:00:00:00:01:02"}, []netip.Addr{netip.MustParseAddr("192.0.2.7")}
	want.Unsuitable = []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::")}
	got, ok := decodeRecord(encode(said("b", 5, 1, want)))
	if !ok || !got.State.equal(want) {
		t.Errorf("%+v arrived as %+v", want, got.State)
	}
	if older := string(encode(said("b", 5, 1, fit))); strings.Contains(older, "subnets") || strings.Contains(older, "uses") || strings.Contains(older, "unsuitable") {
		t.Errorf("what is not known is told: %s", older)
	}
}

func TestAStateCanBeBroadcast(t *testing.T) {
	const name = "a-node-with-a-long-name.of-a-cluster.with-a-long-name.example.org"
	full := func(links, others, subnets int) State {
		s := State{Fit: true, SubnetsTold: true, Version: "v1.2.3-0.20261122210355-0123456789ab", Links: map[string]string{}, Uses: map[string]string{}}
		for i := range links {
			s.Links[fmt.Sprintf("enp129s0f%dnp1.%d", i, i)] = fmt.Sprintf("02:00:00:00:01:%02x", i)
		}
		for i := range others {
			a := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0xff, 1, 0xff, 2, 0xff, 3, 0xff, 4, 0xff, 5, 0xff, byte(i)})
			s.MACs = append(s.MACs, fmt.Sprintf("02:00:00:00:02:%02x", i))
			s.Strangers, s.Uses[a.Next().String()] = append(s.Strangers, a), "NextHopAddress"
			s.Unsuitable = append(s.Unsuitable, a.Prev())
		}
		for i := range subnets {
			s.Subnets = append(s.Subnets, netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0xff, 1, 0xff, byte(i)}), 64))
		}
		return s
	}
	most, usual := full(8, MaxUses, 24), full(3, 3, 6)
	got := most.Fitting(name)
	if n := len(encode(said(name, 1<<64-1, 1<<64-1, got))); n > longest || n < longest-100 {
		t.Errorf("%d bytes", n)
	}
	if len(got.Links) != 8 || len(got.Subnets) < 4 || len(got.Uses) < 4 || len(got.Strangers) < 4 || len(got.MACs) < 4 {
		t.Errorf("%d links, %d subnets, %d uses, %d strangers and %d addresses are left", len(got.Links), len(got.Subnets), len(got.Uses), len(got.Strangers), len(got.MACs))
	}
	if !most.equal(full(8, MaxUses, 24)) || !got.equal(most.Fitting(name)) {
		t.Error("the given state was changed, or the result is not always the same")
	}
	if !usual.Fitting(name).equal(usual) {
		t.Error("something was left out of a state of usual size")
	}
	many := full(3, 3, 6)
	for range 5 {
		many.Unsuitable = append(many.Unsuitable, many.Unsuitable...)
	}
	kept := many.Fitting(name)
	if n := len(kept.Unsuitable); n < 4 || n > MaxUses || !slices.Equal(kept.Unsuitable, many.Unsuitable[:n]) {
		t.Errorf("%d unsuitable addresses are left", n)
	}
	if kept.Unsuitable = many.Unsuitable; !kept.equal(many) {
		t.Error("something else was left out while there were unsuitable addresses")
	}
	if huge := full(60, 1, 1).Fitting(name); len(huge.Links) != 60 || len(huge.Uses) > 0 || !huge.UsesCut {
		t.Errorf("of many links %d are told, beside %d uses, cut: %t", len(huge.Links), len(huge.Uses), huge.UsesCut)
	}
	if !got.UsesCut || kept.UsesCut {
		t.Errorf("uses are told as cut: %t where some were left out, %t where none was", got.UsesCut, kept.UsesCut)
	}
	queue := memberlist.TransmitLimitedQueue{RetransmitMult: 1, NumNodes: func() int { return 2 }}
	queue.QueueBroadcast(broadcast{name: name, message: encode(said(name, 1, 1, got))})
	if sent := queue.GetBroadcasts(3, memberlist.DefaultLANConfig().UDPBufferSize-2-29); len(sent) != 1 {
		t.Error("it is too large for a packet of memberlist with encryption")
	}
}

func FuzzDecodeRecords(f *testing.F) {
	f.Add(encode([]record{said("b", 5, 1, fit)}))
	f.Add(encode([]record{said("b", 5, 1, using("LocalAddress")), said("c", 5, 1, onNet("2001:db8::/64"))}))
	f.Add([]byte(`[{"v":1}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		records, err := decodeRecords(b)
		if err != nil {
			return
		}
		again, err := decodeRecords(encode(records))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := fmt.Sprint(again), fmt.Sprint(records); got != want {
			t.Errorf("%s became %s", want, got)
		}
	})
}
