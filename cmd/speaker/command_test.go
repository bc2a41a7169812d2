// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"testing"
	"time"
)

func TestOptionsAreChecked(t *testing.T) {
	for _, row := range []struct {
		name string
		mend func(*options)
		ok   bool
	}{
		{"complete", func(*options) {}, true},
		{"no node", func(o *options) { o.node = "" }, false},
		{"no address", func(o *options) { o.bindAddress = "" }, false},
		{"an announcer that nobody has built", func(o *options) { o.announcers = []string{"carrier-pigeon"} }, false},
		{"no announcer at all", func(o *options) { o.announcers = nil }, true},
		{"the shortest refresh", func(o *options) { o.refreshInterval = time.Second }, true},
		{"one that floods", func(o *options) { o.refreshInterval = time.Millisecond }, false},
		{"the longest", func(o *options) { o.refreshInterval = 24 * time.Hour }, true},
		{"one that is of no use", func(o *options) { o.refreshInterval = 25 * time.Hour }, false},
		{"one before now", func(o *options) { o.refreshInterval = -time.Minute }, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := options{node: "n1", bindAddress: "192.0.2.1", announcers: Names()}
			row.mend(&o)
			if err := o.validate(); (err == nil) != row.ok {
				t.Errorf("got %v", err)
			}
		})
	}
}
