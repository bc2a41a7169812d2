// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestNoteFitsIntoAnEvent(t *testing.T) {
	cases := map[string]struct{ text, want string }{
		"empty":                     {"", ""},
		"at the limit":              {strings.Repeat("a", 1023), strings.Repeat("a", 1023)},
		"a byte too long":           {strings.Repeat("a", 1024), strings.Repeat("a", 1020) + "..."},
		"two bytes to a character":  {strings.Repeat("ü", 600), strings.Repeat("ü", 510) + "..."},
		"a character over the edge": {"a" + strings.Repeat("ü", 600), "a" + strings.Repeat("ü", 509) + "..."},
		"four bytes to a character": {"abc" + strings.Repeat("😀", 300), "abc" + strings.Repeat("😀", 254) + "..."},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := Note(c.text)
			if got != c.want {
				t.Errorf("got %d bytes %q, want %d bytes", len(got), got, len(c.want))
			}
			if !utf8.ValidString(got) || len(got) > 1023 {
				t.Errorf("got %d bytes, UTF-8 %t", len(got), utf8.ValidString(got))
			}
		})
	}
}
