// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"

	"metalsuite.io/announcers"
	"metalsuite.io/api/reason"
)

func TestOptionsAreChecked(t *testing.T) {
	for _, row := range []struct {
		name string
		mend func(*options)
		ok   bool
	}{
		{"complete", func(*options) {}, true},
		{"no node", func(o *options) { o.node = "" }, false},
		{"no address", func(o *options) { o.bindAddress = "" }, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := options{node: "n1", bindAddress: "192.0.2.1", announcers: Names()}
			row.mend(&o)
			if err := o.validate(); (err == nil) != row.ok {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestOptionsThatCannotBeUsedCostNoSpeaker(t *testing.T) {
	for _, row := range []struct {
		name   string
		every  time.Duration
		want   time.Duration
		logged int
	}{
		{"never", 0, 0, 0},
		{"the shortest refresh", time.Second, time.Second, 0},
		{"one that floods", time.Millisecond, 0, 1},
		{"the longest", 24 * time.Hour, 24 * time.Hour, 0},
		{"one that is of no use", 25 * time.Hour, 0, 1},
		{"one before now", -time.Minute, 0, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			logged := 0
			got := options{refreshInterval: row.every}.usable(funcr.New(func(_, _ string) { logged++ }, funcr.Options{}))
			if got.refreshInterval != row.want || logged != row.logged {
				t.Errorf("repeats every %v, %d lines logged", got.refreshInterval, logged)
			}
		})
	}
	if got := (options{announcers: []string{"l2", "", "l2", "bgp"}}).usable(logr.Discard()).announcers; !slices.Equal(got, []string{"l2", "bgp"}) {
		t.Errorf("runs %v", got)
	}
}

func TestAnUnknownAnnouncerReportsItselfAndTheOthersRun(t *testing.T) {
	made, err := build([]string{"carrier-pigeon", "l2"}, environment{log: logr.Discard()})
	if err != nil || len(made) != 2 || made[1].Name() != "l2" {
		t.Fatalf("made %v, %v", made, err)
	}
	address := netip.MustParseAddr("192.0.2.7")
	report := made[0].Apply(t.Context(), announcers.Desired{Addresses: []announcers.Address{{Addr: address}}})
	if p := report.Problem; made[0].Name() != "carrier-pigeon" || p == nil || p.Reason != reason.UnknownAnnouncer || !strings.Contains(p.Message(), "bgp, l2") {
		t.Errorf("%s: %+v", made[0].Name(), report)
	}
	if s := report.States[address]; s.Phase != announcers.Refused || s.Problem != report.Problem {
		t.Errorf("state %+v", s)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if err := made[0].Run(ended); err != nil {
		t.Error(err)
	}
}
