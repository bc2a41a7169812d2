// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"
)

func TestTheLabelOfANode(t *testing.T) {
	long := "node-1." + strings.Repeat("a", 56) + ".example.com"
	for _, row := range []struct {
		name, node string
		same       bool
	}{
		{"a short name is itself", "node-1.example.com", true},
		{"the longest name that fits is too", strings.Repeat("a", validation.LabelValueMaxLength), true},
		{"a longer one is cut", long, false},
		{"a longer one is cut, at a dot too", strings.Repeat("a", 51) + "." + strings.Repeat("b", 40), false},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := nodeLabel(row.node)
			if why := validation.IsValidLabelValue(got); len(why) > 0 || (got == row.node) != row.same {
				t.Errorf("got %q: %v", got, why)
			}
		})
	}
	if nodeLabel(long) == nodeLabel(long+"x") {
		t.Error("two nodes have one label")
	}
}
