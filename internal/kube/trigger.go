// SPDX-License-Identifier: Apache-2.0

package kube

// Trigger says that something changed, without saying what. Any number of Fire calls before the reader gets to it are one signal: that
// is what a level-triggered loop needs, however many events arrive.
type Trigger struct{ c chan struct{} }

// NewTrigger returns a trigger that has not fired.
func NewTrigger() Trigger { return Trigger{c: make(chan struct{}, 1)} }

// Fire signals the reader. It never blocks.
func (t Trigger) Fire() {
	select {
	case t.c <- struct{}{}:
	default:
	}
}

// C is where the one reader waits.
func (t Trigger) C() <-chan struct{} { return t.c }
