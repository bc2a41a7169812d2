// SPDX-License-Identifier: Apache-2.0

package kube

import "strings"

// longestNote is the limit of an event's note in bytes (Kubernetes: events.k8s.io/v1 Event.note, 1 kB).
const longestNote = 1023

// Note returns a text as the note of an event: whole, or cut at the limit, between two characters, with "..." at the end. The API server
// refuses a longer note, and with it the event.
func Note(text string) string {
	if len(text) <= longestNote {
		return text
	}
	return strings.ToValidUTF8(text[:longestNote-3], "") + "..."
}
