// SPDX-License-Identifier: Apache-2.0

package bundle

import "strings"

// pairs returns the lines with a prefix as "key value", sorted as they stand.
func pairs(text, prefix, separator string) []string {
	var out []string
	for line := range strings.Lines(text) {
		if rest, found := strings.CutPrefix(strings.TrimRight(line, "\n"), prefix); found {
			key, value, _ := strings.Cut(rest, separator)
			out = append(out, key+" "+value)
		}
	}
	return out
}
