// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestSameSpecComparesUIDAndGeneration(t *testing.T) {
	first := &metav1.ObjectMeta{Name: "blue", UID: "first", Generation: 1, ResourceVersion: "10"}
	for name, row := range map[string]struct {
		other metav1.ObjectMeta
		want  bool
	}{
		"only the status was written":          {metav1.ObjectMeta{Name: "blue", UID: "first", Generation: 1, ResourceVersion: "11"}, true},
		"the specification was changed":        {metav1.ObjectMeta{Name: "blue", UID: "first", Generation: 2, ResourceVersion: "11"}, false},
		"the object was deleted and recreated": {metav1.ObjectMeta{Name: "blue", UID: "second", Generation: 1, ResourceVersion: "11"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := SameSpec(first, &row.other); got != row.want {
				t.Errorf("got %v, want %v", got, row.want)
			}
		})
	}
}
