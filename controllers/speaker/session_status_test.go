// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"context"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/record"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/announcers"
	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
)

func TestHowASessionIsTold(t *testing.T) {
	at := func(seconds int64) *metav1.Time { return &metav1.Time{Time: time.Unix(seconds, 0)} }
	missing := reason.New(reason.PasswordSecretMissing, "the Secret tor does not exist")
	empty := reason.New(reason.PasswordEmpty, "the password in the Secret tor is empty")
	for _, row := range []struct {
		name  string
		state announcers.PeerState
		plan  Plan
		want  v1beta1.BGPSessionStatusStatus
	}{
		{"established", announcers.PeerState{
			Phase: announcers.Established, Since: time.Unix(100, 5), Local: netip.MustParseAddrPort("198.51.100.9:40000"),
			Remote: netip.MustParseAddrPort("198.51.100.1:179"), RemoteASN: 64999, RemoteID: netip.MustParseAddr("10.0.0.1"),
			HoldTime: 90 * time.Second, KeepaliveTime: 30 * time.Second, IPv4: true, IPv6: true, GracefulRestart: true,
			Established: 2, Dropped: 1, Desired: 7, Announced: 6, LastError: "hold timer expired", LastErrorAt: time.Unix(90, 0),
			BFD: announcers.BFDState{Phase: announcers.BFDUp, Remote: announcers.BFDUp, Since: time.Unix(101, 0), Transmit: 300 * time.Millisecond, Detection: 900 * time.Millisecond},
		}, Plan{Peers: []announcers.Peer{{Name: "tor", PeerSettings: announcers.PeerSettings{LocalASN: 64512}}}}, v1beta1.BGPSessionStatusStatus{
			State: "Established", Since: at(100), Reason: "SessionEstablished", LocalAddress: "198.51.100.9", RemoteAddress: "198.51.100.1:179",
			LocalASN: 64512, RemoteASN: 64999, RemoteRouterID: "10.0.0.1", HoldTime: &metav1.Duration{Duration: 90 * time.Second},
			KeepaliveTime: &metav1.Duration{Duration: 30 * time.Second}, Families: []v1beta1.BGPFamily{"ipv4-unicast", "ipv6-unicast"}, GracefulRestart: true,
			EstablishedCount: 2, DroppedCount: 1, PrefixesDesired: 7, PrefixesSent: 6, LastError: "hold timer expired", LastErrorTime: at(90),
			BFD: &v1beta1.BGPSessionBFD{
				State: "Up", RemoteState: "Up", Since: at(101), TransmitInterval: &metav1.Duration{Duration: 300 * time.Millisecond},
				DetectionTime: &metav1.Duration{Duration: 900 * time.Millisecond},
			},
		}},
		{"not established yet", announcers.PeerState{Phase: announcers.OpenSent}, Plan{}, v1beta1.BGPSessionStatusStatus{State: "Active", Reason: "SessionConnecting"}},
		{"between two attempts", announcers.PeerState{Phase: announcers.Idle, Problem: reason.New(reason.ConnectionRefused, "no")}, Plan{},
			v1beta1.BGPSessionStatusStatus{State: "Active", Reason: "ConnectionRefused"}},
		{"without password", announcers.PeerState{Problem: missing}, Plan{LeftOut: map[string]*reason.Problem{"tor": missing}},
			v1beta1.BGPSessionStatusStatus{State: "Idle", Reason: "PasswordSecretMissing"}},
		{"established with a remark", announcers.PeerState{Phase: announcers.Established, Problem: reason.New(reason.FamilyNotNegotiated, "")}, Plan{},
			v1beta1.BGPSessionStatusStatus{
				State: "Established", Reason: "FamilyNotNegotiated", HoldTime: &metav1.Duration{}, KeepaliveTime: &metav1.Duration{},
			}},
		{"established with an empty password", announcers.PeerState{Phase: announcers.Established}, Plan{Warned: map[string]*reason.Problem{"tor": empty}},
			v1beta1.BGPSessionStatusStatus{
				State: "Established", Reason: "PasswordEmpty", Message: empty.Message(), HoldTime: &metav1.Duration{}, KeepaliveTime: &metav1.Duration{},
			}},
		{"connecting with an empty password", announcers.PeerState{Phase: announcers.Connect}, Plan{Warned: map[string]*reason.Problem{"tor": empty}},
			v1beta1.BGPSessionStatusStatus{State: "Active", Reason: "SessionConnecting", Message: empty.Message()}},
		{"in many words", announcers.PeerState{LastError: strings.Repeat("é", 700)}, Plan{},
			v1beta1.BGPSessionStatusStatus{State: "Active", Reason: "SessionConnecting", LastError: strings.Repeat("é", 512)}},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.state.Name, row.want.Node, row.want.Peer = "tor", "n1", "tor"
			got := sessionStatus("n1", row.state, Outcome{Plan: row.plan})
			if row.state.Problem != nil {
				row.want.Message = row.state.Problem.Message()
			}
			if !reflect.DeepEqual(got, row.want) {
				t.Errorf("got %+v\nwant %+v", got, row.want)
			}
		})
	}
}

