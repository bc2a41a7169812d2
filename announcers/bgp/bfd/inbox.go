// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"sync"
	"time"
)

// inboxSize is how many packets wait for a watcher. More arrive only when it was kept from its work, or when somebody floods it.
const inboxSize = 16

// arrival is a packet and when it was received.
type arrival struct {
	at     time.Time
	packet Packet
}

// inbox holds the last packets of one session until its watcher looks at them; the oldest are lost first.
type inbox struct {
	// C holds a value while there may be something to take.
	C chan struct{}

	mu    sync.Mutex
	ring  [inboxSize]arrival
	first int
	count int
}

func newInbox() *inbox { return &inbox{C: make(chan struct{}, 1)} }

// put may be called from any goroutine. It neither waits nor allocates.
func (i *inbox) put(a arrival) {
	i.mu.Lock()
	if i.count == inboxSize {
		i.first, i.count = (i.first+1)%inboxSize, i.count-1
	}
	i.ring[(i.first+i.count)%inboxSize] = a
	i.count++
	i.mu.Unlock()
	signal(i.C)
}

// take removes the oldest packet; false when there is none.
func (i *inbox) take() (arrival, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.count == 0 {
		return arrival{}, false
	}
	a := i.ring[i.first]
	i.first, i.count = (i.first+1)%inboxSize, i.count-1
	return a, true
}

// signal leaves a value in a channel that has room for one.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
