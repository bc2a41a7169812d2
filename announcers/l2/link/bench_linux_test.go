// SPDX-License-Identifier: Apache-2.0

package link_test

import (
	"runtime"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"metalsuite.io/announcers/l2/link"
)

// flood sends a frame from the peer's end as often as it can until the function it returns is called; that returns how often.
func (p *pair) flood(tb testing.TB, frame []byte) (stop func() int64) {
	tb.Helper()
	raw, err := p.peerSocket(tb, unix.ETH_P_ARP).SyscallConn()
	if err != nil {
		tb.Fatal(err)
	}
	var sent int64
	var stopping atomic.Bool
	done := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer close(done)
		_ = raw.Control(func(fd uintptr) {
			for !stopping.Load() {
				if _, err := unix.Write(int(fd), frame); err == nil {
					sent++
				}
			}
		})
	}()
	return func() int64 {
		stopping.Store(true)
		<-done
		return sent
	}
}

// answering serves until so many frames were answered.
func answering(tb testing.TB, conn *link.Conn, answer []byte, count int) {
	answered, enough, closed := 0, make(chan struct{}), make(chan struct{})
	go func() {
		defer close(closed)
		<-enough
		_ = conn.Close()
	}()
	_ = conn.Serve(func(_ []byte, reply func([]byte) error) {
		if reply(answer) != nil {
			return
		}
		if answered++; answered == count {
			close(enough)
		}
	})
	<-closed
}

// BenchmarkServe answers every frame of a flood with an answer that is ready.
func BenchmarkServe(b *testing.B) {
	p := newPair(b)
	conn := p.open(b, link.ARP)
	if err := conn.Filter(prefixes("192.0.2.0/24")); err != nil {
		b.Fatal(err)
	}
	answer := edit(request(), map[int][]byte{0: peerMAC[:], 6: nodeMAC[:], 21: {2}})
	stop := p.flood(b, request())
	b.ReportAllocs()
	b.ResetTimer()
	answering(b, conn, answer, b.N)
	b.StopTimer()
	sent := stop()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "answers/s")
	b.ReportMetric(float64(sent)/b.Elapsed().Seconds(), "requests/s")
}

func TestServeDoesNotAllocate(t *testing.T) {
	p := newPair(t)
	conn := p.open(t, link.ARP)
	answer := edit(request(), map[int][]byte{0: peerMAC[:], 6: nodeMAC[:], 21: {2}})
	stop := p.flood(t, request())
	defer stop()
	const frames = 20_000
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	answering(t, conn, answer, frames)
	runtime.ReadMemStats(&after)
	// The runtime itself and the start and the end of Serve allocate a little.
	if per := float64(after.Mallocs-before.Mallocs) / frames; per > 0.05 {
		t.Errorf("%.2f allocations for every frame", per)
	}
}
