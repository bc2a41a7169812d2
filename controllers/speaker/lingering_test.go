// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"fmt"
	"testing"
	"time"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/announcertest"
	"metalsuite.io/internal/membership"
)

func TestWhatLingersOfALostSpeaker(t *testing.T) {
	const address = "192.0.2.10"
	using := membership.Member{Name: "n2", Known: true, State: membership.State{Fit: true, Uses: map[string]string{address: "LocalAddress"}}}
	nothing, silent := membership.Member{Name: "n2", Known: true}, membership.Member{Name: "n2"}
	other := membership.Member{Name: "n3", Known: true, State: using.State}
	type pass struct {
		after   time.Duration
		members []membership.Member
		want    string
		again   time.Duration
	}
	all := func(m ...membership.Member) []membership.Member { return m }
	for name, passes := range map[string][]pass{
		"nothing while it lives":                 {{0, all(using), "[]", 0}, {time.Hour, all(using), "[]", 0}},
		"its uses, for a minute from its loss":   {{0, all(using), "[]", 0}, {time.Hour, nil, "[n2]", lingerFor}, {lingerFor - 1, nil, "[n2]", 1}, {1, nil, "[]", 0}, {1, nil, "[]", 0}},
		"until it is back and says otherwise":    {{0, all(using), "[]", 0}, {1, nil, "[n2]", lingerFor}, {1, all(silent), "[n2]", lingerFor - 1}, {1, all(nothing), "[]", 0}, {1, nil, "[]", 0}},
		"anew when it is back and says it again": {{0, all(using), "[]", 0}, {1, nil, "[n2]", lingerFor}, {1, all(using), "[]", 0}, {1, nil, "[n2]", lingerFor}},
		"nothing of what it had said no more":    {{0, all(using), "[]", 0}, {1, all(nothing), "[]", 0}, {1, nil, "[]", 0}},
		"of several the next sets the time": {
			{0, all(using, other), "[]", 0}, {1, all(using), "[n3]", lingerFor}, {time.Second, nil, "[n2 n3]", lingerFor - time.Second},
			{lingerFor - time.Second, nil, "[n2]", time.Second},
		},
	} {
		t.Run(name, func(t *testing.T) {
			l, now := lingering{}, time.Unix(1000, 0)
			for i, p := range passes {
				now = now.Add(p.after)
				lost, again := l.see(now, p.members)
				names := []string{}
				for _, m := range lost {
					if m.State.Fit || m.State.Uses[address] == "" {
						t.Errorf("pass %d: of %s there lingers %+v", i, m.Name, m.State)
					}
					names = append(names, m.Name)
				}
				if fmt.Sprint(names) != p.want || again != p.again {
					t.Fatalf("pass %d: got %v for %v, want %s for %v", i, names, again, p.want, p.again)
				}
			}
		})
	}
}

func TestWhatANodeUsesIsNotAnnouncedWhileItsSpeakerIsStartedAnew(t *testing.T) {
	r := start(t, announcertest.NewFake("fake", announcers.Exclusive))
	r.members.Set("n2", membership.State{Fit: true, Uses: map[string]string{"192.0.2.10": "LocalAddress"}})
	w := base()
	w.Services = []Service{service("web", "192.0.2.10")}
	r.world.set(w)
	r.trigger.Fire()
	withheld := func(o Outcome) bool {
		return o.Plan.Verdicts["default/web"].Withheld != nil && len(o.Plan.Exclusive) == 0
	}
	r.until("withheld", func(o Outcome) bool { return withheld(o) && len(o.World.Members) == 2 })
	r.members.Remove("n2")
	r.until("lost", func(o Outcome) bool {
		if !withheld(o) {
			t.Error("it is announced as soon as the speaker is lost")
		}
		return len(o.World.Members) == 1
	})
	r.members.Set("n2", membership.State{Fit: true})
	r.until("back, and the address is used no more", func(o Outcome) bool { return !withheld(o) && o.Plan.Verdicts["default/web"].Owner != "" })
}