func TestAttemptsDoNotChangeWhatIsTold(t *testing.T) {
	var s steadied
	see := func(now int64, p announcers.PeerState) announcers.PeerState {
		p.Name = "tor"
		return s.see(time.Unix(now, 0), p)
	}
	first := see(100, announcers.PeerState{Phase: announcers.Idle})
	if first.Since.Unix() != 100 {
		t.Errorf("a session that was never there is missing since %v", first.Since)
	}
	failed := announcers.PeerState{Phase: announcers.Active, Since: time.Unix(105, 0), LastError: "refused", LastErrorAt: time.Unix(105, 0)}
	see(106, failed)
	failed.Since, failed.LastErrorAt = time.Unix(110, 0), time.Unix(110, 0)
	if got := see(111, failed); got.Since.Unix() != 100 || got.LastErrorAt.Unix() != 105 {
		t.Errorf("after another attempt: since %v, failed at %v", got.Since.Unix(), got.LastErrorAt.Unix())
	}
	up := announcers.PeerState{Phase: announcers.Established, Since: time.Unix(120, 0), LastError: "refused", LastErrorAt: time.Unix(110, 0)}
	if got := see(121, up); got.Since.Unix() != 120 || got.LastErrorAt.Unix() != 105 {
		t.Errorf("established since %v, failed at %v", got.Since.Unix(), got.LastErrorAt.Unix())
	}
	lost := announcers.PeerState{Since: time.Unix(130, 0), LastError: "refused", LastErrorAt: time.Unix(130, 0), Dropped: 1}
	if got := see(131, lost); got.Since.Unix() != 130 || got.LastErrorAt.Unix() != 130 {
		t.Errorf("lost since %v, failed at %v", got.Since.Unix(), got.LastErrorAt.Unix())
	}
	lost.Since, lost.LastErrorAt, lost.Dropped = time.Unix(150, 0), time.Unix(150, 0), 2
	if got := see(151, lost); got.Since.Unix() != 150 || got.LastErrorAt.Unix() != 150 {
		t.Errorf("lost twice between two looks: since %v, failed at %v", got.Since.Unix(), got.LastErrorAt.Unix())
	}
}

func TestNamesOfStatusObjects(t *testing.T) {
	s := NewStatus(StatusOptions{Node: "n1", Namespace: namespace})
	for _, row := range []struct{ got, prefix, digits string }{
		{s.objectName("l2-", "default/web", shortHash), "l2-", strings.Repeat("x", 10)},
		{s.objectName("bgp-", "default/web", longHash), "bgp-", strings.Repeat("x", 20)},
		{s.sessionName("tor"), "session-", strings.Repeat("x", 20)},
	} {
		if !strings.HasPrefix(row.got, row.prefix) || len(row.got) != len(row.prefix+row.digits) {
			t.Errorf("got %s", row.got)
		}
	}
}

func TestWhichSessionsAreWrittenAtOnce(t *testing.T) {
	up := announcers.PeerState{Name: "a", Phase: announcers.Established, Announced: 1}
	counted, down, flapping := up, up, up
	counted.Announced, counted.Messages.TotalSent = 2, 9
	down.Phase = announcers.Active
	flapping.BFD.Phase = announcers.BFDDown
	gone := map[string]*reason.Problem{"a": reason.New(reason.PasswordSecretMissing, "")}
	for _, row := range []struct {
		name     string
		old, now Outcome
		want     bool
	}{
		{"a new one", Outcome{}, Outcome{Sessions: []announcers.PeerState{up}}, true},
		{"the same", Outcome{Sessions: []announcers.PeerState{up}}, Outcome{Sessions: []announcers.PeerState{up}}, false},
		{"one that has only sent more", Outcome{Sessions: []announcers.PeerState{up}}, Outcome{Sessions: []announcers.PeerState{counted}}, false},
		{"one that was lost", Outcome{Sessions: []announcers.PeerState{up}}, Outcome{Sessions: []announcers.PeerState{down}}, true},
		{"one whose BFD changed", Outcome{Sessions: []announcers.PeerState{up}}, Outcome{Sessions: []announcers.PeerState{flapping}}, true},
		{"one that is gone", Outcome{Sessions: []announcers.PeerState{up}}, Outcome{}, true},
		{"one whose password became empty", Outcome{Sessions: []announcers.PeerState{up}},
			Outcome{Sessions: []announcers.PeerState{up}, Plan: Plan{Warned: map[string]*reason.Problem{"a": reason.New(reason.PasswordEmpty, "")}}}, true},
		{"one that lost its password", Outcome{Sessions: []announcers.PeerState{up}}, Outcome{Plan: Plan{LeftOut: gone}}, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			var asked []string
			row.now.changedSessions(row.old, func(peer string) { asked = append(asked, peer) })
			if got := len(asked) == 1; got != row.want || len(asked) > 1 {
				t.Errorf("asked for %v, want %v", asked, row.want)
			}
		})
	}
}

