// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFake(t *testing.T) {
	f := NewFake("b")
	f.Set("a", fit)
	f.SetUnknown("c")
	f.Publish(unfit)
	want := []Member{{Name: "a", State: fit, Known: true}, {Name: "b", State: unfit, Known: true}, {Name: "c"}}
	if diff := cmp.Diff(want, f.Members()); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
	<-f.Changed()
	f.Publish(unfit)
	select {
	case <-f.Changed():
		t.Error("the same state is news")
	default:
	}
	f.Remove("a")
	<-f.Changed()
	if diff := cmp.Diff(want[1:], f.Members()); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
}
