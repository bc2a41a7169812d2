// SPDX-License-Identifier: Apache-2.0

package endpointcopier

import (
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"metalsuite.io/api/reason"
)

func TestATargetThatWasRecreatedUnderItsNameIsToldAnew(t *testing.T) {
	copied := normal(reason.New(reason.EndpointsCopied, "3 endpoints"))
	missing := warning(reason.New(reason.EndpointSourceMissing, "none"))
	vip, other := types.NamespacedName{Namespace: "default", Name: "kubernetes-vip"}, types.NamespacedName{Namespace: "default", Name: "other"}
	var o outcomes
	for i, step := range []struct {
		target types.NamespacedName
		uid    types.UID
		next   outcome
		forget bool
		want   bool
	}{
		{vip, "first", copied, false, true},
		{vip, "first", copied, false, false},
		{other, "third", copied, false, true},
		{vip, "first", missing, false, true},
		{vip, "second", missing, false, true},
		{vip, "second", missing, false, false},
		{vip, "second", missing, true, true},
	} {
		if step.forget {
			o.forget(step.target)
		}
		if got := o.change(step.target, step.uid, step.next); got != step.want {
			t.Errorf("step %d: told is %t, want %t", i, got, step.want)
		}
	}
}
