// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// Frugal makes the process spend CPU rather than memory: its heap may grow by so many per cent between two collections (runtime: GOGC),
// where 100 is usual, unless the administrator has chosen with GOGC. It is for roles that hold all Services in memory and have little to do
// most of the time. Until stop it gives back what is not needed at rest.
func Frugal(heapGrowth int) (stop func()) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(heapGrowth)
	}
	return GiveBack()
}

// calm is how long nothing must have been collected until a process gives memory back.
const calm = 15 * time.Second

// GiveBack collects garbage and gives free memory back to the system once the process has become calm, until stop. By how much a heap may
// grow is meant for a process that works: the next collection comes sooner or later. At rest it comes after minutes, and nobody uses the
// memory meanwhile.
func GiveBack() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		ticks := time.NewTicker(calm)
		defer ticks.Stop()
		giveBack(ctx, ticks.C, collections, debug.FreeOSMemory)
	}()
	return func() { cancel(); <-done }
}

// giveBack frees memory at the first tick at which there was no collection since the one before, and again after there was one.
func giveBack(ctx context.Context, ticks <-chan time.Time, collections func() uint64, free func()) {
	last, freed := collections(), false
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks:
		}
		now := collections()
		if calm := now == last; !calm {
			freed = false
		} else if !freed {
			free()
			freed = true
		}
		last = now
	}
}

// collections counts those that the runtime began by itself.
func collections() uint64 {
	sample := []metrics.Sample{{Name: "/gc/cycles/automatic:gc-cycles"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
