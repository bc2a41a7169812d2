// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/l2/link"
)

// play is a dispute about one address that is looked at every 50 ms; what happens is written down as "time:what".
type play struct {
	disputes
	start  time.Time
	placed func(at time.Duration) bool
	log    []string
}

func newPlay() *play {
	return &play{disputes: newDisputes(), start: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), placed: func(time.Duration) bool { return true }}
}

func (p *play) note(at time.Duration, what string) {
	p.log = append(p.log, fmt.Sprintf("%d:%s", at.Milliseconds(), what))
}

// until plays, hearing a stranger at the given times.
func (p *play) until(end time.Duration, hears ...time.Duration) string {
	for at := time.Duration(0); at <= end; at += 50 * time.Millisecond {
		now := p.start.Add(at)
		before := p.stance(first)
		if probe, _ := p.advance(now, func(netip.Addr) bool { return p.placed(at) }); len(probe) > 0 {
			p.note(at, "probe")
		}
		if p.stance(first) != before {
			p.note(at, "settled")
		}
		for _, h := range hears {
			if h == at {
				p.hear(at, strangerMAC)
			}
		}
	}
	return strings.Join(p.log, " ")
}

func (p *play) hear(at time.Duration, mac link.MAC) {
	r := p.disputes.hear(first, mac, lan, p.start.Add(at))
	for _, said := range []struct {
		yes  bool
		what string
	}{{r.withdraw, "withdraw"}, {r.defend, "defend"}, {r.tell, "tell"}} {
		if said.yes {
			p.note(at, said.what)
		}
	}
}

func TestTrial(t *testing.T) {
	second := time.Second
	for _, row := range []struct {
		name  string
		fresh bool
		end   time.Duration
		hears []time.Duration
		want  string
	}{
		{"nobody answers", true, second, nil, "0:probe 100:probe 300:probe 400:settled"},
		{"a stranger answers the first probe", true, second, ms(50), "0:probe 50:withdraw 50:tell"},
		{"a stranger answers the last probe", true, second, ms(350), "0:probe 100:probe 300:probe 350:withdraw 350:tell"},
		{"a stranger answers once, then is gone", true, 12 * second, ms(50), "0:probe 50:withdraw 50:tell 10050:probe 10150:probe 10350:probe 10450:settled"},
		{"a stranger answers the next trial too", true, 21 * second, ms(50, 10100),
			"0:probe 50:withdraw 50:tell 10050:probe 20100:probe 20200:probe 20400:probe 20500:settled"},
		{"a stranger that speaks between trials delays the next", true, 14 * second, ms(50, 4000), "0:probe 50:withdraw 50:tell 14000:probe"},
		{"a stranger comes after the trial", true, second, ms(500), "0:probe 100:probe 300:probe 400:settled 500:defend 500:tell"},
		{"an address that is not fresh is not probed", false, second, nil, ""},
		{"a forged claim costs nothing but an answer", false, second, ms(100), "100:defend 100:tell"},
		{"many forged claims are answered every ten seconds and told every minute", false, 75 * second, every(second, 75*second),
			"1000:defend 1000:tell 11000:defend 21000:defend 31000:defend 41000:defend 51000:defend 61000:defend 61000:tell 71000:defend"},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := newPlay()
			if row.fresh {
				p.begin(first)
			}
			if diff := cmp.Diff(row.want, p.until(row.end, row.hears...)); diff != "" {
				t.Errorf("what happened (-want +got):\n%s", diff)
			}
		})
	}
}

func every(step, end time.Duration) []time.Duration {
	var out []time.Duration
	for at := step; at <= end; at += step {
		out = append(out, at)
	}
	return out
}

func TestTrialWaitsForAnInterface(t *testing.T) {
	p := newPlay()
	p.placed = func(at time.Duration) bool { return at >= 2*time.Second }
	p.begin(first)
	if _, due := p.next(); due {
		t.Error("a trial without interface is due")
	}
	if got, want := p.until(3*time.Second), "2000:probe 2100:probe 2300:probe 2400:settled"; got != want {
		t.Errorf("what happened: %s, want %s", got, want)
	}
}

func TestLateTrialStillWaitsForAnAnswer(t *testing.T) {
	d, start := newDisputes(), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	d.begin(first)
	yes := func(netip.Addr) bool { return true }
	d.advance(start, yes)
	if probe, ended := d.advance(start.Add(time.Minute), yes); len(probe) != 1 || ended {
		t.Errorf("after a minute of sleep: %d probes, ended %t, want one probe", len(probe), ended)
	}
	if at, ok := d.next(); !ok || at.Sub(start.Add(time.Minute)) != answerWithin {
		t.Errorf("next() = %s, %t", at, ok)
	}
}

func TestConflictsAreRememberedForAWhile(t *testing.T) {
	p := newPlay()
	p.hear(0, strangerMAC)
	p.hear(2*time.Second, strangerMAC)
	known := func(at time.Duration) []announcers.Conflict { return p.known(p.start.Add(at)) }
	want := []announcers.Conflict{{
		Addr: first, Interface: lan, HardwareAddress: strangerMAC.String(), Since: p.start, Last: p.start.Add(2 * time.Second),
	}}
	addresses := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	if diff := cmp.Diff(want, known(announcers.ConflictTTL+time.Second), addresses); diff != "" {
		t.Errorf("conflicts (-want +got):\n%s", diff)
	}
	if left := known(announcers.ConflictTTL + 2*time.Second); len(left) != 0 {
		t.Errorf("%d conflicts are never forgotten", len(left))
	}
}

func TestConflictOfAWithdrawnAddressStays(t *testing.T) {
	p := newPlay()
	p.begin(first)
	p.hear(0, strangerMAC)
	if left := p.known(p.start.Add(time.Hour)); len(left) != 1 || !left[0].Withdrawn {
		t.Errorf("conflicts = %+v, want the one that withdraws the address", left)
	}
	p.keep(func(netip.Addr) bool { return false })
	if left := p.known(p.start); len(left) != 0 || len(p.trials) != 0 {
		t.Error("an address that is not desired any more is still disputed")
	}
}

func TestAnotherStrangerIsNews(t *testing.T) {
	p := newPlay()
	p.hear(0, strangerMAC)
	p.hear(time.Second, peerMAC)
	p.hear(11*time.Second, strangerMAC)
	if got, want := strings.Join(p.log, " "), "0:defend 0:tell 11000:defend 11000:tell"; got != want {
		t.Errorf("what happened: %s, want %s", got, want)
	}
	if c := p.known(p.start.Add(12 * time.Second)); c[0].HardwareAddress != strangerMAC.String() {
		t.Errorf("the stranger is %s", c[0].HardwareAddress)
	}
}
