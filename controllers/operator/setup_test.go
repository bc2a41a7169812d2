// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

func TestRetriesStaySoon(t *testing.T) {
	limiter, request := retries(), reconcile.Request{}
	if first := limiter.When(request); first != 100*time.Millisecond {
		t.Errorf("tries again after %s at first", first)
	}
	last := time.Duration(0)
	for range 50 {
		last = limiter.When(request)
	}
	if last != 30*time.Second {
		t.Errorf("tries again after %s in the end", last)
	}
}
