// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestReportFollowsTheOwner(t *testing.T) {
	start := time.Unix(100, 0)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	var report Report
	for _, answer := range []struct {
		mac string
		ms  int
	}{{"a", 0}, {"a", 10}, {"b", 310}, {"b", 320}, {"a", 330}} {
		report.seen(answer.mac, at(answer.ms))
	}
	want := Report{
		Answers: 5,
		Changes: []Change{
			{At: at(0), To: "a"},
			{At: at(310), From: "a", To: "b", Silence: 300 * time.Millisecond},
			{At: at(330), From: "b", To: "a", Silence: 10 * time.Millisecond},
		},
		LongestSilence: 300 * time.Millisecond,
		Last:           at(330),
	}
	if diff := cmp.Diff(want, report); diff != "" {
		t.Errorf("report differs (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"a", "b"}, report.Owners()); diff != "" {
		t.Errorf("owners differ (-want +got):\n%s", diff)
	}
}

func TestParseReadsTheInterface(t *testing.T) {
	got := parse("export LAB_NODES='n1 n2'\n# a remark\nexport LAB_KUBECTL='a --kubeconfig=b'\n")
	want := map[string]string{"LAB_NODES": "n1 n2", "LAB_KUBECTL": "a --kubeconfig=b"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("variables differ (-want +got):\n%s", diff)
	}
}
