// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"fmt"
	"net/netip"
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
	want.SubnetsTold, want.MACs, want.Strangers = true, []string{"02:00:00:00:01:02"}, []netip.Addr{netip.MustParseAddr("192.0.2.7")}
	got, ok := decodeRecord(encode(said("b", 5, 1, want)))
	if !ok || !got.State.equal(want) {
		t.Errorf("%+v arrived as %+v", want, got.State)
	}
	if older := string(encode(said("b", 5, 1, fit))); strings.Contains(older, "subnets") || strings.Contains(older, "uses") {
		t.Errorf("what is not known is told: %s", older)
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
