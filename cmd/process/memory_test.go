// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"runtime"
	"slices"
	"testing"
	"time"
)

func TestMemoryIsGivenBackOnceItIsCalm(t *testing.T) {
	counts := []uint64{7, 8, 8, 8, 9, 11, 11, 11} // at the start, and at each tick
	var freed []int
	ticks := make(chan time.Time)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		read := 0 // the counts, of which the first belongs to no tick
		giveBack(ctx, ticks, func() uint64 { read++; return counts[read-1] }, func() { freed = append(freed, read-1) })
	}()
	for range len(counts) - 1 {
		ticks <- time.Time{}
	}
	cancel()
	<-done
	if want := []int{2, 6}; !slices.Equal(freed, want) {
		t.Errorf("freed at the ticks %v, want %v", freed, want)
	}
}

var sink []byte

func TestCollectionsAreThoseOfTheRuntime(t *testing.T) {
	before := collections()
	for range 1000 {
		sink = make([]byte, 1<<20)
	}
	between := collections()
	if between == before {
		t.Error("a gigabyte of garbage was not collected")
	}
	runtime.GC()
	if after := collections(); after > between+1 {
		t.Errorf("%d collections where one was asked for", after-between)
	}
}
