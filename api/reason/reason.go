// SPDX-License-Identifier: Apache-2.0

// Package reason is the vocabulary of the suite: every refusal and every state a user can meet is a typed constant here, with one
// sentence that says what is the case and the smallest fix.
//
// The same constant appears as the reason of a condition, of an event, in a metric label, in a log line and on the command line. The
// package is pure: it imports nothing but the standard library.
package reason

import "fmt"

// Reason is a CamelCase word that names a refusal or a state; it fits the reason field of a Kubernetes condition.
type Reason string

// Text explains a reason to its reader.
type Text struct {
	// Sentence says what is the case, without full stop.
	Sentence string
	// Fix is the smallest thing that the reader can do about it, without full stop; empty when nothing is wrong.
	Fix string
}

// Text returns the explanation of the reason; its zero value when the reason is not in the vocabulary.
func (r Reason) Text() Text { return vocabulary[r] }

// All returns every reason with its text.
func All() map[Reason]Text {
	all := make(map[Reason]Text, len(vocabulary))
	for r, t := range vocabulary {
		all[r] = t
	}
	return all
}

// Problem is one refusal as a value: it travels from where it is decided to where the user looks. It is an error, so that it can also
// end a start-up.
type Problem struct {
	Reason Reason
	// Detail names the objects and values at hand ("pool blue has no free IPv4 address"), without full stop. It may be empty.
	Detail string
}

// New returns a problem with a formatted detail.
func New(r Reason, format string, args ...any) *Problem {
	return &Problem{Reason: r, Detail: fmt.Sprintf(format, args...)}
}

// Message is what the user reads: the detail if there is one, else the sentence, then the fix.
func (p Problem) Message() string {
	t := p.Reason.Text()
	m := p.Detail
	if m == "" {
		m = t.Sentence
	}
	if t.Fix == "" {
		return m
	}
	return m + ". " + t.Fix
}

// Error makes a problem an error that names its reason.
func (p Problem) Error() string { return string(p.Reason) + ": " + p.Message() }
