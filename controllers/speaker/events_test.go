// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"net/netip"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"metalsuite.io/announcers"
	"metalsuite.io/api/reason"
)

func TestThatNobodyAnnouncesIsToldOnceItHasLasted(t *testing.T) {
	now := clocktesting.NewFakePassiveClock(time.Unix(1000, 0))
	e := newEvents(nil, nil, "n1", now)
	silent := serviceOutcome{Speaks: true, Verdict: Verdict{Problem: reason.New(reason.NoEndpoints, "")}}

	if told, again := e.nobody("default/web", silent); told != nil || again != silenceTold {
		t.Fatalf("at once: got %v and %v, want nothing and another look after %v", told, again, silenceTold)
	}
	now.SetTime(now.Now().Add(silenceTold))
	told, again := e.nobody("default/web", silent)
	if told == nil || told.reason != string(reason.NoEndpoints) || told.kind != corev1.EventTypeWarning || again != 0 {
		t.Fatalf("later: got %v and %v, want a warning and no other look", told, again)
	}
	if fresh := e.swap("default/web", []event{*told}); len(fresh) != 1 {
		t.Fatalf("the first time it is new, got %v", fresh)
	}
	if fresh := e.swap("default/web", []event{*told}); len(fresh) != 0 {
		t.Fatalf("the second time it is not, got %v", fresh)
	}
	other := silent
	other.Verdict.Problem = reason.New(reason.NodeExcluded, "")
	if told, again := e.nobody("default/web", other); told != nil || again != silenceTold {
		t.Fatalf("another reason starts anew, got %v and %v", told, again)
	}
	taken := serviceOutcome{Speaks: true, Verdict: Verdict{Shared: true, Withheld: reason.New(reason.AddressDuplicate, "")}}
	if told, again := e.nobody("default/api", taken); told != nil || again != silenceTold {
		t.Fatalf("a duplicate, at once: got %v and %v", told, again)
	}
	now.SetTime(now.Now().Add(silenceTold))
	if told, _ := e.nobody("default/api", taken); told == nil || told.reason != string(reason.AddressDuplicate) {
		t.Fatalf("a duplicate that lasts: got %v", told)
	}
}

func TestWhoStaysSilentAboutNobody(t *testing.T) {
	problem := reason.New(reason.NoMatchingAdvertisement, "")
	for name, o := range map[string]serviceOutcome{
		"another speaker speaks for all":    {Verdict: Verdict{Problem: problem}},
		"somebody owns the address":         {Speaks: true},
		"the administrator wants it so":     {Speaks: true, Verdict: Verdict{Problem: reason.New(reason.ComponentDisabled, "")}},
		"announcers without owner serve it": {Speaks: true, Verdict: Verdict{Problem: problem, Shared: true}},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEvents(nil, nil, "n1", clocktesting.NewFakePassiveClock(time.Unix(1000, 0)))
			if told, again := e.nobody("default/web", o); told != nil || again != 0 {
				t.Fatalf("got %v and %v", told, again)
			}
		})
	}
}

func TestWhatIsToldOfAnAnnouncement(t *testing.T) {
	e := newEvents(nil, nil, "n1", clocktesting.NewFakePassiveClock(time.Unix(1000, 0)))
	o := serviceOutcome{
		Verdict: Verdict{Owner: "n1"},
		States: map[string][]addressState{"l2": {
			{netip.MustParseAddr("2001:db8::1"), announcers.State{Phase: announcers.Refused, Problem: reason.New(reason.FamilyNotServed, "")}},
			{netip.MustParseAddr("192.0.2.1"), announcers.State{Phase: announcers.Effective}},
		}},
	}
	got := e.about(o)
	if len(got) != 2 || got[0].reason != eventAnnounceFailed || got[1].reason != eventNodeAssigned {
		t.Fatalf("got %v, want one address refused and one assigned", got)
	}
}
