// SPDX-License-Identifier: Apache-2.0

package allocation

import (
	"slices"
	"strings"
	"testing"
)

// FuzzParseRequestAgain checks that a request means the same when it is written out, and that the field takes one address as the
// annotation does.
func FuzzParseRequestAgain(f *testing.F) {
	for _, seed := range []string{"192.0.2.1", "192.0.2.1,2001:db8::1", " 2001:DB8::1 ,192.0.2.1 ", "::ffff:192.0.2.1", "192.0.2.1,", "0.0.0.0", "fe80::1%1", "1,2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, problem := ParseRequest(text, "")
		if problem != nil {
			return
		}
		texts := make([]string, len(list))
		for i, a := range list {
			texts[i] = a.String()
		}
		again, problem := ParseRequest(strings.Join(texts, ","), "")
		if problem != nil || !slices.Equal(again, list) {
			t.Fatalf("%q gives %v, read again %v, %v", text, list, again, problem)
		}
		if len(list) != 1 {
			return
		}
		if field, problem := ParseRequest("", texts[0]); problem != nil || !slices.Equal(field, list) {
			t.Fatalf("the field gives %v, %v; want %v", field, problem, list)
		}
		if both, problem := ParseRequest(text, texts[0]); problem == nil {
			t.Fatalf("two ways at once give %v", both)
		}
	})
}
