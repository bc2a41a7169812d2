// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

// lines are what a relay tells.
type lines chan line

func (l lines) Write(text []byte) (int, error) {
	if one, ok := decode(bytes.TrimSpace(text)); ok {
		l <- one
	}
	return len(text), nil
}

// testRelay is an attempt of a relay in this process, for which the test is GoBGP.
type testRelay struct {
	*passage
	*WithT
	t     testing.TB
	port  uint16
	lines lines
	// hangUp ends the attempt, done is closed when it has ended.
	hangUp context.CancelFunc
	done   chan struct{}
}

// unhurried are times after which nothing happens in a test.
var unhurried = reachTimes{engine: patience, look: patience, again: time.Millisecond, impatience: patience}

func startRelay(t testing.TB, p *puppet, times reachTimes) *testRelay {
	t.Helper()
	entrance, port, err := newDoor()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(entrance.close)
	return startRelayAt(t, p, times, entrance, port)
}

func startRelayAt(t testing.TB, p *puppet, times reachTimes, entrance *door, port uint16) *testRelay {
	t.Helper()
	out := &testRelay{WithT: NewWithT(t), t: t, port: port, lines: make(lines, 1000), done: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	relay := &relay{out: newOutput(out.lines, time.Now, func(int) {}), times: times}
	out.passage, out.hangUp = newPassage(relay, 1, wayOf(p.settings()), cancel), cancel
	go func() {
		defer close(out.done)
		out.run(ctx, entrance)
	}()
	t.Cleanup(func() {
		cancel()
		out.ends()
	})
	return out
}

// told returns the texts of the lines up to the first with a text.
func (r *testRelay) told(last string) []string {
	r.t.Helper()
	deadline := time.After(patience)
	var out []string
	for {
		select {
		case l := <-r.lines:
			if out = append(out, l.Message); l.Message == last {
				return out
			}
		case <-deadline:
			r.t.Fatalf("not told %q, only %q", last, out)
		}
	}
}

// ends waits until the attempt has ended.
func (r *testRelay) ends() {
	r.t.Helper()
	r.Eventually(r.done, patience).Should(BeClosed())
}

// engine connects as GoBGP does.
func (r *testRelay) engine() *net.TCPConn {
	r.t.Helper()
	var conn net.Conn
	r.Eventually(func() (err error) {
		conn, err = net.Dial("tcp", netip.AddrPortFrom(netip.AddrFrom4(loopback), r.port).String())
		return err
	}, patience).Should(Succeed())
	r.t.Cleanup(func() { _ = conn.Close() })
	return conn.(*net.TCPConn)
}

// fill writes until the router's buffers are full and the relay waits for it.
func (r *testRelay) fill(engine *net.TCPConn) {
	r.t.Helper()
	update := newMessage(typeUpdate, make([]byte, longestMessage-headerLength))
	for {
		r.Expect(engine.SetWriteDeadline(time.Now().Add(time.Second))).To(Succeed())
		_, err := engine.Write(update)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		r.Expect(err).NotTo(HaveOccurred())
	}
}

// acceptOnly takes a connection without reading from it.
func (p *puppet) acceptOnly() net.Conn {
	p.t.Helper()
	if err := p.listener.SetDeadline(time.Now().Add(patience)); err != nil {
		p.t.Fatal(err)
	}
	conn, err := p.listener.Accept()
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = conn.Close() })
	p.conn = conn
	return conn
}

// A router that was just left closes connections at once until it is ready for the next session. GoBGP waits meanwhile.
func TestRouterThatIsNotReadyYetIsTriedAgainWithinTheAttempt(t *testing.T) {
	t.Parallel()
	late := unhurried
	late.engine = 0
	for name, times := range map[string]reachTimes{"before GoBGP comes": unhurried, "after GoBGP may have come": late} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPuppet(t, "127.0.0.1")
			r := startRelay(t, p, times)
			r.Expect(p.acceptOnly().Close()).To(Succeed())
			engine := r.engine()
			p.acceptOnly()
			p.send(messageNotification, []byte{6, 5})
			r.Expect(p.conn.Close()).To(Succeed())
			p.acceptOnly()
			p.send(messageOpen, p.openBody())
			r.Expect(r.told(textConnected)).To(Equal([]string{textConnected}))
			_, err := engine.Write(newMessage(typeOpen, p.openBody()))
			r.Expect(err).NotTo(HaveOccurred())
			p.read(messageOpen)
		})
	}
}

