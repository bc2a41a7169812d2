// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/osrg/gobgp/v3/pkg/log"
	"github.com/osrg/gobgp/v3/pkg/packet/bgp"
)

// Bounds on what a child writes: a peer that sends rubbish must not fill the log. Lines that the parent needs are not counted.
const (
	linesBurst     = 50
	linesPerSecond = 5
	longestField   = 300
)

// output is shared by the servers of a child.
type output struct {
	mu     sync.Mutex
	w      io.Writer
	now    func() time.Time
	exit   func(code int)
	last   time.Time
	budget float64
}

func newOutput(w io.Writer, now func() time.Time, exit func(int)) *output {
	return &output{w: w, now: now, exit: exit, last: now(), budget: linesBurst}
}

// write writes l, unless it is one too many.
func (o *output) write(l line, needed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !needed && !o.spend() {
		return
	}
	_, _ = o.w.Write(l.encode()) // a child that cannot speak has no parent any more, and ends for that
}

func (o *output) spend() bool {
	now := o.now()
	o.budget = min(linesBurst, o.budget+now.Sub(o.last).Seconds()*linesPerSecond)
	o.last = now
	if o.budget < 1 {
		return false
	}
	o.budget--
	return true
}

// serverLogger is what one GoBGP server writes to.
type serverLogger struct {
	*output
	server int
}

// Panic and Fatal end the child: GoBGP calls them where it does not know what to do, and would go on if they returned.
func (l serverLogger) Panic(text string, f log.Fields) { l.die(text, f) }

// Fatal ends the child, see Panic.
func (l serverLogger) Fatal(text string, f log.Fields) { l.die(text, f) }

func (l serverLogger) die(text string, f log.Fields) {
	l.write(l.line(levelFatal, text, f), true)
	l.exit(1)
}

// Error, Warn, Info and Debug implement log.Logger.
func (l serverLogger) Error(text string, f log.Fields) { l.say(levelError, text, f) }

// Warn implements log.Logger. One warning comes once for each route that the peer sent, when it goes; it says nothing.
func (l serverLogger) Warn(text string, f log.Fields) {
	if !strings.HasPrefix(text, textNothingToRemove) {
		l.say(levelWarning, text, f)
	}
}

// Info implements log.Logger.
func (l serverLogger) Info(text string, f log.Fields) { l.say(levelInfo, text, f) }

// Debug lets through only what the parent needs.
func (l serverLogger) Debug(text string, f log.Fields) {
	if text == textState {
		l.say(levelDebug, text, f)
	}
}

func (l serverLogger) say(v level, text string, f log.Fields) {
	switch text {
	case textState, textNotifySent, textNotifyReceived, textHoldTimer:
		l.write(l.line(v, text, f), true)
	default:
		l.write(l.line(v, text, f), false)
	}
}

// SetLevel implements log.Logger; there is one level.
func (serverLogger) SetLevel(log.LogLevel) {}

// GetLevel says that everything is logged, because a failed attempt to connect is told at the lowest level only.
func (serverLogger) GetLevel() log.LogLevel { return log.DebugLevel }

func (l serverLogger) line(v level, text string, f log.Fields) line {
	out := line{Server: l.server, Level: v, Message: text, Fields: make(map[string]string, len(f))}
	for key, value := range f {
		if key == "Topic" || value == nil {
			continue
		}
		if e, ok := value.(*bgp.MessageError); ok {
			out.Fields["Code"], out.Fields["Subcode"] = strconv.Itoa(int(e.TypeCode)), strconv.Itoa(int(e.SubTypeCode))
			value = e.Message
		}
		text := fmt.Sprint(value)
		out.Fields[key] = text[:min(len(text), longestField)]
	}
	return out
}