// peerReader finds every BGPPeer.
type peerReader struct{ client.Reader }

func (peerReader) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	return nil
}

func TestEventsOnASessionAreFew(t *testing.T) {
	now := clocktesting.NewFakePassiveClock(time.Unix(1000, 0))
	told := record.NewFakeRecorder(100)
	e := newEvents(told, peerReader{}, "n1", namespace, now)
	up := announcers.PeerState{Name: "tor", Phase: announcers.Established, Remote: netip.MustParseAddrPort("198.51.100.1:179")}
	down := announcers.PeerState{Name: "tor", Phase: announcers.Active, Remote: up.Remote, LastError: "hold timer expired"}
	next := func() string {
		select {
		case e := <-told.Events:
			return e
		default:
			return ""
		}
	}
	session := func(p announcers.PeerState) time.Duration { return e.session(t.Context(), now.Now(), p) }
	if again := session(announcers.PeerState{Name: "tor"}); again != 0 || next() != "" {
		t.Error("one that was never there is told of")
	}
	if again := session(up); again != 0 || next() != "Normal SessionEstablished the BGP session of node n1 with 198.51.100.1:179 is established" {
		t.Error("one that was established is not told of")
	}
	for range 10 {
		if session(down) <= 0 || session(up) != 0 {
			t.Fatal("one that flaps is not looked at again")
		}
	}
	if got := next(); got != "" {
		t.Errorf("one that flaps is told of at once: %q", got)
	}
	again := session(down)
	now.SetTime(now.Now().Add(again))
	if again := session(down); again != 0 || next() != "Warning SessionEnded the BGP session of node n1 with 198.51.100.1:179 has ended: hold timer expired" {
		t.Error("one that stays lost is not told of")
	}
}

func TestAPeerThatWasMadeAgainHasANewSession(t *testing.T) {
	now := clocktesting.NewFakePassiveClock(time.Unix(1000, 0))
	told := record.NewFakeRecorder(100)
	e := newEvents(told, peerReader{}, "n1", namespace, now)
	e.session(t.Context(), now.Now(), announcers.PeerState{Name: "tor", Phase: announcers.Established})
	e.forget("tor")
	if len(e.sessions) > 0 {
		t.Errorf("remembers %v", e.sessions)
	}
	now.SetTime(now.Now().Add(time.Hour))
	if again := e.session(t.Context(), now.Now(), announcers.PeerState{Name: "tor"}); again != 0 || len(told.Events) != 1 {
		t.Errorf("looks again after %v, told %d times, want that it was established only", again, len(told.Events))
	}
}

func TestWhatAnEarlierPodSaidStaysWhileAPasswordIsRead(t *testing.T) {
	s := NewStatus(StatusOptions{Node: "n1", Namespace: namespace, Clock: clocktesting.NewFakePassiveClock(time.Unix(1, 0)), Log: logr.Discard()})
	pending := Outcome{Plan: Plan{Pending: []string{"tor"}}}
	// There is no client: whatever is read or written fails the test.
	if err := s.writeSession(t.Context(), "tor", pending); err != nil {
		t.Error(err)
	}
	if err := s.writeRouters(t.Context(), "default/web", pending.service("default/web")); err != nil {
		t.Error(err)
	}
}

func TestNothingIsWrittenBeforeTheFirstDecision(t *testing.T) {
	s := NewStatus(StatusOptions{Node: "n1", Namespace: namespace, Clock: clocktesting.NewFakePassiveClock(time.Unix(1, 0)), Log: logr.Discard()})
	for _, key := range []string{"default/web", sessionKey("tor")} {
		if err := s.write(t.Context(), key); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
}
