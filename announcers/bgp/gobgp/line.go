// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"encoding/json"
	"strings"
)

// line is what a child writes to its standard error for one message of a GoBGP server; everything else there is a panic or noise.
type line struct {
	// Server is the number of the server in the child, from 0; wholeProcess for what concerns all of them.
	Server int `json:"server"`
	// Level is one of the levels below.
	Level level `json:"level"`
	// Message is GoBGP's own text, Fields what it gave with it.
	Message string            `json:"message"`
	Fields  map[string]string `json:"fields,omitempty"`
}

const wholeProcess = -1

type level string

const (
	levelFatal   level = "fatal"
	levelError   level = "error"
	levelWarning level = "warning"
	levelInfo    level = "info"
	levelDebug   level = "debug"
)

// Texts of GoBGP that mean something to us. If another version has others, sessions work all the same; only the reasons get vaguer.
const (
	textState           = "state changed"
	textNotifySent      = "sent notification"
	textNotifyReceived  = "received notification"
	textHoldTimer       = "hold timer expired"
	textNothingToRemove = "No matching path for withdraw found"
)

// textUnlimited is what a child tells of itself.
const textUnlimited = "the memory of the process is not limited as it should be"

// Texts of our own relay. Each of its lines has the number of the attempt that it belongs to.
const (
	textReady      = "relay ready"
	textDialFailed = "connecting to the peer failed"
	textConnected  = "connected to the peer"
	textPassed     = "OPEN message passed on"
	textDropped    = "routes dropped"
	textFault      = "relay failed"
	textLost       = "the peer takes no connection any more"
	textGone       = "relay gone"

	fieldAttempt = "Attempt"
	// fieldHold is the hold time in the OPEN of the router, in seconds.
	fieldHold = "Hold"
)

func (l line) encode() []byte {
	b, err := json.Marshal(l)
	if err != nil {
		return nil // strings alone cannot fail
	}
	return append(b, '\n')
}

// decode returns false for what is not a line of ours.
func decode(text []byte) (line, bool) {
	var l line
	if len(text) == 0 || text[0] != '{' || json.Unmarshal(text, &l) != nil {
		return line{}, false
	}
	return l, l.Message != ""
}

// text returns the message with its fields in a fixed order, for people.
func (l line) text() string {
	var b strings.Builder
	b.WriteString(l.Message)
	for _, key := range []string{"Key", "State", "Reason", "Code", "Subcode", "Communicated-Reason", "Error", "Err", "error", "Data"} {
		if v := l.Fields[key]; v != "" {
			b.WriteString(" " + strings.ToLower(key) + "=" + v)
		}
	}
	return b.String()
}
