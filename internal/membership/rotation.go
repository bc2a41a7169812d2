// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"bytes"
	"slices"
	"time"
)

// promoteAfter is how long a new key is only read before messages are encrypted with it. A kubelet delivers a changed Secret within its
// sync period of a minute and, where it does not watch, another minute for which it caches the Secret (Kubernetes: kubelet,
// syncFrequency and configMapAndSecretChangeDetectionStrategy); the key is read from the file every ten seconds.
const promoteAfter = 150 * time.Second

// Keys are the content of the Secret: the key to use, and the one before it, which may be absent.
type Keys struct{ Current, Former Key }

// rotation decides which keys are on the ring and which of them encrypts. A key that was ever on the ring stays readable: a member that
// has not changed over yet must be understood. It is a plain value; the time is given to it.
type rotation struct {
	ring    []Key
	primary Key
	// next encrypts from promoteAt on; empty when the primary key is the newest.
	next      Key
	promoteAt time.Time
}

// change is what is to be done with the ring: keys to add, then the one to use, if any.
type change struct {
	add []Key
	use Key
}

// newRotation starts with the former key where there is one: some members may not know the current one yet, and all know the former.
func newRotation(now time.Time, keys Keys) rotation {
	r := rotation{ring: []Key{keys.Current}, primary: keys.Current}
	if len(keys.Former) > 0 && !bytes.Equal(keys.Former, keys.Current) {
		r.ring, r.primary = []Key{keys.Former, keys.Current}, keys.Former
		r.next, r.promoteAt = keys.Current, now.Add(promoteAfter)
	}
	return r
}

// see takes in what the Secret holds now.
func (r *rotation) see(now time.Time, keys Keys) change {
	var c change
	for _, key := range []Key{keys.Former, keys.Current} {
		if len(key) > 0 && !r.has(key) {
			r.ring, c.add = append(r.ring, key), append(c.add, key)
		}
	}
	switch {
	case bytes.Equal(keys.Current, r.primary):
		r.next = nil
	case !bytes.Equal(keys.Current, r.next):
		r.next, r.promoteAt = keys.Current, now.Add(promoteAfter)
	case !now.Before(r.promoteAt):
		r.primary, c.use, r.next = r.next, r.next, nil
	}
	return c
}

func (r *rotation) has(key Key) bool {
	return slices.ContainsFunc(r.ring, func(k Key) bool { return bytes.Equal(k, key) })
}