func TestRouterThatTakesNoConnectionAnyMoreEndsTheAttempt(t *testing.T) {
	t.Parallel()
	p := newPuppet(t, "127.0.0.1")
	r := startRelay(t, p, unhurried)
	conn := p.acceptOnly()
	r.Expect(p.listener.Close()).To(Succeed())
	r.Expect(conn.Close()).To(Succeed())
	r.Expect(r.told(textGone)).To(Equal([]string{textLost, textGone}))
	r.ends()
}

func TestRelayThatCannotLetGoBGPInSaysWhy(t *testing.T) {
	t.Parallel()
	p := newPuppet(t, "127.0.0.1")
	r := startRelayAt(t, p, unhurried, &door{fd: -1}, 0)
	p.acceptOnly()
	r.Expect(r.told(textGone)).To(Equal([]string{textFault, textGone}))
	r.ends()
}

// Neither a router that says nothing nor a GoBGP that does not come keeps an attempt that is over.
func TestEndOfAnAttemptInterruptsWhatTheRelayWaitsFor(t *testing.T) {
	t.Parallel()
	hour := reachTimes{engine: time.Hour, look: time.Hour, again: time.Hour, impatience: time.Hour}
	for name, end := range map[string]func(*testRelay){
		"hung up": func(r *testRelay) { r.hangUp() },
		"parted":  func(r *testRelay) { r.part() },
	} {
		for phase, before := range map[string]func(*testRelay, *puppet){
			"while it watches the connection":    func(*testRelay, *puppet) {},
			"while it waits to try again":        func(_ *testRelay, p *puppet) { _ = p.conn.Close() },
			"while it waits for GoBGP":           func(r *testRelay, p *puppet) { p.send(messageOpen, p.openBody()); r.told(textConnected) },
			"while GoBGP waits, and it is there": func(r *testRelay, _ *puppet) { r.engine() },
		} {
			t.Run(name+" "+phase, func(t *testing.T) {
				t.Parallel()
				p := newPuppet(t, "127.0.0.1")
				r := startRelay(t, p, hour)
				p.acceptOnly()
				before(r, p)
				end(r)
				r.Expect(r.told(textGone)).NotTo(ContainElement(textFault))
				r.ends()
			})
		}
	}
}

// GoBGP may end a session while the relay waits until the session may become established.
func TestRelayEndsWithGoBGPBeforeTheSessionIsEstablished(t *testing.T) {
	t.Parallel()
	p := newPuppet(t, "127.0.0.1")
	r := startRelay(t, p, reachTimes{})
	engine := r.engine()
	p.acceptOnly()
	p.send(messageOpen, p.openBody())
	p.send(messageKeepalive, nil)
	r.told(textPassed)
	r.Expect(engine.Close()).To(Succeed())
	r.told(textGone)
	r.ends()
}

// A router that takes nothing holds up neither the end of its session nor that for a message that is not valid.
func TestRouterThatTakesNothingDoesNotKeepTheRelay(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*testRelay, *puppet){
		"when the session is to end": func(r *testRelay, _ *puppet) { r.part() },
		"when it sends rubbish":      func(r *testRelay, p *puppet) { _, _ = p.conn.Write(make([]byte, headerLength)) },
		"when it is left":            func(r *testRelay, _ *puppet) { r.hangUp() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPuppet(t, "127.0.0.1")
			r := startRelay(t, p, reachTimes{})
			engine := r.engine()
			p.acceptOnly()
			r.told(textConnected)
			r.fill(engine)
			end(r, p)
			r.told(textGone)
			r.ends()
			r.Expect(engine.SetWriteDeadline(time.Time{})).To(Succeed())
			r.Eventually(func() error { _, err := engine.Write(newMessage(typeKeepalive, nil)); return err }, patience).Should(HaveOccurred())
		})
	}
}
